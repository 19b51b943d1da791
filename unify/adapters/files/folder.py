"""A local folder as a store."""

from __future__ import annotations

import glob
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from unify.adapters.files.store import FileChanged, FileStore, StoredFile
from unify.errors import FileError, NotFound, SourceError


class FolderStore(FileStore):
    """Files below a folder. Links are followed as long as they lead to something within it."""

    is_local = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = str(folder)
        self.address_start = os.path.join(folder, "")
        self._real = Path(os.path.realpath(folder))

    def list_files(self, folder: str = "") -> Iterator[StoredFile]:
        start = self.folder / folder
        if not start.is_dir():
            self._require_folder()
            return
        yield from self._list(start, folder, frozenset({os.path.realpath(start)}))

    def find_file(self, path: str) -> StoredFile | None:
        self._require_folder()
        full = self._inside(path)
        return self._stored(path, full.stat()) if full.is_file() else None

    def read_start(self, path: str, size: int) -> bytes:
        with self._errors(path), self._inside(path).open("rb") as file:
            return file.read(size)

    def download(self, file: StoredFile, target: Path) -> None:
        full = self._inside(file.path)
        with self._errors(file.path):
            shutil.copyfile(full, target)
            now = self._stored(file.path, full.stat())
        if now.version != file.version:
            raise FileChanged(f"{full}: the file changed while it was read")

    def upload(self, source: Path, path: str, replaces: StoredFile | Literal["any"] | None) -> None:
        full = self._inside(path)
        with self._errors(path):
            full.parent.mkdir(parents=True, exist_ok=True)
            temporary = full.with_name(f".{secrets.token_hex(6)}-{full.name}")
            try:
                _copy_synced(source, temporary)
                self._rename(temporary, full, path, replaces)
            finally:
                temporary.unlink(missing_ok=True)

    def copy(self, path: str, target: str, *, overwrite: bool) -> None:
        full = self._inside(path)
        if not full.is_file():
            raise NotFound(f"{full}: no such file")
        self.upload(full, target, "any" if overwrite else None)

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            with self._errors(path):
                self._inside(path).unlink(missing_ok=True)

    def local_path(self, file: StoredFile) -> Path | None:
        return self._inside(file.path)

    def scan_address(self, file: StoredFile) -> str | None:
        return glob.escape(str(self._inside(file.path)))

    def describe(self) -> str:
        self._require_folder()
        with self._errors(""), os.scandir(self.folder):
            return f"this user in {self.root}"

    def _list(self, folder: Path, prefix: str, above: frozenset[str]) -> Iterator[StoredFile]:
        """``above``: the real paths of the folders around, so that a link to one of them ends."""
        with self._errors(prefix), os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            path = f"{prefix}{entry.name}"
            if entry.is_dir():
                real = os.path.realpath(entry.path)
                if real not in above:
                    self._inside(path)
                    yield from self._list(Path(entry.path), f"{path}/", above | {real})
            elif entry.is_file():
                yield self._stored(path, entry.stat())

    def _inside(self, path: str) -> Path:
        """Return the full path. Raises SourceError if links lead out of the folder."""
        full = self.folder / path
        if not Path(os.path.realpath(full)).is_relative_to(self._real):
            raise SourceError(f"{full}: a link leads out of {self.root}; a connection reads nothing else")
        return full

    def _rename(
        self, temporary: Path, full: Path, path: str, replaces: StoredFile | Literal["any"] | None
    ) -> None:
        if replaces is None:
            try:
                os.link(temporary, full)
            except FileExistsError:
                raise FileError(f"{full} exists already; end with overwrite or append") from None
            return
        if isinstance(replaces, StoredFile):
            now = self.find_file(path)
            if now is None or now.version != replaces.version:
                raise FileChanged(f"{full}: another program changed the file; run the statement again")
        temporary.replace(full)

    def _stored(self, path: str, status: os.stat_result) -> StoredFile:
        at = datetime.fromtimestamp(status.st_mtime, UTC)
        # A rewrite in the same microsecond or with a kept time differs in inode or change time.
        mark = hashlib.sha256(f"{status.st_ino} {status.st_ctime_ns} {status.st_mtime_ns}".encode())
        return StoredFile(path, status.st_size, at, mark.hexdigest()[:16])

    def _require_folder(self) -> None:
        if not self.folder.is_dir():
            missing = "is not a folder" if self.folder.exists() else "no such folder"
            raise SourceError(f"{self.root}: {missing}")

    def _errors(self, path: str) -> _SystemErrors:
        return _SystemErrors(self.folder / path)


class _SystemErrors:
    """Translates errors of the operating system."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FileNotFoundError):
            raise NotFound(f"{self._path}: no such file") from error
        if isinstance(error, OSError):
            raise SourceError(f"{self._path}: {error.strerror}") from error


def _copy_synced(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("xb") as new:
        shutil.copyfileobj(old, new, 1 << 20)
        new.flush()
        os.fsync(new.fileno())
