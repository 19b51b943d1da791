"""Adapter specs on disk: where they are, and what they say once every mistake is ruled out.

What listings and completion need of a spec, kept in a file: reading fifty specs takes most of a second.

A file is believed only for the spec as it is now: same path, size, times, and same Unify. One that is
damaged or out of date is replaced. It is put in its place whole but not synced: one that a power cut has
emptied is a damaged one. Nothing a connection supplies is in it, nor what a spec says of signing in.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import msgspec

from unify.adapters.spec.model import AdapterSpec, Option, View, table_defs
from unify.adapters.spec.parse import parse_file
from unify.adapters.spec.validate import validate_spec
from unify.config.settings import create_private_folder
from unify.errors import StoreError, UnknownName
from unify.fs import durable
from unify.model import TableDef
from unify.text import did_you_mean, format_count
from unify.version import PACKAGE, VERSION


def load_spec(path: Path) -> AdapterSpec:
    """Read and check a spec.

    Raises: SpecError with every problem of the file in ``problems``, a line of its message each;
    ConfigError if the file cannot be read.
    """
    spec, report = parse_file(AdapterSpec, path, path=str(path))
    if spec is not None:
        spec = validate_spec(spec, report)
    report.raise_problems()
    assert spec is not None
    return spec


@cache
def bundled_specs_folder() -> Path:
    """The folder of the specs that come with Unify: inside the wheel, or beside the package in a checkout."""
    inside = PACKAGE / "rest_specs"
    return inside if inside.is_dir() else PACKAGE.parent / "rest_specs"


def find_spec(adapter: str, folders: Sequence[Path]) -> Path:
    """The file that describes ``adapter``: the first of ``folders`` that has it, then the bundled ones.

    Raises  UnknownName with the nearest name there is.
    """
    places = (*folders, bundled_specs_folder())
    if adapter == Path(adapter).name:  # a name, and no path to somewhere else
        for folder in places:
            if (file := folder / f"{adapter}.yaml").is_file():
                return file
    known = known_specs(folders)
    hint = did_you_mean(adapter, known) or f"; there are {', '.join(sorted(known)) or 'none'}"
    looked = ", ".join(str(folder) for folder in places)
    raise UnknownName(f"no adapter {adapter}{hint} ({format_count(len(known), 'spec')} in {looked})")


def known_specs(folders: Sequence[Path]) -> dict[str, Path]:
    """The file of every adapter there is, by name; the first of ``folders`` before the bundled ones."""
    known: dict[str, Path] = {}
    for folder in (*folders, bundled_specs_folder()):
        for file in _spec_files(folder):
            known.setdefault(file.stem, file)
    return known


def _spec_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml")) if folder.is_dir() else []


CACHE_SIZE = 256  # specs and outlines, by one process


@dataclass(frozen=True, slots=True)
class SpecSummary:
    """``options`` without their defaults: those that are ``required`` have none."""

    options: tuple[Option, ...]
    tables: tuple[TableDef, ...]
    live: frozenset[str]  # the names of tables that are live
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True)
class SpecFileVersion:
    """A spec as it is on the disk; the times in nanoseconds."""

    path: str
    size: int
    modified_ns: int
    changed_ns: int
    unify: str = VERSION

    @property
    def is_settled(self) -> bool:
        """Whether a later change is sure to have another time."""
        return max(self.modified_ns, self.changed_ns) < durable.new_files_since_ns()


@dataclass(frozen=True, slots=True)
class CachedSummary:
    """The content of a file."""

    version: SpecFileVersion
    summary: SpecSummary


_summary_decoder = msgspec.json.Decoder(CachedSummary)


def load_cached_spec(path: Path) -> AdapterSpec:
    """The spec in ``path``, read again only when the file has changed. Raises SpecError or ConfigError."""
    return _cached_spec(path, _file_version(path))


def load_summary(path: Path, folder: Path | None) -> SpecSummary:
    """The outline of the spec in ``path``; ``folder`` keeps it from one process to the next.

    Raises  SpecError or ConfigError.
    """
    return _cached_summary(path, _file_version(path), folder)


def summarize_spec(spec: AdapterSpec) -> SpecSummary:
    """What is kept of ``spec``."""
    options = tuple(
        Option(option.name, option.description, required=option.needs_value) for option in spec.options
    )
    live = frozenset(table.name for table in spec.tables if table.live)
    return SpecSummary(options, table_defs(spec), live, spec.views)


def _file_version(path: Path) -> SpecFileVersion:
    status = path.stat()
    return SpecFileVersion(os.path.abspath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@lru_cache(maxsize=CACHE_SIZE)
def _cached_spec(path: Path, _version: SpecFileVersion) -> AdapterSpec:
    return load_spec(path)


@lru_cache(maxsize=CACHE_SIZE)
def _cached_summary(path: Path, version: SpecFileVersion, folder: Path | None) -> SpecSummary:
    if folder is None:
        return summarize_spec(_cached_spec(path, version))
    file = folder / f"{path.stem}-{zlib.crc32(os.fsencode(version.path)):08x}.json"
    found = _read_summary(file, version)
    if found is None:
        found = summarize_spec(_cached_spec(path, version))
        if version.is_settled:
            with suppress(OSError, StoreError, UnicodeEncodeError):  # what cannot be kept is read again
                _write_summary(file, CachedSummary(version, found))
    return found


def _read_summary(path: Path, version: SpecFileVersion) -> SpecSummary | None:
    try:
        kept = _summary_decoder.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
    return kept.summary if kept.version == version else None


def _write_summary(path: Path, cached: CachedSummary) -> None:
    create_private_folder(path.parent)
    with tempfile.TemporaryDirectory(prefix="new-", dir=path.parent) as folder:
        whole = Path(folder) / path.name
        whole.touch(mode=0o600)
        whole.write_bytes(msgspec.json.encode(cached))
        whole.replace(path)
