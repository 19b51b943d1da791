"""Which files make up a table: by the patterns of connections.yaml, else by names of files and folders."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from msgspec import Struct

from unify.adapters.files import paths
from unify.adapters.files.store import FileStore, StoredFile
from unify.adapters.relation import join_table_name
from unify.config.connection_tables import DEFAULT_TABLE_SETTINGS, TableSettings
from unify.engine.files.formats import find_format, suggest_table_name
from unify.errors import ConfigError, SourceError
from unify.sizes import format_size
from unify.text import format_count, unique_names

_NEAREST = 3  # names in the message about a pattern without a match


class FileTable(Struct, frozen=True):
    """A table and its files. ``pattern``: what names them, in connections.yaml or by itself."""

    name: str
    files: tuple[StoredFile, ...]
    settings: TableSettings
    pattern: str


class TableFinder:
    """Finds the tables of one connection. ``settings`` is empty if connections.yaml names none."""

    def __init__(self, connection: str, store: FileStore, settings: Mapping[str, TableSettings]) -> None:
        self._connection = connection
        self._store = store
        self._patterns = {
            name: (paths.check_path(one.files, store.root), one)
            for name, one in settings.items()
            if one.files
        }
        missing = [name for name, one in settings.items() if not one.files]
        if self._patterns and missing:
            raise ConfigError(f"{connection}.tables.{missing[0]}: files is missing: a path or a pattern")
        by_cursor = [name for name, one in settings.items() if one.cursor]
        if by_cursor:
            raise ConfigError(
                f"{connection}.tables.{by_cursor[0]}.incremental: new rows of files have no order; "
                "write incremental: files"
            )
        self._settings = settings

    @property
    def configured(self) -> Sequence[str]:
        """The canonical names of the tables with patterns, in their order."""
        return [join_table_name("", name) for name in self._patterns]

    def find(self, table: str) -> FileTable | None:
        """Return a table by its canonical name in any case; None if there is none.

        Raises SourceError if no file matches its pattern.
        """
        folded = table.lower()
        if not self._patterns:
            return next((one for one in self.list_suggested() if one.name.lower() == folded), None)
        for name, (pattern, settings) in self._patterns.items():
            if join_table_name("", name).lower() == folded:
                return FileTable(join_table_name("", name), self._matching(pattern, name), settings, pattern)
        return None

    def list_suggested(self) -> Sequence[FileTable]:
        """Return a table for each file with a known suffix, and one for each folder with such files."""
        groups: dict[tuple[str, str], list[StoredFile]] = {}
        for file in self._store.list_files():
            if not _is_hidden(file.path) and (format := find_format(file.path)) is not None:
                top, slash, _ = file.path.partition("/")
                groups.setdefault((top, "" if slash else format), []).append(file)
        keys = sorted(groups)
        plain = [suggest_table_name(top) if format else _folder_table_name(top) for top, format in keys]
        names = [
            f"{name}_{format or 'files'}" if plain.count(name) > 1 else name
            for name, (_, format) in zip(plain, keys, strict=True)
        ]
        return [
            FileTable(
                join_table_name("", name),
                tuple(sorted(groups[key])),
                self._settings_of(name),
                key[0] if key[1] else f"{key[0]}/",
            )
            for name, key in zip(unique_names(names), keys, strict=True)
        ]

    def _settings_of(self, name: str) -> TableSettings:
        found = (one for known, one in self._settings.items() if known.lower() == name.lower())
        return next(found, DEFAULT_TABLE_SETTINGS)

    def _matching(self, pattern: str, name: str) -> tuple[StoredFile, ...]:
        if found := match_files(self._store, pattern):
            return found
        raise SourceError(
            f"{self._connection}.{name}: no file matches {pattern} in {self._store.root}"
            f"{nearest_names(self._store, pattern)}"
        )


def match_files(store: FileStore, pattern: str) -> tuple[StoredFile, ...]:
    """Return the files of a path, a pattern, or a folder written with a final slash, sorted by path."""
    if pattern.endswith("/") and not paths.has_magic(pattern):
        return tuple(sorted(file for file in store.list_files(pattern) if not _is_hidden(file.path)))
    if not paths.has_magic(pattern):
        found = store.find_file(pattern)
        return (found,) if found is not None else ()
    matches = paths.compile_pattern(pattern).fullmatch
    listed = store.list_files(paths.fixed_folder(pattern))
    return tuple(sorted(file for file in listed if matches(file.path) and not file.path.endswith("/")))


def nearest_names(store: FileStore, pattern: str) -> str:
    """Return ``; it has …`` with the existing paths that are most like ``pattern``."""
    known = [file.path for file in store.list_files() if not file.path.endswith("/")]
    if not known:
        return ", which has no files"
    near = difflib.get_close_matches(pattern, known, n=_NEAREST, cutoff=0.3) or sorted(known)[:_NEAREST]
    more = f" and {format_count(len(known) - len(near), 'other')}" if len(known) > len(near) else ""
    return f"; it has {', '.join(near)}{more}"


def _folder_table_name(folder: str) -> str:
    """Return the table name of a folder; a dot in it is no suffix."""
    return suggest_table_name(folder.replace(".", "_"))


def _is_hidden(path: str) -> bool:
    """Whether programs hide the file: a name that starts with a dot or, as _SUCCESS, with an underscore."""
    return any(name[:1] == "." for name in path.split("/")) or path.rsplit("/", 1)[-1][:1] in ("_", "")


def describe_files(files: Sequence[StoredFile]) -> str:
    """Return how many there are and how large: ``2 files (24 bytes)``."""
    size = sum(file.size for file in files)
    shown = format_size(size) if size >= 10_000 else format_count(size, "byte")
    return f"{format_count(len(files), 'file')} ({shown})"
