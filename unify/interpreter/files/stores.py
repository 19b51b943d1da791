"""Files of connections to folders and object stores: listed, copied, removed, signed, imported, exported to.

What changes files needs ``writable: true`` in the connection. No transaction covers them.
"""

from __future__ import annotations

import fnmatch
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.adapters.files.paths import check_path, fixed_folder, has_magic
from unify.config.settings import create_private_folder
from unify.engine.files.formats import detect_format, suggest_table_name
from unify.errors import ConfigError, FileError, QueryError
from unify.fs.paths import absolute_path
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.files.reader import SourceFiles, common_format, find_local_files
from unify.interpreter.files.writer import WriteMode, replace_file
from unify.interpreter.results import Message, Rows, TextOutput, Watcher, listing_rows
from unify.language.commands import Place, StorePath
from unify.text import format_count, glob_from_like

if TYPE_CHECKING:
    from unify.adapters.files.store import FileStore, StoredFile

_URL_SECONDS = 3600
_MAX_URL_SECONDS = 7 * 24 * 3600  # of signatures of S3
_LISTING = [("path", "VARCHAR"), ("size", "BIGINT"), ("modified", "TIMESTAMP WITH TIME ZONE")]


class ExportTarget(Struct, frozen=True):
    """Where an export to a store writes first. ``mode`` is "append" if the path has the rows of a file."""

    path: Path
    mode: WriteMode


class _FileCopy(Struct, frozen=True):
    """One file of a copy: what is read, and the path that is written."""

    source: StoredFile | Path
    target: str


