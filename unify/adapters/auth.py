"""From a spec's ``auth`` to the strategy that carries it out."""

from __future__ import annotations

import base64

from unify.adapters import template
from unify.adapters.proof import Authentication, HeaderAuth, Settings, placed
from unify.adapters.signing import AWSSignature, SignedToken
from unify.adapters.spec import Auth
from unify.adapters.tokenkeep import TokenFolder
from unify.adapters.tokens import ClientToken, SessionToken
from unify.errors import ConfigError


def authentication(
    auth: Auth,
    variables: template.Variables,
    where: str,
    base_url: str = "",
    tokens: TokenFolder | None = None,
) -> Authentication:
    """The strategy for ``auth``. ``where`` starts messages: connection and spec.

    ``tokens``  keeps what is fetched for other processes, and for the next one; None: this one alone.

    Raises  ConfigError for a missing value, and for what is not built in: nothing is ever sent without the
            proof the spec asks for.
    """
    settings = Settings(auth, variables, where, base_url)
    match auth.type:
        case "none":
            return Authentication()
        case "bearer":
            token = settings.header("token")
            return placed("header", "Authorization", f"Bearer {token}", token) if token else Authentication()
        case "basic":
            return _basic(settings)
        case "api_key":
            return _api_key(settings)
        case "oauth2":
            return _oauth2(settings, tokens)
        case "session":
            return SessionToken(settings, tokens)
        case "aws_sigv4":
            return AWSSignature(settings)
        case "jwt":
            return SignedToken(settings)


def _basic(settings: Settings) -> Authentication:
    user, password = settings.text("username", ""), settings.text("password", "")
    proof = base64.b64encode(f"{user}:{password}".encode()).decode()
    return HeaderAuth("Authorization", f"Basic {proof}", password, proof)


def _api_key(settings: Settings) -> Authentication:
    place = settings.text("in", "header")
    if place not in ("header", "query", "cookie"):
        raise ConfigError(f"{settings.where}: auth.in is header, query or cookie, not {place!r}")
    name = settings.header("name")
    value = settings.text("value") if place == "query" else settings.header("value")
    return placed(place, name, value) if value else Authentication()


def _oauth2(settings: Settings, tokens: TokenFolder | None) -> Authentication:
    grant = settings.text("grant", "client_credentials")
    if grant not in ("client_credentials", "refresh_token"):
        raise ConfigError(
            f"{settings.where}: auth.grant {grant} is not built in yet; "
            "use client_credentials or refresh_token"
        )
    return ClientToken(settings, grant, tokens)
