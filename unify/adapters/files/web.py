"""Files of a web server as a store: those that the connection names, since HTTP has no listing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urljoin, urlsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from unify.adapters.files.store import CHUNK_BYTES, FileChanged, FileStore, StoredFile
from unify.errors import FileError, Forbidden, NotFound, SourceError, Unauthorized, Unreachable

_TIMEOUT_S = (10.0, 60.0)  # to connect, between two packets
_MAX_REDIRECTS = 5


class BearerAuth(AuthBase):
    """Sends a token with each request."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class WebStore(FileStore):
    """Files below an address. ``paths`` are those that are listed; others can be named by a table."""

    def __init__(self, url: str, paths: Sequence[str], auth: BearerAuth | HTTPBasicAuth | None) -> None:
        self.root = url.rstrip("/")
        self._paths = paths
        self._auth = auth
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no netrc of the environment

    def list_files(self, folder: str = "") -> Iterator[StoredFile]:
        for path in self._paths:
            if path.startswith(folder):
                found = self.find_file(path)
                if found is None:
                    raise NotFound(f"{self.root}/{path}: 404 Not Found")
                yield found

    def find_file(self, path: str) -> StoredFile | None:
        try:
            with self._send("HEAD", path) as response:
                return _stored(path, response)
        except NotFound:
            return None

    def read_start(self, path: str, size: int) -> bytes:
        with self._send("GET", path, {"Range": f"bytes=0-{size - 1}"}) as response:
            return next(response.iter_content(size), b"")[:size]

    def download(self, file: StoredFile, target: Path) -> None:
        with self._send("GET", file.path) as response, target.open("xb") as out:
            now = _stored(file.path, response)
            if now.etag != file.etag or now.modified_at != file.modified_at:
                raise self._changed(file)
            for chunk in response.iter_content(CHUNK_BYTES):
                out.write(chunk)
        if file.size and target.stat().st_size != file.size and not _is_encoded(response):
            raise self._changed(file)

    def upload(self, source: Path, path: str, replaces: StoredFile | Literal["any"] | None) -> None:
        raise self._read_only()

    def copy(self, path: str, target: str, *, overwrite: bool) -> None:
        raise self._read_only()

    def remove(self, paths: Iterable[str]) -> None:
        raise self._read_only()

    def sign(self, path: str, seconds: int) -> str:
        if self._auth is None:
            return self._address(path)
        return super().sign(path, seconds)

    def describe(self) -> str:
        found = [self.find_file(path) for path in self._paths[:1]]
        if None in found:
            raise NotFound(f"{self.root}/{self._paths[0]}: 404 Not Found")
        return f"{'a user' if self._auth else 'anybody'} in {self.root}, read-only"

    def close(self) -> None:
        self._session.close()

    def _address(self, path: str) -> str:
        return f"{self.root}/{quote(path)}"

    def _read_only(self) -> FileError:
        return FileError(f"{self.root}: a web server is only read; use webdav, sftp or an object store")

    def _changed(self, file: StoredFile) -> FileChanged:
        return FileChanged(f"{self.root}/{file.path}: the file changed while it was read")

    @contextmanager
    def _send(
        self, method: str, path: str, headers: dict[str, str] | None = None
    ) -> Iterator[requests.Response]:
        """Send a request; redirects are followed within the server only. Raises SourceError."""
        url = self._address(path)
        try:
            for _ in range(_MAX_REDIRECTS):
                response = self._session.request(
                    method,
                    url,
                    headers={"Accept-Encoding": "identity", **(headers or {})},
                    auth=self._auth,
                    stream=True,
                    timeout=_TIMEOUT_S,
                    allow_redirects=False,
                )
                if not response.is_redirect:
                    break
                url = self._redirected(path, response)
            with response:
                _check_status(f"{self.root}/{path}", response)
                yield response
        except requests.RequestException as error:
            raise Unreachable(f"{self.root}/{path}: no answer ({type(error).__name__})") from error

    def _redirected(self, path: str, response: requests.Response) -> str:
        target = urljoin(response.url, response.headers["location"])
        response.close()
        if urlsplit(target)[:2] != urlsplit(self.root)[:2]:
            raise SourceError(
                f"{self.root}/{path}: redirects to {urlsplit(target).netloc}; a connection reads nothing else"
            )
        return target


def _check_status(where: str, response: requests.Response) -> None:
    status, reason = response.status_code, response.reason
    match status:
        case 401:
            raise Unauthorized(f"{where}: 401 {reason}; check user and password, or token")
        case 403:
            raise Forbidden(f"{where}: 403 {reason}")
        case 404 | 410:
            raise NotFound(f"{where}: {status} {reason}")
        case _ if not response.ok or response.is_redirect:
            raise SourceError(f"{where}: {status} {reason}")
        case _:
            return


def _stored(path: str, response: requests.Response) -> StoredFile:
    headers = response.headers
    try:
        at = parsedate_to_datetime(headers["last-modified"]).astimezone(UTC)
    except (KeyError, ValueError):
        at = None
    length = headers.get("content-length", "")
    size = int(length) if length.isdigit() else 0
    return StoredFile(path, size, at if isinstance(at, datetime) else None, headers.get("etag", ""))


def _is_encoded(response: requests.Response) -> bool:
    """Whether the length that the server tells is not that of the content."""
    return response.headers.get("content-encoding", "identity") != "identity"