class StoreFiles:
    """Commands about files of connections. ``yes``: nothing is asked."""

    def __init__(self, connections: ConnectionCatalog, watcher: Watcher, *, yes: bool) -> None:
        self.connections = connections
        self.watcher = watcher
        self.yes = yes

    def has_store(self, name: str) -> bool:
        """Whether ``name`` is a connection to a folder or store."""
        if not self.connections.has(name):
            return False
        from unify.adapters.built_in import has_files

        return has_files(self.connections.connection(name).adapter)

    def list_files(self, name: str, like: str | None) -> Rows:
        """List the files whose path matches a LIKE pattern, in any case."""
        matches = re.compile(fnmatch.translate(glob_from_like(like or "%")), re.IGNORECASE).match
        with self.open_store(name) as store:
            rows = [
                (file.path, file.size, file.modified_at)
                for file in store.list_files(_listed_folder(like))
                if matches(file.path)
            ]
        return listing_rows(_LISTING, sorted(rows))

    def url(self, place: StorePath, seconds: float | None) -> TextOutput:
        """Return an address that reads one file without credentials, for a time."""
        lasting = int(_URL_SECONDS if seconds is None else seconds)
        if not 1 <= lasting <= _MAX_URL_SECONDS:
            raise QueryError("an address is valid for 1 second to 7 days: url … for 1 hour")
        with self.open_store(place.connection) as store:
            path = check_path(place.path, store.root)
            if store.find_file(path) is None:
                raise FileError(f"{store.root}/{path}: no such file")
            return TextOutput(store.sign(path, lasting))

    def remove(self, place: StorePath, *, recursive: bool) -> Message:
        """Remove files, once the user agrees. Raises FileError without a file; QueryError without consent."""
        with self.open_store(place.connection, writes=True) as store:
            path = check_path(place.path, store.root)
            from unify.adapters.files.tables import describe_files

            files = _find_removed(store, path, place, recursive=recursive)
            described = describe_files(files)
            self._confirm(f"Remove {described} of {store.root}/{path}?", f"remove {place}")
            store.remove(file.path for file in files)
        return Message(f"{described} removed")

    def copy(self, source: Place, target: Place, *, overwrite: bool) -> Message:
        """Copy a file, a pattern or a folder; several files keep their paths below the target's folder."""
        if isinstance(source, str) and isinstance(target, str):
            raise QueryError("copy needs a connection on one side: copy 'a.csv' to CONNECTION.'a.csv'")
        with ExitStack() as stack:
            origin = self._enter(stack, source, writes=False)
            goal = self._enter(stack, target, writes=True)
            folder = Path(stack.enter_context(self._temporary_folder()))
            copies = _plan_copies(origin, _path_of(source, origin), _path_of(target, goal))
            for number, one in enumerate(copies):
                if origin is not None and _is_same(source, target) and not isinstance(one.source, Path):
                    origin.copy(one.source.path, one.target, overwrite=overwrite)
                    continue
                local = _local_copy(origin, one.source, folder / f"{number}")
                _write_copy(local, goal, one.target, overwrite=overwrite)
                if local.parent == folder:
                    local.unlink()
        return Message(f"{format_count(len(copies), 'file')} copied to {target}")

    @contextmanager
    def open_source(self, place: StorePath) -> Iterator[SourceFiles]:
        """Yield local copies of the files of an import, or the files themselves if they are local."""
        from unify.adapters.files.spool import FileSpool

        with self.open_store(place.connection) as store:
            path = check_path(place.path, store.root)
            files = _match(store, path)
            spool = FileSpool(store)
            try:
                paths = tuple(store.local_path(file) or spool.fetch([file])[0] for file in files)
                names = [file.path for file in files]
                yield SourceFiles(paths, common_format(str(place), paths), _table_name(path, names))
            finally:
                spool.forget()

    @contextmanager
    def open_target(self, place: StorePath, mode: WriteMode) -> Iterator[ExportTarget]:
        """Yield a local file; what is written there replaces the one of the store when the block ends.

        Raises FileError if the path is taken and ``mode`` is None; FileChanged if another program writes it.
        """
        with (
            self.open_store(place.connection, writes=True) as store,
            self._temporary_folder() as folder,
        ):
            path = check_path(place.path, store.root)
            detect_format(path)
            existing = store.find_file(path)
            if existing is not None and mode is None:
                raise FileError(f"{place} exists already; end with overwrite or append")
            local = Path(folder) / PurePosixPath(path).name
            appends = mode == "append" and existing is not None
            if appends and existing is not None:
                store.download(existing, local)
            yield ExportTarget(local, "append" if appends else None)
            store.upload(local, path, existing if appends else "any" if mode == "overwrite" else None)

    @contextmanager
    def open_store(self, name: str, *, writes: bool = False) -> Iterator[FileStore]:
        """Yield the store of a connection. Raises QueryError without one, ConfigError if it is read-only."""
        from unify.adapters.files.adapter import FileAdapter
        from unify.adapters.registry import open_relational

        connection = self.connections.connection(name)
        if not self.has_store(name):
            raise QueryError(f"{connection.name} is no folder and no object store: it has no files")
        if writes and not connection.writable:
            raise ConfigError(
                f"{connection.location('writable')}: {connection.name} is read-only; writable: true allows "
                "statements to change its files"
            )
        adapter = open_relational(connection, self.connections.environment, self.connections.redactor)
        assert isinstance(adapter, FileAdapter)
        try:
            with self.connections.redactor.redact_errors():
                yield adapter.store
        finally:
            adapter.close()

    def _enter(self, stack: ExitStack, place: Place, *, writes: bool) -> FileStore | None:
        """Open the store of a place until the stack ends; None for a path on this machine."""
        if isinstance(place, str):
            return None
        return stack.enter_context(self.open_store(place.connection, writes=writes))

    def _confirm(self, question: str, statement: str) -> None:
        if self.yes:
            return
        answer = self.watcher.ask_user(f"{question} Type yes: ")
        if answer is None:
            raise QueryError(
                f"{question} Without a terminal, --yes is the answer; or run {statement} at a prompt"
            )
        if answer.strip().lower() not in ("y", "yes"):
            raise QueryError("nothing was removed")

    @contextmanager
    def _temporary_folder(self) -> Iterator[str]:
        cache = self.connections.settings.cache
        create_private_folder(cache)
        with TemporaryDirectory(prefix="store-", dir=cache) as folder:
            yield folder


