"""Tokens that are requested when first needed, and those of a log-in request."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlencode

import msgspec

from unify.adapters.auth.base import AuthConfig, basic_credentials, build_static_auth
from unify.adapters.auth.oauth import FORM_HEADERS
from unify.adapters.auth.token_cache import CachedToken, TokenCache, TokenCacheFolder
from unify.adapters.base import Scalar
from unify.adapters.formats.body import RecordSelector
from unify.adapters.formats.records import parse_body
from unify.adapters.http.messages import Authentication, AuthFlow, Request, Response, TokenRefused
from unify.errors import BadResponse

SESSION_LIFETIME_S = 900.0  # some APIs do not return 401 for an expired session
_JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


class TokenAuth(Authentication):
    """A token shared by all threads, and through ``cache`` by all processes. A refused one is replaced."""

    def __init__(self, make_auth: Callable[[str], Authentication], cache: TokenCache) -> None:
        self._make_auth = make_auth
        self._cache = cache
        self._cached: CachedToken | None = None
        self._auth: Authentication | None = None
        self._rejected_token = ""

    def apply(self, request: Request, now: float) -> Request:
        return self._auth.apply(request, now) if self._auth is not None else request

    def is_ready(self, now: float) -> bool:
        return self._cached is not None and self._is_usable(self._cached, now)

    def ensure_token(self, now: float) -> AuthFlow[None]:
        """Use the token that another process has requested meanwhile, else request one."""
        with self._cache.lock():
            cached = self._cache.read() or self._cached
            if cached is not None and self._is_usable(cached, now):
                self._set_token(cached)
                return
            token = yield from self.request_token(now, cached)
            self._set_token(token)
            self._cache.write(token)

    def request_token(self, now: float, cached: CachedToken | None) -> AuthFlow[CachedToken]:
        """Request a token. ``cached`` is the previous one.

        Raises:
            TokenRefused: the server issued none.
        """
        raise NotImplementedError

    def handle_unauthorized(self, rejected: Request) -> bool:
        """Reject the current token, unless another thread has replaced it since ``rejected`` was sent."""
        if self._cached is not None and self._auth is not None and self._auth.is_applied_to(rejected):
            self._rejected_token = self._cached.token
        return True

    def secrets(self) -> tuple[str, ...]:
        refresh_token = (self._cached.refresh_token,) if self._cached is not None else ()
        return (*refresh_token, *self._auth.secrets()) if self._auth is not None else refresh_token

    def _is_usable(self, cached: CachedToken, now: float) -> bool:
        return cached.is_valid(now) and cached.token != self._rejected_token

    def _set_token(self, cached: CachedToken) -> None:
        self._cached, self._auth = cached, self._make_auth(cached.token)


class SessionTokenAuth(TokenAuth):
    """A token from a log-in request of the API, sent as the spec says."""

    def __init__(self, settings: AuthConfig, folder: TokenCacheFolder | None) -> None:
        location, name = settings.text("in", "header"), settings.header("name", "Authorization")
        value = str(settings.raw("value") or "Bearer {session}")
        self.secret_params = (name,) if location == "query" else ()
        self._cookie_name = name
        self._token_path = str(settings.raw("token") or "")
        self._login_request = login = _build_login_request(settings)
        self._credentials = (basic_credentials(settings),) if "username" in settings else ()
        identity = (login.method, login.url, (login.body or b"").decode(), *self._credentials)
        super().__init__(
            lambda token: build_static_auth(location, name, value.replace("{session}", token), token),
            folder.open_cache(settings.base_url, *identity, replaceable=True) if folder else TokenCache(),
        )

    def request_token(self, now: float, _cached: CachedToken | None) -> AuthFlow[CachedToken]:
        response = yield self._login_request
        if response.status >= 400:
            raise TokenRefused(response)
        token = self._header_token(response) or self._body_token(response)
        if token in (None, "", False):
            raise TokenRefused(response, f" (auth.token: the response has no value at {self._token_path})")
        return CachedToken(str(token), now + SESSION_LIFETIME_S)

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), *self._credentials)

    def _header_token(self, response: Response) -> str:
        """Return the token at ``headers.NAME`` or ``cookies.NAME``; from ``headers.Set-Cookie``, ``name``."""
        part, _, name = self._token_path.partition(".")
        if part == "headers" and name.lower() != "set-cookie":
            return response.headers.get(name.lower(), "")
        if part not in ("headers", "cookies"):
            return ""
        cookie = name if part == "cookies" else self._cookie_name
        pattern = rf'(?:^|,)\s*{re.escape(cookie)}="?([^;,"]*)'
        match = re.search(pattern, response.headers.get("set-cookie", ""))
        return match[1].strip() if match else ""

    def _body_token(self, response: Response) -> Scalar:
        if not response.body.strip():
            return None
        try:
            body = parse_body(response.body, "", RecordSelector(""), response.request_line)
            return body.scalar(self._token_path)
        except BadResponse:  # its message quotes the response, perhaps the token
            raise TokenRefused(response, " (the response is not a JSON object)") from None


def _build_login_request(settings: AuthConfig) -> Request:
    method, _, path = settings.path("request").partition(" ")
    url = path if "://" in path else f"{settings.base_url}/{path.lstrip('/')}"
    request = _request_with_body(settings, method, url)
    headers = {**request.headers, **_login_headers(settings)}
    return Request(method, url, (), headers, request.body)


def _login_headers(settings: AuthConfig) -> dict[str, str]:
    """The headers of the log-in that the spec sets, and its basic authentication."""
    fields = settings.render_fields("headers")
    headers = {name: value if isinstance(value, str) else ", ".join(value) for name, value in fields.items()}
    if "username" in settings:
        headers["Authorization"] = f"Basic {basic_credentials(settings)}"
    return headers


def _request_with_body(settings: AuthConfig, method: str, url: str) -> Request:
    if "form" in settings:
        body = urlencode(settings.render_fields("form"), doseq=True).encode()
        return Request(method, url, (), FORM_HEADERS, body)
    if "body" in settings:
        return Request(method, url, (), _JSON_HEADERS, msgspec.json.encode(settings.render_value("body")))
    return Request(method, url, (), {"Accept": "application/json"}, None if method == "GET" else b"")
