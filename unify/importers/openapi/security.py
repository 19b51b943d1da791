"""Security schemes as ways to authenticate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from unify.importers.common.documents import items_of, members_of, text_of
from unify.importers.common.names import option_name
from unify.importers.model import AuthOffer, ImportedOption
from unify.importers.openapi.document import OpenAPIDocument

Json = Any  # a JSON value: dict, list, str, int, float, bool or None
_SECRETS = ("token", "password", "client_secret")


def find_auths(document: OpenAPIDocument, base_url: str) -> tuple[list[AuthOffer], list[ImportedOption]]:
    """The ways to authenticate, those of most operations first, with the options that they need."""
    components = members_of(document.root.get("components"))
    schemes = members_of(
        document.root.get("securityDefinitions") if document.is_swagger else components.get("securitySchemes")
    )
    uses = _count_uses(document)
    order = sorted(schemes, key=lambda name: -uses[name])
    offers: dict[str, AuthOffer] = {}
    options: dict[str, ImportedOption] = {}
    for name in order:
        for offer, own in _offers_of(document.resolve(schemes[name]), base_url):
            if offer.name not in offers:
                offers[offer.name] = offer
                options |= {each.name: each for each in own if each.name not in options}
    return list(offers.values()), list(options.values())


def _count_uses(document: OpenAPIDocument) -> Counter[str]:
    general = items_of(document.root.get("security"))
    uses: Counter[str] = Counter()
    for operation in document.operations():
        security = operation.value.get("security")
        for each in items_of(security) if security is not None else general:
            if len(members_of(each)) == 1:  # several at once are not supported
                uses.update(list(members_of(each)))
    return uses


_Offer = tuple[AuthOffer, list[ImportedOption]]


def _offers_of(scheme: Mapping[str, Json], base_url: str) -> Iterator[_Offer]:
    kind, description = text_of(scheme.get("type")), text_of(scheme.get("description"))
    http = text_of(scheme.get("scheme")).lower()
    if kind == "basic" or (kind == "http" and http == "basic"):
        username = ImportedOption("username", "User name", required=True)
        password = ImportedOption("password", "Password or token", secret=True)
        settings = {"type": "basic", "username": "{username}", "password": "{password}"}
        yield AuthOffer("basic", settings), [username, password]
    elif kind == "http" and http == "bearer":
        yield AuthOffer("bearer", {"type": "bearer", "token": "{token}"}), [_secret("token", "Access token")]
    elif kind == "apiKey":
        yield _api_key(scheme, description)
    elif kind == "oauth2":
        yield from _oauth_offers(scheme, base_url)
        yield AuthOffer("bearer", {"type": "bearer", "token": "{token}"}), [_secret("token", "Access token")]
    elif kind == "openIdConnect":
        yield AuthOffer("bearer", {"type": "bearer", "token": "{token}"}), [_secret("token", "Access token")]


def _secret(name: str, description: str) -> ImportedOption:
    return ImportedOption(name, description, secret=True, required=True)


def _api_key(scheme: Mapping[str, Json], description: str) -> _Offer:
    name, place = text_of(scheme.get("name")), text_of(scheme.get("in"))
    if name.lower() == "authorization":
        return AuthOffer("api_key", {"type": "api_key", "name": name, "value": "{authorization}"}), [
            _secret("authorization", description or "Value of the header Authorization")
        ]
    option = option_name(name)
    settings = {"type": "api_key", "name": name, "value": f"{{{option}}}"}
    if place in ("query", "cookie"):
        settings["in"] = place
    return AuthOffer("api_key", settings), [_secret(option, description or f"Value of {name}")]


def _oauth_offers(scheme: Mapping[str, Json], base_url: str) -> Iterator[_Offer]:
    """The grants that need no password of a person."""
    flows = dict(members_of(scheme.get("flows")))
    if "flow" in scheme:  # Swagger 2 has one flow, under another name
        names = {"accessCode": "authorizationCode", "application": "clientCredentials"}
        flows[names.get(text_of(scheme.get("flow")), "")] = scheme
    client = [
        ImportedOption("client_id", "Client ID of OAuth", required=True),
        ImportedOption("client_secret", "Client secret of OAuth", secret=True),
    ]
    for flow, grant in (
        ("clientCredentials", "client_credentials"),
        ("authorizationCode", "authorization_code"),
    ):
        value = members_of(flows.get(flow))
        token_url = _absolute(text_of(value.get("tokenUrl")), base_url)
        if not token_url:
            continue
        settings: dict[str, Json] = {
            "type": "oauth2",
            "grant": grant,
            "token_url": token_url,
            "client_id": "{client_id}",
            "client_secret": "{client_secret}",
        }
        if grant == "authorization_code":
            authorize_url = _absolute(text_of(value.get("authorizationUrl")), base_url)
            if not authorize_url:
                continue
            settings["authorize_url"] = authorize_url
        if 0 < len(members_of(value.get("scopes"))) <= 10:
            settings["scopes"] = list(members_of(value.get("scopes")))
        yield AuthOffer("oauth2" if grant == "client_credentials" else "oauth2_sign_in", settings), client


def _absolute(url: str, base_url: str) -> str:
    """An address; one without a host is on that of the API."""
    if url and not urlsplit(url).scheme and urlsplit(base_url).scheme:
        url = urljoin(base_url, url)
    return url if urlsplit(url).scheme in ("http", "https") and "#" not in url and " " not in url else ""
