"""Access: the Host header against DNS rebinding, and bearer tokens.

A page of a foreign site can make a browser send requests to this machine under a name of its own that it lets
point here. The browser sends that name as Host, and other names than those of this machine are refused. A
server that other machines can reach accepts any name: there TLS and a token protect every route.
"""

from __future__ import annotations

import ipaddress
import re
from enum import Enum

from msgspec import Struct
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from unify.errors import StoreError
from unify.servers.event_log import EventLog
from unify.servers.http.responses import error_response
from unify.servers.sessions import OwnerSessions
from unify.servers.users import User, UserStore

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
_LOCAL_NAMES = frozenset(("localhost", "localhost."))
MAX_LOGGED_PATH_CHARS = 100


class Access(Enum):
    """Who may use a route."""

    ANYBODY = "no token; the route itself tells strangers less"
    READERS = "a token if there are users"
    METRICS = "as READERS, unless the metrics are open"
    USERS = "always a token: other users of the machine can connect, too"


class AccessPolicy(Struct, frozen=True):
    """``is_local``: only this machine can connect. ``open_metrics``: /metrics needs no token."""

    is_local: bool = True
    open_metrics: bool = False


class AccessControl:
    """Middleware: sets ``scope["user"]``, and refuses requests that the policy does not allow.

    ``rules``     the access of each path, or of all below one: ``/statements/*``. A path without one is
                  treated as READERS, so that it tells nothing.
    ``sessions``  of the page, whose tokens are valid besides those of users.
    """

    def __init__(
        self,
        app: ASGIApp,
        rules: dict[str, Access],
        policy: AccessPolicy,
        users: UserStore,
        log: EventLog,
        *,
        sessions: OwnerSessions | None = None,
    ) -> None:
        self._app = app
        self._rules = rules
        self._policy = policy
        self._users = users
        self._sessions = sessions or OwnerSessions()
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        refusal = await self._check(request)
        await (self._app if refusal is None else refusal)(scope, receive, send)

    async def _check(self, request: Request) -> Response | None:
        """Return the refusal of a request, or None; sets the user and whether a stranger asks."""
        if self._policy.is_local and not is_local_name(request.headers.get("host", "")):
            self._log_refusal(request, "the Host header names another host")
            return error_response(421, "the Host header must name this machine, such as localhost")
        try:
            user, has_users = await run_in_threadpool(self._find_user, request)
        except StoreError as error:
            self._log.write_limited("server.users_unreadable", error=error.message)
            return error_response(503, "the users cannot be read; the log of the server has the reason")
        request.scope["user"] = user
        request.scope["is_stranger"] = user is None and (has_users or not self._policy.is_local)
        if user is None and (request.headers.get("authorization") or self._needs_user(request)):
            self._log_refusal(request, "no valid token")
            return error_response(
                401,
                "a valid token is required: Authorization: Bearer TOKEN (unify user add)",
                {"WWW-Authenticate": 'Bearer realm="unify"'},
            )
        return None

    def _find_user(self, request: Request) -> tuple[User | None, bool]:
        """Return the user of the token, and whether there are users at all."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        user: User | None = None
        if scheme.lower() == "bearer":
            user = self._sessions.verify(token.strip()) or self._users.verify(token.strip())
        return user, user is not None or bool(self._users.list_users())

    def _needs_user(self, request: Request) -> bool:
        match self._rule(request.url.path):
            case Access.ANYBODY:
                return False
            case Access.METRICS if self._policy.open_metrics:
                return False
            case Access.USERS:
                return True
            case Access.METRICS | Access.READERS:
                return bool(request.scope["is_stranger"])

    def _rule(self, path: str) -> Access:
        """Return the access of a path, or that of the longest rule ``/…/*`` that matches it."""
        if (rule := self._rules.get(path)) is not None:
            return rule
        return self._rules.get(f"{path.rpartition('/')[0]}/*", Access.READERS)

    def _log_refusal(self, request: Request, reason: str) -> None:
        client = request.client.host if request.client is not None else ""
        path = request.url.path[:MAX_LOGGED_PATH_CHARS]
        self._log.write_limited("server.request_refused", client=client, path=path, reason=reason)


def is_local_name(host: str) -> bool:
    """Whether a Host header names this machine: localhost or a loopback address, with or without a port."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match["name"].strip("[]").lower()
    if name in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
