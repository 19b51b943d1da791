"""What listings and completion need of a spec, kept in a file: reading fifty specs takes most of a second.

A file is believed only for the spec as it is now: same path, size, times, and same Unify. One that is
damaged or out of date is replaced. It is put in its place whole but not synced: one that a power cut has
emptied is a damaged one. Nothing a connection supplies is in it, nor what a spec says of signing in.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec

from unify import __version__
from unify.adapters.spec import AdapterSpec, Option, View
from unify.adapters.specfile import load_spec
from unify.adapters.tables import defined_tables
from unify.errors import StoreError
from unify.model import TableDef
from unify.settings import private_folder
from unify.store import durable

REMEMBERED = 256  # specs and outlines, by one process


@dataclass(frozen=True, slots=True)
class Outline:
    """``options`` without their defaults: those that are ``required`` have none."""

    options: tuple[Option, ...]
    tables: tuple[TableDef, ...]
    live: frozenset[str]  # the names of tables that are live
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True)
class Version:
    """A spec as it is on the disk; the times in nanoseconds."""

    path: str
    size: int
    modified_ns: int
    changed_ns: int
    unify: str = __version__

    @property
    def settled(self) -> bool:
        """Whether a later change is sure to have another time."""
        return max(self.modified_ns, self.changed_ns) < durable.now_ns()


@dataclass(frozen=True, slots=True)
class Kept:
    """The content of a file."""

    version: Version
    outline: Outline


_decoder = msgspec.json.Decoder(Kept)


def spec_at(path: Path) -> AdapterSpec:
    """The spec in ``path``, read again only when the file has changed. Raises SpecError or ConfigError."""
    return _spec(path, _version(path))


def outline_at(path: Path, folder: Path | None) -> Outline:
    """The outline of the spec in ``path``; ``folder`` keeps it from one process to the next.

    Raises  SpecError or ConfigError.
    """
    return _outline(path, _version(path), folder)


def outlined(spec: AdapterSpec) -> Outline:
    """What is kept of ``spec``."""
    options = tuple(
        Option(option.name, option.description, required=option.needed) for option in spec.options
    )
    live = frozenset(table.name for table in spec.tables if table.live)
    return Outline(options, defined_tables(spec), live, spec.views)


def _version(path: Path) -> Version:
    status = path.stat()
    return Version(os.path.abspath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@lru_cache(maxsize=REMEMBERED)
def _spec(path: Path, _version: Version) -> AdapterSpec:
    return load_spec(path)


@lru_cache(maxsize=REMEMBERED)
def _outline(path: Path, version: Version, folder: Path | None) -> Outline:
    if folder is None:
        return outlined(_spec(path, version))
    file = folder / f"{path.stem}-{zlib.crc32(os.fsencode(version.path)):08x}.json"
    found = _read(file, version)
    if found is None:
        found = outlined(_spec(path, version))
        if version.settled:
            with suppress(OSError, StoreError, UnicodeEncodeError):  # what cannot be kept is read again
                _write(file, Kept(version, found))
    return found


def _read(path: Path, version: Version) -> Outline | None:
    try:
        kept = _decoder.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
    return kept.outline if kept.version == version else None


def _write(path: Path, kept: Kept) -> None:
    private_folder(path.parent)
    with tempfile.TemporaryDirectory(prefix="new-", dir=path.parent) as folder:
        whole = Path(folder) / path.name
        whole.touch(mode=0o600)
        whole.write_bytes(msgspec.json.encode(kept))
        whole.replace(path)
