"""One client, from its first byte to its last, in a thread of its own."""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
from collections.abc import Callable

from msgspec import Struct
from pygwire.exceptions import PygwireError
from pygwire.messages import (
    BackendKeyData,
    Bind,
    CancelRequest,
    Close,
    CopyData,
    CopyDone,
    CopyFail,
    Describe,
    ErrorResponse,
    Execute,
    Flush,
    FunctionCall,
    GSSEncRequest,
    GSSResponse,
    NegotiateProtocolVersion,
    NoticeResponse,
    ParameterStatus,
    Parse,
    PGMessage,
    Query,
    ReadyForQuery,
    SSLRequest,
    SSLResponse,
    StartupMessage,
    Sync,
    Terminate,
)

from unify.errors import StoreError, UnifyError
from unify.servers.event_log import EventLog
from unify.servers.postgres.authentication import AuthenticationFailed, Authenticator
from unify.servers.postgres.catalog.queries import CatalogDatabase, HomeTables
from unify.servers.postgres.client_session import ClientSession
from unify.servers.postgres.client_settings import ClientSettings
from unify.servers.postgres.prepared import StatementOpener
from unify.servers.postgres.sqlstates import (
    ADMIN_SHUTDOWN,
    CANNOT_CONNECT_NOW,
    FEATURE_NOT_SUPPORTED,
    INVALID_AUTHORIZATION,
    INVALID_PASSWORD,
    PROTOCOL_VIOLATION,
    TOO_MANY_CONNECTIONS,
    ClientError,
    sqlstate_of,
)
from unify.servers.postgres.statement_runner import ClientIdentity, ClientStatementRunner, ServedHome
from unify.servers.postgres.wire import ClientGone, MessageStream, ProtocolViolation
from unify.servers.users import User

AUTHENTICATION_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 60.0  # of a client that does not read
PROTOCOL_3_2 = 0x00030002
_SEVERITIES = {"notice": "NOTICE", "warning": "WARNING", "info": "INFO"}


class ConnectionServices(Struct, frozen=True):
    """What the connections of one server share.

    ``make_catalog``  the catalog of a client.
    ``cancel``        cancels the statement of the client with a number and a key.
    """

    home: ServedHome
    authenticator: Authenticator
    log: EventLog
    tls: ssl.SSLContext | None
    requires_tls: bool
    server_version: Callable[[], tuple[str, int]]
    make_catalog: Callable[[HomeTables, User], CatalogDatabase]
    cancel: Callable[[int, bytes], None]


