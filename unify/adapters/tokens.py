"""Tokens that are fetched, whatever gives them; and sessions that log in."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import msgspec

from unify.adapters.envelope import Wanted, open_envelope
from unify.adapters.messages import Request
from unify.adapters.oauth import FORM
from unify.adapters.proof import Authentication, Settings, Talk, TokenRefused, placed
from unify.adapters.tokenkeep import Keep, Kept, TokenFolder
from unify.errors import BadResponse

SESSION_S = 900.0  # for which a session is trusted: some APIs answer a dead one with something else than 401
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

    def prepare(self, now: float) -> Talk[None]:
        """Take the token that another process has fetched meanwhile, else fetch one."""
        with self._keep.holding():
            kept = self._keep.read() or self._kept
            if kept is not None and self._fits(kept, now):
                self._take(kept)
                return
            fetched = yield from self.fetch(now, kept)
            self._take(fetched)
            self._keep.write(fetched)

    def fetch(self, now: float, kept: Kept | None) -> Talk[Kept]:
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

    def fetch(self, now: float, _kept: Kept | None) -> Talk[Kept]:
        answer = yield self._login
        if answer.status >= 400:
            raise TokenRefused(answer)
        try:
            token = open_envelope(answer.body, "", Wanted(""), answer.address).scalar(self._path)
        except BadResponse:  # whose message quotes the answer, which may be the token itself
            raise TokenRefused(answer, " (the answer is no JSON object)") from None
        if token in (None, "", False):
            raise TokenRefused(answer, f" (nothing is at auth.token, {self._path})")
        return Kept(str(token), now + SESSION_S)


def _login(settings: Settings) -> Request:
    method, _, path = settings.path("request").partition(" ")
    url = path if "://" in path else f"{settings.base_url}/{path.lstrip('/')}"
    if "form" in settings:
        return Request(method, url, (), FORM, urlencode(settings.fields("form"), doseq=True).encode())
    if "body" in settings:
        return Request(method, url, (), _JSON, msgspec.json.encode(settings.filled("body")))
    return Request(method, url, (), {"Accept": "application/json"}, None if method == "GET" else b"")
