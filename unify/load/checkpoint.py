"""The checkpoint of an attempt: which pages its chunks hold, so that the next attempt continues after them.

``checkpoint.jsonl`` is beside the chunks, and has a line for each page that is in them. A line is written
after its rows, and names their checksum: the rows of a page whose line or rows are damaged count as not read,
and so do all after them. The next attempt writes what it keeps into its own folder, so an attempt that is
still alive after its end changes nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence, Set
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from msgspec import Struct, field

from unify.adapters.base import Page, PagePosition, ScopeWindow
from unify.convert.chunks import CHUNK_FILES, ChunkReader, ChunkWriter, LineParser, MarkerKeys, Segment
from unify.fs import durable

CHECKPOINT = "checkpoint.jsonl"
PREVIOUS = "previous"  # the folder of the attempt before, until its rows are taken over
PROGRESS = "progress"  # an empty file: this attempt has read pages that the next one need not read
MAX_AGE = timedelta(hours=24)  # rows that were read longer ago are read again
FORMAT = 1


class Spent(msgspec.Struct, frozen=True):
    """What a load has cost so far, over all attempts."""

    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0


class LoadLine(msgspec.Struct, frozen=True, tag="load", tag_field="is"):
    """The first line.

    ``fingerprint``  of everything that decides what the load reads: see ``resumption.fingerprint``.
    ``began_at``     when the first attempt began; ``planned_at``: the ``now`` of its plan.
    ``uid``          of the job; ``system retry`` gives it another one.
    ``counted_from`` what the load had cost before: its time limit begins there.
    """

    format: int
    fingerprint: str
    began_at: datetime
    planned_at: datetime
    markers: MarkerKeys
    uid: str
    counted_from: Spent


class SegmentLine(msgspec.Struct, frozen=True, tag="segment", tag_field="is"):
    """The next segment of the chunks."""

    scope: str
    values: bytes


class StateLine(msgspec.Struct, frozen=True, tag="state", tag_field="is"):
    """What the pages so far have shown of the source, see ``PagePosition.state``."""

    text: str


class PageLine(msgspec.Struct, frozen=True, tag="page", tag_field="is", omit_defaults=True):
    """A page.

    ``rows``       of its lines in the chunks, of ``segment``; ``checksum`` of all lines up to these.
    ``longest``    the longest row so far, as it came, if it is one of this page.
    ``spent``      with this page.
    """

    scope: str
    window: int
    number: int
    rows: int
    segment: int
    checksum: int
    is_last: bool = False
    request: str = ""
    digest: str = ""
    row_count: int = 0
    skipped: int = 0
    repairs: dict[str, int] = {}
    longest: bytes = b""
    spent: Spent = Spent()

    @property
    def key(self) -> ScopeWindow:
        return self.scope, self.window

    def position(self, row_counts: Sequence[int]) -> PagePosition:
        """Return the position; ``row_counts`` of the window's pages, this one included."""
        return PagePosition(
            self.window,
            self.number,
            self.is_last,
            self.request,
            self.digest,
            earlier_row_counts=row_counts[: self.number],
        )


Line = LoadLine | SegmentLine | StateLine | PageLine
_decode_line = msgspec.json.Decoder(Line).decode


class CheckpointWriter:
    """Writes the checkpoint of this attempt; a context manager."""

    def __init__(self, folder: Path, first_line: LoadLine, chunks: ChunkWriter) -> None:
        self._folder = folder
        self._chunks = chunks
        self._segments = 1  # written; the first one is always the same
        self._longest = b""
        self._state = ""
        self._has_progress = False
        self._file = (folder / CHECKPOINT).open("wb", buffering=0)
        self._write(first_line)

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add_page(self, page: Page, segment: int, spent: Spent) -> None:
        """Add a page whose rows are in the chunks."""
        position = page.position
        assert position is not None
        self.set_state(position.state)
        self.add_line(
            PageLine(
                page.scope,
                position.window,
                position.number,
                len(page.rows),
                segment,
                0,
                position.is_last,
                position.request,
                position.digest,
                position.row_count,
                position.skipped,
                dict(position.repairs),
                spent=spent,
            )
        )
        if position.is_resumable and not self._has_progress:
            (self._folder / PROGRESS).touch()
            self._has_progress = True

    def add_line(self, line: PageLine) -> None:
        """Add a page that ends where the chunks end now."""
        for segment in self._chunks.segments[self._segments :]:
            self._write(SegmentLine(segment.scope, segment.values))
            self._segments += 1
        longest = self._chunks.longest_row
        changed = b"" if longest == self._longest else longest
        self._longest = longest
        self._write(msgspec.structs.replace(line, checksum=self._chunks.checksum, longest=changed))

    def set_state(self, text: str) -> None:
        if text and text != self._state:
            self._state = text
            self._write(StateLine(text))

    def _write(self, line: Line) -> None:
        self._file.write(msgspec.json.encode(line) + b"\n")


