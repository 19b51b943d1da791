"""An object store (S3, Google Cloud Storage, Azure Blob Storage) through obstore.

obstore lists, reads by version, writes under conditions, copies, removes and signs; DuckDB reads the bytes
of Parquet files in place, by ranges. obstore and DuckDB's extension are imported on first use.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from unify.adapters.files.duck_secrets import CLOSED_PREFIX, close_other_addresses, create_secret
from unify.adapters.files.store import CHUNK_BYTES, FileChanged, FileStore, StoredFile
from unify.adapters.relation import HIDDEN_PREFIX
from unify.engine.connection import load_optional_extension
from unify.errors import FileError, Forbidden, NotFound, SourceError, Unauthorized, Unreachable
from unify.redaction import Redactor
from unify.text import excerpt

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_PROXY_VARIABLES = frozenset({"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"})
_DELETED_AT_ONCE = 1000  # what S3 deletes with one request
_SINGLE_PUT_BYTES = 64 * 1024 * 1024  # larger files are written in parts, without a condition
_LIST_CHUNK = 1000
_STATUS = re.compile(r"status code: (?P<status>\d{3})")
_CODE = re.compile(r"<Code>(?P<code>[^<]+)</Code>")
_MESSAGE = re.compile(r"<Message>(?P<message>[^<]+)</Message>", re.DOTALL)
_JSON_MESSAGE = re.compile(r'"message":\s*"(?P<message>[^"]+)"')
_UNSAFE_IN_ADDRESS = re.compile(r"[*?\[\]%#&+]")  # globs, or what an address would change
_ADVICE = {
    "RequestTimeTooSkewed": "set this machine's clock",
    "RequestTimeSkewed": "set this machine's clock",
    "InvalidAccessKeyId": "check access_key_id",
    "SignatureDoesNotMatch": "check secret_access_key",
    "NoSuchBucket": "check bucket",
    "ContainerNotFound": "check container",
    "AuthenticationFailed": "check account and account_key",
    "ExpiredToken": "the session has ended; get new credentials",
    "PermanentRedirect": "set region to the one of the bucket",
    "AuthorizationHeaderMalformed": "set region to the one of the bucket",
    "IllegalLocationConstraintException": "set region to the one of the bucket",
}


class ScanAccess(Struct, frozen=True):
    """How DuckDB reads a store in place.

    ``scheme``   before bucket and path: ``s3://``.
    ``secret``   options of CREATE SECRET; their values are parameters.
    ``extension``, ``extra``  what DuckDB needs, and the extra that installs it.
    """

    scheme: str
    secret: Mapping[str, object]
    extension: str
    extra: str


class ObjectStore(FileStore):
    """A bucket or container, or a prefix of one.

    ``open``  makes obstore's store for the bucket, without the prefix.
    """

    def __init__(
        self,
        connection: str,
        root: str,
        prefix: str,
        *,
        open: Callable[[], Any],
        secrets: Sequence[str],
        scan: ScanAccess | None = None,
        identity: str = "",
    ) -> None:
        self.root = root.rstrip("/")
        self.prefix = prefix
        self.scan = scan
        self.address_start = f"{scan.scheme}{self._bucket}/{prefix}" if scan is not None else ""
        self.identity = identity
        self._connection = connection
        self._open = open
        self._opened: Any = None
        self._redactor = Redactor(secrets)
        self._has_secret = False  # this adapter has created it, and not one with other options
        self._readable_in_place = False

    @property
    def _store(self) -> Any:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def list_files(self, folder: str = "") -> Iterator[StoredFile]:
        import obstore

        with self._errors(folder):
            pages = obstore.list(self._store, self.prefix + folder, chunk_size=_LIST_CHUNK)
            for page in pages:
                for item in page:
                    if item["path"].startswith(self.prefix):
                        yield self._stored(item)

    def find_file(self, path: str) -> StoredFile | None:
        import obstore

        try:
            with self._errors(path):
                return self._stored(obstore.head(self._store, self.prefix + path))
        except NotFound:
            return None

    def read_start(self, path: str, size: int) -> bytes:
        import obstore

        with self._errors(path):
            head = obstore.head(self._store, self.prefix + path)
            length = min(size, head["size"])
            if not length:
                return b""
            return bytes(obstore.get_range(self._store, self.prefix + path, start=0, length=length))

    def download(self, file: StoredFile, target: Path) -> None:
        import obstore

        options = {"if_match": file.etag} if file.etag else {}
        with self._errors(file.path, listed=True):
            found = obstore.get(self._store, self.prefix + file.path, options=options)  # type: ignore[arg-type]
            with target.open("xb") as out:
                for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                    out.write(chunk)
        if target.stat().st_size != file.size:
            raise FileChanged(f"{self.root}/{file.path}: the file changed while it was read")

    def upload(self, source: Path, path: str, replaces: StoredFile | Literal["any"] | None) -> None:
        import obstore

        self._require_free(path, replaces)
        in_parts = source.stat().st_size > _SINGLE_PUT_BYTES
        mode: Any = "overwrite"
        if not in_parts and replaces is None:
            mode = "create"
        elif not in_parts and isinstance(replaces, StoredFile) and replaces.etag:
            mode = {"e_tag": replaces.etag}
        with self._errors(path, listed=isinstance(replaces, StoredFile)):
            obstore.put(self._store, self.prefix + path, source, mode=mode, use_multipart=in_parts)

    def copy(self, path: str, target: str, *, overwrite: bool) -> None:
        import obstore

        if self.find_file(path) is None:
            raise NotFound(f"{self.root}/{path}: no such file")
        self._require_free(target, "any" if overwrite else None)
        with self._errors(path):
            obstore.copy(self._store, self.prefix + path, self.prefix + target, overwrite=True)

    def remove(self, paths: Iterable[str]) -> None:
        remaining = iter(paths)
        while batch := [self.prefix + path for path in islice(remaining, _DELETED_AT_ONCE)]:
            self._delete(batch)

    def _delete(self, batch: Sequence[str]) -> None:
        """Delete one batch. Azure ends at a file that is gone: then each is deleted by itself."""
        import obstore

        try:
            with self._errors(""):
                obstore.delete(self._store, batch)
        except NotFound:
            if len(batch) > 1:
                for path in batch:
                    self._delete([path])

    def sign(self, path: str, seconds: int) -> str:
        import obstore

        if not self.identity:
            raise FileError(f"{self.root} is read without credentials; its files have plain addresses")
        with self._errors(path):
            return str(obstore.sign(self._store, "GET", self.prefix + path, timedelta(seconds=seconds)))

    def attach(self, duck: DuckDBPyConnection) -> None:
        if self.scan is None or _PROXY_VARIABLES & os.environ.keys():
            return  # DuckDB would use that proxy
        scope, name = self.address_start, f"{HIDDEN_PREFIX}files_{self._connection.lower()}"
        rows = duck.execute("SELECT name, scope FROM duckdb_secrets()").fetchall()
        others = [
            each
            for known, scopes in rows
            for each in scopes
            if known != name and not known.startswith(CLOSED_PREFIX)
        ]
        # With a second secret for a path, DuckDB could choose the wrong one: then the files are copied.
        self._readable_in_place = not any(
            scope.startswith(other) or other.startswith(scope) for other in others
        )
        is_known = any(known == name for known, _ in rows)
        if self._readable_in_place and not (is_known and self._has_secret):
            load_optional_extension(duck, self.scan.extension, self.scan.extra, f"Files of {self.root}")
            close_other_addresses(duck, self.scan.extension)
            create_secret(duck, name, {**self.scan.secret, "SCOPE": scope})
            self._has_secret = True

    def scan_address(self, file: StoredFile) -> str | None:
        if self.scan is None or not self._readable_in_place or _UNSAFE_IN_ADDRESS.search(file.path):
            return None
        return self.address_start + file.path

    def describe(self) -> str:
        found = list(islice(self.list_files(), 1))
        return f"{self.identity or 'anybody'} in {self.root}{'' if found else ', which has no files'}"

    @property
    def _bucket(self) -> str:
        return self.root.partition("://")[2].partition("/")[0]

    def _require_free(self, path: str, replaces: StoredFile | Literal["any"] | None) -> None:
        """Refuse a path that is taken, also where the store would ignore the condition of a request."""
        if replaces == "any":
            return
        now = self.find_file(path)
        if replaces is None:
            if now is not None:
                raise FileError(f"{self.root}/{path} exists already; end with overwrite or append")
        elif now is None or now.version != replaces.version:
            raise _changed(f"{self.root}/{path}")

    def _stored(self, item: Mapping[str, Any]) -> StoredFile:
        path = str(item["path"]).removeprefix(self.prefix)
        etag = str(item["e_tag"] or "")
        if etag and self.root.startswith("azure") and not etag.startswith('"'):
            etag = f'"{etag}"'  # its listings leave the quotes out
        return StoredFile(path, int(item["size"]), item["last_modified"], etag)

    @contextmanager
    def _errors(self, path: str, *, listed: bool = False) -> Iterator[None]:
        """Translate obstore's errors. ``listed``: a missing file is one that was removed meanwhile."""
        from obstore import exceptions

        where = f"{self.root}/{path}".rstrip("/")
        try:
            yield
        except exceptions.AlreadyExistsError as error:
            raise FileError(f"{where} exists already; end with overwrite or append") from error
        except exceptions.PreconditionError as error:
            raise _changed(where) from error
        except FileNotFoundError as error:
            if listed:
                raise _changed(where) from error
            raise self._translate(error, where, NotFound) from error
        except (exceptions.BaseError, OSError) as error:
            raise self._translate(error, where, None) from error

    def _translate(self, error: Exception, where: str, kind: type[SourceError] | None) -> SourceError:
        text = str(error).partition("Debug source:")[0]
        status, code = _STATUS.search(text), _CODE.search(text)
        found = _MESSAGE.search(text) or _JSON_MESSAGE.search(text)
        message = found["message"].splitlines()[0].rstrip(".") if found else _transport_message(text)
        if code is not None:
            advice = _ADVICE.get(code["code"], "")
            message = f"{message} ({code['code']})" + (f"; {advice}" if advice else "")
        number = int(status["status"]) if status else 0
        chosen = kind or _error_class(number, code["code"] if code else "", text)
        return chosen(f"{where}: {self._redactor.redact(message)}")


def _changed(where: str) -> FileChanged:
    return FileChanged(f"{where}: another program changed the file meanwhile; run the statement again")


def _transport_message(text: str) -> str:
    """Return what is left of an error without a message of the store."""
    if "error sending request" in text or "connect" in text.lower():
        return "no connection; check the endpoint and the network"
    if "timed out" in text.lower() or "timeout" in text.lower():
        return "no answer in time"
    status = re.search(r"status code: (\d{3} [A-Za-z ]+)", text)
    return status[1].strip() if status else excerpt(text.strip().splitlines()[0], 200)


def _error_class(status: int, code: str, text: str) -> type[SourceError]:
    if status == 401 or code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthenticationFailed"):
        return Unauthorized
    if status == 403:
        return Forbidden
    if status == 404:
        return NotFound
    return Unreachable if status == 0 and "error sending request" in text else SourceError
