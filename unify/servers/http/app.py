"""The application: the routes, inside access rules and limits. A new route is a line in ``_routes``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import ASGIApp

from unify.servers.event_log import EventLog
from unify.servers.http import health, metrics, openapi, page, query
from unify.servers.http.access import Access, AccessControl, AccessPolicy
from unify.servers.http.limits import RequestLimits
from unify.servers.http.responses import render_disconnect, render_http_exception, render_internal_error
from unify.servers.monitoring.service import MonitoringService
from unify.servers.sessions import OwnerSessions
from unify.servers.statements.limits import StatementLimits
from unify.servers.statements.service import StatementService
from unify.servers.users import UserStore

_PARAMETER = re.compile(r"\{\w+\}")  # of a path, such as {id}


class AppServices(Struct, frozen=True):
    """What the routes of one server share."""

    users: UserStore
    monitoring: MonitoringService
    statements: StatementService
    limits: StatementLimits
    log: EventLog
    sessions: OwnerSessions


def build_app(services: AppServices, policy: AccessPolicy) -> ASGIApp:
    """Return the application: limits outside, then access rules, then the routes."""
    routes = _routes(services)
    app: ASGIApp = Starlette(
        routes=[route for route, _ in routes],
        exception_handlers={
            HTTPException: render_http_exception,
            ClientDisconnect: render_disconnect,
            Exception: render_internal_error,
        },
    )
    rules = {_PARAMETER.sub("*", route.path): access for route, access in routes}
    control = AccessControl(app, rules, policy, services.users, services.log, sessions=services.sessions)
    return RequestLimits(control)


def _routes(services: AppServices) -> Sequence[tuple[Route, Access]]:
    return [
        (metrics.route(services.monitoring), Access.METRICS),
        (health.route(services.monitoring), Access.ANYBODY),
        (openapi.route(), Access.READERS),
        *((route, Access.ANYBODY) for route in page.routes(services.sessions)),
        *((route, Access.USERS) for route in query.routes(services.statements, services.limits)),
    ]
