"""Values in Postman collections: ``{{variables}}`` and secrets become options; schemes of authentication."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote_plus

from unify.importers.common.documents import items_of, members_of, text_of
from unify.importers.common.names import describe, literal, option_name, variables_in
from unify.importers.common.secrets import is_secret, is_secret_name
from unify.importers.model import AuthOffer, ImportedOption, Json

_VARIABLE = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")


def template_name(variable: str) -> str:
    """The option of a variable; Postman's own, such as ``$guid``, too."""
    return option_name(variable.lstrip("$"))


class PostmanValues:
    """The options of a collection: its variables, and values that are secrets."""

    def __init__(self, variables: Sequence[Json]) -> None:
        self.options: dict[str, ImportedOption] = {}
        self._defaults: dict[str, str] = {}
        for each in map(members_of, variables):
            name = text_of(each.get("key")) or text_of(each.get("id"))
            value = each.get("value")
            is_hidden = each.get("type") == "secret" or is_secret(name, str(value))
            if name and value not in (None, "") and not is_hidden and "{{" not in str(value):
                self._defaults[template_name(name)] = str(value)

    def text(self, text: str, *, secret: bool = False) -> str:
        """A text of the collection as a template of the spec language."""
        parts = _VARIABLE.split(text)
        for index, part in enumerate(parts):
            parts[index] = self._variable(part, secret=secret) if index % 2 else literal(part)
        return "".join(parts)

    def value(self, name: str, text: str) -> str:
        """A parameter, header or field: a secret becomes an option of its name."""
        text = unquote_plus(text) if "%" in text else text
        if _VARIABLE.search(text):
            return self.text(text, secret=is_secret_name(name))
        if is_secret(name, text):
            return self.secret(name)
        if text.startswith("<") and text.endswith(">"):  # a placeholder, such as <string>
            return self._variable(name, secret=False)
        return literal(text)

    def secret(self, name: str, description: str = "") -> str:
        """``{option}`` for a secret of this name."""
        return self._variable(name, secret=True, description=description)

    def require(self, text: str) -> None:
        """Declare the options that a template uses."""
        for name in variables_in(text):
            self._variable(name, secret=False)

    def body(self, body: Mapping[str, Json]) -> tuple[Json, dict[str, str] | None]:
        """The JSON body or the form fields of a request."""
        mode = text_of(body.get("mode"))
        if mode == "graphql":
            query = members_of(body.get("graphql"))
            document = {"query": self._literal_query(text_of(query.get("query")))}
            return document | self._json_members(text_of(query.get("variables"))), None
        if mode == "urlencoded":
            fields = [members_of(each) for each in items_of(body.get("urlencoded"))]
            kept = [each for each in fields if each.get("disabled") is not True]
            return None, {
                text_of(each.get("key")): self.value(text_of(each.get("key")), text_of(each.get("value")))
                for each in kept
            }
        return self._json_body(text_of(body.get("raw"))), None

    def _literal_query(self, query: str) -> str:
        return self.text(query)

    def _json_members(self, text: str) -> dict[str, Json]:
        variables = self._json_body(text)
        return {"variables": variables} if variables else {}

    def _json_body(self, text: str) -> Json:
        """A JSON body; variables outside quotes are put into quotes."""
        quoted = re.sub(r'(?<!["\w}])\{\{\s*([^{}]+?)\s*\}\}(?!["\w])', r'"{{\1}}"', text)
        try:
            return self._json_value("body", json.loads(quoted))
        except (ValueError, RecursionError):
            return None

    def _json_value(self, name: str, value: Json) -> Json:
        match value:
            case str():
                return self.value(name, value)
            case list():
                return [self._json_value(name, item) for item in value]
            case Mapping():
                return {key: self._json_value(key, item) for key, item in value.items()}
            case _:
                return value

    def _variable(self, name: str, *, secret: bool, description: str = "") -> str:
        option = template_name(name)
        default = self._defaults.get(option)
        is_hidden = secret or is_secret_name(name)
        if option not in self.options or (is_hidden and not self.options[option].secret):
            text = description or f"Variable {describe(name, 60)} of the collection"
            default = None if is_hidden else default
            self.options[option] = ImportedOption(option, text, default, is_hidden, required=default is None)
        return f"{{{option}}}"


def auth_of(auth: Json, request: Mapping[str, Json], values: PostmanValues) -> AuthOffer | None:
    """The authentication of a request: its scheme, else its header Authorization."""
    scheme = members_of(auth)
    kind = text_of(scheme.get("type"))
    settings = _settings(scheme.get(kind))
    match kind:
        case "bearer":
            return AuthOffer("bearer", {"type": "bearer", "token": _secret(settings, "token", values)})
        case "basic":
            username = _plain(settings, "username", values)
            password = _secret(settings, "password", values)
            return AuthOffer("basic", {"type": "basic", "username": username, "password": password})
        case "apikey":
            name = settings.get("key", "") or "X-Api-Key"
            value = _secret({name: settings.get("value", "")}, name, values)
            place = {"in": "query"} if settings.get("in") == "query" else {}
            return AuthOffer("api_key", {"type": "api_key", "name": name, "value": value, **place})
        case "oauth2" | "jwt":
            return _oauth(settings, values)
        case _:
            return _auth_of_header(request, values)


def _settings(value: Json) -> dict[str, str]:
    """The settings of a scheme: a list of keys and values in 2.1, a mapping in 2.0."""
    if isinstance(value, list):
        pairs = [(text_of(each.get("key")), each.get("value")) for each in map(members_of, value)]
    else:
        pairs = list(members_of(value).items())
    return {name: text for name, text in pairs if isinstance(text, str)}


def _secret(settings: Mapping[str, str], name: str, values: PostmanValues) -> str:
    text = settings.get(name, "")
    return values.text(text, secret=True) if _VARIABLE.fullmatch(text.strip()) else values.secret(name)


def _plain(settings: Mapping[str, str], name: str, values: PostmanValues) -> str:
    text = settings.get(name, "")
    if _VARIABLE.fullmatch(text.strip()):
        return values.text(text)
    values.require(f"{{{name}}}")
    return f"{{{name}}}"


def _oauth(settings: Mapping[str, str], values: PostmanValues) -> AuthOffer:
    """Client credentials where the collection says so; else the token itself."""
    token_url = settings.get("accessTokenUrl", "")
    if settings.get("grant_type") != "client_credentials" or not re.match(r"https?://|\{\{", token_url):
        return AuthOffer("bearer", {"type": "bearer", "token": _secret(settings, "accessToken", values)})
    return AuthOffer(
        "oauth2",
        {
            "type": "oauth2",
            "grant": "client_credentials",
            "token_url": values.text(token_url),
            "client_id": values.secret("client_id", "Client ID of OAuth"),
            "client_secret": values.secret("client_secret", "Client secret of OAuth"),
        },
    )


def _auth_of_header(request: Mapping[str, Json], values: PostmanValues) -> AuthOffer | None:
    for each in map(members_of, items_of(request.get("header"))):
        name, text = text_of(each.get("key")), text_of(each.get("value"))
        if each.get("disabled") is True or not is_secret_name(name):
            continue
        scheme, _, rest = text.partition(" ")
        if name.lower() == "authorization" and scheme.lower() == "bearer":
            return AuthOffer("bearer", {"type": "bearer", "token": _secret({"token": rest}, "token", values)})
        value = _secret({name: text}, name, values)
        return AuthOffer("api_key", {"type": "api_key", "name": name, "value": value})
    return None
