"""The grants of OAuth 2: tokens that a program gets by itself, and those that take a person once."""

from __future__ import annotations

from dataclasses import replace

from unify.adapters.auth.base import AuthConfig, build_static_auth
from unify.adapters.auth.oauth import OAuthClient
from unify.adapters.auth.sign_in import BrowserFlow, DeviceFlow, SignInFlow, TimeFunction
from unify.adapters.auth.token import TokenAuth
from unify.adapters.auth.token_cache import CachedToken, TokenCache, TokenCacheFolder
from unify.adapters.base import UserPrompt
from unify.adapters.http.messages import Authentication, AuthFlow, TokenRefused
from unify.errors import SignInNeeded

# What a refresh fails with when application or spec are at fault: signing in again would not help.
_CLIENT_ERRORS = frozenset(
    ["invalid_client", "invalid_request", "invalid_scope", "unauthorized_client", "unsupported_grant_type"]
)


class ClientGrantAuth(TokenAuth):
    """``client_credentials`` and ``refresh_token``: nobody has to be there.

    A refresh token that the server replaces is used from then on; one that it has forgotten since makes way
    for the one that the connection supplies.
    """

    def __init__(self, settings: AuthConfig, grant: str, folder: TokenCacheFolder | None) -> None:
        self._client = client = OAuthClient(settings)
        self._fields = {"grant_type": grant, **client.scope_field}
        self._configured_refresh_token = settings.text("refresh_token") if grant == "refresh_token" else ""
        super().__init__(
            _bearer_auth, _open_cache(client, folder, self._fields, self._configured_refresh_token)
        )

    def request_token(self, now: float, cached: CachedToken | None) -> AuthFlow[CachedToken]:
        if not self._configured_refresh_token:
            said = yield from self._client.request_token(self._fields)
            return replace(said.to_cached_token(now), refresh_token="")
        replaced = cached.refresh_token if cached is not None else ""
        said = yield from self._client.request_token(
            {**self._fields, "refresh_token": replaced or self._configured_refresh_token}
        )
        if replaced and (said.response.status >= 400 or said.error):
            replaced = ""
            said = yield from self._client.request_token(
                {**self._fields, "refresh_token": self._configured_refresh_token}
            )
        return said.to_cached_token(now, replaced)

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), *self._client.secrets(), self._configured_refresh_token)


class UserGrantAuth(TokenAuth):
    """``authorization_code`` and ``device_code``: a person signs in once, refresh tokens do the rest.

    Where neither is to be had, ``fetch`` raises SignInNeeded; it never asks anybody.
    """

    def __init__(self, settings: AuthConfig, grant: str, folder: TokenCacheFolder | None) -> None:
        self._client = client = OAuthClient(settings)
        self._connection = settings.connection
        kind = BrowserFlow if grant == "authorization_code" else DeviceFlow
        self._flow: SignInFlow = kind(client, settings)
        super().__init__(
            _bearer_auth, _open_cache(client, folder, {"grant_type": grant, **client.scope_field})
        )

    def request_token(self, now: float, cached: CachedToken | None) -> AuthFlow[CachedToken]:
        if cached is None:
            raise self._sign_in_needed("nobody has signed in yet", "does that")
        if not cached.refresh_token:
            raise self._sign_in_needed("the sign-in is over", "signs in again")
        said = yield from self._client.request_token(
            {"grant_type": "refresh_token", "refresh_token": cached.refresh_token}
        )
        if (said.response.status >= 400 or said.error) and said.error not in _CLIENT_ERRORS:
            raise self._sign_in_needed("the sign-in is over, its refresh token is refused", "signs in again")
        return said.to_cached_token(now, cached.refresh_token)

    def is_signed_in(self) -> bool:
        return (self._cache.read() or self._cached) is not None

    def sign_in(self, prompt: UserPrompt, now: TimeFunction) -> AuthFlow[None]:
        """Ask the person, without holding up other processes meanwhile."""
        said = yield from self._flow.authorize(prompt, now)
        if said.error:
            raise TokenRefused(said.response)
        kept = said.to_cached_token(now())
        with self._cache.lock():
            self._cache.write(kept)
        self._set_token(kept)

    def sign_out(self) -> None:
        with self._cache.lock():
            self._cache.delete()

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), *self._client.secrets(), *self._flow.transient_secrets)

    def _sign_in_needed(self, reason: str, remedy: str) -> SignInNeeded:
        name = self._connection
        return SignInNeeded(f"{reason}; at a terminal, connect {name} (or unify check {name}) {remedy}")


def _bearer_auth(token: str) -> Authentication:
    return build_static_auth("header", "Authorization", f"Bearer {token}", token)


def _open_cache(
    client: OAuthClient, folder: TokenCacheFolder | None, fields: dict[str, str], refresh_token: str = ""
) -> TokenCache:
    """Where the token is kept that this application gets with these fields."""
    if folder is None:
        return TokenCache()
    proof = sorted(f"{name}={value}" for name, value in {**fields, **client.extra_fields}.items())
    return folder.open_cache(client.token_url, client.client_id, client.client_secret, refresh_token, *proof)
