"""The requests of one table: what its spec says, with options, parent, paging and cursor filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from unify.adapters.http.messages import QueryParams, Request
from unify.adapters.paging.base import PageRequest
from unify.adapters.spec import template
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.paging import Paging
from unify.errors import SourceError, SpecError

CURSOR_VARIABLE = "cursor"  # the variable that holds the incremental cursor
UNTIL_VARIABLE = "until"  # and the one that holds where a window ends
_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
_LEADING_VARIABLE = re.compile(r"\{([A-Za-z_]\w*)\}")


class RequestBuilder:
    """Builds the requests of one table.

    ``names`` are the variables its texts mention. Where pages go into body or path, a paging value that one
    of them takes is not put anywhere else; the others go where ``paging.in`` says. In the query none is
    taken: a ``cursor_param`` called cursor is no ``{cursor}``.
    """

    def __init__(
        self, spec: AdapterSpec, table: TableSpec, options: Mapping[str, Any], paging: Paging
    ) -> None:
        self._table = table
        self._paging = paging
        self._base = render_base_url(spec, options)
        self._headers = {**_accept_header(table), **spec.headers, **table.headers}
        texts = [table.path, dict(table.params), dict(self._headers), table.body, dict(table.form or {})]
        self.variable_names = frozenset(name for text in texts for name in template.variable_names_in(text))
        params = (paging.page_param, paging.offset_param, paging.cursor_param, paging.size_param)
        taken = self.variable_names.intersection(filter(None, params)) if paging.location != "query" else ()
        self._template_params = dict.fromkeys(taken)
        self._pages_in_header = paging.location == "header"
        self._pages_in_body = paging.location == "body" and table.method != "GET"
        incremental = table.incremental
        self._since_param = incremental.param if incremental is not None else None

    def build_request(self, variables: Mapping[str, Any], page_request: PageRequest) -> Request:
        """The request for ``turn``. ``variables`` are options, parent row and cursor; None is not set.

        Raises  SourceError naming the variable that has no value where one is needed.
        """
        taken = {name: value for name, value in page_request.params.items() if name in self._template_params}
        filled = {**self._template_params, **variables, **taken}
        try:
            headers = self._build_headers(filled)
            if self._pages_in_header:
                headers |= {name: str(value) for name, value in self._paging_params(page_request).items()}
            body = self._build_body(filled, page_request, headers)
            if page_request.url is not None:
                return Request(self._table.method, page_request.url, (), headers, body)
            return Request(
                self._table.method,
                self._build_url(filled),
                self._build_params(filled, page_request),
                headers,
                body,
            )
        except SpecError as error:
            raise SourceError(error.message) from error

    def _build_url(self, variables: Mapping[str, Any]) -> str:
        path = self._table.path
        leading = _LEADING_VARIABLE.match(path)
        if leading and _ABSOLUTE.match(str(variables.get(leading[1], ""))):
            start = template.render_text(leading[0], variables, "plain").rstrip("/")
            return start + template.render_text(path[leading.end() :], variables, "path")
        filled = template.render_text(path, variables, "path")
        if _ABSOLUTE.match(filled):
            return filled
        return f"{self._base}/{filled.lstrip('/')}" if filled.strip("/") else self._base

    def _build_headers(self, variables: Mapping[str, Any]) -> dict[str, str]:
        filled = template.render_fields(self._headers, variables, "header")
        return {name: value if isinstance(value, str) else ", ".join(value) for name, value in filled.items()}

    def _build_params(self, variables: Mapping[str, Any], page_request: PageRequest) -> QueryParams:
        fields = template.render_fields(self._table.params, variables, "query")
        since = variables.get(CURSOR_VARIABLE)
        if self._since_param is not None and since is not None and not self._pages_in_body:
            fields[self._since_param] = str(since)
        if not self._pages_in_body and not self._pages_in_header:
            fields |= {name: str(value) for name, value in self._paging_params(page_request).items()}
        return tuple(
            (name, value)
            for name, values in fields.items()
            for value in ([values] if isinstance(values, str) else values)
        )

    def _paging_params(self, page_request: PageRequest) -> dict[str, str | int | float]:
        """Paging values that no ``{name}`` of the spec takes."""
        return {
            name: value for name, value in page_request.params.items() if name not in self._template_params
        }

    def _build_body(
        self, variables: Mapping[str, Any], page_request: PageRequest, headers: dict[str, str]
    ) -> bytes | None:
        table = self._table
        if table.form is not None:
            fields = template.render_fields(table.form, variables, "body")
            if self._pages_in_body:
                fields |= {name: str(value) for name, value in self._paging_params(page_request).items()}
                if self._since_param is not None and variables.get(CURSOR_VARIABLE) is not None:
                    fields[self._since_param] = str(variables[CURSOR_VARIABLE])
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
            return urlencode(fields, doseq=True).encode()
        if table.body is None and not self._pages_in_body:
            return None
        body = {} if table.body is None else template.render_value(table.body, variables)
        if self._pages_in_body:
            for path, value in self._paging_params(page_request).items():
                body = _set_member(body, path, value)
            if self._since_param is not None and variables.get(CURSOR_VARIABLE) is not None:
                body = _set_member(body, self._since_param, variables[CURSOR_VARIABLE])
        headers.setdefault("Content-Type", "application/json")
        return msgspec.json.encode(body)


def _accept_header(table: TableSpec) -> Mapping[str, str]:
    """What an API that can answer in several ways is told, unless the spec tells it."""
    return {"Accept": "application/xml, text/xml;q=0.9, */*;q=0.1"} if table.format == "xml" else {}


def render_base_url(spec: AdapterSpec, options: Mapping[str, Any]) -> str:
    """The address all paths of the spec start from, without a slash at its end."""
    return template.render_text(spec.base_url, options, "plain").strip().rstrip("/")


def _set_member(body: Any, path: str, value: Any) -> Any:
    """``body`` with ``value`` at a dotted path, the objects on the way made if need be."""
    name, _, rest = path.partition(".")
    members = dict(body) if isinstance(body, dict) else {}
    members[name] = _set_member(members.get(name), rest, value) if rest else value
    return members
