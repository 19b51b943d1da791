"""Requests of streams: address, parameters, headers and body; and what is injected into them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from msgspec import Struct, field

from unify.importers.airbyte.context import StreamContext, shown
from unify.importers.airbyte.jinja.parser import has_jinja
from unify.importers.airbyte.jinja.values import Choice, Known, Value, roots_of
from unify.importers.airbyte.manifest import Component, NotImportable, type_of
from unify.importers.common.documents import items_of, members_of, text_of
from unify.importers.model import Json

_CLIENT_HEADERS = frozenset(["content-type", "user-agent", "accept-encoding", "content-length"])
_ADDRESS = re.compile(r"(https?://[^/?#]+|\{[A-Za-z_]\w*\})(.*)", re.DOTALL)

_PATH_OF_VARIABLE = re.compile(r"(https?://[^/?#{]+)(\{[A-Za-z_]\w*\})")  # it begins with a slash


class RequestDraft(Struct):
    """The request of a stream while its parts are put together.

    ``address``     the whole address as a template; ``token_places`` where the text asks for the page token:
                    the place (params, headers, body, form, path), the name and the value.
    """

    method: str
    address: str
    params: dict[str, Json] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Json = None
    form: dict[str, str] | None = None
    token_places: list[tuple[str, str, Value]] = field(default_factory=list)

    def inject(self, option: Component, value: Json, ctx: StreamContext) -> None:
        """Add a value at the place of a RequestOption. Raises NotImportable for an unknown place."""
        place, name = option_place(option, ctx)
        match place:
            case "request_parameter":
                self.params[name] = value
            case "header":
                self.headers[name] = str(value)
            case "body_data":
                self.form = {**(self.form or {}), name: str(value)}
            case "body_json":
                self.body = _with_member(members_of(self.body), name.split("\0"), value)
            case _:
                raise NotImportable(f"injects a value into {place}", option)


def option_place(option: Component, ctx: StreamContext) -> tuple[str, str]:
    """The place of a RequestOption and its name; the steps of a path are separated by NUL."""
    steps = items_of(option.get("field_path"))
    if steps:
        name = "\0".join(ctx.text(each, option) for each in steps)
    else:
        name = ctx.text(option.get("field_name", ""), option)
    return text_of(option.get("inject_into")), name


def _with_member(body: Mapping[str, Json], steps: list[str], value: Json) -> dict[str, Json]:
    """A body with a member added at a path."""
    inner = value if len(steps) == 1 else _with_member(members_of(body.get(steps[0])), steps[1:], value)
    return {**body, steps[0]: inner}


def read_request(requester: Component, ctx: StreamContext) -> RequestDraft:
    """The request of a requester. Raises NotImportable."""
    if type_of(requester) != "HttpRequester":
        raise NotImportable(f"{type_of(requester)} (Python)", requester)
    for key, reason in (
        ("fetch_properties_from_endpoint", "asks for the names of its fields first"),
        ("query_properties", "asks for its fields in parts"),
        ("request_options_provider", "a provider of request options"),
    ):
        if requester.get(key) and not _is_plain_provider(requester.get(key)):
            raise NotImportable(reason, requester)
    method = ctx.text(requester.get("http_method") or "GET", requester).upper()
    if method not in ("GET", "POST"):
        raise NotImportable(f"{method} does not read", requester)
    draft = RequestDraft(method, "")
    draft.address = _read_address(requester, draft, ctx)
    draft.params = _read_fields(requester, "request_parameters", "params", draft, ctx)
    headers = _read_fields(requester, "request_headers", "headers", draft, ctx)
    draft.headers = {name: str(text) for name, text in headers.items() if name.lower() not in _CLIENT_HEADERS}
    _read_body(requester, draft, ctx)
    _move_query(draft)
    return draft


def _is_plain_provider(value: Json) -> bool:
    return type_of(value) == "InterpolatedRequestOptionsProvider"


def _read_address(requester: Component, draft: RequestDraft, ctx: StreamContext) -> str:
    """The address of the first page."""
    base = _first_page(requester.get("url") or requester.get("url_base") or "", requester, draft, ctx)
    path = _first_page(requester.get("path") or "", requester, draft, ctx)
    if not base:
        raise NotImportable("has no address", requester)
    if requester.get("url") and not requester.get("url_base"):
        return base if not path else f"{base.rstrip('/')}/{path.lstrip('/')}"
    if re.match(r"https?://", path):
        return path
    return f"{base.rstrip('/')}/{path.lstrip('/')}" if path else base


def _first_page(text: Json, requester: Component, draft: RequestDraft, ctx: StreamContext) -> str:
    """A part of the address; one that is the page token itself for later pages has its first form."""
    value = ctx.fold(text, requester)
    if "page_token" in roots_of(value):
        draft.token_places.append(("path", "", value))
        value = _without_token(value)
    rendered = ctx.render(value, requester, text)
    return "" if rendered is None else str(rendered)


def _without_token(value: Value) -> Value:
    """The value on the first page, where there is no token."""
    if isinstance(value, Choice) and roots_of(value.test) == {"page_token"}:
        is_negated = getattr(value.test, "operator", "") == "not"
        return value.then if is_negated else value.otherwise
    return value


def _read_fields(
    requester: Component, key: str, place: str, draft: RequestDraft, ctx: StreamContext
) -> dict[str, Json]:
    """Parameters or headers; those with the page token are kept apart."""
    given = requester.get(key)
    if not isinstance(given, Mapping):
        return ctx.fields(given, requester) if given else {}
    found: dict[str, Json] = {}
    for name, text in given.items():
        value = ctx.fold(text, requester)
        if "page_token" in roots_of(value):
            draft.token_places.append((place, name, value))
            continue
        for each, rendered in ctx.fields({name: text}, requester).items():
            found[each] = rendered
    return found


def _read_body(requester: Component, draft: RequestDraft, ctx: StreamContext) -> None:
    """The body of a POST: JSON, a form, or GraphQL."""
    body = members_of(requester.get("request_body"))
    kind, value = text_of(body.get("type")), body.get("value")
    json_body = requester.get("request_body_json") or (
        value if kind.endswith(("JsonObject", "GraphQL")) else None
    )
    data = requester.get("request_body_data") or (value if kind and json_body is None else None)
    if isinstance(json_body, str):
        draft.body = _json_text(json_body, requester, ctx)
    elif json_body:
        draft.body = _json_members(json_body, requester, draft, ctx)
    if isinstance(data, Mapping):
        fields = _read_fields({**requester, "data": data}, "data", "form", draft, ctx)
        draft.form = {name: str(text) for name, text in fields.items()}
    elif isinstance(data, str) and data.strip():
        _read_text_body(data, requester, draft, ctx)


def _json_members(
    value: Json, requester: Component, draft: RequestDraft, ctx: StreamContext, path: str = ""
) -> dict[str, Json]:
    """A JSON body, or the object at ``path`` in it; members with the page token are kept apart."""
    found: dict[str, Json] = {}
    for name, text in members_of(value).items():
        is_token = isinstance(text, str) and "page_token" in roots_of(ctx.fold(text, requester))
        here = f"{path}\0{name}" if path else name
        if is_token:
            draft.token_places.append(("body", here, ctx.fold(text, requester)))
        elif "next_page_token" in str(text) and isinstance(text, Mapping):
            found[name] = _json_members(text, requester, draft, ctx, here)
        elif "next_page_token" in str(text):
            raise NotImportable(f"puts the page token into {name}: {shown(str(text))}", requester)
        else:
            rendered = ctx.json(text, requester)
            if rendered is not None:
                found[name] = rendered
    return found


def _json_text(text: str, requester: Component, ctx: StreamContext) -> Json:
    """A JSON body that is written as one text."""
    value = ctx.fold(text, requester)
    if isinstance(value, Known) and isinstance(value.value, Mapping):
        return dict(value.value)
    rendered = ctx.render(value, requester, text)
    parsed = _parse_body(str(rendered))
    if parsed is None:
        raise NotImportable(f"a body as text: {shown(text)}", requester)
    return parsed


def _parse_body(text: str) -> Json:
    """A JSON object, or a Python literal of one."""
    for parse in (json.loads, ast.literal_eval):
        try:
            parsed = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(parsed, dict | list):
            return parsed
    return None


def _read_text_body(data: str, requester: Component, draft: RequestDraft, ctx: StreamContext) -> None:
    """A body as text: JSON, or form fields."""
    if has_jinja(data) and "next_page_token" in data:
        raise NotImportable(f"puts the page token into a text: {shown(data)}", requester)
    text = ctx.text(data, requester)
    parsed = _parse_body(text)
    if parsed is not None:
        draft.body = parsed
        return
    fields = parse_qsl(text, keep_blank_values=True)
    if not fields or "<" in text or "\n" in text.strip():
        raise NotImportable(f"a body as text: {shown(data)}", requester)
    draft.form = dict(fields)


def _move_query(draft: RequestDraft) -> None:
    """Parameters that are written in the address are parameters."""
    address, mark, query = draft.address.partition("?")
    if mark:
        draft.address = address
        draft.params = {**dict(parse_qsl(query, keep_blank_values=True)), **draft.params}
    draft.address = draft.address.partition("#")[0]


def split_address(address: str) -> tuple[str, str]:
    """The origin of an address, or the option that stands for it, and the path."""
    if whole := _PATH_OF_VARIABLE.fullmatch(address):
        return whole[1], whole[2]
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return "", address
    path = re.sub(r"/{2,}", "/", found[2]) or "/"
    return found[1], path if path.startswith("/") else f"/{path}"


def is_usable_path(path: str) -> bool:
    """Whether the spec language accepts a path."""
    segments = re.split(r"[/?]|%2f", path.lower())
    has_dots = any(each.replace("%2e", ".") in (".", "..") for each in segments)
    return not has_dots and not re.search(r"[\s\\#\x00-\x1f]", path) and "{{" not in path
