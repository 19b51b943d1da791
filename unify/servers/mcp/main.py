"""Starts the MCP server: over stdio until it is closed, or over HTTP until a signal: ``unify mcp``."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import anyio
from msgspec import Struct
from starlette.types import ASGIApp, Receive, Scope, Send

from unify.config.settings import Settings
from unify.servers.addresses import bind_socket, bound_address, parse_address
from unify.servers.event_log import EventLog
from unify.servers.exposure import check_exposure
from unify.servers.http.access import Access, AccessControl, AccessPolicy
from unify.servers.http.limits import RequestLimits
from unify.servers.http.server import HttpServer
from unify.servers.mcp.limits import AgentLimits
from unify.servers.mcp.runner import AgentRunner
from unify.servers.mcp.server import build_server
from unify.servers.signals import stop_at_signals
from unify.servers.tls import load_certificate
from unify.servers.users import UserStore

PATH = "/mcp"


class AgentOptions(Struct, frozen=True):
    """How agents connect. ``http``: ``[HOST:]PORT``; None: stdio."""

    http: str | None = None
    cert: str | None = None
    key: str | None = None
    limits: AgentLimits = AgentLimits()
    environment: Mapping[str, str] = {}


def run_agents(
    settings: Settings, options: AgentOptions, log: EventLog, stop: threading.Event | None = None
) -> int:
    """Serve agents until stdin ends or, over HTTP, until a signal or ``stop``; return the exit status."""
    runner = AgentRunner(settings, options.environment, options.limits, log)
    runner.warm_up()
    try:
        if options.http is None:
            anyio.run(build_server(runner).run_stdio_async)
        else:
            _serve_http(settings, options, runner, log, stop or threading.Event())
    finally:
        runner.close()
    return 0


def _serve_http(
    settings: Settings, options: AgentOptions, runner: AgentRunner, log: EventLog, stop: threading.Event
) -> None:
    assert options.http is not None
    address, users = parse_address("--http", options.http), UserStore(settings)
    check_exposure(address, options.cert, options.key, users)
    tls = load_certificate(options.cert, options.key) if options.cert and options.key else None
    with ExitStack() as servers, stop_at_signals(stop.set):
        listener = servers.enter_context(bind_socket("--http", address))
        policy = AccessPolicy(is_local=address.is_loopback)
        app = build_agent_app(runner, policy, users, log)
        server = HttpServer(app, listener, tls, log, stop.set, has_lifespan=True)
        server.start()
        servers.callback(server.stop)
        scheme = "http" if tls is None else "https"
        place = f"{scheme}://{bound_address(listener, address)}{PATH}"
        log.write_event("server.started", address=place, home=settings.home)
        stop.wait()
    log.write_event("server.stopped")


def build_agent_app(runner: AgentRunner, policy: AccessPolicy, users: UserStore, log: EventLog) -> ASGIApp:
    """Return the application: the routes of the SDK behind limits, the Host check and tokens."""
    from mcp.server.transport_security import TransportSecuritySettings

    # The Host check is that of AccessControl; the SDK's would refuse other names of a public server.
    security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    inner: Any = build_server(runner).streamable_http_app(
        streamable_http_path=PATH, transport_security=security
    )
    guarded = RequestLimits(AccessControl(inner, {PATH: Access.USERS}, policy, users, log))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (inner if scope["type"] == "lifespan" else guarded)(scope, receive, send)

    return app
