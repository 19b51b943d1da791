"""How a request proves who asks. Strategies decide and never send: they yield the requests they need."""

from __future__ import annotations

import base64
from collections.abc import Generator

from unify.adapters import template
from unify.adapters.messages import Answer, Request
from unify.adapters.spec import Auth
from unify.errors import ConfigError, SpecError

TokenRequests = Generator[Request, Answer, None]


class Authentication:
    """No proof at all, and the base of all others.

    ``apply`` is called for each request to the connection's own origin, and for no other.
    ``prepare`` yields requests for a token, one at a time, and is sent the answers; the transport runs it
    under a lock while ``ready`` says no. ``renew`` is told of a request that got a 401, and says whether
    trying once more has a point.
    """

    hidden_params: tuple[str, ...] = ()  # names of query parameters that carry secrets

    def apply(self, request: Request, _now: float) -> Request:
        """``request`` with the proof in it. The time is in seconds since 1970, for what is signed with it."""
        return request

    def ready(self, _now: float) -> bool:
        return True

    def prepare(self, _now: float) -> TokenRequests:
        yield from ()

    def renew(self, _refused: Request) -> bool:
        return False

    def secrets(self) -> tuple[str, ...]:
        """What must not be seen, tokens fetched meanwhile included."""
        return ()


class HeaderAuth(Authentication):
    """The same header on every request: bearer, basic, and API keys in a header or cookie."""

    def __init__(self, name: str, value: str, *secrets: str) -> None:
        self.name = name
        self._value = value
        self._secrets = secrets

    def apply(self, request: Request, _now: float) -> Request:
        if self.name == "Cookie" and "Cookie" in request.headers:
            return request.with_header("Cookie", f"{request.headers['Cookie']}; {self._value}")
        return request.with_header(self.name, self._value)

    def secrets(self) -> tuple[str, ...]:
        return self._secrets


class QueryAuth(Authentication):
    """The same query parameter on every request, in place of one a next link may carry."""

    def __init__(self, name: str, value: str) -> None:
        self.hidden_params = (name,)
        self._name = name
        self._value = value

    def apply(self, request: Request, _now: float) -> Request:
        return request.with_param(self._name, self._value)

    def secrets(self) -> tuple[str, ...]:
        return (self._value,)


class Settings:
    """The keys of a spec's ``auth``, their variables replaced.

    Raises  ConfigError naming the adapter and the key that is missing or has no value.
    """

    def __init__(self, auth: Auth, variables: template.Variables, where: str) -> None:
        self.where = where
        self._auth = auth
        self._variables = variables

    def text(self, key: str, default: str | None = None) -> str:
        written = self._auth.settings.get(key)
        if written is None:
            if default is None:
                raise ConfigError(
                    f"{self.where}: auth.{key} is missing, and auth.type {self._auth.type} needs it"
                )
            return default
        try:
            return template.fill(str(written), self._variables, "plain").strip()
        except SpecError as error:
            raise ConfigError(f"{self.where}: auth.{key}: {error.message}") from error

    def header(self, key: str, default: str | None = None) -> str:
        """A value fit for a header: no line break, nothing but what HTTP can carry."""
        value = self.text(key, default)
        if any(ord(char) < 32 or not (ord(char) < 127 or 160 <= ord(char) < 256) for char in value):
            raise ConfigError(
                f"{self.where}: auth.{key}: the value holds a line break or a character "
                "that HTTP cannot carry"
            )
        return value


def authentication(auth: Auth, variables: template.Variables, where: str) -> Authentication:
    """The strategy for ``auth``. ``where`` starts messages: connection and adapter.

    Raises  ConfigError for a missing value, and for a type that is not built in: nothing is sent without
            the proof the spec asks for.
    """
    settings = Settings(auth, variables, where)
    match auth.type:
        case "none":
            return Authentication()
        case "bearer":
            return _bearer(settings)
        case "basic":
            return _basic(settings)
        case "api_key":
            return _api_key(settings)
        case unknown:
            raise ConfigError(
                f"{where}: auth.type {unknown} is not built in yet; use none, basic, bearer or api_key"
            )


def _bearer(settings: Settings) -> Authentication:
    token = settings.header("token")
    return HeaderAuth("Authorization", f"Bearer {token}", token) if token else Authentication()


def _basic(settings: Settings) -> Authentication:
    user, password = settings.text("username", ""), settings.text("password", "")
    proof = base64.b64encode(f"{user}:{password}".encode()).decode()
    return HeaderAuth("Authorization", f"Basic {proof}", password, proof)


def _api_key(settings: Settings) -> Authentication:
    name = settings.header("name")
    place = settings.text("in", "header")
    match place:
        case "header":
            value = settings.header("value")
            return HeaderAuth(name, value, value) if value else Authentication()
        case "query":
            return QueryAuth(name, settings.text("value"))
        case "cookie":
            value = settings.header("value")
            return HeaderAuth("Cookie", f"{name}={value}", value)
        case unknown:
            raise ConfigError(f"{settings.where}: auth.in is header, query or cookie, not {unknown!r}")
