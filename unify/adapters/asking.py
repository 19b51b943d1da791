"""The requests of one table: what its spec says, with options, parent, paging and cursor filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from unify.adapters import template
from unify.adapters.messages import Fields, Request
from unify.adapters.spec import AdapterSpec, Paging, TableSpec
from unify.adapters.turns import Turn
from unify.errors import SourceError, SpecError

CURSOR = "cursor"  # the variable that holds the incremental cursor
UNTIL = "until"  # and the one that holds where a window ends
_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
_LEADING_VARIABLE = re.compile(r"\{([A-Za-z_]\w*)\}")


class Asking:
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
        self._base = base_url(spec, options)
        self._headers = {**_accepted(table), **spec.headers, **table.headers}
        texts = [table.path, dict(table.params), dict(self._headers), table.body, dict(table.form or {})]
        self.names = frozenset(name for text in texts for name in template.names_in(text))
        params = (paging.page_param, paging.offset_param, paging.cursor_param, paging.size_param)
        taken = self.names.intersection(filter(None, params)) if paging.place != "query" else ()
        self._unset = dict.fromkeys(taken)
        self._pages_in_body = paging.place == "body" and table.method != "GET"
        incremental = table.incremental
        self._since_param = incremental.param if incremental is not None else None

    def request(self, variables: Mapping[str, Any], turn: Turn) -> Request:
        """The request for ``turn``. ``variables`` are options, parent row and cursor; None is not set.

        Raises  SourceError naming the variable that has no value where one is needed.
        """
        taken = {name: value for name, value in turn.values.items() if name in self._unset}
        filled = {**self._unset, **variables, **taken}
        try:
            headers = self._filled_headers(filled)
            body = self._body(filled, turn, headers)
            if turn.url is not None:
                return Request(self._table.method, turn.url, (), headers, body)
            return Request(self._table.method, self._url(filled), self._params(filled, turn), headers, body)
        except SpecError as error:
            raise SourceError(error.message) from error

    def _url(self, variables: Mapping[str, Any]) -> str:
        path = self._table.path
        leading = _LEADING_VARIABLE.match(path)
        if leading and _ABSOLUTE.match(str(variables.get(leading[1], ""))):
            start = template.fill(leading[0], variables, "plain").rstrip("/")
            return start + template.fill(path[leading.end() :], variables, "path")
        filled = template.fill(path, variables, "path")
        if _ABSOLUTE.match(filled):
            return filled
        return f"{self._base}/{filled.lstrip('/')}" if filled.strip("/") else self._base

    def _filled_headers(self, variables: Mapping[str, Any]) -> dict[str, str]:
        filled = template.fill_fields(self._headers, variables, "header")
        return {name: value if isinstance(value, str) else ", ".join(value) for name, value in filled.items()}

    def _params(self, variables: Mapping[str, Any], turn: Turn) -> Fields:
        fields = template.fill_fields(self._table.params, variables, "query")
        since = variables.get(CURSOR)
        if self._since_param is not None and since is not None and not self._pages_in_body:
            fields[self._since_param] = str(since)
        if not self._pages_in_body:
            fields |= {name: str(value) for name, value in self._placed(turn).items()}
        return tuple(
            (name, value)
            for name, values in fields.items()
            for value in ([values] if isinstance(values, str) else values)
        )

    def _placed(self, turn: Turn) -> dict[str, str | int | float]:
        """Paging values that no ``{name}`` of the spec takes."""
        return {name: value for name, value in turn.values.items() if name not in self._unset}

    def _body(self, variables: Mapping[str, Any], turn: Turn, headers: dict[str, str]) -> bytes | None:
        table = self._table
        if table.form is not None:
            fields = template.fill_fields(table.form, variables, "body")
            if self._pages_in_body:
                fields |= {name: str(value) for name, value in self._placed(turn).items()}
                if self._since_param is not None and variables.get(CURSOR) is not None:
                    fields[self._since_param] = str(variables[CURSOR])
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
            return urlencode(fields, doseq=True).encode()
        if table.body is None and not self._pages_in_body:
            return None
        body = {} if table.body is None else template.fill_value(table.body, variables)
        if self._pages_in_body:
            for path, value in self._placed(turn).items():
                body = _with_member(body, path, value)
            if self._since_param is not None and variables.get(CURSOR) is not None:
                body = _with_member(body, self._since_param, variables[CURSOR])
        headers.setdefault("Content-Type", "application/json")
        return msgspec.json.encode(body)


def _accepted(table: TableSpec) -> Mapping[str, str]:
    """What an API that can answer in several ways is told, unless the spec tells it."""
    return {"Accept": "application/xml, text/xml;q=0.9, */*;q=0.1"} if table.format == "xml" else {}


def base_url(spec: AdapterSpec, options: Mapping[str, Any]) -> str:
    """The address all paths of the spec start from, without a slash at its end."""
    return template.fill(spec.base_url, options, "plain").strip().rstrip("/")


def _with_member(body: Any, path: str, value: Any) -> Any:
    """``body`` with ``value`` at a dotted path, the objects on the way made if need be."""
    name, _, rest = path.partition(".")
    members = dict(body) if isinstance(body, dict) else {}
    members[name] = _with_member(members.get(name), rest, value) if rest else value
    return members
