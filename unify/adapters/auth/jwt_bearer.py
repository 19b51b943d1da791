"""The OAuth 2 grant of service accounts (RFC 7523): an assertion signed with a private key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.auth.base import AuthConfig, build_bearer_auth
from unify.adapters.auth.jwt import load_signing_key
from unify.adapters.auth.oauth import OAuthClient
from unify.adapters.auth.token import TokenAuth
from unify.adapters.auth.token_cache import CachedToken, TokenCache, TokenCacheFolder
from unify.adapters.http.messages import AuthFlow

JWT_BEARER_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_LIFETIME_S = 120  # Salesforce accepts three minutes at most, Google an hour


class ServiceAccountKey(Struct, frozen=True):
    """A private key, and what the key file says about its owner.

    The fields have the names of the JSON files that Google issues.
    """

    private_key: str
    private_key_id: str = ""
    client_email: str = ""

    @classmethod
    def parse(cls, text: str, settings: AuthConfig) -> ServiceAccountKey:
        """Read a key in PEM, or a JSON key file. Raises ConfigError, which never quotes the key."""
        if not text.startswith("{"):
            return cls(text)
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError:
            raise settings.error(
                "key", "is no key file of a service account: a JSON object with private_key and client_email"
            ) from None


class JWTBearerAuth(TokenAuth):
    """Exchanges an assertion, signed with the key of the connection, for an access token."""

    def __init__(self, settings: AuthConfig, folder: TokenCacheFolder | None) -> None:
        self._client = client = OAuthClient(settings)
        self._account = account = ServiceAccountKey.parse(settings.text("key"), settings)
        self._algorithm = settings.text("algorithm", "RS256")
        self._signing_key = load_signing_key(
            self._algorithm, account.private_key, settings.where, _optional(settings, "passphrase")
        )
        key_id = _optional(settings, "key_id") or account.private_key_id
        self._header = {"kid": key_id} if key_id else {}
        self._claims = _claims(settings, client, account)
        self._lifetime_s = int(settings.raw("lifetime") or ASSERTION_LIFETIME_S)
        super().__init__(build_bearer_auth, self._open_cache(folder))

    def request_token(self, now: float, _cached: CachedToken | None) -> AuthFlow[CachedToken]:
        fields = {"grant_type": JWT_BEARER_GRANT_TYPE, "assertion": self._sign(now)}
        response = yield from self._client.request_token(fields)
        return replace(response.to_cached_token(now), refresh_token="")

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), *self._client.secrets(), self._account.private_key)

    def _open_cache(self, folder: TokenCacheFolder | None) -> TokenCache:
        if folder is None:
            return TokenCache()
        claims = msgspec.json.encode(self._claims, order="sorted").decode()
        identity = (self._client.token_url, self._account.private_key, claims)
        return folder.open_cache(self._client.base_url, *identity, replaceable=True)

    def _sign(self, now: float) -> str:
        import jwt

        issued_at = int(now)
        times = {"iat": issued_at, "exp": issued_at + self._lifetime_s, "jti": str(uuid4())}
        return jwt.encode({**self._claims, **times}, self._signing_key, self._algorithm, self._header)


def _claims(settings: AuthConfig, client: OAuthClient, account: ServiceAccountKey) -> Mapping[str, Any]:
    """The claims of every assertion. Raises ConfigError without an issuer."""
    issuer = _optional(settings, "issuer") or account.client_email or client.client_id
    if not issuer:
        raise settings.error("issuer", "is missing, and neither key nor client_id states it")
    subject = _optional(settings, "subject")
    return {
        "iss": issuer,
        **({"sub": subject} if subject else {}),
        "aud": settings.text("audience", client.token_url.partition("?")[0]),
        **client.scope_field,
        **settings.render_fields("claims"),
    }


def _optional(settings: AuthConfig, key: str) -> str:
    """The text of a key, "" if it or one of its variables has no value."""
    return settings.text(key) if settings.has_value(key) else ""
