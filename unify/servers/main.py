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

EXTRA_PACKAGES = frozenset(("anyio", "h11", "prometheus_client", "starlette", "uvicorn"))


class ServeOptions(Struct, frozen=True):
    """What to serve.

    ``http``          ``[HOST:]PORT`` of the HTTP server.
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

    with ExitStack() as servers, stop_at_signals(stopped.set):
        _start_http(settings, options, log, servers, on_server_end)
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
) -> None:
    if options.http is None:
        raise UsageError("serve: name what to serve: --http [HOST:]PORT")
    try:
        from unify.servers.http.access import AccessPolicy
        from unify.servers.http.app import AppServices, build_app
        from unify.servers.http.server import HttpServer
        from unify.servers.monitoring.service import MonitoringService
        from unify.servers.statements.service import StatementService
    except ModuleNotFoundError as error:
        raise _missing_package(error) from error
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
    log.write_event("server.started", version=VERSION, pid=os.getpid(), address=url, home=settings.home)
    if options.opens_page:
        open_page(page_address(url, sessions.create_ticket()), options.environment)


def _missing_package(error: ModuleNotFoundError) -> Exception:
    if (error.name or "").partition(".")[0] not in EXTRA_PACKAGES:
        return error
    return UsageError(
        f"serve --http needs the packages starlette, uvicorn and prometheus-client ({error.name} is "
        "missing): pip install 'unify-sql[serve]'"
    )