class KeptPage(Struct, frozen=True):
    """A page of an earlier attempt; ``values`` are its columns."""

    line: PageLine
    rows: Sequence[bytes]
    values: Mapping[str, Any]


class DamagedCheckpoint(Exception):
    """The chunks do not hold the rows that the checkpoint names."""


class Checkpoint(Struct):
    """The checkpoint that an earlier attempt left in ``folder``.

    ``complete``  the scopes and windows of which every page was read.
    ``started``   of the others, the last page behind which reading can go on, with ``row_counts`` of all.
    """

    folder: Path
    first_line: LoadLine
    complete: set[ScopeWindow] = field(default_factory=set)
    started: dict[ScopeWindow, PageLine] = field(default_factory=dict)
    row_counts: dict[ScopeWindow, list[int]] = field(default_factory=dict)
    state: str = ""
    spent: Spent = field(default_factory=Spent)

    @property
    def is_empty(self) -> bool:
        return not self.complete and not self.started

    def retain(self, scopes: Set[str], without: Set[ScopeWindow] = frozenset()) -> None:
        """Keep the pages of these scopes only, and none of ``without``."""
        self.complete = {key for key in self.complete if key[0] in scopes}
        self.started = {
            key: line for key, line in self.started.items() if key[0] in scopes and key not in without
        }

    def pages(self) -> Iterator[KeptPage]:
        """Yield the pages to keep, in the order in which they were read. Raises DamagedCheckpoint."""
        segments = [Segment.of(self.first_line.markers, 0, "", b"")]
        parser = LineParser(self.first_line.markers, segments)
        with closing(ChunkReader(self.folder, parser)) as reader, closing(_read_lines(self.folder)) as lines:
            for line in lines:
                if isinstance(line, SegmentLine):
                    number = len(segments)
                    segments.append(Segment.of(self.first_line.markers, number, line.scope, line.values))
                if not isinstance(line, PageLine):
                    continue
                rows = reader.read_rows(line.rows)
                if len(rows) != line.rows or reader.checksum != line.checksum:
                    raise DamagedCheckpoint
                if self._keeps(line):
                    values = segments[line.segment].values
                    yield KeptPage(line, rows, msgspec.json.decode(values) if values else {})

    def _keeps(self, line: PageLine) -> bool:
        if line.key in self.complete:
            return True
        last = self.started.get(line.key)
        return last is not None and line.number <= last.number


def read_checkpoint(folder: Path, now: datetime) -> Checkpoint | None:
    """Return the checkpoint in ``folder``; None if there is none, or if it is of no use."""
    with closing(_read_lines(folder)) as lines:
        return _read_pages(folder, lines, now)


def _read_pages(folder: Path, lines: Iterator[Line], now: datetime) -> Checkpoint | None:
    first = next(lines, None)
    if not isinstance(first, LoadLine) or first.format != FORMAT:
        return None
    if not timedelta(0) <= now - first.began_at < MAX_AGE:
        return None
    found = Checkpoint(folder, first)
    for line in lines:
        if isinstance(line, StateLine):
            found.state = line.text
        if isinstance(line, PageLine):
            found.spent = line.spent
            found.row_counts.setdefault(line.key, []).append(line.row_count)
            if line.is_last:
                found.complete.add(line.key)
                found.started.pop(line.key, None)
                del found.row_counts[line.key]
            elif line.request:
                found.started[line.key] = line
    return None if found.is_empty else found


def _read_lines(folder: Path) -> Generator[Line, None, None]:
    """Yield the lines of a checkpoint up to the first one that is not complete."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return
    with durable.open_regular_file(path) as file:
        for text in file:
            try:
                line = _decode_line(text)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return
            if not text.endswith(b"\n"):
                return
            yield line


def find_checkpoint(attempt: Path) -> Path | None:
    """Return the folder with the rows that an attempt has: those before it, until it has taken them over."""
    folders = (attempt / PREVIOUS, attempt)
    return next((folder for folder in folders if (folder / CHECKPOINT).is_file()), None)


def move_to_previous(folder: Path) -> None:
    """Make what this attempt has read so far the rows of the attempt before."""
    previous = folder / PREVIOUS
    previous.mkdir(mode=0o700)
    for path in folder.glob("chunk-*"):
        path.rename(previous / path.name)
    (folder / CHECKPOINT).rename(previous / CHECKPOINT)
    remove_attempt_files(folder)


def remove_attempt_files(folder: Path) -> None:
    """Remove everything but the rows of the attempt before."""
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()


def remove_other_files(folder: Path) -> None:
    """Remove everything that no later attempt needs."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != CHECKPOINT and not path.match(CHUNK_FILES):
            path.unlink()


def remove_previous(folder: Path) -> None:
    """Remove the rows of the attempt before."""
    if (folder / PREVIOUS).exists():
        shutil.rmtree(folder / PREVIOUS)


def remove_checkpoint(folder: Path) -> None:
    """Remove the checkpoint and its rows, once the load is committed."""
    for path in (folder / CHECKPOINT, folder / PROGRESS, *folder.glob("chunk-*")):
        path.unlink(missing_ok=True)
