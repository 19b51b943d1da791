"""A file that appears whole or not at all, and never in place of another unless somebody asked."""

from __future__ import annotations

import csv
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from unify.errors import FileError

Mode = str | None  # "overwrite", "append", or None: the file must not be there
_BOTH = "overwrite or append"


@contextmanager
def replacing(target: Path, mode: Mode, ways: str = _BOTH) -> Iterator[Path]:
    """A path beside ``target`` to write to; what is there takes its place when the block ends well.

    ``ways``  what a statement may end with to change a file that is there.
    Raises  FileError where a file is there and ``mode`` does not allow that, before the block and after.
    """
    refuse_existing(target, mode, ways)
    # the suffixes stay: by them DuckDB compresses
    temporary = target.with_name(f".{secrets.token_hex(6)}-{target.name}")
    try:
        yield temporary
        _sync(temporary)
        if mode is None:
            _put_new(temporary, target, ways)
        else:
            temporary.replace(target)
    except OSError as error:
        raise FileError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def refuse_existing(target: Path, mode: Mode, ways: str = _BOTH) -> None:
    if target.is_dir():
        raise FileError(f"{target} is a folder")
    if not target.parent.is_dir():
        raise FileError(f"{target}: there is no folder {target.parent}")
    if mode is None and os.path.lexists(target):
        raise FileError(f"{target} is there already; end with {ways}")


def append_text(old: Path, new: Path, header: Sequence[str] | None, delimiter: str = ",") -> None:
    """Put the lines of ``old`` before those of ``new``. Raises FileError where the columns differ.

    ``header``  the names of the columns, where the first line has to have them.
    """
    if header is not None and old.stat().st_size:
        with old.open(encoding="utf-8-sig", newline="") as file:
            there = next(csv.reader(file, delimiter=delimiter), [])
        if there != list(header):
            raise FileError(f"{old.name} has other columns: {', '.join(there)}")
    joined = new.with_name(new.name + ".joined")
    try:
        with joined.open("wb") as target:
            _copy(old, target)
            _copy(new, target)
        joined.replace(new)
    finally:
        joined.unlink(missing_ok=True)


def append_array(old: Path, new: Path) -> None:
    """Put the elements of one JSON array before those of another. Raises FileError where it is none."""
    before = old.read_bytes().strip()
    added = new.read_bytes().strip()
    if not (before.startswith(b"[") and before.endswith(b"]")):
        raise FileError(f"{old.name} holds no JSON array that could be appended to")
    first, second = before[1:-1].strip(), added[1:-1].strip()
    between = b",\n\t" if first and second else b""
    new.write_bytes(b"[\n\t" + first + between + second + b"\n]\n")


def _copy(source: Path, target: BinaryIO) -> None:
    with source.open("rb") as file:
        shutil.copyfileobj(file, target, 1 << 20)
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                target.write(b"\n")


def _put_new(temporary: Path, target: Path, ways: str) -> None:
    """Give the file its name, unless somebody else has taken it meanwhile."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise FileError(f"{target} is there already; end with {ways}") from None
    except OSError:  # a file system without links
        refuse_existing(target, None, ways)
        temporary.replace(target)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
