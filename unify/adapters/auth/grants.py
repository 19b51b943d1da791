"""The grants of OAuth 2: those of an application, and those for which a user signs in once."""

from __future__ import annotations

from msgspec.structs import replace

from unify.adapters.auth.base import AuthConfig, build_bearer_auth
from unify.adapters.auth.oauth import OAuthClient
from unify.adapters.auth.sign_in import BrowserFlow, DeviceFlow, SignInFlow, TimeFunction
from unify.adapters.auth.token import TokenAuth
from unify.adapters.auth.token_cache import CachedToken, TokenCache, TokenCacheFolder
from unify.adapters.base import UserPrompt
from unify.adapters.http.messages import AuthFlow, TokenRefused
from unify.errors import SignInNeeded

# Errors of a refresh that are the application's or the spec's fault, so that a new sign-in does not help.
_CLIENT_ERRORS = frozenset(
    ["invalid_client", "invalid_request", "invalid_scope", "unauthorized_client", "unsupported_grant_type"]
)


class ClientGrantAuth(TokenAuth):
    """``client_credentials`` and ``refresh_token``: no user is involved.

    If the server issues a new refresh token, that one is used from then on. If the server later refuses it,
    the one of the connection is used again.
    """

    def __init__(self, settings: AuthConfig, grant: str, folder: TokenCacheFolder | None) -> None:
        self._client = client = OAuthClient(settings)
        self._fields = {"grant_type": grant, **client.scope_field}
        self._configured_refresh_token = settings.text("refresh_token") if grant == "refresh_token" else ""
        super().__init__(
            build_bearer_auth, _open_cache(client, folder, self._fields, self._configured_refresh_token)
        )

    def request_token(self, now: float, cached: CachedToken | None) -> AuthFlow[CachedToken]:
        if not self._configured_refresh_token:
            response = yield from self._client.request_token(self._fields)
            return replace(response.to_cached_token(now), refresh_token="")
        issued = cached.refresh_token if cached is not None else ""
        response = yield from self._client.request_token(
            {**self._fields, "refresh_token": issued or self._configured_refresh_token}
        )
        if issued and response.is_refused:
            issued = ""
            response = yield from self._client.request_token(
                {**self._fields, "refresh_token": self._configured_refresh_token}
            )
        return response.to_cached_token(now, issued)

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), *self._client.secrets(), self._configured_refresh_token)


class UserGrantAuth(TokenAuth):
    """``authorization_code`` and ``device_code``: a user signs in once, then refresh tokens are used.

    ``request_token`` never prompts; it raises SignInNeeded if there is no usable refresh token.
    """

    def __init__(self, settings: AuthConfig, grant: str, folder: TokenCacheFolder | None) -> None:
        self._client = client = OAuthClient(settings)
        self._connection = settings.connection
        flow_class = BrowserFlow if grant == "authorization_code" else DeviceFlow
        self._flow: SignInFlow = flow_class(client, settings)
        super().__init__(
            build_bearer_auth, _open_cache(client, folder, {"grant_type": grant, **client.scope_field})
        )

    def request_token(self, now: float, cached: CachedToken | None) -> AuthFlow[CachedToken]:
        if cached is None:
            raise self._sign_in_needed("not signed in")
        if not cached.refresh_token:
            raise self._sign_in_needed("the sign-in has expired")
        response = yield from self._client.request_token(
            {"grant_type": "refresh_token", "refresh_token": cached.refresh_token}
        )
        if response.is_refused and response.error not in _CLIENT_ERRORS:
            raise self._sign_in_needed("the sign-in has expired (its refresh token was refused)")
        return response.to_cached_token(now, cached.refresh_token)

    def is_signed_in(self) -> bool:
        return (self._cache.read() or self._cached) is not None

    def sign_in(self, prompt: UserPrompt, now: TimeFunction) -> AuthFlow[None]:
        """Run the sign-in of a user; the lock of the token is released meanwhile."""
        response = yield from self._flow.authorize(prompt, now)
        if response.error:
            raise TokenRefused(response.response, error=response.error)
        token = response.to_cached_token(now())
        with self._cache.lock():
            self._cache.write(token)
        self._set_token(token)

    def sign_out(self) -> None:
        with self._cache.lock():
            self._cache.delete()

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), *self._client.secrets(), *self._flow.transient_secrets)

    def _sign_in_needed(self, reason: str) -> SignInNeeded:
        name = self._connection
        return SignInNeeded(f"{reason}; run connect {name} (or unify check {name}) in a terminal")


def _open_cache(
    client: OAuthClient, folder: TokenCacheFolder | None, fields: dict[str, str], refresh_token: str = ""
) -> TokenCache:
    """The cache of the token that the application requests with these fields."""
    if folder is None:
        return TokenCache()
    pairs = sorted(f"{name}={value}" for name, value in {**fields, **client.extra_fields}.items())
    identity = (client.token_url, client.client_id, client.client_secret, refresh_token, *pairs)
    replaceable = ("grant_type", "client_credentials") in fields.items()
    return folder.open_cache(client.base_url, *identity, replaceable=replaceable)
