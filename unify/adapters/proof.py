"""What proves who asks: strategies that decide and never send; they yield the requests they need."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from unify.adapters import template
from unify.adapters.messages import Answer, Request
from unify.adapters.person import Person
from unify.adapters.spec import Auth, Json
from unify.errors import ConfigError, SpecError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Delayed:
    """A request that is to be sent some time from now."""

    request: Request
    after_s: float


# What is asked of an authorization server, one request after the other, each time sent its answer.
Talk: TypeAlias = Generator[Request | Delayed, Answer, T]


class Authentication:
    """No proof at all, and the base of all others.

    ``apply`` is called for each request to the connection's own origin, and for no other.
    ``prepare`` yields requests for a token, one at a time, and is sent the answers; the transport runs it
    under a lock while ``ready`` says no. ``renew`` is told of a request that got a 401, and says whether
    trying once more has a point. ``sign_in`` is for those that need a person once.
    """

    hidden_params: tuple[str, ...] = ()  # names of query parameters that carry secrets

    def apply(self, request: Request, _now: float) -> Request:
        """``request`` with the proof in it. The time is in seconds since 1970, for what is signed with it."""
        return request

    def ready(self, _now: float) -> bool:
        return True

    def prepare(self, _now: float) -> Talk[None]:
        yield from ()

    def signed_in(self) -> bool:
        """False until a person has signed in, where one has to."""
        return True

    def sign_in(self, _person: Person, _now: Callable[[], float]) -> Talk[None]:
        """Have a person sign in, again if they have before. Raises Unauthorized where they do not."""
        yield from ()

    def sign_out(self) -> None:
        """Forget what a person has signed in for."""

    def renew(self, _refused: Request) -> bool:
        return False

    def carries(self, _request: Request) -> bool:
        """Is this proof in ``request``?"""
        return False

    def secrets(self) -> tuple[str, ...]:
        """What must not be seen, tokens fetched meanwhile included."""
        return ()


class TokenRefused(Exception):
    """No token came; the transport makes an ``Unauthorized`` of it."""

    def __init__(self, answer: Answer, where: str = "") -> None:
        super().__init__(answer.address)
        self.answer = answer
        self.where = where  # it was looked for in the answer


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

    def carries(self, request: Request) -> bool:
        return self._value in request.headers.get(self.name, "")

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

    def carries(self, request: Request) -> bool:
        return (self._name, self._value) in request.params

    def secrets(self) -> tuple[str, ...]:
        return (self._value,)


def placed(place: str, name: str, value: str, *secrets: str) -> Authentication:
    """``value`` under ``name`` in a header, the query or a cookie."""
    match place:
        case "query":
            return QueryAuth(name, value)
        case "cookie":
            return HeaderAuth("Cookie", f"{name}={value}", value, *secrets)
        case _:
            return HeaderAuth(name, value, value, *secrets)


class Settings:
    """The keys of a spec's ``auth``, their variables replaced.

    ``where``       starts messages: connection and spec.
    ``base_url``    of the connection, for requests that log in there.
    ``connection``  its name.

    Raises  ConfigError naming the adapter and the key that is missing or has no value.
    """

    def __init__(
        self,
        auth: Auth,
        variables: template.Variables,
        where: str,
        base_url: str = "",
        connection: str = "",
    ) -> None:
        self.type = auth.type
        self.where = where
        self.base_url = base_url
        self.connection = connection
        self._given = auth.settings
        self._variables = variables

    def __contains__(self, key: str) -> bool:
        return self._given.get(key) is not None

    def has_value(self, key: str) -> bool:
        """Is it given, and has every option it names a value? For what may be left out."""
        return key in self and template.has_values(self._given[key], self._variables)

    def raw(self, key: str) -> Json:
        """A setting as the spec has it, its variables not replaced."""
        return self._given.get(key)

    def filled(self, key: str) -> Json:
        """A JSON value with its variables replaced."""
        return self._explained(key, lambda: template.fill_value(self._given.get(key), self._variables))

    def fields(self, key: str) -> Mapping[str, str | list[str]]:
        """Form fields or claims with their variables replaced."""
        given: Mapping[str, Json] = self._given.get(key) or {}
        return self._explained(key, lambda: template.fill_fields(given, self._variables, "body"))

    def text(self, key: str, default: str | None = None) -> str:
        written = self._given.get(key)
        if written is None:
            if default is None:
                raise ConfigError(f"{self.where}: auth.{key} is missing, and auth.type {self.type} needs it")
            return default
        return self._explained(key, lambda: template.fill(str(written), self._variables, "plain").strip())

    def path(self, key: str) -> str:
        """A path with its variables percent-encoded."""
        return self._explained(key, lambda: template.fill(str(self._given[key]), self._variables, "path"))

    def header(self, key: str, default: str | None = None) -> str:
        """A value fit for a header: no line break, nothing but what HTTP can carry."""
        value = self.text(key, default)
        if any(ord(char) < 32 or not (ord(char) < 127 or 160 <= ord(char) < 256) for char in value):
            raise ConfigError(
                f"{self.where}: auth.{key}: the value holds a line break or a character "
                "that HTTP cannot carry"
            )
        return value

    def _explained(self, key: str, fill: Callable[[], T]) -> T:
        try:
            return fill()
        except SpecError as error:
            raise ConfigError(f"{self.where}: auth.{key}: {error.message}") from error
