"""Token requests and responses of OAuth 2 (RFC 6749)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from math import inf
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from unify.adapters.auth.base import AuthConfig
from unify.adapters.auth.token_cache import CachedToken
from unify.adapters.http.messages import AuthFlow, DelayedRequest, Request, Response, TokenRefused

EXPIRY_MARGIN_S = 60.0  # a token is renewed this long before it expires
FORM_HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
# Errors that are not about client authentication: sending it in another way does not help.
_GRANT_ERRORS = frozenset(
    [
        "access_denied",
        "authorization_pending",
        "bad_refresh_token",
        "expired_token",
        "invalid_grant",
        "invalid_scope",
        "slow_down",
        "unsupported_grant_type",
    ]
)
_SECRET_FIELDS = ("access_token", "refresh_token", "id_token", "device_code")


class TokenResponse(Struct, frozen=True):
    """A response of the server; ``fields`` are its members, none if it is not a JSON object."""

    response: Response
    fields: Mapping[str, Any]

    def __repr__(self) -> str:
        """Without the fields, which hold tokens."""
        return f"TokenResponse({self.response!r})"

    @classmethod
    def parse(cls, response: Response) -> TokenResponse:
        try:
            fields = msgspec.json.decode(response.body)
        except msgspec.DecodeError:
            fields = _parse_form(response.body)
        return cls(response, fields if isinstance(fields, dict) else {})

    @property
    def error(self) -> str:
        """The error code, "" without one. Some servers send it with status 200."""
        return self.text("error")

    @property
    def is_refused(self) -> bool:
        return self.response.status >= 400 or bool(self.error)

    @property
    def is_client_auth_error(self) -> bool:
        return self.response.status in (400, 401) and self.error not in _GRANT_ERRORS

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""

    def seconds(self, name: str) -> float | None:
        """A duration, which some servers send as text; None if it is missing or invalid."""
        try:
            seconds = float(self.fields.get(name, ""))
        except (TypeError, ValueError):
            return None
        return seconds if 0 < seconds < inf else None

    def to_cached_token(self, now: float, refresh_token: str = "") -> CachedToken:
        """The access token, with the refresh token of the response, else ``refresh_token``.

        Raises:
            TokenRefused: the response has no access token.
        """
        token = self.text("access_token")
        if self.response.status >= 400 or not token:
            raise TokenRefused(self.response, error=self.error)
        good_until = _expires_at(now, self.seconds("expires_in"))
        return CachedToken(token, good_until, self.text("refresh_token") or refresh_token)


class OAuthClient:
    """Requests tokens for one application.

    The client secret is sent with Basic authentication, as the RFC requires; in the body if the server
    refuses that, or if there is no secret. Parameters in the query of ``token_url`` are sent there, and also
    in the body if the server refuses that.
    """

    def __init__(self, settings: AuthConfig) -> None:
        self.base_url = settings.base_url
        self.token_url = settings.text("token_url")
        self.client_id = _client_id(settings)
        self.client_secret = _client_secret(settings)
        self.scope = " ".join(settings.render_value("scopes")) if "scopes" in settings else ""
        self.extra_fields = {
            name: value for name, value in settings.render_fields("extra").items() if isinstance(value, str)
        }
        pair = f"{quote(self.client_id, safe='')}:{quote(self.client_secret, safe='')}"
        self._basic_credentials = base64.b64encode(pair.encode()).decode()
        self._credentials_in_body = not self.client_secret
        self._query_fields = dict(parse_qsl(urlsplit(self.token_url).query))
        self._sends_query_in_body = False
        self._issued: tuple[str, ...] = ()

    def secrets(self) -> tuple[str, ...]:
        own = (self.client_secret, self._basic_credentials) if self.client_secret else ()
        return (*own, *self._issued)

    @property
    def scope_field(self) -> Mapping[str, str]:
        return {"scope": self.scope} if self.scope else {}

    def request_token(self, fields: Mapping[str, str], delay_s: float = 0.0) -> AuthFlow[TokenResponse]:
        """Request a token after ``delay_s``."""
        own = {**fields, **self.extra_fields}
        both = {**own, **self._query_fields}
        if self._sends_query_in_body:
            return (yield from self.post_form(self.token_url, both, delay_s))
        response = yield from self.post_form(self.token_url, own, delay_s)
        if response.is_refused and both != own and not delay_s:
            response = yield from self.post_form(self.token_url, both)
            self._sends_query_in_body = not response.is_refused
        return response

    def post_form(self, url: str, fields: Mapping[str, str], delay_s: float = 0.0) -> AuthFlow[TokenResponse]:
        request = self._build_request(url, fields)
        response = self._parse((yield DelayedRequest(request, delay_s) if delay_s else request))
        if response.is_client_auth_error and not self._credentials_in_body:
            self._credentials_in_body = True
            response = self._parse((yield self._build_request(url, fields)))
            self._credentials_in_body = not response.is_client_auth_error
        return response

    def _parse(self, response: Response) -> TokenResponse:
        """Parse a response, and keep its tokens secret even if they are never used."""
        parsed = TokenResponse.parse(response)
        self._issued = tuple(filter(None, map(parsed.text, _SECRET_FIELDS)))
        return parsed

    def _build_request(self, url: str, fields: Mapping[str, str]) -> Request:
        if self._credentials_in_body:
            secret = {"client_secret": self.client_secret} if self.client_secret else {}
            own = {"client_id": self.client_id, **secret} if self.client_id else secret
            return Request("POST", url, (), FORM_HEADERS, urlencode({**fields, **own}).encode())
        headers = {**FORM_HEADERS, "Authorization": f"Basic {self._basic_credentials}"}
        return Request("POST", url, (), headers, urlencode(fields).encode())


def _parse_form(body: bytes) -> Mapping[str, str]:
    """Return the fields of a token response in form encoding; none for other texts."""
    fields = dict(parse_qsl(body.decode("utf-8", "replace").strip()))
    return fields if {"access_token", "error"} & fields.keys() else {}


def _client_id(settings: AuthConfig) -> str:
    """The ID of the application; an assertion may name it instead."""
    if "key" in settings and not settings.has_value("client_id"):
        return ""
    return settings.text("client_id")


def _client_secret(settings: AuthConfig) -> str:
    """The secret of the application; public clients have none (RFC 8252, section 8.5)."""
    required = settings.text("grant", "client_credentials") == "client_credentials"
    if required or settings.has_value("client_secret"):
        return settings.text("client_secret", "")
    return ""


def _expires_at(now: float, lifetime_s: float | None) -> float | None:
    return None if lifetime_s is None else now + lifetime_s - min(EXPIRY_MARGIN_S, lifetime_s / 10)
