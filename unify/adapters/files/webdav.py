"""A folder of a WebDAV server as a store, through webdav4. Imported when such a connection is used."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import httpx
from webdav4 import client as webdav4

from unify.adapters.files.store import FileChanged, FileStore, StoredFile
from unify.errors import FileError, Forbidden, NotFound, SourceError, Unauthorized, Unreachable

_TIMEOUT_S = 60.0  # between two packets


class WebDAVStore(FileStore):
    """Files below an address. Writing needs MOVE, which every WebDAV server has."""

    def __init__(self, url: str, credentials: tuple[str, str] | None) -> None:
        self.root = url.rstrip("/")
        self._user = credentials[0] if credentials else ""
        self._client = webdav4.Client(
            f"{self.root}/",
            auth=credentials,
            retry=False,
            timeout=_TIMEOUT_S,
            trust_env=False,  # no proxy and no netrc of the environment
        )

    def list_files(self, folder: str = "") -> Iterator[StoredFile]:
        """The server is asked for one folder at a time: many refuse to list all at once."""
        try:
            with self._errors(folder):
                items = self._properties(folder, "1")
        except NotFound:
            if not folder:
                raise
            return
        for path, item in items:
            if item["type"] == "directory":
                if path != folder.strip("/"):
                    yield from self.list_files(f"{path}/")
            else:
                yield _stored(path, item)

    def find_file(self, path: str) -> StoredFile | None:
        try:
            with self._errors(path):
                found = [item for _, item in self._properties(path, "0") if item["type"] != "directory"]
        except NotFound:
            return None
        return _stored(path, found[0]) if found else None

    def read_start(self, path: str, size: int) -> bytes:
        with self._errors(path), self._client.open(_quoted(path), "rb") as file:
            return bytes(file.read(size))

    def download(self, file: StoredFile, target: Path) -> None:
        with self._errors(file.path), target.open("xb") as out:
            self._client.download_fileobj(_quoted(file.path), out)
        now = self.find_file(file.path)
        if now is None or now.version != file.version or target.stat().st_size != file.size:
            raise FileChanged(f"{self.root}/{file.path}: the file changed while it was read")

    def upload(self, source: Path, path: str, replaces: StoredFile | Literal["any"] | None) -> None:
        self._make_folders(path)
        temporary = "/".join([*path.split("/")[:-1], f".{secrets.token_hex(6)}-upload"])
        try:
            with self._errors(path), source.open("rb") as file:
                self._client.upload_fileobj(file, _quoted(temporary))
            self._check_replaced(path, replaces)
            with self._errors(path):
                self._client.move(_quoted(temporary), _quoted(path), overwrite=replaces is not None)
        except BaseException:
            with suppress(SourceError), self._errors(path):  # the first error is the one to tell
                self._client.remove(_quoted(temporary))
            raise

    def copy(self, path: str, target: str, *, overwrite: bool) -> None:
        if self.find_file(path) is None:
            raise NotFound(f"{self.root}/{path}: no such file")
        self._make_folders(target)
        self._check_replaced(target, "any" if overwrite else None)
        with self._errors(target):
            self._client.copy(_quoted(path), _quoted(target), overwrite=overwrite)

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            with suppress(NotFound), self._errors(path):
                self._client.remove(_quoted(path))

    def describe(self) -> str:
        with self._errors(""):
            self._properties("", "0")
        return f"{self._user or 'anybody'} in {self.root}"

    def close(self) -> None:
        self._client.http.close()

    def _properties(self, path: str, depth: str) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Return path and properties of a file, or of a folder (depth 1: and what is in it)."""
        found = self._client.propfind(_quoted(path), headers={"Depth": depth}, follow_redirects=False)
        start = unquote(urlsplit(self.root).path).strip("/")
        return [
            (unquote(urlsplit(one.href).path).strip("/")[len(start) :].strip("/"), one.properties.as_dict())
            for one in found.responses.values()
        ]

    def _make_folders(self, path: str) -> None:
        folders = path.split("/")[:-1]
        for depth in range(1, len(folders) + 1):
            folder = "/".join(folders[:depth])
            with self._errors(path):
                if not self._client.exists(_quoted(folder)):
                    self._client.mkdir(_quoted(folder))

    def _check_replaced(self, path: str, replaces: StoredFile | Literal["any"] | None) -> None:
        now = None if replaces == "any" else self.find_file(path)
        if replaces is None and now is not None:
            raise FileError(f"{self.root}/{path} exists already; end with overwrite or append")
        if isinstance(replaces, StoredFile) and (now is None or now.version != replaces.version):
            raise FileChanged(f"{self.root}/{path}: another program changed the file; run it again")

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        where = f"{self.root}/{path}".rstrip("/")
        try:
            yield
        except webdav4.ResourceNotFound as error:
            raise NotFound(f"{where}: no such file or folder") from error
        except webdav4.ResourceAlreadyExists as error:
            raise FileError(f"{where} exists already; end with overwrite or append") from error
        except webdav4.HTTPError as error:
            raise _translate_status(
                where, error.response.status_code, error.response.reason_phrase
            ) from error
        except webdav4.ClientError as error:
            raise SourceError(f"{where}: {error}") from error
        except httpx.TransportError as error:
            raise Unreachable(f"{where}: {str(error) or type(error).__name__}") from error


def _quoted(path: str) -> str:
    """Return a path for webdav4, which takes ``%20`` for a space and quotes what else has to be.

    Raises FileError for names that it cannot send.
    """
    if "?" in path or "#" in path:
        raise FileError(f"{path}: names with ? or # cannot be reached over WebDAV")
    return path.replace("%", "%25")


def _translate_status(where: str, status: int, reason: str) -> SourceError:
    advice: Mapping[int, tuple[Callable[[str], SourceError], str]] = {
        401: (Unauthorized, "; check user and password"),
        403: (Forbidden, "; this user has no access"),
        404: (NotFound, ""),
    }
    kind, hint = advice.get(status, (SourceError, ""))
    return kind(f"{where}: {status} {reason}{hint}")


def _stored(path: str, item: Mapping[str, Any]) -> StoredFile:
    modified = item.get("modified")
    at = modified.astimezone(UTC) if isinstance(modified, datetime) else None
    return StoredFile(path, int(item.get("content_length") or 0), at, str(item.get("etag") or ""))
