"""What proves who asks: strategies that decide and never send; they yield the requests they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from unify.adapters.http.messages import Authentication, Request, T
from unify.adapters.spec import template
from unify.adapters.spec.auth import Auth, Json
from unify.errors import ConfigError, SpecError


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

    def is_applied_to(self, request: Request) -> bool:
        return self._value in request.headers.get(self.name, "")

    def secrets(self) -> tuple[str, ...]:
        return self._secrets


class QueryAuth(Authentication):
    """The same query parameter on every request, in place of one a next link may carry."""

    def __init__(self, name: str, value: str) -> None:
        self.secret_params = (name,)
        self._name = name
        self._value = value

    def apply(self, request: Request, _now: float) -> Request:
        return request.with_param(self._name, self._value)

    def is_applied_to(self, request: Request) -> bool:
        return (self._name, self._value) in request.params

    def secrets(self) -> tuple[str, ...]:
        return (self._value,)


def build_static_auth(location: str, name: str, value: str, *secrets: str) -> Authentication:
    """``value`` under ``name`` in a header, the query or a cookie."""
    match location:
        case "query":
            return QueryAuth(name, value)
        case "cookie":
            return HeaderAuth("Cookie", f"{name}={value}", value, *secrets)
        case _:
            return HeaderAuth(name, value, value, *secrets)


class AuthConfig:
    """The keys of a spec's ``auth``, their variables replaced.

    ``where``       starts messages: connection and spec.
    ``render_base_url``    of the connection, for requests that log in there.
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
        self._settings = auth.settings
        self._variables = variables

    def __contains__(self, key: str) -> bool:
        return self._settings.get(key) is not None

    def has_value(self, key: str) -> bool:
        """Is it given, and has every option it names a value? For what may be left out."""
        return key in self and template.has_values(self._settings[key], self._variables)

    def raw(self, key: str) -> Json:
        """A setting as the spec has it, its variables not replaced."""
        return self._settings.get(key)

    def render_value(self, key: str) -> Json:
        """A JSON value with its variables replaced."""
        return self._render(key, lambda: template.render_value(self._settings.get(key), self._variables))

    def render_fields(self, key: str) -> Mapping[str, str | list[str]]:
        """Form fields or claims with their variables replaced."""
        given: Mapping[str, Json] = self._settings.get(key) or {}
        return self._render(key, lambda: template.render_fields(given, self._variables, "body"))

    def text(self, key: str, default: str | None = None) -> str:
        written = self._settings.get(key)
        if written is None:
            if default is None:
                raise ConfigError(f"{self.where}: auth.{key} is missing, and auth.type {self.type} needs it")
            return default
        return self._render(key, lambda: template.render_text(str(written), self._variables, "plain").strip())

    def path(self, key: str) -> str:
        """A path with its variables percent-encoded."""
        return self._render(
            key, lambda: template.render_text(str(self._settings[key]), self._variables, "path")
        )

    def header(self, key: str, default: str | None = None) -> str:
        """A value fit for a header: no line break, nothing but what HTTP can carry."""
        value = self.text(key, default)
        if any(ord(char) < 32 or not (ord(char) < 127 or 160 <= ord(char) < 256) for char in value):
            raise ConfigError(
                f"{self.where}: auth.{key}: the value holds a line break or a character "
                "that HTTP cannot carry"
            )
        return value

    def _render(self, key: str, render: Callable[[], T]) -> T:
        try:
            return render()
        except SpecError as error:
            raise ConfigError(f"{self.where}: auth.{key}: {error.message}") from error
