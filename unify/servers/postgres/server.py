"""The server for PostgreSQL clients: accepts connections, bounds them, and cancels their statements."""

from __future__ import annotations

import hmac
import os
import select
import socket
import ssl
import threading
from collections.abc import Sequence
from itertools import count

from unify.servers.event_log import EventLog
from unify.servers.postgres.authentication import Authenticator
from unify.servers.postgres.catalog.fallback import FALLBACK_VERSION, FallbackCatalog
from unify.servers.postgres.catalog.queries import CatalogClient, CatalogDatabase, HomeTables
from unify.servers.postgres.catalog.server import CatalogServer, PostgresPrograms, find_programs
from unify.servers.postgres.connection import ClientConnection, ConnectionServices
from unify.servers.postgres.statement_runner import ServedHome
from unify.servers.users import User, UserStore

MAX_CONNECTIONS = 200
MAX_SURPLUS = 50  # further ones that are told so; then the socket's queue fills
TICK_INTERVAL_S = 0.2
STOP_TIMEOUT_S = 10.0
_GONE = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


class PostgresServer:
    """Serves a home to PostgreSQL clients. One thread accepts them, one checks deadlines, one serves each.

    ``requires_tls``  clients without TLS are refused.
    """

    def __init__(
        self,
        home: ServedHome,
        listener: socket.socket,
        users: UserStore,
        log: EventLog,
        *,
        tls: ssl.SSLContext | None = None,
        requires_tls: bool = False,
    ) -> None:
        self._listener = listener
        self._port = listener.getsockname()[1]
        self._log = log
        self._recorder = home.recorder
        self._programs = find_programs()
        self._catalogs: dict[frozenset[str] | None, CatalogServer] = {}
        self._lock = threading.Lock()
        self._clients: dict[ClientConnection, threading.Thread] = {}
        self._numbers = count(1)
        self._stop = threading.Event()
        self._wakes, self._wake = socket.socketpair()  # closing a listener does not end accept()
        self._services = ConnectionServices(
            home,
            Authenticator(users),
            log,
            tls,
            requires_tls,
            self._server_version,
            self._make_catalog,
            self._cancel,
        )
        self._threads = [
            threading.Thread(target=self._accept, name="postgres", daemon=True),
            threading.Thread(target=self._tick, name="postgres-ticks", daemon=True),
        ]

    @property
    def has_catalog(self) -> bool:
        """Whether PostgreSQL answers catalog queries."""
        return self._programs is not None

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End all connections; loads go on."""
        self._stop.set()
        self._wake.close()
        for client in self._list_clients():
            client.stop()
        with self._lock:
            threads = list(self._clients.values())
        for thread in (*self._threads, *threads):
            thread.join(STOP_TIMEOUT_S)
        self._listener.close()
        self._wakes.close()
        for server in self._catalogs.values():
            server.stop()

    def _list_clients(self) -> Sequence[ClientConnection]:
        with self._lock:
            return list(self._clients)

    def _accept(self) -> None:
        poll = select.poll()
        for one in (self._listener, self._wakes):
            poll.register(one, select.POLLIN)
        while not self._stop.is_set():
            poll.poll()
            if self._stop.is_set():
                return
            try:
                accepted, address = self._listener.accept()
            except OSError as error:
                self._log.write_limited("server.connection_failed", error=str(error))
                self._stop.wait(TICK_INTERVAL_S)  # too many open files, for instance
                continue
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._serve(accepted, str(address[0]))

    def _serve(self, accepted: socket.socket, address: str) -> None:
        with self._lock:
            open_clients = len(self._clients)
            if open_clients >= MAX_CONNECTIONS + MAX_SURPLUS:
                accepted.close()
                return
            client = ClientConnection(
                next(self._numbers),
                accepted,
                address,
                self._services,
                is_surplus=open_clients >= MAX_CONNECTIONS,
            )
            name = f"postgres-client-{client.number}-{self._port}"
            thread = threading.Thread(target=self._run, args=(client,), name=name, daemon=True)
            self._clients[client] = thread
        thread.start()

    def _run(self, client: ClientConnection) -> None:
        try:
            client.run()
        except Exception as error:  # noqa: BLE001 - the thread's last resort: nobody else can report it
            self._recorder.explain(error)
        finally:
            with self._lock:
                del self._clients[client]

    def _tick(self) -> None:
        """End statements at their deadline, on request, and when their client is gone."""
        while not self._stop.wait(TICK_INTERVAL_S):
            active = [client for client in self._list_clients() if client.is_active]
            if not active:
                continue
            asked = frozenset(self._recorder.cancel_asked(os.getpid()))
            gone = _gone_descriptors([client.file_number for client in active])
            for client in active:
                if client.file_number in gone:
                    client.disconnect()
                client.tick(asked)

    def _cancel(self, number: int, key: bytes) -> None:
        for client in self._list_clients():
            if client.number == number and hmac.compare_digest(client.key, key):
                client.cancel("canceling statement due to user request")

    def _server_version(self) -> tuple[str, int]:
        return FALLBACK_VERSION if self._programs is None else _version(self._programs)

    def _make_catalog(self, tables: HomeTables, user: User) -> CatalogDatabase:
        if self._programs is None:
            return FallbackCatalog(tables)
        schemas = user.restriction().schemas
        with self._lock:
            server = self._catalogs.get(schemas)
            if server is None:
                server = self._catalogs[schemas] = CatalogServer(self._programs)
        return CatalogClient(server, tables, user)


def _version(programs: PostgresPrograms) -> tuple[str, int]:
    """Return server_version and server_version_num: ``18.6``, 180006."""
    major, _, minor = programs.version.partition(".")
    return programs.version, int(major) * 10_000 + int(minor or 0)


def _gone_descriptors(descriptors: Sequence[int]) -> frozenset[int]:
    """Return the sockets whose other side was closed."""
    poll = select.poll()
    for descriptor in descriptors:
        if descriptor >= 0:
            poll.register(descriptor, _GONE)
    return frozenset(descriptor for descriptor, event in poll.poll(0) if event & _GONE)
