"""What is said to an OAuth 2 authorization server, and what its answers mean (RFC 6749)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from unify.adapters.messages import Answer, Request
from unify.adapters.proof import Delayed, Settings, Talk, TokenRefused
from unify.adapters.tokenkeep import Kept

EARLY_S = 60.0  # a token is renewed this long before it expires, so that none expires on its way
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
# Answers that are not about how the client proved itself: to ask again in another way would be to ask twice.
_ABOUT_THE_GRANT = frozenset(
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


@dataclass(frozen=True, slots=True)
class Said:
    """An answer of the server; ``fields`` are its members, none where it is no JSON object."""

    answer: Answer
    fields: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, answer: Answer) -> Said:
        try:
            fields = msgspec.json.decode(answer.body)
        except msgspec.DecodeError:
            fields = {}
        return cls(answer, fields if isinstance(fields, dict) else {})

    @property
    def error(self) -> str:
        """The code of the error, "" where there is none: some servers send it with status 200."""
        return self.text("error")

    @property
    def doubts_the_client(self) -> bool:
        return self.answer.status in (400, 401) and self.error not in _ABOUT_THE_GRANT

    def text(self, name: str) -> str:
        found = self.fields.get(name)
        return found if isinstance(found, str) else ""

    def seconds(self, name: str) -> float | None:
        """A time, which some servers send as text; nonsense counts as not said."""
        try:
            seconds = float(self.fields.get(name, ""))
        except (TypeError, ValueError):
            return None
        return seconds if 0 < seconds < inf else None

    def kept(self, now: float, refresh_token: str = "") -> Kept:
        """The token given, with the refresh token that came along, else ``refresh_token``.

        Raises  TokenRefused where there is none.
        """
        token = self.text("access_token")
        if self.answer.status >= 400 or not token:
            raise TokenRefused(self.answer)
        good_until = _good_until(now, self.seconds("expires_in"))
        return Kept(token, good_until, self.text("refresh_token") or refresh_token)


class OAuthClient:
    """Asks as one application.

    It proves itself by Basic, as the RFC wants it; in the body where the server will not have that, and where
    there is no secret to prove itself with.
    """

    def __init__(self, settings: Settings) -> None:
        self.token_url = settings.text("token_url")
        self.client_id = settings.text("client_id")
        self.secret = _secret(settings)
        self.scope = " ".join(settings.filled("scopes")) if "scopes" in settings else ""
        pair = f"{quote(self.client_id, safe='')}:{quote(self.secret, safe='')}"
        self._pair = base64.b64encode(pair.encode()).decode()
        self._in_body = not self.secret

    def secrets(self) -> tuple[str, ...]:
        return (self.secret, self._pair) if self.secret else ()

    @property
    def scope_field(self) -> Mapping[str, str]:
        return {"scope": self.scope} if self.scope else {}

    def token(self, fields: Mapping[str, str], after_s: float = 0.0) -> Talk[Said]:
        """Ask for a token, ``after_s`` from now."""
        return (yield from self.ask(self.token_url, fields, after_s))

    def ask(self, url: str, fields: Mapping[str, str], after_s: float = 0.0) -> Talk[Said]:
        request = self._request(url, fields)
        answer = yield Delayed(request, after_s) if after_s else request
        said = Said.of(answer)
        if said.doubts_the_client and not self._in_body:
            self._in_body = True
            said = Said.of((yield self._request(url, fields)))
            self._in_body = not said.doubts_the_client
        return said

    def _request(self, url: str, fields: Mapping[str, str]) -> Request:
        if self._in_body:
            own = {"client_id": self.client_id}
            if self.secret:
                own["client_secret"] = self.secret
            return Request("POST", url, (), FORM, urlencode({**fields, **own}).encode())
        headers = {**FORM, "Authorization": f"Basic {self._pair}"}
        return Request("POST", url, (), headers, urlencode(fields).encode())


def _secret(settings: Settings) -> str:
    """That of the application: one that people sign in with need not have any (RFC 8252, section 8.5)."""
    may_lack = settings.text("grant", "client_credentials") != "client_credentials"
    if may_lack and not settings.has_value("client_secret"):
        return ""
    return settings.text("client_secret", "")


def _good_until(now: float, lifetime_s: float | None) -> float | None:
    return None if lifetime_s is None else now + lifetime_s - min(EARLY_S, lifetime_s / 10)
