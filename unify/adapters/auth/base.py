"""The ``auth`` section of a spec with its variables filled in; static headers and parameters."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

from unify.adapters.http.messages import Authentication, Request, T
from unify.adapters.spec import template
from unify.adapters.spec.auth import Auth, Json
from unify.errors import ConfigError, SpecError


class HeaderAuth(Authentication):
    """The same header in every request: bearer token, Basic, API key in a header or cookie."""

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
    """The same query parameter in every request; it replaces one of a next link."""

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
    """Send ``value`` as ``name`` in the ``header``, ``query`` or ``cookie``."""
    match location:
        case "query":
            return QueryAuth(name, value)
        case "cookie":
            return HeaderAuth("Cookie", f"{name}={value}", value, *secrets)
        case _:
            return HeaderAuth(name, value, value, *secrets)


def basic_credentials(settings: AuthConfig) -> str:
    """The user name and password of basic authentication, as the header has them after ``Basic``."""
    user, password = settings.text("username", ""), settings.text("password", "")
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def build_bearer_auth(token: str) -> Authentication:
    return build_static_auth("header", "Authorization", f"Bearer {token}", token)


class AuthConfig:
    """The keys of ``auth`` with their variables filled in.

    ``where``       connection and spec, for messages.
    ``base_url``    of the connection, for log-in requests.
    ``connection``  name of the connection.

    Methods raise ConfigError for a key that is missing or has no value.
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
        """Whether the key is set and each of its variables has a value."""
        return key in self and template.has_values(self._settings[key], self._variables)

    def raw(self, key: str) -> Json:
        """The setting without filling in variables."""
        return self._settings.get(key)

    def render_value(self, key: str) -> Json:
        return self._render(key, lambda: template.render_value(self._settings.get(key), self._variables))

    def render_fields(self, key: str) -> Mapping[str, str | list[str]]:
        """Form fields or claims."""
        fields: Mapping[str, Json] = self._settings.get(key) or {}
        return self._render(key, lambda: template.render_fields(fields, self._variables, "body"))

    def text(self, key: str, default: str | None = None) -> str:
        value = self._settings.get(key)
        if value is None and default is None:
            raise ConfigError(f"{self.where}: auth.{key} is missing; auth.type {self.type} requires it")
        if value is None:
            return default or ""
        return self._render(key, lambda: template.render_text(str(value), self._variables, "plain").strip())

    def path(self, key: str) -> str:
        """A URL path; variables are percent-encoded."""
        value = str(self._settings[key])
        return self._render(key, lambda: template.render_text(value, self._variables, "path"))

    def header(self, key: str, default: str | None = None) -> str:
        """A text that is allowed in a header."""
        value = self.text(key, default)
        if any(ord(char) < 32 or not (ord(char) < 127 or 160 <= ord(char) < 256) for char in value):
            raise ConfigError(
                f"{self.where}: auth.{key}: the value contains a line break or another character "
                "that HTTP does not allow"
            )
        return value

    def error(self, key: str, text: str) -> ConfigError:
        return ConfigError(f"{self.where}: auth.{key}: {text}")

    def _render(self, key: str, render: Callable[[], T]) -> T:
        try:
            return render()
        except SpecError as error:
            raise self.error(key, error.message) from error
