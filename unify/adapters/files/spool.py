"""Local copies of files that DuckDB does not read in place.

Text formats are read several times, because types are found over all rows; a copy is fetched once, is one
version of the file, and serves later statements of the session until the file changes. Copies are private
to the user and deleted when the adapter closes.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from unify.adapters.files.store import FileStore, StoredFile
from unify.errors import FileError

_PARALLEL_DOWNLOADS = 8
_MARK_CHARS = 16


class FileSpool:
    """Copies by path and version, each in a folder of its own with the path of the file below it."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """The private folder, made on first use."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="unify-files-"))
        return self._folder

    @property
    def path_start(self) -> int:
        """How many characters of the path of a copy precede the path of the file."""
        return len(str(self.folder)) + 1 + _MARK_CHARS + 1

    def fetch(self, files: Sequence[StoredFile]) -> Sequence[Path]:
        """Return the copies of files, side by side fetched where they are missing.

        Raises FileChanged; FileError if a path cannot be a local one or the disk has no space.
        """
        if len(files) == 1:
            return [self._fetch(files[0])]
        _ = self.folder  # made here: each thread would make one
        with ThreadPoolExecutor(_PARALLEL_DOWNLOADS, thread_name_prefix="unify-files") as pool:
            tasks: list[Callable[[], Path]] = [
                pool.submit(self._fetch, file).result for file in dict.fromkeys(files)
            ]
            try:
                return [result() for result in tasks]
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    @property
    def is_empty(self) -> bool:
        """Whether nothing was copied."""
        return self._folder is None

    def hide_paths(self, text: str) -> str:
        """Return a message about copies with the paths of their files."""
        if self._folder is None:
            return text
        return re.sub(rf"{re.escape(str(self._folder))}/[0-9a-f]{{{_MARK_CHARS}}}/", "", text)

    def forget(self) -> None:
        """Delete the copies."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _fetch(self, file: StoredFile) -> Path:
        mark = hashlib.sha256(f"{file.path}\0{file.version}".encode()).hexdigest()[:_MARK_CHARS]
        target = self.folder / mark / file.path
        if target.exists():
            return target
        partial = self.folder / f"{mark}.part"
        try:
            partial.unlink(missing_ok=True)
            self._check_space(file)
            self._store.download(file, partial)
            target.parent.mkdir(parents=True, exist_ok=True)
            return partial.rename(target)
        except OSError as error:
            raise FileError(f"{self._store.root}/{file.path}: cannot be copied: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)

    def _check_space(self, file: StoredFile) -> None:
        free = shutil.disk_usage(self.folder).free
        if file.size > free:
            raise FileError(
                f"{self._store.root}/{file.path}: {file.size:,} bytes do not fit on the disk of "
                f"{self.folder.parent}, which has {free:,}; set TMPDIR to a folder with more space"
            )
