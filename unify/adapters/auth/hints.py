"""Which options of a connection feed the credentials that an API or a token endpoint refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from unify.adapters.spec import template
from unify.adapters.spec.auth import Auth, Json
from unify.adapters.spec.model import AdapterSpec

DescribeOption = Callable[
    [str, str], str
]  # name and place: ``option token of github (header Authorization)``

_TOKEN_REQUEST = "token request"
# The keys of ``auth`` that an OAuth 2 error (RFC 6749, 5.2) is about.
_KEYS_BY_ERROR = {
    "invalid_client": ("client_id", "client_secret"),
    "unauthorized_client": ("client_id",),
    "invalid_grant": ("refresh_token", "key", "issuer", "subject"),
    "invalid_scope": ("scopes",),
}
_CREDENTIAL_KEYS = (
    *("client_id", "client_secret", "refresh_token", "key", "issuer", "subject"),
    *("scopes", "extra"),
)


def request_hint(spec: AdapterSpec, describe_option: DescribeOption) -> str:
    """The options to check if the API refuses a request; "" if no option feeds its credentials."""
    auths = (*spec.auths, *(table.auth for table in spec.tables if table.auth is not None))
    places = dict(place for auth in auths for place in _auth_places(auth))
    secrets = {option.name for option in spec.options if option.secret}
    for kind, fields in _request_fields(spec):
        for field, value in fields.items():
            for name in template.variable_names_in(value):
                if name in secrets:
                    places.setdefault(name, f"{kind} {field}")
    return ", ".join(describe_option(name, place) for name, place in places.items())


def token_hints(spec: AdapterSpec, describe_option: DescribeOption) -> Mapping[str, str]:
    """What to check if a token request is refused, by OAuth 2 error; "" is any other error."""
    auth = spec.auth
    if auth.type != "oauth2":
        return {}
    found = {
        error: hint
        for error, keys in _KEYS_BY_ERROR.items()
        if (hint := _keys_hint(auth, keys, describe_option))
    }
    fields = (
        ""
        if "extra" in auth.settings
        else "; fields that the server requires, such as audience, go into auth.extra"
    )
    every = _keys_hint(auth, _CREDENTIAL_KEYS, describe_option) or "auth in the spec"
    return {**found, "": every + fields}


def _auth_places(auth: Auth) -> Iterator[tuple[str, str]]:
    """The variables of ``auth`` and where their values are sent."""
    settings = auth.settings
    match auth.type:
        case "api_key":
            place = {"query": "parameter", "cookie": "cookie"}.get(str(settings.get("in")), "header")
            names, place = (
                template.variable_names_in(settings.get("value")),
                f"{place} {settings.get('name')}",
            )
        case "oauth2":
            keys = [settings.get(key) for key in _CREDENTIAL_KEYS]
            names, place = template.variable_names_in(keys), _TOKEN_REQUEST
        case "session":
            keys = [settings.get(key) for key in ("request", "form", "body")]
            names, place = template.variable_names_in(keys), "log-in request"
        case "aws_sigv4" | "jwt":
            names, place = template.variable_names_in(dict(settings)), "signature"
        case _:
            names, place = template.variable_names_in(dict(settings)), "header Authorization"
    yield from ((name, place) for name in names)


def _request_fields(spec: AdapterSpec) -> Iterable[tuple[str, Mapping[str, Json]]]:
    tables = ((("header", table.headers), ("parameter", table.params)) for table in spec.tables)
    return chain([("header", spec.headers)], chain.from_iterable(tables))


def _keys_hint(auth: Auth, keys: Iterable[str], describe_option: DescribeOption) -> str:
    """The options in ``keys`` of ``auth``; the key itself where the spec has its value."""
    hints: dict[str, None] = {}
    for key in keys:
        if key not in auth.settings:
            continue
        names = template.variable_names_in(auth.settings[key])
        hints.update(dict.fromkeys(describe_option(name, _TOKEN_REQUEST) for name in names))
        if not names:
            hints[f"auth.{key} in the spec"] = None
    return ", ".join(hints)
