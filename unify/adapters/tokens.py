"""Tokens that are fetched: OAuth 2 by client credentials or refresh token, and sessions that log in."""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator, Mapping
from math import inf
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from unify.adapters.envelope import Wanted, open_envelope
from unify.adapters.messages import Answer, Request
from unify.adapters.proof import Authentication, Settings, TokenRefused, TokenRequests, placed
from unify.adapters.tokenkeep import Keep, Kept, TokenFolder

EARLY_S = 60.0  # a token is renewed this long before it expires, so that none expires on its way
SESSION_S = 900.0  # for which a session is trusted: some APIs answer a dead one with something else than 401
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}


class FetchedToken(Authentication):
    """A token fetched when it is first needed, shared by all threads, and fetched anew once refused.

    ``keep`` shares it with other processes, and remembers it for the next one.
    """

    def __init__(self, place: Callable[[str], Authentication], keep: Keep) -> None:
        self._place = place
        self._keep = keep
        self._kept: Kept | None = None
        self._proof: Authentication | None = None
        self._refused = ""

    def apply(self, request: Request, now: float) -> Request:
        return self._proof.apply(request, now) if self._proof is not None else request

    def ready(self, now: float) -> bool:
        return self._kept is not None and self._fits(self._kept, now)

    def prepare(self, now: float) -> TokenRequests:
        """Take the token that another process has fetched meanwhile, else fetch one."""
        with self._keep.holding():
            kept = self._keep.read() or self._kept
            if kept is not None and self._fits(kept, now):
                self._take(kept)
                return
            fetched = yield from self.fetch(now, kept)
            self._take(fetched)
            self._keep.write(fetched)

    def fetch(self, now: float, kept: Kept | None) -> Generator[Request, Answer, Kept]:
        """The requests that lead to a new token. ``kept`` is the one before it. Raises TokenRefused."""
        raise NotImplementedError

    def renew(self, refused: Request) -> bool:
        """Another thread may have fetched a new one since ``refused`` was sent; then that one is tried."""
        if self._kept is not None and self._proof is not None and self._proof.carries(refused):
            self._refused = self._kept.token
        return True

    def secrets(self) -> tuple[str, ...]:
        kept = (self._kept.refresh_token,) if self._kept is not None else ()
        return (*kept, *self._proof.secrets()) if self._proof is not None else kept

    def _fits(self, kept: Kept, now: float) -> bool:
        return kept.is_good(now) and kept.token != self._refused

    def _take(self, kept: Kept) -> None:
        self._kept, self._proof = kept, self._place(kept.token)


class ClientToken(FetchedToken):
    """OAuth 2, RFC 6749: ``client_credentials`` and ``refresh_token``.

    The client proves itself by Basic, as the RFC wants it; in the body where the server will not have that.
    A refresh token that the server replaces is used from then on; one that it has forgotten since makes way
    for the one that the connection supplies.
    """

    def __init__(self, settings: Settings, grant: str, folder: TokenFolder | None) -> None:
        self._url = settings.text("token_url")
        self._client_id = settings.text("client_id")
        self._client_secret = settings.text("client_secret", "")
        self._fields = {"grant_type": grant}
        self._given = settings.text("refresh_token") if grant == "refresh_token" else ""
        if "scopes" in settings:
            self._fields["scope"] = " ".join(settings.filled("scopes"))
        fields = sorted(f"{name}={value}" for name, value in self._fields.items())
        identity = (self._url, self._client_id, self._client_secret, self._given, *fields)
        super().__init__(
            lambda token: placed("header", "Authorization", f"Bearer {token}", token),
            folder.keep(*identity) if folder is not None else Keep(),
        )

    def fetch(self, now: float, kept: Kept | None) -> Generator[Request, Answer, Kept]:
        replaced = kept.refresh_token if kept is not None else ""
        answer = yield from self._asked(replaced or self._given)
        if answer.status >= 400 and replaced:
            replaced = ""
            answer = yield from self._asked(self._given)
        given = _read(answer)
        token = given.get("access_token")
        if answer.status >= 400 or not isinstance(token, str) or not token:
            raise TokenRefused(answer)
        if self._given and isinstance(given.get("refresh_token"), str):
            replaced = given["refresh_token"]
        return Kept(token, _good_until(now, _seconds(given.get("expires_in"))), replaced)

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), self._client_secret, self._given)

    def _asked(self, refresh_token: str) -> Generator[Request, Answer, Answer]:
        fields = {**self._fields, "refresh_token": refresh_token} if refresh_token else self._fields
        answer = yield self._request(fields, in_body=not self._client_secret)
        if answer.status in (400, 401) and self._client_secret:
            answer = yield self._request(fields, in_body=True)
        return answer

    def _request(self, fields: Mapping[str, str], *, in_body: bool) -> Request:
        if in_body:
            own = {"client_id": self._client_id}
            if self._client_secret:
                own["client_secret"] = self._client_secret
            return Request("POST", self._url, (), _FORM, urlencode({**fields, **own}).encode())
        pair = f"{quote(self._client_id, safe='')}:{quote(self._client_secret, safe='')}"
        headers = {**_FORM, "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return Request("POST", self._url, (), headers, urlencode(fields).encode())


class SessionToken(FetchedToken):
    """A token that a log-in request of the API gives, sent along as the spec says."""

    def __init__(self, settings: Settings, folder: TokenFolder | None) -> None:
        place, name = settings.text("in", "header"), settings.header("name", "Authorization")
        form = str(settings.raw("value") or "Bearer {session}")
        self.hidden_params = (name,) if place == "query" else ()
        self._path = str(settings.raw("token") or "")
        self._login = login = _login(settings)
        super().__init__(
            lambda token: placed(place, name, form.replace("{session}", token), token),
            folder.keep(login.method, login.url, (login.body or b"").decode()) if folder else Keep(),
        )

    def fetch(self, now: float, _kept: Kept | None) -> Generator[Request, Answer, Kept]:
        answer = yield self._login
        if answer.status >= 400:
            raise TokenRefused(answer)
        token = open_envelope(answer.body, "", Wanted(""), answer.address).scalar(self._path)
        if token in (None, "", False):
            raise TokenRefused(answer)
        return Kept(str(token), now + SESSION_S)


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


def _good_until(now: float, lifetime_s: float | None) -> float | None:
    return None if lifetime_s is None else now + lifetime_s - min(EARLY_S, lifetime_s / 10)


def _seconds(value: Any) -> float | None:
    """``expires_in``, which some servers send as text; nonsense counts as not said."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < inf else None
