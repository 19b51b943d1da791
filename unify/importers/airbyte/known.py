"""Components in Python whose meaning is known: they become components that a manifest can say.

A component is known by its class and the SHA-256 of the file components.py that defines it. The file is
never run; one that differs in a single byte is unknown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from unify.importers.airbyte.manifest import Component
from unify.importers.common.documents import PositionedMapping, items_of, line_of, members_of
from unify.importers.model import Json

Rewrite = Callable[[Component], Component]
_MAX_FILE = 2_000_000  # bytes of components.py


def _basic(component: Component) -> Component:
    """Basic authentication whose header is built by hand."""
    return {**component, "type": "BasicHttpAuthenticator"}


def _key_or_oauth(component: Component) -> Component:
    """Either an API key or OAuth, by what the connection has."""
    offers = {"api_key": component.get("api_auth"), "oauth": component.get("oauth")}
    return {"type": "SelectiveAuthenticator", "authenticators": offers}


def _selective(*names: str) -> Rewrite:
    """One of several authenticators, which are members of the component; the first of ``names`` is best."""

    def rewrite(component: Component) -> Component:
        offers = {name: component[name] for name in names if component.get(name)}
        return {"type": "SelectiveAuthenticator", "authenticators": offers}

    return rewrite


def _members_as_rows(component: Component) -> Component:
    """Every member of an object is a row; its name is a column."""
    path = component.get("field_path")
    steps = [*path] if isinstance(path, list) else [path or "list"]
    return {
        "type": "DpathExtractor",
        "field_path": [*steps, "*"],
        "rows_name": component.get("inject_key_as_field"),
    }


def _rows_in_rows(*steps: str, **outer: str) -> Rewrite:
    """Rows in lists of rows, with columns of the objects around them."""
    return lambda _component: {"type": "DpathExtractor", "field_path": list(steps), "outer_columns": outer}


def _nested_rows(component: Component) -> Component:
    """Rows within a member of each object; it may be null."""
    path = [each for each in items_of(component.get("field_path")) if each != "*"]
    note = "objects without a row in them are left out; the source keeps their ID"
    return {
        "type": "DpathExtractor",
        "field_path": [*path, component.get("nullable_nested_field")],
        "note": note,
    }


def _json_api(_component: Component) -> Component:
    """JSON:API: attributes and ID of a resource; its relationships in one column."""
    return {
        "type": "DpathExtractor",
        "field_path": ["data", "attributes"],
        "outer_columns": {"id": "data.id", "relationships": "data.relationships"},
        "note": "relationships are one column; the source has a column for each",
    }


def _texts_as_rows(_component: Component) -> Component:
    return {"type": "DpathExtractor", "field_path": ["categories"], "renamed_columns": {"name": "value"}}


def _all_parents(option: str) -> Rewrite:
    """Parents of which an option may choose some."""
    note = f"reads every parent; the source reads those of the option {option}, if it is set"
    return lambda component: {**component, "type": "SubstreamPartitionRouter", "note": note}


def _whole_body(note: str = "") -> Rewrite:
    return lambda _component: {"type": "DpathExtractor", "field_path": [], "note": note}


def _left_out(note: str) -> Rewrite:
    """A transformation that changes the form of values only."""
    return lambda _component: {"type": "FlattenFields", "note": note}


def _rfc_2822_dates(component: Component) -> Component:
    """Columns with dates such as ``Tue, 20 Nov 2012 00:00:00 +0000`` as ISO 8601."""
    fields = [
        {**field, "value": _iso_text(str(field.get("value")))}
        for field in map(members_of, items_of(component.get("fields")))
    ]
    return {"type": "AddFields", "fields": fields}


def _iso_text(text: str) -> str:
    inner = text.strip().removeprefix("{{").removesuffix("}}").strip()
    return f"{{{{ format_datetime({inner}, '%Y-%m-%dT%H:%M:%S+00:00', '%a, %d %b %Y %H:%M:%S %z') }}}}"


def _account_credentials(component: Component) -> Component:
    """OAuth 2 of Zoom: an application of an account."""
    return {
        "type": "OAuthAuthenticator",
        "token_refresh_endpoint": component.get("authorization_endpoint"),
        "grant_type": "account_credentials",
        "client_id": component.get("client_id"),
        "client_secret": component.get("client_secret"),
        "refresh_request_body": {"account_id": component.get("account_id")},
    }


def _commercetools(_component: Component) -> Component:
    host = "https://auth.{{ config['region'] }}.{{ config['host'] }}.commercetools.com"
    query = "grant_type=client_credentials&scope=manage_project:{{ config['project_key'] }}"
    return {
        "type": "OAuthAuthenticator",
        "token_refresh_endpoint": f"{host}/oauth/token?{query}",
        "grant_type": "client_credentials",
        "client_id": "{{ config['client_id'] }}",
        "client_secret": "{{ config['client_secret'] }}",
    }


def _log_in(base: str, path: str, form: Mapping[str, Json], use: Component) -> Component:
    """A session: a log-in with a form, and how requests send its token."""
    requester = {"type": "HttpRequester", "url_base": base, "path": path, "http_method": "POST"}
    return {
        "type": "SessionTokenAuthenticator",
        "login_requester": {**requester, "request_body_data": form},
        "session_token_path": ["access_token"],
        "request_authentication": use,
    }


def _looker(_component: Component) -> Component:
    names = ("client_id", "client_secret")
    header = {"inject_into": "header", "field_name": "Authorization"}
    use = {"type": "ApiKey", "api_token": "token {{ session_token }}", "inject_into": header}
    form = {name: f"{{{{ config['{name}'] }}}}" for name in names}
    return _log_in("https://{{ config['domain'] }}", "/api/4.0/login", form, use)


def _younium(component: Component) -> Component:
    names = ("username", "password", "legal_entity", "grant_type", "client_id", "scope")
    sandbox = "{{ '-sandbox' if config.get('playground') else '' }}"
    form = {name: component.get(name) for name in names}
    base = f"https://younium-identity-server{sandbox}.azurewebsites.net"
    return _log_in(base, "/connect/token", form, {"type": "Bearer"})


def _guardian_pages(component: Component) -> Component:
    return {
        "type": "CursorPagination",
        "cursor_value": "{{ response.response.currentPage + 1 }}",
        "stop_condition": "{{ response.response.currentPage >= response.response.pages }}",
        "page_size": component.get("page_size"),
    }


# SHA-256 of components.py, by source.
_DIGESTS = {
    "alpha-vantage": "269abff8da5798a4e382a01809cdce090a50c134c87078447226a3d3256a0dc8",
    "bigcommerce": "140aac4fe418afafa0294c8cd126beeaf81c646373c947cc442ad9fdecbb9d4a",
    "chargebee": "e966909bb215cc95604264f331bc3454dab3fd5ad467f88173cfc47b7fdf7457",
    "commercetools": "d370e0248f8ffb8b579a6276797b5f36779f02b3a79791aaa4e30f027e7ec305",
    "fastbill": "25943af7d89aa206d1e19724a535722a9b687216b1bcf3d15c3580d5a6e2c935",
    "looker": "b59157487ddf2c2bf2976b0247f86a035e57d0de7fb767c5104bfd7b6345d66c",
    "outreach": "a8cd2aa6a9f9192b2e773c58eb99a52b396a6ea1776a22094593fb3124bbc3e9",
    "pipedrive": "aec0aef633a6c55e20c60c0725eaecac194f3cebb2e920f2983e9540cb4e0902",
    "pocket": "77c3ffe6b7c0fac3c6772fc64d6b6fba2a9a711b763de0d6bfff4476914006b9",
    "public-apis": "23e57accbafabffe2d6c2b602de4b114ede3849af6aa0aed74e6644213acdecb",
    "qualaroo": "030ac88ab5843c13c5e75303ec13cf0b868f78673e50daea66b4da12e34b1162",
    "recurly": "229cee75a5995cb03f2842c849a377d2ae101a431158e1f9b11b4d06adb78cfe",
    "retently": "f018d04255f867b9419591433212ed42b7148824f1441d891dfb047f8c095a6a",
    "surveymonkey": "bdc5b8e6a2f33bab04658ec90fd8724e98864447cd1f79857ed28a8130f9c5c2",
    "the-guardian-api": "4dd1e0a37427beb5576ace4c9ff55fe724ef883a8dcbeeda0e85c46c1a62c277",
    "typeform": "9126249f39f8b7bb271647af22d7f15fa1c78ab6fb869966710fa3327b659b6c",
    "younium": "dc252584339c57e8c1fba1741a0b1f46b51016946d7200503dda7413311b1859",
    "zendesk-talk": "6f11560211560a6060f80f937b4048e4c32fc49f17fbf1baf41560d76a770166",
    "zoom": "bd8039d2fbb29794b4b1d2c6dc8201e40c6927cb9b2db4b0fd6f2b1c7cd3b7a3",
}
_REWRITES: Mapping[tuple[str, str], Rewrite] = {
    ("CustomAuthenticator", "fastbill"): _basic,
    ("CustomAuthenticator", "qualaroo"): _basic,
    ("AuthenticatorRetently", "retently"): _key_or_oauth,
    ("ObjectDpathExtractor", "alpha-vantage"): _members_as_rows,
    ("PocketExtractor", "pocket"): _members_as_rows,
    ("DateTimeTransformer", "bigcommerce"): _rfc_2822_dates,
    ("CustomFieldTransformation", "chargebee"): _left_out(
        "members that begin with cf_ are columns; the source makes them a list"
    ),
    ("CommerceToolsOauth2Authenticator", "commercetools"): _commercetools,
    ("LookerAuthenticator", "looker"): _looker,
    ("CustomExtractor", "outreach"): _json_api,
    ("NullCheckedDpathExtractor", "pipedrive"): _nested_rows,
    ("CustomExtractor", "public-apis"): _texts_as_rows,
    ("CustomExtractor", "qualaroo"): _whole_body(
        "answered_questions is an object; the source makes it a list"
    ),
    ("ExportDatesExtractor", "recurly"): _whole_body(),
    ("ZendeskTalkAuthenticator", "zendesk-talk"): _selective(
        "basic_auth", "legacy_basic_auth", "oauth", "oauth_refresh"
    ),
    ("IVRMenusRecordExtractor", "zendesk-talk"): _rows_in_rows("ivrs", "menus", ivr_id="ivrs.id"),
    ("IVRRoutesRecordExtractor", "zendesk-talk"): _rows_in_rows(
        "ivrs", "menus", "routes", ivr_id="ivrs.id", ivr_menu_id="ivrs.menus.id"
    ),
    ("ServerToServerOauthAuthenticator", "zoom"): _account_credentials,
    ("CustomYouniumAuthenticator", "younium"): _younium,
    ("SurveyIdPartitionRouter", "surveymonkey"): _all_parents("survey_ids"),
    ("TypeformAuthenticator", "typeform"): _selective("token_auth", "oauth2"),
    ("FormIdPartitionRouter", "typeform"): _all_parents("form_ids"),
    ("CustomPageIncrement", "the-guardian-api"): _guardian_pages,
}
# By class, and SHA-256 of components.py.
KNOWN: Mapping[tuple[str, str], Rewrite] = {
    (name, _DIGESTS[source]): rewrite for (name, source), rewrite in _REWRITES.items()
}


def components_digest(folder: Path | None) -> str:
    """The SHA-256 of components.py beside a manifest, or in the package beside it; "" without one."""
    if folder is None:
        return ""
    for path in (folder / "components.py", *sorted(folder.glob("source_*/components.py"))):
        if path.is_file() and path.stat().st_size <= _MAX_FILE:
            return hashlib.sha256(path.read_bytes()).hexdigest()
    return ""


def replace_known(value: Json, digest: str) -> Json:
    """A component tree with the known components replaced."""
    match value:
        case list():
            return [replace_known(item, digest) for item in value]
        case Mapping():
            found = PositionedMapping({key: replace_known(item, digest) for key, item in value.items()})
            found.line = line_of(value)
            name = str(found.get("class_name", "")).rpartition(".")[2]
            rewrite = KNOWN.get((name, digest)) if name else None
            if rewrite is None:
                return found
            plain = {key: item for key, item in found.items() if key not in ("class_name", "type")}
            known = PositionedMapping(rewrite(plain))
            known.line = found.line
            return known
        case _:
            return value
