"""Builds the authentication that the ``auth`` section of a spec describes."""

from __future__ import annotations

from unify.adapters.auth.aws import AWSSigV4Auth
from unify.adapters.auth.base import (
    AuthConfig,
    HeaderAuth,
    basic_credentials,
    build_bearer_auth,
    build_static_auth,
)
from unify.adapters.auth.grants import ClientGrantAuth, UserGrantAuth
from unify.adapters.auth.jwt import JWTAuth
from unify.adapters.auth.jwt_bearer import JWTBearerAuth
from unify.adapters.auth.token import SessionTokenAuth
from unify.adapters.auth.token_cache import TokenCacheFolder
from unify.adapters.http.messages import Authentication
from unify.adapters.spec import template
from unify.adapters.spec.auth import INTERACTIVE_GRANTS, OAUTH_GRANTS, Auth
from unify.errors import ConfigError


def build_authentication(
    auth: Auth,
    variables: template.Variables,
    where: str,
    *,
    base_url: str = "",
    token_cache: TokenCacheFolder | None = None,
    connection: str = "",
) -> Authentication:
    """Build the authentication; ``where`` names connection and spec in messages.

    ``token_cache``  shares tokens with other processes; None: this process keeps its own.

    Raises:
        ConfigError: a value is missing. No request is sent without the credentials that the spec requires.
    """
    settings = AuthConfig(auth, variables, where, base_url, connection)
    match auth.type:
        case "none":
            return Authentication()
        case "bearer":
            token = settings.header("token")
            return build_bearer_auth(token) if token else Authentication()
        case "basic":
            return _basic_auth(settings)
        case "api_key":
            return _api_key_auth(settings)
        case "oauth2":
            return _oauth2_auth(settings, token_cache)
        case "session":
            return SessionTokenAuth(settings, token_cache)
        case "aws_sigv4":
            return AWSSigV4Auth(settings)
        case "jwt":
            return JWTAuth(settings)


def _basic_auth(settings: AuthConfig) -> Authentication:
    credentials = basic_credentials(settings)
    return HeaderAuth("Authorization", f"Basic {credentials}", settings.text("password", ""), credentials)


def _api_key_auth(settings: AuthConfig) -> Authentication:
    location = settings.text("in", "header")
    if location not in ("header", "query", "cookie"):
        raise ConfigError(f"{settings.where}: auth.in must be header, query or cookie, not {location!r}")
    name = settings.header("name")
    value = settings.text("value") if location == "query" else settings.header("value")
    return build_static_auth(location, name, value) if value else Authentication()


def _oauth2_auth(settings: AuthConfig, token_cache: TokenCacheFolder | None) -> Authentication:
    grant = settings.text("grant", "client_credentials")
    if grant not in OAUTH_GRANTS:
        raise ConfigError(
            f"{settings.where}: auth.grant must be one of {', '.join(OAUTH_GRANTS)}, not {grant!r}"
        )
    if grant == "jwt_bearer":
        return JWTBearerAuth(settings, token_cache)
    auth_class = UserGrantAuth if grant in INTERACTIVE_GRANTS else ClientGrantAuth
    return auth_class(settings, grant, token_cache)
