"""Tokens that are fetched: OAuth 2 by client credentials or refresh token, and sessions that log in."""

from __future__ import annotations

import base64
from collections.abc import Callable
from math import inf
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from unify.adapters.envelope import Wanted, open_envelope
from unify.adapters.messages import Answer, Request
from unify.adapters.proof import Authentication, Settings, TokenRefused, TokenRequests, placed

EARLY_S = 60.0  # a token is renewed this long before it expires, so that none expires on its way
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}


class FetchedToken(Authentication):
    """A token fetched when it is first needed, shared by all threads, and fetched anew once refused."""

    def __init__(self, place: Callable[[str], Authentication]) -> None:
        self._place = place
        self._proof: Authentication | None = None
        self._good_until = -inf

    def apply(self, request: Request, now: float) -> Request:
        return self._proof.apply(request, now) if self._proof is not None else request

    def ready(self, now: float) -> bool:
        return now < self._good_until

    def renew(self, refused: Request) -> bool:
        """Another thread may have fetched a new one since ``refused`` was sent; then that one is tried."""
        if self._proof is not None and self._proof.carries(refused):
            self._good_until = -inf
        return True

    def secrets(self) -> tuple[str, ...]:
        return self._proof.secrets() if self._proof is not None else ()

    def _take(self, token: str, now: float, lifetime_s: float | None) -> None:
        self._proof = self._place(token)
        early_s = min(EARLY_S, (lifetime_s or inf) / 10)
        self._good_until = inf if lifetime_s is None else now + lifetime_s - early_s


class ClientToken(FetchedToken):
    """OAuth 2, RFC 6749: ``client_credentials`` and ``refresh_token``.

    The client proves itself by Basic, as the RFC wants it; in the body where the server will not have that.
    A refresh token that the server replaces is used from then on, as long as this process lives.
    """

    def __init__(self, settings: Settings, grant: str) -> None:
        super().__init__(lambda token: placed("header", "Authorization", f"Bearer {token}", token))
        self._url = settings.text("token_url")
        self._client_id = settings.text("client_id")
        self._client_secret = settings.text("client_secret", "")
        self._fields = {"grant_type": grant}
        if grant == "refresh_token":
            self._fields["refresh_token"] = settings.text("refresh_token")
        if "scopes" in settings:
            self._fields["scope"] = " ".join(settings.filled("scopes"))

    def prepare(self, now: float) -> TokenRequests:
        answer = yield self._request(in_body=not self._client_secret)
        if answer.status in (400, 401) and self._client_secret:
            answer = yield self._request(in_body=True)
        given = _read(answer)
        token, lifetime = given.get("access_token"), given.get("expires_in")
        if answer.status >= 400 or not isinstance(token, str) or not token:
            raise TokenRefused(answer)
        if isinstance(given.get("refresh_token"), str) and "refresh_token" in self._fields:
            self._fields["refresh_token"] = given["refresh_token"]
        self._take(token, now, _seconds(lifetime))

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), self._client_secret, self._fields.get("refresh_token", ""))

    def _request(self, *, in_body: bool) -> Request:
        if in_body:
            own = {"client_id": self._client_id}
            if self._client_secret:
                own["client_secret"] = self._client_secret
            return Request("POST", self._url, (), _FORM, urlencode({**self._fields, **own}).encode())
        pair = f"{quote(self._client_id, safe='')}:{quote(self._client_secret, safe='')}"
        headers = {**_FORM, "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return Request("POST", self._url, (), headers, urlencode(self._fields).encode())


class SessionToken(FetchedToken):
    """A token that a log-in request of the API gives, sent along as the spec says."""

    def __init__(self, settings: Settings) -> None:
        place, name = settings.text("in", "header"), settings.header("name", "Authorization")
        form = str(settings.raw("value") or "Bearer {session}")
        super().__init__(lambda token: placed(place, name, form.replace("{session}", token), token))
        self.hidden_params = (name,) if place == "query" else ()
        self._path = str(settings.raw("token") or "")
        self._login = _login(settings)

    def prepare(self, now: float) -> TokenRequests:
        answer = yield self._login
        if answer.status >= 400:
            raise TokenRefused(answer)
        token = open_envelope(answer.body, "", Wanted(""), answer.address).scalar(self._path)
        if token in (None, "", False):
            raise TokenRefused(answer)
        self._take(str(token), now, None)


def _login(settings: Settings) -> Request:
    method, _, path = settings.path("request").partition(" ")
    url = path if "://" in path else f"{settings.base_url}/{path.lstrip('/')}"
    if "form" in settings:
        return Request(method, url, (), _FORM, urlencode(settings.fields("form"), doseq=True).encode())
    if "body" in settings:
        return Request(method, url, (), _JSON, msgspec.json.encode(settings.filled("body")))
    return Request(method, url, (), {"Accept": "application/json"}, None if method == "GET" else b"")


def _read(answer: Answer) -> dict[str, Any]:
    try:
        given = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return {}
    return given if isinstance(given, dict) else {}


def _seconds(value: Any) -> float | None:
    """``expires_in``, which some servers send as text; nonsense counts as not said."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < inf else None
