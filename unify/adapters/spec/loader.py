"""Finds, reads and checks spec files, and caches their summaries on disk.

A summary has what listings and completion need; to read fifty specs takes most of a second. A cached
summary is valid for one state of the spec file (path, size, times) and one version of Unify. Files that are
out of date or damaged are replaced. They are renamed into place and not synced: a file that a power failure
leaves empty counts as damaged. They contain no values of connections and no settings of authentication.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.spec.elements import Option, View
from unify.config.settings import create_private_folder
from unify.config.trust import require_private_spec
from unify.errors import StoreError, UnknownName
from unify.fs import durable
from unify.model import Column, TableDef
from unify.text import did_you_mean, format_count
from unify.version import VERSION

if TYPE_CHECKING:
    from unify.adapters.spec.model import AdapterSpec


def load_spec(path: Path) -> AdapterSpec:
    """Read and check a spec.

    Raises: SpecError with every problem of the file in ``problems``, a line of its message each;
    ConfigError if the file cannot be read.
    """
    from unify.adapters.spec.checks.spec import validate_spec  # a cached summary needs none of them
    from unify.adapters.spec.model import AdapterSpec
    from unify.adapters.spec.parse import parse_file

    spec, report = parse_file(AdapterSpec, path, path=str(path))
    if spec is not None:
        spec = validate_spec(spec, report)
    report.raise_problems()
    assert spec is not None
    return spec


@cache
def bundled_specs_folder() -> Path:
    """The folder of the bundled specs: in the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parents[2]
    inside = package / "rest_specs"
    return inside if inside.is_dir() else package.parent / "rest_specs"


def find_spec(adapter: str, folders: Sequence[Path]) -> Path:
    """The spec file of an adapter, in the first of ``folders`` that has it, else the bundled one.

    Raises: UnknownName with the nearest known name.
    """
    searched = (*folders, bundled_specs_folder())
    if adapter == Path(adapter).name:  # not a path
        for folder in searched:
            if (file := folder / f"{adapter}.yaml").is_file():
                if folder != bundled_specs_folder():
                    require_private_spec(file)
                return file
    known = known_specs(folders)
    hint = did_you_mean(adapter, known) or f"; known: {', '.join(sorted(known)) or 'none'}"
    places = ", ".join(map(str, searched))
    raise UnknownName(f"unknown adapter {adapter}{hint} ({format_count(len(known), 'spec')} in {places})")


def known_specs(folders: Sequence[Path]) -> dict[str, Path]:
    """The spec file of every adapter, by name; ``folders`` come before the bundled specs."""
    known: dict[str, Path] = {}
    for folder in (*folders, bundled_specs_folder()):
        for file in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
            known.setdefault(file.stem, file)
    return known


_CACHE_SIZE = 256  # specs and summaries in one process


class SpecSummary(Struct, frozen=True):
    """The part of a spec that listings and the daemon need. An option without a default is required.

    ``live``          names of live tables.
    ``shared_tables`` for each table with ``shares``, the table whose requests it reads.
    ``signs_in``      whether a user may have to sign in.
    """

    options: tuple[Option, ...]
    tables: tuple[TableDef, ...]
    live: frozenset[str]
    views: tuple[View, ...]
    shared_tables: Mapping[str, str]
    signs_in: bool


class SpecFileVersion(Struct, frozen=True):
    """The state of a spec file."""

    path: str
    size: int
    modified_ns: int
    changed_ns: int
    unify: str = VERSION

    @property
    def is_settled(self) -> bool:
        """Whether any later change gets another time."""
        return max(self.modified_ns, self.changed_ns) < durable.new_files_since_ns()


class CachedSummary(Struct, frozen=True):
    """The content of a cache file."""

    version: SpecFileVersion
    summary: SpecSummary


_summary_decoder = msgspec.json.Decoder(CachedSummary)


def load_cached_spec(path: Path) -> AdapterSpec:
    """Read and check a spec, once for each state of the file. Raises: as ``load_spec``."""
    return _cached_spec(path, _file_version(path))


def load_summary(path: Path, folder: Path | None) -> SpecSummary:
    """The summary of a spec, cached in ``folder`` if it is given. Raises: as ``load_spec``."""
    return _cached_summary(path, _file_version(path), folder)


def summarize_spec(spec: AdapterSpec) -> SpecSummary:
    options = tuple(
        Option(option.name, option.description, secret=option.secret, required=option.needs_value)
        for option in spec.options
    )
    live = frozenset(table.name for table in spec.tables if table.live)
    shared = {table.name: table.shares for table in spec.tables if table.shares is not None}
    signs_in = any(auth.is_interactive for auth in spec.auths)
    return SpecSummary(options, _with_recorded_columns(spec), live, spec.views, shared, signs_in)


def recorded_columns_file(spec_path: Path) -> Path:
    """The file with the columns that the recorded cases of a spec have."""
    return spec_path.parent / "columns" / f"{spec_path.stem}.json"


def _with_recorded_columns(spec: AdapterSpec) -> tuple[TableDef, ...]:
    """Return the tables with the columns of the recorded cases, whose declarations take precedence."""
    from unify.adapters.spec.model import table_defs

    tables = table_defs(spec)
    try:
        content = recorded_columns_file(Path(spec.path)).read_bytes()
    except OSError:  # specs of users have none
        return tables
    recorded = msgspec.json.decode(content, type=dict[str, dict[str, str]])
    return tuple(
        replace(table, columns=_merge_columns(table, recorded.get(table.name, {}))) for table in tables
    )


def _merge_columns(table: TableDef, recorded: Mapping[str, str]) -> tuple[Column, ...]:
    declared = {column.name: column for column in table.columns}
    found = [
        Column(name, declared[name].type or type, declared[name].description)
        if name in declared
        else Column(name, type)
        for name, type in recorded.items()
    ]
    return (*found, *(column for column in table.columns if column.name not in recorded))


def _file_version(path: Path) -> SpecFileVersion:
    status = path.stat()
    return SpecFileVersion(os.path.abspath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@lru_cache(maxsize=_CACHE_SIZE)
def _cached_spec(path: Path, _version: SpecFileVersion) -> AdapterSpec:
    return load_spec(path)


@lru_cache(maxsize=_CACHE_SIZE)
def _cached_summary(path: Path, version: SpecFileVersion, folder: Path | None) -> SpecSummary:
    if folder is None:
        return summarize_spec(_cached_spec(path, version))
    file = folder / f"{path.stem}-{zlib.crc32(os.fsencode(version.path)):08x}.json"
    summary = _read_summary(file, version)
    if summary is None:
        summary = summarize_spec(_cached_spec(path, version))
        if version.is_settled:
            with suppress(OSError, StoreError, UnicodeEncodeError):  # without a cache file it is read again
                _write_summary(file, CachedSummary(version, summary))
    return summary


def _read_summary(path: Path, version: SpecFileVersion) -> SpecSummary | None:
    try:
        cached = _summary_decoder.decode(durable.read_regular_file(path))
    except (OSError, msgspec.MsgspecError):
        return None
    return cached.summary if cached.version == version else None


def _write_summary(path: Path, cached: CachedSummary) -> None:
    import tempfile

    create_private_folder(path.parent)
    with tempfile.TemporaryDirectory(prefix="new-", dir=path.parent) as folder:
        new = Path(folder) / path.name
        new.touch(mode=0o600)
        new.write_bytes(msgspec.json.encode(cached))
        new.replace(path)
