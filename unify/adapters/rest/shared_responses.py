"""Responses that the tables of one request share (``shares``), so that an API is asked once.

A load keeps the responses in a folder of the home; a load of another table of the group that follows within
some minutes reads them there. A response serves each table once: a second load of the same table sends its
requests. Loads of one group run one after the other: the daemon starts none while another reads, and a lock
keeps other processes out.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from requests.structures import CaseInsensitiveDict

from unify.adapters.http.concurrency import ConcurrencySlots
from unify.adapters.http.messages import Request, Response
from unify.adapters.spec.model import ErrorRule
from unify.errors import StoreError
from unify.fs.durable import read_regular_file

SHARED_S = 300.0  # after the load that fetched them; a user who loads two tables wants the same state of both


class PageClient(Protocol):
    """Sends the requests of a read: an ``HttpClient``, or one that shares responses."""

    def fetch(
        self, request: Request, rules: Sequence[ErrorRule] = (), stop: threading.Event | None = None
    ) -> Response: ...
    def is_allowed(self, url: str) -> bool: ...


class _KeptResponse(Struct, frozen=True):
    """A response without its URL, which may contain credentials. ``request_line`` is redacted."""

    status: int
    headers: dict[str, str]
    request_line: str
    body: bytes


class SharedResponses:
    """The responses of one group of tables; ``name`` identifies connection, server and group."""

    def __init__(self, folder: Path, *name: str) -> None:
        digest = hashlib.sha256("\n".join(name).encode()).hexdigest()[:16]
        self._parent, self._digest = folder, digest
        self._folder = folder / digest
        self._finished = folder / f"{digest}.finished"

    @contextmanager
    def open_client(self, client: PageClient, table: str, stop: threading.Event) -> Iterator[PageClient]:
        """A client for one read of ``table``, while no other load of the group runs.

        Raises:
            StoreError: the folder cannot be written.
        """
        try:
            self._parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = ConcurrencySlots(self._parent, self._digest, 1)
            try:
                slot = lock.acquire(stop)
                try:
                    self._remove_outdated()
                    yield _SharingClient(client, self._folder, table)
                    self._finished.touch(0o600)
                finally:
                    lock.release(slot)
            finally:
                lock.close()
        except OSError as error:
            raise StoreError(f"{self._folder}: cannot be written ({error.strerror})") from error

    def _remove_outdated(self) -> None:
        age_s = time.time() - self._finished.stat().st_mtime if self._finished.exists() else SHARED_S
        if not 0 <= age_s < SHARED_S:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._finished.unlink(missing_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)


class _SharingClient:
    def __init__(self, client: PageClient, folder: Path, table: str) -> None:
        self._client = client
        self._folder = folder
        self._table = table

    def fetch(
        self, request: Request, rules: Sequence[ErrorRule] = (), stop: threading.Event | None = None
    ) -> Response:
        path = self._folder / _digest(request)
        used_by = path.with_name(f"{path.name}.{self._table}")
        kept = _read_response(path) if not used_by.exists() else None
        if kept is not None:
            used_by.touch(0o600)
            headers = CaseInsensitiveDict(kept.headers)
            return Response(kept.status, headers, kept.body, request.full_url, kept.request_line)
        response = self._client.fetch(request, rules, stop)
        is_redirected = urlsplit(response.url)[:3] != urlsplit(request.full_url)[:3]
        if not response.skipped and 200 <= response.status < 300 and not is_redirected:
            self._keep(path, response)
            used_by.touch(0o600)
        return response

    def is_allowed(self, url: str) -> bool:
        return self._client.is_allowed(url)

    def _keep(self, path: Path, response: Response) -> None:
        for used_by in path.parent.glob(f"{path.name}.*"):
            used_by.unlink()
        headers = {name: value for name, value in response.headers.items() if name.lower() != "set-cookie"}
        kept = _KeptResponse(response.status, headers, response.request_line, response.body)
        unfinished = path.with_name(f"new-{path.name}")
        file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(file, "wb") as writer:
            writer.write(msgspec.msgpack.encode(kept))
        unfinished.replace(path)


def _read_response(path: Path) -> _KeptResponse | None:
    """Return a kept response; None if there is none that can be read."""
    try:
        return msgspec.msgpack.decode(read_regular_file(path), type=_KeptResponse)
    except (OSError, msgspec.MsgspecError):
        return None


def _digest(request: Request) -> str:
    parts = (request.method, request.full_url, *map(str, sorted(request.headers.items())))
    return hashlib.sha256("\n".join(parts).encode() + b"\n" + (request.body or b"")).hexdigest()[:32]
