"""The contract of a place with files: listing, reading, writing, copying, removing, signing.

Paths are relative to the root of the connection and already checked (``paths.check_path``). Errors are
SourceErrors with the words of the store and without secrets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from unify.errors import FileError, SourceError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

CHUNK_BYTES = 4 * 1024 * 1024  # of a file that is copied


class FileChanged(SourceError):
    """A file was changed or removed after it was listed. Reading again sees the new one."""

    retryable = True


class StoredFile(Struct, frozen=True, order=True):
    """A file of a store. ``etag`` is "" if the store has none."""

    path: str
    size: int
    modified_at: datetime | None = None
    etag: str = ""

    @property
    def version(self) -> str:
        """A text that changes with the content, as far as the store tells."""
        at = self.modified_at.isoformat() if self.modified_at else ""
        return "|".join((self.etag, str(self.size), at))


class FileStore(ABC):
    """Files below one root.

    ``root``           as it is shown: ``s3://bucket/prefix`` or a folder.
    ``address_start``  of every address of ``scan_address``, before the path.
    ``is_local``       DuckDB may read a file several times: it needs no copy.
    """

    root: str
    address_start: str = ""
    is_local: bool = False

    @abstractmethod
    def list_files(self, folder: str = "") -> Iterator[StoredFile]:
        """Yield the files below ``folder`` ("" or with a final slash), at any depth, in no fixed order."""

    @abstractmethod
    def find_file(self, path: str) -> StoredFile | None:
        """Return one file; None if there is none."""

    @abstractmethod
    def read_start(self, path: str, size: int) -> bytes:
        """Return at most ``size`` first bytes. Raises NotFound."""

    @abstractmethod
    def download(self, file: StoredFile, target: Path) -> None:
        """Write the content to a new local file. Raises FileChanged if it is another version."""

    @abstractmethod
    def upload(self, source: Path, path: str, replaces: StoredFile | Literal["any"] | None) -> None:
        """Write a local file; readers see all of it or none.

        ``replaces``  the version that is replaced, "any", or None: the path must be free.
        Raises FileError if the path is taken; FileChanged if it has another version.
        """

    @abstractmethod
    def copy(self, path: str, target: str, *, overwrite: bool) -> None:
        """Copy within the store. Raises NotFound; FileError if ``target`` is taken."""

    @abstractmethod
    def remove(self, paths: Iterable[str]) -> None:
        """Remove files. Those that are gone already are no error."""

    def sign(self, path: str, seconds: int) -> str:
        """Return an address that reads one file without credentials. Raises FileError if there is none."""
        raise FileError(f"{self.root} has no signed addresses; copy the file instead")

    def attach(self, duck: DuckDBPyConnection) -> None:  # noqa: B027 - optional
        """Let a DuckDB read the addresses of ``scan_address``."""

    def scan_address(self, file: StoredFile) -> str | None:
        """Return what DuckDB reads in place, glob characters escaped; None: it reads a copy."""
        return None

    def local_path(self, file: StoredFile) -> Path | None:
        """Return the path of a file that is on this machine."""
        return None

    @abstractmethod
    def describe(self) -> str:
        """Return who reads it and how, for ``unify check``. Sends a request that needs the credentials."""

    def close(self) -> None:  # noqa: B027 - optional
        """Close connections."""
