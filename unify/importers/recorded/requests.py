"""Recorded requests, of a curl command or a browser: what of them is written, and what becomes options."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

from unify.importers.common import secrets
from unify.importers.common.names import describe, literal, option_name, snake_case, unique_name
from unify.importers.model import AuthOffer, ImportedOption, ImportedRequest, Json

# Headers that the HTTP client or a browser sets, and that say nothing about what is wanted.
CLIENT_HEADERS = frozenset(
    [
        *(
            "accept-encoding",
            "accept-language",
            "cache-control",
            "connection",
            "content-length",
            "dnt",
            "host",
        ),
        *("if-modified-since", "if-none-match", "origin", "pragma", "priority", "referer", "te", "range"),
        *("transfer-encoding", "upgrade", "upgrade-insecure-requests", "user-agent", "x-requested-with"),
        *("content-type", "keep-alive", "trailer", "expect", "save-data", "purpose", "x-postman-token"),
    ]
)
Method = Literal["GET", "POST"]
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SHORT_KEY_NAMES = ("k",)  # of a parameter, which is often a key, and often a word that is searched
_HOOK = re.compile(r"(?:web)?hooks?(?:\.|$)", re.IGNORECASE)  # a host or a segment: what follows is a secret
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9._=-]*)\s+(?P<value>\S.*)", re.DOTALL)


class RecordedRequest(Struct, frozen=True):
    """A request as it was sent. ``params`` are in order; a name can occur several times."""

    method: str
    url: str
    headers: Sequence[tuple[str, str]] = ()
    params: Sequence[tuple[str, str]] = ()
    body: str | None = None
    username: str | None = None
    password: str | None = None
    line: int = 0

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def path(self) -> str:
        return urlsplit(self.url).path or "/"

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    def all_params(self) -> list[tuple[str, str]]:
        query = parse_qsl(urlsplit(self.url).query, keep_blank_values=True)
        return [*query, *self.params]


class SecretOptions:
    """The options that take the place of secrets. The same value becomes the same option."""

    def __init__(self) -> None:
        self.options: dict[str, ImportedOption] = {}
        self._by_value: dict[str, str] = {}

    def variable(self, name: str, value: str, description: str = "", *, secret: bool = True) -> str:
        """Return ``{option}`` for a value that is not written."""
        if value not in self._by_value:
            unique = unique_name(option_name(name), self.options)
            text = description or f"Value of {describe(name, 60)}"
            self.options[unique] = ImportedOption(unique, text, secret=secret, required=True)
            self._by_value[value] = unique
        return f"{{{self._by_value[value]}}}"

    def hide(self, name: str, value: str) -> str:
        """The value as a text of a spec: a variable if it is, or may be, a secret or names a person."""
        if secrets.is_secret(name, value) or name.lower() in _SHORT_KEY_NAMES:
            return self.variable(name, value)
        if secrets.is_personal(value):
            return self.variable(name, value, secret=False)
        return literal(value)

    def hide_json(self, name: str, value: Json) -> Json:
        """The same for each text and number in a body; ``name`` is that of the member around them."""
        match value:
            case str():
                return self.hide(name, value)
            case list():
                return [self.hide_json(name, item) for item in value]
            case Mapping():
                return {key: self.hide_json(str(key), item) for key, item in value.items()}
            case bool() | None:
                return value
            case _:
                return self.variable(name, str(value)) if secrets.is_secret_name(name) else value


def auth_of_request(request: RecordedRequest, options: SecretOptions) -> AuthOffer | None:
    """The authentication of a request: its user, Authorization, another header, a parameter or cookies."""
    if request.username is not None:
        return _basic(request.username, request.password or "", options)
    if header := request.header("authorization"):
        return _auth_of_header(header, options)
    for name, value in request.headers:
        if _is_key_header(name):
            return _api_key(name, options.variable(name, value), "header")
    for name, value in request.all_params():
        if secrets.is_secret_name(name):
            return _api_key(name, options.variable(name, value), "query")
    if cookies := request.header("cookie"):
        return _api_key(
            "Cookie", options.variable("cookie", cookies, "Cookies of a signed-in browser"), "header"
        )
    return None


def _is_key_header(name: str) -> bool:
    """Whether a header is a key of the API, not one against forged requests."""
    lower = name.lower()
    is_other = lower in (*CLIENT_HEADERS, "cookie", "accept") or "csrf" in lower or "xsrf" in lower
    return not is_other and secrets.is_secret_name(name)


def _auth_of_header(value: str, options: SecretOptions) -> AuthOffer:
    found = _SCHEME.fullmatch(value.strip())
    scheme = found["scheme"] if found else ""
    if found and scheme.lower() == "bearer":
        token = options.variable("token", found["value"], "Access token")
        return AuthOffer("bearer", {"type": "bearer", "token": token})
    if found and scheme.lower() == "basic":
        username, _, password = _decode_basic(found["value"]).partition(":")
        return _basic(username, password, options)
    if found and not secrets.is_secret_value(scheme) and len(scheme) < 20:
        token = options.variable("token", found["value"], "Access token")
        return _api_key("Authorization", f"{literal(scheme)} {token}", "header")
    return _api_key("Authorization", options.variable("token", value, "Access token"), "header")


def _decode_basic(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return text


def _basic(username: str, password: str, options: SecretOptions) -> AuthOffer:
    """A user without a password is usually a token: it is a secret."""
    name = options.variable("username", username, "User name or API key", secret=True)
    settings = {"type": "basic", "username": name}
    if password and not secrets.is_secret_value(username):
        options.options[name[1:-1]] = ImportedOption(name[1:-1], "User name", required=True)
    if password:
        settings["password"] = options.variable("password", password, "Password or token")
    return AuthOffer("basic", settings)


def _api_key(name: str, value: str, place: str) -> AuthOffer:
    settings = {"type": "api_key", "name": name, "value": value}
    return AuthOffer("api_key", settings if place == "header" else {**settings, "in": place})


def build_request(
    request: RecordedRequest, auth: AuthOffer | None, options: SecretOptions
) -> tuple[ImportedRequest, dict[str, Json]]:
    """The request as the spec says it, without what ``auth`` sends; and its query parameters."""
    sent = str(auth.settings.get("name", "")).lower() if auth is not None else ""
    headers = {
        name: options.hide(name, value)
        for name, value in request.headers
        if _is_kept_header(name, value) and name.lower() != sent
    }
    if auth is None or sent != "cookie":
        headers |= _cookie_header(request, options)
    in_query = auth is not None and auth.settings.get("in") == "query"
    params: dict[str, Json] = {}
    for name, value in request.all_params():
        if in_query and name.lower() == sent:
            continue
        if name in ("_", "_t", "_ts") and value.isdecimal():
            continue  # a number against caches
        text = as_number(options.hide(name, value))
        params[name] = [*_as_list(params[name]), text] if name in params else text
    body, form = _body_of(request, options)
    method: Method = "POST" if request.method == "POST" else "GET"
    return ImportedRequest(method, _path_of(request, options), {}, headers, body, form), params


def as_number(text: str) -> str | int:
    """A whole number as a number, if it is written like one."""
    return int(text) if re.fullmatch(r"0|[1-9][0-9]{0,8}", text) else text


def _as_list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _is_kept_header(name: str, value: str) -> bool:
    lower = name.lower()
    if (
        not _HEADER_NAME.fullmatch(name)
        or lower in CLIENT_HEADERS
        or lower.startswith(("sec-", ":", "x-forwarded", "cf-", "x-amz-date"))
    ):
        return False
    if lower == "accept":
        return value.strip() not in ("*/*", "") and not value.startswith(("text/html", "application/json,"))
    return lower not in ("authorization", "cookie")


def _cookie_header(request: RecordedRequest, options: SecretOptions) -> dict[str, str]:
    cookies = request.header("cookie")
    if not cookies:
        return {}
    return {"Cookie": options.variable("cookie", cookies, "Cookies of a signed-in browser")}


def _path_of(request: RecordedRequest, options: SecretOptions) -> str:
    """The path; a segment that looks like a secret is an option, and so are the ids of a webhook."""
    is_hook = _HOOK.match(urlsplit(request.url).hostname or "") is not None
    hidden: list[str] = []
    for segment in request.path.split("/"):
        if is_hook and any(map(str.isdigit, segment)):
            hidden.append(options.variable("hook", unquote(segment), "Part of the address of a webhook"))
        else:
            is_secret = secrets.is_secret_value(segment)
            hidden.append(options.hide("path", unquote(segment)) if is_secret else literal(segment))
        is_hook = is_hook or _HOOK.match(segment) is not None
    return "/".join(hidden).replace(" ", "%20") or "/"


def _body_of(request: RecordedRequest, options: SecretOptions) -> tuple[Json, dict[str, str] | None]:
    """The JSON body or the form fields of a POST."""
    if not request.body or request.method != "POST":
        return None, None
    try:
        parsed = json.loads(request.body)
    except ValueError:
        parsed = None
    if isinstance(parsed, dict | list):
        return options.hide_json("body", parsed), None
    fields = parse_qsl(request.body, keep_blank_values=True)
    return None, {name: options.hide(name, value) for name, value in fields}


def unusable_reason(request: RecordedRequest) -> str | None:
    """Why a request cannot be that of a table; None: it can."""
    parts = urlsplit(request.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "the address is not http:// or https://"
    if request.method not in ("GET", "POST"):
        return f"{request.method} does not read"
    if request.method == "GET" and request.body:
        return "a GET request with a body"
    if request.body and _has_other_body(request.body):
        return "the body is neither JSON nor form fields"
    if re.search(r"%2f|[\\#]|/\.\.?(/|$)", parts.path.lower()):
        return "the path contains characters that a spec does not allow"
    return None


def _has_other_body(body: str) -> bool:
    try:
        return not isinstance(json.loads(body), dict | list)
    except ValueError:
        return "=" not in body or body.lstrip()[:1] in ("<", "-", "{", "[")


def table_name(path: str) -> str:
    """A name for the rows of a path: its last segment that is a word."""
    words = [each for each in path.split("/") if re.search(r"[A-Za-z]{2}", each) and "{" not in each]
    words = [re.sub(r"\.(json|csv|xml|php|aspx?)$", "", each) for each in words]
    named = [
        each for each in words if not re.fullmatch(r"v[0-9.]+|api|rest|[0-9a-f-]{16,}", each, re.IGNORECASE)
    ]
    return snake_case(unquote(named[-1])) if named else "rows"


def api_name(origin: str) -> str:
    """A name for the API at an origin: ``https://api.github.com`` is ``github``."""
    host = urlsplit(origin).hostname or "api"
    if re.fullmatch(r"[0-9.:]+|localhost", host):
        return "api"
    labels = host.split(".")
    main = labels[-3] if len(labels) > 2 and len(labels[-2]) <= 3 and len(labels[-1]) == 2 else labels[-2:][0]
    return snake_case(main, "api")
