"""Builds the requests of a table from its spec, options, parent row, page and cursor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urljoin

import msgspec

from unify.adapters.http.messages import QueryParams, Request
from unify.adapters.paging.base import PageRequest
from unify.adapters.spec import template
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.paging import Paging
from unify.errors import SourceError, SpecError

CURSOR_VARIABLE = "cursor"  # the incremental cursor
UNTIL_VARIABLE = "until"  # the end of a time window
_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
_LEADING_VARIABLE = re.compile(r"\{([A-Za-z_]\w*)\}")

Params = Mapping[str, str | int | float]


class RequestBuilder:
    """Builds the requests of one table.

    With ``paging.in: body``, ``path`` or ``header``, a paging value that a ``{name}`` of the spec uses is
    sent only there; the others are sent where ``paging.in`` says. With ``query``, no ``{name}`` is a paging
    value: a ``cursor_param`` named cursor is not ``{cursor}``.

    ``variable_names``  of all texts of the request.
    """

    def __init__(
        self, spec: AdapterSpec, table: TableSpec, options: Mapping[str, Any], paging: Paging
    ) -> None:
        self._table = table
        self._base = render_base_url(spec, options)
        self._headers = {**_accept_header(table), **spec.headers, **table.headers}
        texts = [table.path, dict(table.params), dict(self._headers), table.body, dict(table.form or {})]
        self.variable_names = frozenset(name for text in texts for name in template.variable_names_in(text))
        params = (paging.page_param, paging.offset_param, paging.cursor_param, paging.size_param)
        taken = self.variable_names.intersection(filter(None, params)) if paging.location != "query" else ()
        self._template_params = dict.fromkeys(taken)
        self._pages_in_header = paging.location == "header"
        self._pages_in_body = paging.location == "body" and table.sends_body
        self._since_param = table.incremental.param if table.incremental is not None else None

    def build_request(self, variables: Mapping[str, Any], page_request: PageRequest) -> Request:
        """Build the request of a page. ``variables`` are options, parent row and cursor; None means not set.

        Raises:
            SourceError: a required variable has no value.
        """
        paging = dict(page_request.params)
        taken = {name: paging.pop(name) for name in self._template_params if name in paging}
        values = {**self._template_params, **variables, **taken}
        cursor = variables.get(CURSOR_VARIABLE)
        since = {self._since_param: cursor} if self._since_param is not None and cursor is not None else {}
        in_query = {} if self._pages_in_body else since if self._pages_in_header else {**since, **paging}
        try:
            headers = self._build_headers(values) | (_texts(paging) if self._pages_in_header else {})
            body = self._build_body(values, {**paging, **since} if self._pages_in_body else {}, headers)
            if page_request.url is not None:
                return Request(self._table.method, page_request.url, (), headers, body)
            params = self._build_params(values, in_query)
            return Request(self._table.method, self._build_url(values), params, headers, body)
        except SpecError as error:
            raise SourceError(error.message) from error

    def _build_url(self, variables: Mapping[str, Any]) -> str:
        path = self._table.path
        leading = _LEADING_VARIABLE.match(path)
        start = str(variables.get(leading[1], "")) if leading else ""
        if leading and (_ABSOLUTE.match(start) or start.startswith("/")):
            start = template.render_text(leading[0], variables, "plain").rstrip("/")
            start = urljoin(f"{self._base}/", start) if start.startswith("/") else start
            return start + template.render_text(path[leading.end() :], variables, "path")
        rendered = template.render_text(path, variables, "path")
        if _ABSOLUTE.match(rendered):
            return rendered
        return f"{self._base}/{rendered.lstrip('/')}" if rendered.strip("/") else self._base

    def _build_headers(self, variables: Mapping[str, Any]) -> dict[str, str]:
        fields = template.render_fields(self._headers, variables, "header")
        return {name: value if isinstance(value, str) else ", ".join(value) for name, value in fields.items()}

    def _build_params(self, variables: Mapping[str, Any], more: Params) -> QueryParams:
        fields = template.render_fields(self._table.params, variables, "query") | _texts(more)
        return tuple(
            (name, value)
            for name, values in fields.items()
            for value in ([values] if isinstance(values, str) else values)
        )

    def _build_body(
        self, variables: Mapping[str, Any], more: Params, headers: dict[str, str]
    ) -> bytes | None:
        table = self._table
        if table.form is not None:
            fields = template.render_fields(table.form, variables, "body") | _texts(more)
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
            return urlencode(fields, doseq=True).encode()
        if table.body is None and not self._pages_in_body:
            return None
        body = {} if table.body is None else template.render_value(table.body, variables)
        for path, value in more.items():
            body = _set_member(body, path, value)
        headers.setdefault("Content-Type", "application/json")
        return msgspec.json.encode(body)


def _texts(params: Params) -> dict[str, str]:
    return {name: str(value) for name, value in params.items()}


def _accept_header(table: TableSpec) -> Mapping[str, str]:
    """The default for APIs that support several formats."""
    return {"Accept": "application/xml, text/xml;q=0.9, */*;q=0.1"} if table.format == "xml" else {}


def render_base_url(spec: AdapterSpec, options: Mapping[str, Any]) -> str:
    """The URL before the paths of the spec, without a slash at the end."""
    return template.render_text(spec.base_url, options, "plain").strip().rstrip("/")


def _set_member(body: Any, path: str, value: Any) -> Any:
    """Return ``body`` with ``value`` at a dotted path; missing objects are created."""
    name, _, rest = path.partition(".")
    members = dict(body) if isinstance(body, dict) else {}
    members[name] = _set_member(members.get(name), rest, value) if rest else value
    return members