class ClientConnection:
    """A connection that was accepted. ``run`` serves it; ``cancel``, ``tick`` and ``stop`` are for others."""

    def __init__(
        self,
        number: int,
        accepted: socket.socket,
        address: str,
        services: ConnectionServices,
        *,
        is_surplus: bool,
    ) -> None:
        self.number = number
        self.key = secrets.token_bytes(4)
        self._stream = MessageStream(accepted)
        self._services = services
        self._address = address
        self._is_surplus = is_surplus
        self._runner: ClientStatementRunner | None = None
        self._catalog: CatalogDatabase | None = None
        self._settings: ClientSettings | None = None
        self._skips_to_sync = False
        self._is_stopping = False
        self._deadline = threading.Timer(AUTHENTICATION_TIMEOUT_S, self._disconnect)

    @property
    def file_number(self) -> int:
        """The descriptor of the socket, or -1."""
        return self._stream.socket.fileno()

    @property
    def is_active(self) -> bool:
        """Whether a statement runs."""
        return self._runner is not None and self._runner.is_active

    def run(self) -> None:
        """Serve the client until it or the server ends."""
        self._deadline.daemon = True
        self._deadline.start()
        try:
            self._stream.socket.settimeout(AUTHENTICATION_TIMEOUT_S)
            startup = self._start()
            if startup is not None:
                self._serve(startup)
        except ClientGone:
            return  # nobody to send an error to
        except ProtocolViolation as error:
            self._services.log.write_limited(
                "server.client_violated_protocol", client=self._address, error=str(error)
            )
            self._send_last_error("FATAL", PROTOCOL_VIOLATION, str(error))
        except UnifyError as error:
            self._send_last_error("FATAL", sqlstate_of(error), error.message)
        finally:
            self._deadline.cancel()
            self._close()

    def cancel(self, reason: str) -> None:
        """End the statement that runs, if one does."""
        if self._runner is not None:
            self._runner.cancel(reason)
        if self._catalog is not None:
            self._catalog.cancel()

    def tick(self, cancel_asked: frozenset[int]) -> None:
        if self._runner is not None:
            self._runner.tick(cancel_asked)

    def stop(self) -> None:
        """End the connection: the server stops."""
        self._is_stopping = True
        self.cancel("the server stops")
        self._disconnect()

    def disconnect(self) -> None:
        """End the statement of a client that is gone."""
        self.cancel("the client is gone")

    def _disconnect(self) -> None:
        try:
            self._stream.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is closed

    def _start(self) -> StartupMessage | None:
        """Read the first messages; None: a request to cancel, which was carried out."""
        while True:
            message = self._stream.read_startup()
            match message:
                case SSLRequest():
                    tls = self._services.tls
                    self._stream.send(SSLResponse(accepted=tls is not None))
                    self._stream.flush()
                    if tls is not None:
                        self._stream.start_tls(tls)
                case GSSEncRequest():
                    self._stream.send(GSSResponse(accepted=False))
                    self._stream.flush()
                case CancelRequest(number, key):
                    self._services.cancel(number, key)
                    return None
                case StartupMessage():
                    return message
                case _:
                    raise ProtocolViolation("expected a startup message")

    def _serve(self, startup: StartupMessage) -> None:
        user = self._authenticate(startup)
        if user is None:
            return
        settings = self._make_settings(user, startup)
        self._stream.set_authenticated(SEND_TIMEOUT_S)
        self._deadline.cancel()
        session = self._make_session(user, settings, startup)
        for name, value in settings.reported().items():
            self._stream.send(ParameterStatus(name=name, value=value))
        self._stream.send(BackendKeyData(process_id=self.number, secret_key=self.key))
        self._send_ready(session)
        while not isinstance(message := self._stream.read(), Terminate):
            self._handle(session, message)

    def _authenticate(self, startup: StartupMessage) -> User | None:
        """Authenticate the client; None: it was refused."""
        if startup.protocol_version == PROTOCOL_3_2 or any(
            name.startswith("_pq_.") for name in startup.params
        ):
            unknown = [name for name in startup.params if name.startswith("_pq_.")]
            self._stream.send(NegotiateProtocolVersion(newest_minor=0, unrecognized=unknown))
        if self._is_surplus:
            self._send_last_error("FATAL", TOO_MANY_CONNECTIONS, "sorry, too many clients already")
            return None
        if self._services.requires_tls and not isinstance(self._stream.socket, ssl.SSLSocket):
            self._send_last_error(
                "FATAL", INVALID_AUTHORIZATION, "this server requires TLS (sslmode=require)"
            )
            return None
        try:
            return self._services.authenticator.authenticate(self._stream, startup.params.get("user", ""))
        except AuthenticationFailed as error:
            self._services.log.write_limited("server.login_failed", client=self._address)
            self._send_last_error("FATAL", INVALID_PASSWORD, str(error))
        except StoreError as error:
            self._services.log.write_limited("server.users_unreadable", error=error.message)
            message = "the users cannot be read; the log of the server has the reason"
            self._send_last_error("FATAL", CANNOT_CONNECT_NOW, message)
        return None

    def _make_settings(self, user: User, startup: StartupMessage) -> ClientSettings:
        version, number = self._services.server_version()
        settings = self._settings = ClientSettings(user.name, version, number)
        given = {name: value for name, value in startup.params.items() if name not in ("user", "database")}
        for name, value in (*_option_settings(given.pop("options", "")), *given.items()):
            if name == "replication" and value not in ("", "0", "false", "off", "no"):
                raise ClientError("replication is not supported", FEATURE_NOT_SUPPORTED)
            if not name.startswith("_pq_.") and name != "replication":
                settings.set(name, value)
        settings.keep_as_defaults()
        return settings

    def _make_session(self, user: User, settings: ClientSettings, startup: StartupMessage) -> ClientSession:
        services = self._services
        identity = ClientIdentity(user, startup.params.get("application_name", "")[:200], self._address)
        runner = self._runner = ClientStatementRunner(services.home, identity, settings, self._notify)
        tables = HomeTables(lambda: runner.session.interpreter.session, user.restriction().schemas)
        catalog = self._catalog = services.make_catalog(tables, user)
        opener = StatementOpener(runner, catalog, tables, settings, services.home.settings.cache)
        return ClientSession(self._stream, opener)

    def _handle(self, session: ClientSession, message: PGMessage) -> None:
        """Answer one message; an error ends the statement, not the connection."""
        if self._skips_to_sync and not isinstance(message, Sync | Query):
            return
        try:
            self._dispatch(session, message)
        except (ClientGone, ProtocolViolation):
            raise
        except Exception as error:  # noqa: BLE001 - the client gets it
            self._report(session, error, message)
        if isinstance(message, Query | FunctionCall):
            self._send_ready(session)

    def _dispatch(self, session: ClientSession, message: PGMessage) -> None:
        match message:
            case Query(text):
                session.query(text)
            case Parse():
                session.parse(message)
            case Bind():
                session.bind(message)
            case Describe():
                session.describe(message)
            case Execute():
                session.execute(message)
            case Close():
                session.close_object(message)
            case Flush():
                self._stream.flush()
            case Sync():
                self._skips_to_sync = False
                session.sync()
                self._send_ready(session)
            case CopyData() | CopyDone() | CopyFail():
                return
            case FunctionCall():
                raise ClientError("function calls are not supported; use SELECT", FEATURE_NOT_SUPPORTED)
            case _:
                raise ProtocolViolation(f"unexpected message {type(message).__name__}")

    def _report(self, session: ClientSession, error: Exception, message: PGMessage) -> None:
        explained = error if isinstance(error, ClientError) else self._services.home.recorder.explain(error)
        session.fail()
        self._skips_to_sync = not isinstance(message, Query | FunctionCall)
        if self._is_stopping:
            self._send_error("FATAL", ADMIN_SHUTDOWN, "terminating connection: the server stops")
            raise ClientGone from error
        self._send_error("ERROR", sqlstate_of(explained), explained.message)
        self._stream.flush()  # a client may wait for it before it sends Sync

    def _send_ready(self, session: ClientSession) -> None:
        self._stream.send(ReadyForQuery(status=session.status))
        self._stream.flush()

    def _notify(self, severity: str, text: str) -> None:
        """Send a notice at once, if the client wants it."""
        if self._settings is not None and text and self._settings.shows(severity):
            level = _SEVERITIES[severity]
            self._stream.send(
                NoticeResponse(fields={"S": level, "V": level, "C": "00000", "M": _clean(text)})
            )
            self._stream.flush()

    def _send_error(self, severity: str, sqlstate: str, text: str) -> None:
        fields = {"S": severity, "V": severity, "C": sqlstate, "M": _clean(text)}
        self._stream.send(ErrorResponse(fields=fields))

    def _send_last_error(self, severity: str, sqlstate: str, text: str) -> None:
        try:
            self._send_error(severity, sqlstate, text)
            self._stream.flush()
        except (ClientGone, PygwireError):  # it is refused in any case
            return

    def _close(self) -> None:
        for part in (self._runner, self._catalog):
            if part is not None:
                part.close()
        self._stream.socket.close()


def _option_settings(options: str) -> list[tuple[str, str]]:
    """Return the settings of ``-c name=value`` in the startup parameter ``options``."""
    words = options.replace("-c ", "-c").split()
    pairs = [word[2:].partition("=") for word in words if word.startswith(("-c", "--")) and "=" in word]
    return [(name.replace("-", "_"), value) for name, _, value in pairs]


def _clean(text: str) -> str:
    return text.replace("\0", "")
