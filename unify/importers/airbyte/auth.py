"""Authenticators as ways to authenticate."""

from __future__ import annotations

import re

from unify.importers.airbyte.context import StreamContext
from unify.importers.airbyte.jinja.durations import duration_text
from unify.importers.airbyte.jinja.values import Applied, Joined, Known, Value
from unify.importers.airbyte.manifest import Component, NotImportable, type_of
from unify.importers.airbyte.requests import RequestDraft, read_request
from unify.importers.common.documents import items_of, members_of, text_of
from unify.importers.model import AuthOffer, Json

_GRANTS = ("client_credentials", "refresh_token")
_USUAL_HEADERS = frozenset(["content-type", "accept", "user-agent"])


def read_auths(authenticator: Json, ctx: StreamContext) -> list[AuthOffer]:
    """The ways to authenticate, best first; none for a requester without authentication.

    Raises NotImportable if there are some, and none can be imported.
    """
    kind = type_of(authenticator)
    if not authenticator or kind == "NoAuth":
        return []
    if kind != "SelectiveAuthenticator":
        return [_read_auth(members_of(authenticator), ctx)]
    offers, reasons = [], []
    for name, each in members_of(members_of(authenticator).get("authenticators")).items():
        try:
            if type_of(each) == "NoAuth":
                continue
            found = _read_auth(members_of(each), ctx)
            offers.append(AuthOffer(str(name), found.settings))
        except NotImportable as error:
            reasons.append(error)
    if not offers and reasons:
        raise reasons[0]
    return sorted(offers, key=lambda each: each.settings.get("grant") == "refresh_token")


def _read_auth(auth: Component, ctx: StreamContext) -> AuthOffer:
    match type_of(auth):
        case "BearerAuthenticator":
            return AuthOffer("bearer", {"type": "bearer", "token": ctx.text(auth.get("api_token"), auth)})
        case "BasicHttpAuthenticator":
            return _basic(auth, ctx)
        case "ApiKeyAuthenticator":
            return _api_key(auth, ctx)
        case "OAuthAuthenticator":
            return _oauth(auth, ctx)
        case "SessionTokenAuthenticator":
            return _session(auth, ctx)
        case "LegacySessionTokenAuthenticator":
            return _legacy_session(auth, ctx)
        case "JwtAuthenticator":
            return _jwt(auth, ctx)
        case other:
            text = f"{other} (Python)" if other.startswith("Custom ") else f"authentication by {other}"
            raise NotImportable(text, auth)


def _basic(auth: Component, ctx: StreamContext) -> AuthOffer:
    settings = {"type": "basic", "username": ctx.text(auth.get("username", ""), auth)}
    password = ctx.text(auth.get("password") or "", auth)
    return AuthOffer("basic", {**settings, "password": password} if password else settings)


def _api_key(auth: Component, ctx: StreamContext) -> AuthOffer:
    token = auth.get("api_token")
    value = ctx.fold(token, auth)
    option = members_of(auth.get("inject_into"))
    name = ctx.text(option.get("field_name") or auth.get("header") or "", auth)
    place = text_of(option.get("inject_into")) or "header"
    if place == "header" and name.lower() == "authorization":
        if basic := _basic_of_text(value, ctx, auth):
            return basic
        rendered = ctx.text(token, auth)
        if found := re.fullmatch(r"[Bb]earer (\{\w+\})", rendered):
            return AuthOffer("bearer", {"type": "bearer", "token": found[1]})
    settings: dict[str, Json] = {"type": "api_key", "name": name, "value": ctx.text(token, auth)}
    if place == "request_parameter":
        settings["in"] = "query"
    elif place != "header" or not name:
        raise NotImportable(f"puts the key into {place}", auth)
    return AuthOffer("api_key", settings)


def _basic_of_text(value: Value, ctx: StreamContext, auth: Component) -> AuthOffer | None:
    """``Basic {{ (user ~ ':' ~ password) | base64encode }}``."""
    parts = value.parts if isinstance(value, Joined) else (value,)
    if len(parts) != 2 or not isinstance(parts[0], Known) or str(parts[0].value).strip().lower() != "basic":
        return None
    encoded = parts[1]
    if not isinstance(encoded, Applied) or encoded.function != "base64encode":
        return None
    text = str(ctx.render(encoded.target, auth))
    username, colon, password = text.partition(":")
    settings = {"type": "basic", "username": username}
    return AuthOffer("basic", {**settings, "password": password} if colon and password else settings)


def _oauth(auth: Component, ctx: StreamContext) -> AuthOffer:
    grant = ctx.text(auth.get("grant_type") or "refresh_token", auth)
    for key, usual in (
        ("access_token_name", "access_token"),
        ("client_id_name", "client_id"),
        ("client_secret_name", "client_secret"),
        ("refresh_token_name", "refresh_token"),
    ):
        if auth.get(key) not in (None, "", usual):
            raise NotImportable(f"the token request has {auth[key]} in place of {usual}", auth)
    headers = members_of(auth.get("refresh_request_headers"))
    if any(name.lower() not in _USUAL_HEADERS for name in headers):
        raise NotImportable("the token request has headers of its own", auth)
    if auth.get("use_profile_assertion") or auth.get("profile_assertion"):
        raise NotImportable("signs in with an assertion", auth)
    settings: dict[str, Json] = {
        "type": "oauth2",
        "grant": grant if grant in _GRANTS else "client_credentials",
        "token_url": _token_url(auth, ctx),
        "client_id": ctx.text(auth.get("client_id") or "", auth),
    }
    for key in ("client_secret", "refresh_token"):
        text = ctx.text(auth.get(key) or "", auth)
        if text:
            settings[key] = text
    if settings["grant"] == "refresh_token" and "refresh_token" not in settings:
        raise NotImportable("has no refresh token", auth)
    scopes = [ctx.text(each, auth) for each in items_of(auth.get("scopes"))]
    if any(scopes):
        settings["scopes"] = [each for each in scopes if each]
    extra = {name: str(text) for name, text in ctx.fields(auth.get("refresh_request_body"), auth).items()}
    if grant not in _GRANTS:
        extra = {"grant_type": grant, **extra}
    if extra:
        settings["extra"] = extra
    return AuthOffer("oauth2", settings)


