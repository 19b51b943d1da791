"""Adapters with every authentication method, and the routes of the servers they sign in to."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.oauth_server import BrowserUser, IdleUser
from unify.adapters.auth.factory import build_authentication
from unify.adapters.base import Read
from unify.adapters.http.messages import Request
from unify.adapters.http.rate_limit import Clock
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.auth import Auth
from unify.adapters.spec.paging import Paging
from unify.config.secrets import Secret

SECRET = "pa$$ w0rd/ünïcode=="


KEY = "k3y-0123456789"


OPTIONS: dict[str, str | Secret | None] = {
    "user": "ann",
    "secret": Secret(SECRET),
    "key": Secret(KEY),
    "empty": "",
    "unset": None,
}


STATIC_AUTHS: dict[str, Auth] = {
    "bearer": Auth("bearer", {"token": "{key}"}),
    "basic": Auth("basic", {"username": "{user}", "password": "{secret}"}),
    "header": Auth("api_key", {"name": "X-API-Key", "value": "{key}", "in": "header"}),
    "query": Auth("api_key", {"name": "api key", "value": "{key}", "in": "query"}),
    "cookie": Auth("api_key", {"name": "sid", "value": "{key}", "in": "cookie"}),
}


# Methods that request a token at ``{url}/token`` or create one; the token is KEY.
_CLIENT_SETTINGS = {"token_url": "{url}/token", "client_id": "{user}", "client_secret": "{secret}"}


TOKEN_AUTHS: dict[str, Auth] = {
    "client credentials": Auth("oauth2", {**_CLIENT_SETTINGS, "grant": "client_credentials"}),
    "refresh token": Auth("oauth2", {**_CLIENT_SETTINGS, "grant": "refresh_token", "refresh_token": "{key}"}),
    "browser": Auth(
        "oauth2", {**_CLIENT_SETTINGS, "grant": "authorization_code", "authorize_url": "{url}/authorize"}
    ),
    "device": Auth("oauth2", {**_CLIENT_SETTINGS, "grant": "device_code", "authorize_url": "{url}/device"}),
    "session": Auth(
        "session", {"request": "POST /token", "body": {"p": "{secret}"}, "token": "access_token"}
    ),
    "session cookie": Auth(
        "session",
        {
            "request": "POST /token",
            "form": {"p": "{secret}"},
            "token": "access_token",
            "in": "cookie",
            "name": "sid",
            "value": "{session}",
        },
    ),
    "aws": Auth(
        "aws_sigv4",
        {
            "access_key_id": "{key}",
            "secret_access_key": "{secret}",
            "session_token": "{key}",
            "region": "eu-west-1",
            "service": "ce",
        },
    ),
    "jwt": Auth("jwt", {"algorithm": "HS256", "key": "{secret}", "claims": {"iss": "{key}"}}),
}


ALL_AUTHS = {**STATIC_AUTHS, **TOKEN_AUTHS}


def apply_auth(auth: Auth, **request: Any) -> Request:
    return build_authentication(auth, OPTIONS, "c (s.yaml)").apply(
        Request("GET", "http://api/x", **request), 0.0
    )


def encoded_secrets() -> list[str]:
    """Return every encoding in which a credential could appear in a request or message."""
    proof = base64.b64encode(f"ann:{SECRET}".encode()).decode()
    return [
        KEY,
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        proof,
        base64.b64encode(KEY.encode()).decode(),
    ]


MakeAdapter = Callable[..., RESTAdapter]


class FixedClock(Clock):
    now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


class NoWaitClock(Clock):
    """A clock that does not wait."""

    def wait(self, stop: threading.Event, _seconds: float) -> bool:
        return stop.is_set()


def with_server_url(auth: Auth, api: FaultServer) -> Auth:
    """Return ``auth`` with the URL of the authorization server."""
    settings = {
        name: value.replace("{url}", api.url) if isinstance(value, str) else value
        for name, value in auth.settings.items()
    }
    return Auth(auth.type, settings)


def make_signed_in_adapter(
    make: MakeAdapter, auth_name: str, api: FaultServer, paging: Paging, **settings: Any
) -> RESTAdapter:
    """Return an adapter with credentials; methods that need a user have signed in."""
    api.serve("POST /token", MockResponse.json({"access_token": KEY}))
    serve_sign_in_routes(api)
    adapter = make(with_server_url(ALL_AUTHS[auth_name], api), paging, clock=NoWaitClock(), **settings)
    sign_in(adapter, auth_name)
    return adapter


def sign_in(adapter: RESTAdapter, auth_name: str) -> None:
    adapter.sign_in(BrowserUser() if auth_name == "browser" else IdleUser())


def sign_in_and_read(adapter: RESTAdapter, auth_name: str) -> None:
    sign_in(adapter, auth_name)
    list(adapter.pages("things", Read()))


def serve_sign_in_routes(api: FaultServer) -> None:
    """Serve the routes of an authorization server whose user always consents."""
    device = {"device_code": KEY, "user_code": "u", "verification_uri": api.url}
    api.serve("POST /device", MockResponse.json(device))
    api.serve("/authorize", lambda request: MockResponse.redirect(redirect_back_url(request)))


def redirect_back_url(request: RecordedRequest) -> str:
    return f"{request.query['redirect_uri']}?{urlencode({'state': request.query['state'], 'code': KEY})}"


REDIRECTIONS: dict[str, tuple[Paging, Callable[[str], MockResponse]]] = {
    "redirect 302": (Paging("none"), MockResponse.redirect),
    "redirect 307": (Paging("none"), lambda to: MockResponse.redirect(to, 307)),
    "link header": (
        Paging("link_header"),
        lambda to: MockResponse.json({"items": [{"id": 1}]}).with_headers(Link=f'<{to}>; rel="next"'),
    ),
    "next url": (
        Paging("next_url", path="next"),
        lambda to: MockResponse.json({"items": [{"id": 1}], "next": to}),
    ),
    "auto": (Paging("auto"), lambda to: MockResponse.json({"items": [{"id": 1}], "next": to})),
}
