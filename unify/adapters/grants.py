"""The grants of OAuth 2: tokens that a program gets by itself, and those that take a person once."""

from __future__ import annotations

from dataclasses import replace

from unify.adapters.consent import ByBrowser, ByDevice, Consent, Now
from unify.adapters.oauth import OAuthClient
from unify.adapters.person import Person
from unify.adapters.proof import Authentication, Settings, Talk, TokenRefused, placed
from unify.adapters.tokenkeep import Keep, Kept, TokenFolder
from unify.adapters.tokens import FetchedToken
from unify.errors import SignInNeeded

# What a refresh fails with when application or spec are at fault: signing in again would not help.
_NOT_THE_PERSON = frozenset(
    ["invalid_client", "invalid_request", "invalid_scope", "unauthorized_client", "unsupported_grant_type"]
)


class ClientToken(FetchedToken):
    """``client_credentials`` and ``refresh_token``: nobody has to be there.

    A refresh token that the server replaces is used from then on; one that it has forgotten since makes way
    for the one that the connection supplies.
    """

    def __init__(self, settings: Settings, grant: str, folder: TokenFolder | None) -> None:
        self._client = client = OAuthClient(settings)
        self._fields = {"grant_type": grant, **client.scope_field}
        self._given = settings.text("refresh_token") if grant == "refresh_token" else ""
        super().__init__(_bearer, _keep(client, folder, self._fields, self._given))

    def fetch(self, now: float, kept: Kept | None) -> Talk[Kept]:
        if not self._given:
            said = yield from self._client.token(self._fields)
            return replace(said.kept(now), refresh_token="")
        replaced = kept.refresh_token if kept is not None else ""
        said = yield from self._client.token({**self._fields, "refresh_token": replaced or self._given})
        if replaced and (said.answer.status >= 400 or said.error):
            replaced = ""
            said = yield from self._client.token({**self._fields, "refresh_token": self._given})
        return said.kept(now, replaced)

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), *self._client.secrets(), self._given)


class PersonToken(FetchedToken):
    """``authorization_code`` and ``device_code``: a person signs in once, refresh tokens do the rest.

    Where neither is to be had, ``fetch`` raises SignInNeeded; it never asks anybody.
    """

    def __init__(self, settings: Settings, grant: str, folder: TokenFolder | None) -> None:
        self._client = client = OAuthClient(settings)
        self._connection = settings.connection
        kind = ByBrowser if grant == "authorization_code" else ByDevice
        self._consent: Consent = kind(client, settings)
        super().__init__(_bearer, _keep(client, folder, {"grant_type": grant, **client.scope_field}))

    def fetch(self, now: float, kept: Kept | None) -> Talk[Kept]:
        if kept is None:
            raise self._needed("nobody has signed in yet", "does that")
        if not kept.refresh_token:
            raise self._needed("the sign-in is over", "signs in again")
        said = yield from self._client.token(
            {"grant_type": "refresh_token", "refresh_token": kept.refresh_token}
        )
        if (said.answer.status >= 400 or said.error) and said.error not in _NOT_THE_PERSON:
            raise self._needed("the sign-in is over, its refresh token is refused", "signs in again")
        return said.kept(now, kept.refresh_token)

    def signed_in(self) -> bool:
        return (self._keep.read() or self._kept) is not None

    def sign_in(self, person: Person, now: Now) -> Talk[None]:
        """Ask the person, without holding up other processes meanwhile."""
        said = yield from self._consent.asked(person, now)
        if said.error:
            raise TokenRefused(said.answer)
        kept = said.kept(now())
        with self._keep.holding():
            self._keep.write(kept)
        self._take(kept)

    def sign_out(self) -> None:
        with self._keep.holding():
            self._keep.forget()

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), *self._client.secrets(), *self._consent.passing)

    def _needed(self, what: str, then: str) -> SignInNeeded:
        name = self._connection
        return SignInNeeded(f"{what}; at a terminal, connect {name} (or unify check {name}) {then}")


def _bearer(token: str) -> Authentication:
    return placed("header", "Authorization", f"Bearer {token}", token)


def _keep(client: OAuthClient, folder: TokenFolder | None, fields: dict[str, str], given: str = "") -> Keep:
    """Where the token is kept that this application gets with these fields."""
    if folder is None:
        return Keep()
    proof = sorted(f"{name}={value}" for name, value in fields.items())
    return folder.keep(client.token_url, client.client_id, client.secret, given, *proof)