def _token_url(auth: Component, ctx: StreamContext) -> str:
    url = ctx.text(auth.get("token_refresh_endpoint") or "", auth)
    if not re.match(r"https?://[^\s#]+$|\{\w+\}", url):
        raise NotImportable("has no address for tokens" if not url else f"the token address {url}", auth)
    return url


def _session(auth: Component, ctx: StreamContext) -> AuthOffer:
    requester = members_of(auth.get("login_requester"))
    draft = read_request(requester, ctx)
    if draft.token_places:
        raise NotImportable("the log-in has pages", requester)
    login = _login_auth(requester, draft, ctx)
    query = "&".join(f"{name}={text}" for name, text in draft.params.items())
    path = ".".join(ctx.text(each, auth) for each in items_of(auth.get("session_token_path")))
    settings: dict[str, Json] = {
        "type": "session",
        "request": f"{draft.method} {draft.address}{'?' if query else ''}{query}",
        "token": path,
    }
    if draft.body is not None:
        settings["body"] = draft.body
    if draft.form:
        settings["form"] = draft.form
    if draft.headers:
        settings["headers"] = draft.headers
    settings |= login
    return AuthOffer(
        "session", {**settings, **_token_use(members_of(auth.get("request_authentication")), ctx)}
    )


def _login_auth(requester: Component, draft: RequestDraft, ctx: StreamContext) -> dict[str, Json]:
    """The authentication of the log-in request itself: basic, or a key in a header or parameter."""
    offers = read_auths(requester.get("authenticator"), ctx)
    settings = dict(offers[0].settings) if offers else {}
    match settings.get("type"):
        case None:
            return {}
        case "basic":
            return {name: settings[name] for name in ("username", "password") if name in settings}
        case "bearer":
            draft.headers["Authorization"] = f"Bearer {settings['token']}"
        case "api_key" if settings.get("in") == "query":
            draft.params[str(settings["name"])] = settings["value"]
        case "api_key":
            draft.headers[str(settings["name"])] = str(settings["value"])
        case other:
            raise NotImportable(f"the log-in is authenticated by {other}", requester)
    return {}


def _token_use(use: Component, ctx: StreamContext) -> dict[str, Json]:
    """How requests send the token."""
    if text_of(use.get("type")) != "ApiKey":
        return {}
    option = members_of(use.get("inject_into"))
    name = ctx.text(option.get("field_name") or "", option)
    template = ctx.fold(use.get("api_token") or "", use)
    value = "{session}"
    if isinstance(template, Joined) and isinstance(template.parts[0], Known):
        value = f"{template.parts[0].value}{{session}}"
    found: dict[str, Json] = {"name": name, "value": value}
    if option.get("inject_into") == "request_parameter":
        found["in"] = "query"
    return found


def _legacy_session(auth: Component, ctx: StreamContext) -> AuthOffer:
    """Metabase and its like: a log-in with user and password."""
    base = ctx.text(auth.get("api_url") or "", auth).rstrip("/")
    login = ctx.text(auth.get("login_url") or "", auth).lstrip("/")
    body = {
        "username": ctx.text(auth.get("username") or "", auth),
        "password": ctx.text(auth.get("password") or "", auth),
    }
    return AuthOffer(
        "session",
        {
            "type": "session",
            "request": f"POST {base}/{login}",
            "token": ctx.text(auth.get("session_token_response_key") or "id", auth),
            "body": body,
            "name": ctx.text(auth.get("header") or "", auth),
            "value": "{session}",
        },
    )


def _jwt(auth: Component, ctx: StreamContext) -> AuthOffer:
    algorithm = text_of(auth.get("algorithm"))
    if algorithm not in ("HS256", "RS256", "ES256"):
        raise NotImportable(f"signs with {algorithm}", auth)
    if auth.get("base64_encode_secret_key"):
        raise NotImportable("encodes the signing key", auth)
    headers, payload = members_of(auth.get("jwt_headers")), members_of(auth.get("jwt_payload"))
    claims = {**payload, **members_of(auth.get("additional_jwt_payload"))}
    texts = {name: ctx.text(text, auth) for name, text in claims.items()}
    settings: dict[str, Json] = {
        "type": "jwt",
        "key": ctx.text(auth.get("secret_key"), auth),
        "algorithm": algorithm,
    }
    if key_id := ctx.text(headers.get("kid") or "", auth):
        settings["key_id"] = key_id
    if texts:
        settings["claims"] = {name: text for name, text in texts.items() if text}
    if isinstance(seconds := auth.get("token_duration"), int):
        settings["lifetime"] = duration_text(seconds)
    return AuthOffer("jwt", settings)


def auth_signature(offers: list[AuthOffer]) -> str:
    """What tells the authentication of a stream from that of another."""
    return repr([(each.name, sorted(each.settings.items(), key=str)) for each in offers])