def _listed_folder(like: str | None) -> str:
    """Return the folder that has every match of a LIKE pattern, if its letters have no case."""
    fixed = re.split(r"[%_]", like or "%")[0]
    folder = fixed[: fixed.rfind("/") + 1]
    return folder if folder.lower() == folder.upper() else ""


def _path_of(place: Place, store: FileStore | None) -> str:
    if isinstance(place, str) or store is None:
        return str(place)
    return check_path(place.path, store.root)


def _match(store: FileStore, path: str) -> Sequence[StoredFile]:
    from unify.adapters.files.tables import match_files, nearest_names

    if files := match_files(store, path):
        return files
    raise FileError(f"{store.root}: no file matches {path}{nearest_names(store, path)}")


def _find_removed(store: FileStore, path: str, place: StorePath, *, recursive: bool) -> Sequence[StoredFile]:
    """Return the files of a path or pattern, or of a folder with ``recursive``. Raises FileError."""
    from unify.adapters.files.tables import describe_files, match_files, nearest_names

    if not has_magic(path) and not path.endswith("/") and (found := store.find_file(path)) is not None:
        return [found]
    files = match_files(store, path) if has_magic(path) else tuple(store.list_files(f"{path.rstrip('/')}/"))
    if not files:
        raise FileError(f"{store.root}/{path}: no such file{nearest_names(store, path)}")
    if not recursive and not has_magic(path):
        raise QueryError(
            f"{place} is a folder with {describe_files(files)}; end with recursive to remove them"
        )
    return files


def _is_same(source: Place, target: Place) -> bool:
    """Whether both are of one connection, whose store copies by itself."""
    if isinstance(source, str) or isinstance(target, str):
        return False
    return source.connection.lower() == target.connection.lower()


def _plan_copies(origin: FileStore | None, source: str, target: str) -> Sequence[_FileCopy]:
    """Return the files of a copy. Raises FileError without a file, or for several ones into one path."""
    if origin is None:
        folder = absolute_path(fixed_folder(source))
        named: list[tuple[StoredFile | Path, str]] = [
            (one, one.relative_to(folder).as_posix()) for one in find_local_files(source)
        ]
    else:
        start = len(fixed_folder(source))
        named = [(one, one.path[start:]) for one in _match(origin, source)]
    if target.endswith("/"):
        return [_FileCopy(one, target + name) for one, name in named]
    if len(named) > 1 or has_magic(source) or source.endswith("/"):
        raise FileError(f"{source} is several files; end the target with /, the folder for them")
    return [_FileCopy(named[0][0], target)]


def _local_copy(origin: FileStore | None, source: StoredFile | Path, copy: Path) -> Path:
    """Return a local file with the content of ``source``: itself, or ``copy``."""
    if isinstance(source, Path) or origin is None:
        return Path(str(source))
    if (local := origin.local_path(source)) is not None:
        return local
    origin.download(source, copy)
    return copy


def _write_copy(local: Path, goal: FileStore | None, target: str, *, overwrite: bool) -> None:
    if goal is not None:
        goal.upload(local, target, "any" if overwrite else None)
        return
    with replace_file(absolute_path(target), "overwrite" if overwrite else None, "overwrite") as new:
        shutil.copyfile(local, new)


def _table_name(path: str, names: Sequence[str]) -> str:
    """Return the default table name: of the file, or of a pattern its fixed prefix or folder."""
    if len(names) == 1:
        return suggest_table_name(PurePosixPath(names[0]).name)
    fixed = re.split(r"[*?\[]", PurePosixPath(path).name)[0].strip("_-. ")
    return suggest_table_name(fixed or PurePosixPath(names[0]).parent.name or "files")
