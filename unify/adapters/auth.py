"""From a spec's ``auth`` to the strategy that carries it out."""

from __future__ import annotations

import base64

from unify.adapters import template
from unify.adapters.grants import ClientToken, PersonToken
from unify.adapters.proof import Authentication, HeaderAuth, Settings, placed
from unify.adapters.signing import AWSSignature, SignedToken
from unify.adapters.spec import GRANTS, PERSON_GRANTS, Auth
from unify.adapters.tokenkeep import TokenFolder
from unify.adapters.tokens import SessionToken
from unify.errors import ConfigError


def authentication(
    auth: Auth,
    variables: template.Variables,
    where: str,
    *,
    base_url: str = "",
    tokens: TokenFolder | None = None,
    connection: str = "",
) -> Authentication:
    """The strategy for ``auth``. ``where`` starts messages: connection and spec.

    ``tokens``      keeps what is fetched for other processes, and for the next one; None: this one alone.
    ``connection``  its name, for what is said to a person.

    Raises  ConfigError for a missing value: nothing is ever sent without the proof the spec asks for.
    """
    settings = Settings(auth, variables, where, base_url, connection)
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
    if grant not in GRANTS:
        raise ConfigError(f"{settings.where}: auth.grant is one of {', '.join(GRANTS)}, not {grant!r}")
    kind = PersonToken if grant in PERSON_GRANTS else ClientToken
    return kind(settings, grant, tokens)
