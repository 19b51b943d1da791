"""RowWriter: rows of a table as requests of the API, and their outcomes. Keeps no state between requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.base import LostResponse
from unify.adapters.formats.body import RecordSelector
from unify.adapters.formats.records import parse_body
from unify.adapters.http.client import HttpClient
from unify.adapters.http.errors import quote_body
from unify.adapters.http.messages import QueryParams, Request, Response
from unify.adapters.rest.request_builder import render_base_url
from unify.adapters.rest.write_outcomes import OutcomeReader, value_at, value_text, values_at
from unify.adapters.spec import template
from unify.adapters.spec.checks.write import ROW_VARIABLE, ROWS_VARIABLE
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.write import RowOperation, Settle, WriteRequest, WriteSpec
from unify.errors import BadResponse, BatchRefused, ConfigError, NotFound, SpecError
from unify.model import PlannedRow, RowOutcome, RowState

_encoder = msgspec.json.Encoder(decimal_format="number")
_NAMES_ITS_ROW = frozenset(["PUT", "DELETE"])


class RenderedBatch(Struct, frozen=True):
    """A request, and the value of each row by which its outcome is found in the response."""

    request: Request
    marks: Sequence[str] = ()
    bodies: Sequence[object] = ()


class RowWriter:
    """Writes rows to one table of a connection.

    ``stop``  ends a request in another thread.
    """

    def __init__(
        self,
        client: HttpClient,
        spec: AdapterSpec,
        table: TableSpec,
        options: Mapping[str, Any],
        *,
        stop: threading.Event,
    ) -> None:
        if table.write is None:
            raise ConfigError(f"{spec.path}: {table.name} cannot be written: it has no key write")
        self._client = client
        self._spec = spec
        self._write: WriteSpec = table.write
        self._rules = (*table.errors, *spec.errors)
        self._options = options
        self._redactor = client.redactor
        self._stop = stop
        self._base = render_base_url(spec, options)

    @property
    def transient_columns(self) -> Sequence[str]:
        return ()

    def batch_size(self, operation: RowOperation) -> int:
        """How many rows one request may hold."""
        batch = self._request(operation).batch
        return batch.rows if batch is not None else 1

    def fit(self, operation: RowOperation, rows: Sequence[PlannedRow]) -> Sequence[PlannedRow]:
        """Return the first rows that fit into one request, at least one."""
        spec = self._request(operation)
        batch = spec.batch
        kept = self._with_same_address(spec, rows[: self.batch_size(operation)])
        limit = batch.bytes if batch is not None else None
        while limit is not None and len(kept) > 1 and _size(self.render(operation, kept).request) > limit:
            kept = kept[: len(kept) // 2]
        return kept

    def _with_same_address(self, spec: WriteRequest, rows: Sequence[PlannedRow]) -> Sequence[PlannedRow]:
        """Return the first rows whose columns in the address of a batch are equal."""
        names = template.variable_names_in([spec.request, dict(spec.params), dict(spec.headers)])
        shared = [name for name in names if name not in self._options]
        if spec.batch is None or not shared:
            return rows
        first, *_ = addresses = [
            {name: self._address_variables(row).get(name) for name in shared} for row in rows
        ]
        return [row for row, _ in takewhile(lambda pair: pair[1] == first, zip(rows, addresses, strict=True))]

    def check(self, operation: RowOperation, row: PlannedRow) -> str:
        """Return why the row cannot be sent; "" if it can. Sends nothing."""
        try:
            self.render(operation, [row])
        except SpecError as error:
            return error.message
        return ""

    def describe(self, operation: RowOperation, rows: Sequence[PlannedRow]) -> str:
        """Return the request of ``rows`` with its body, without secrets."""
        request = self.render(operation, rows).request
        body = f" {request.body.decode()}" if request.body is not None else ""
        return self._redactor.redact(f"{request.method} {request.full_url}{body}")

    def send(self, operation: RowOperation, rows: Sequence[PlannedRow], key: str) -> Sequence[RowOutcome]:
        """Send one request and return the outcome of each row.

        ``key``  names the request, for APIs that carry out a request with a known key once.

        Raises:
            BatchRefused: none of the rows was written; the refused one is found by sending fewer.
            ResponseLost: the request was sent, and what became of it is not known.
            SourceError: the request was not carried out.
        """
        spec = self._request(operation)
        rendered = self.render(operation, rows, key)
        response = self._client.send_write(rendered.request, self._rules, self._stop)
        if len(rows) > 1 and response.status in spec.divide:
            raise BatchRefused(f"{response.request_line}: status {response.status}")
        reader = OutcomeReader(operation, spec, response, quote_body(response, self._redactor))
        if spec.batch is not None:
            outcomes = reader.read_batch(rows, rendered.marks)
        else:
            outcomes = [reader.read_row(rows[0], rendered.bodies[0])]
        return [replace(outcome, message=self._redactor.redact(outcome.message)) for outcome in outcomes]

    def lost_response(
        self, operation: RowOperation, rows: Sequence[PlannedRow], age_s: float
    ) -> LostResponse:
        """Decide what to do with rows sent ``age_s`` ago whose response is not known."""
        spec = self._request(operation)
        if spec.idempotency is not None and age_s < spec.idempotency.lives_s:
            return LostResponse.SEND_AGAIN
        if spec.settle is not None:
            return LostResponse.LOOK
        is_added = any(row.values.get(name) is not None for row in rows for name in spec.adds)
        if (operation != "insert" or spec.method in _NAMES_ITS_ROW) and not is_added:
            return LostResponse.SEND_AGAIN  # it names its row and sets absolute values
        return LostResponse.UNKNOWN

    def find(self, operation: RowOperation, row: PlannedRow) -> Sequence[RowOutcome]:
        """Look for a row whose response was lost: the outcome for each row there that may be it.

        Empty: the API does not have it, so it was not written.

        Raises SourceError: nothing was found out.
        """
        spec = self._request(operation)
        assert spec.settle is not None
        request = self._settle_request(spec.settle, row)
        try:
            response = self._client.fetch(request, (), self._stop)
        except NotFound:
            return ()
        state = RowState.CREATED if operation == "insert" else RowState.UPDATED
        return [
            RowOutcome(row.number, state, response.status, values_at(found, spec.created))
            for found in _found_rows(response, spec.settle)
            if _is_same(found, row, spec.settle.same)
        ]

    def render(self, operation: RowOperation, rows: Sequence[PlannedRow], key: str = "") -> RenderedBatch:
        """Build the request of ``rows``. Raises SpecError for a value that the request cannot hold."""
        spec = self._request(operation)
        if spec.batch is None:
            return self._render_single(spec, rows[0], key)
        items = [
            _render(spec.each, {**self._body_variables(row), ROW_VARIABLE: str(row.number)}) for row in rows
        ]
        variables = {**self._address_variables(rows[0]), ROWS_VARIABLE: items}
        by = spec.outcomes.by
        marks = [] if by == "position" else [value_text(value_at(item, by)) for item in items]
        return RenderedBatch(self._build(spec, variables, variables, key), marks, items)

    def _render_single(self, spec: WriteRequest, row: PlannedRow, key: str) -> RenderedBatch:
        in_address, body_variables = self._address_variables(row), self._body_variables(row)
        body = _render(spec.body, body_variables) if spec.body is not None else None
        return RenderedBatch(self._build(spec, in_address, body_variables, key), (), (body,))

    def _build(
        self, spec: WriteRequest, variables: Mapping[str, Any], in_body: Mapping[str, Any], key: str
    ) -> Request:
        headers = _texts(template.render_fields({**self._spec.headers, **spec.headers}, variables, "header"))
        if spec.idempotency is not None and key:
            headers[spec.idempotency.header] = key
        body = None
        if spec.form is not None:
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
            body = urlencode(list(_form_fields(_render(spec.form, in_body)))).encode()
        elif spec.body is not None:
            headers.setdefault("Content-Type", "application/json")
            body = _encoder.encode(_render(spec.body, in_body))
        return Request(
            spec.method, self._url(spec.path, variables), self._params(spec.params, variables), headers, body
        )

    def _settle_request(self, settle: Settle, row: PlannedRow) -> Request:
        method, _, path = settle.find.partition(" ")
        variables = self._address_variables(row)
        address, _, query = path.partition("?")
        headers = _texts(template.render_fields(self._spec.headers, variables, "header"))
        body = None
        if settle.body is not None:
            headers.setdefault("Content-Type", "application/json")
            body = _encoder.encode(_render(settle.body, variables))
        pairs = [pair.partition("=") for pair in query.split("&") if pair]
        in_path = tuple((name, template.render_text(text, variables, "query")) for name, _, text in pairs)
        params = (*in_path, *self._params(settle.params, variables))
        return Request(method, self._url(address, variables), params, headers, body)

    def _url(self, path: str, variables: Mapping[str, Any]) -> str:
        rendered = template.render_text(path, variables, "path")
        return rendered if "://" in rendered else f"{self._base}/{rendered.lstrip('/')}"

    def _params(self, params: Mapping[str, Any], variables: Mapping[str, Any]) -> QueryParams:
        fields = template.render_fields(params, variables, "query")
        return tuple(
            (name, value)
            for name, values in fields.items()
            for value in ([values] if isinstance(values, str) else values)
        )

    def _body_variables(self, row: PlannedRow) -> dict[str, Any]:
        """Options, the key, and the columns that are set; those that are not have no value.

        Of a row to restore, those that it had before it was deleted.
        """
        if row.action == "restore":
            return self._address_variables(row)
        values = _variables(row.values)
        if self._write.null_as_empty:
            values |= dict.fromkeys(self._cleared_texts(row), "")
        return {**self._unset_variables(), **_variables(row.key), **values}

    def _cleared_texts(self, row: PlannedRow) -> Iterator[str]:
        """The columns that the row sets to NULL, except for JSON."""
        for name, value in row.values.items():
            column = self._write.column(name)
            if value is None and column is not None and (column.type or "").lower() != "json":
                yield name

    def _address_variables(self, row: PlannedRow) -> dict[str, Any]:
        """The same, and the stored row, by which an update or a deletion may address it."""
        before = _variables(row.before or {})
        return {**self._unset_variables(), **before, **_variables(row.key), **_variables(row.values)}

    def _unset_variables(self) -> dict[str, Any]:
        return {**self._options, **dict.fromkeys(column.name for column in self._write.columns)}

    def _request(self, operation: RowOperation) -> WriteRequest:
        found = self._write.request(operation)
        if found is None:
            raise ConfigError(f"{self._spec.path}: the API has no {operation} here")
        return found


def _render(value: Any, variables: Mapping[str, Any]) -> Any:
    """Render a body; an object whose columns are all unset is not sent, such as ``{owner: {id: …}}``."""
    return template.render_value(value, variables, drops_empty=True)


def _variables(values: Mapping[str, object]) -> dict[str, object]:
    return {name: template.NULL if value is None else value for name, value in values.items()}


def _texts(fields: Mapping[str, str | list[str]]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else ", ".join(value) for name, value in fields.items()}


def _form_fields(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Fields of a form: ``a[b]`` for a member of an object, ``a[]`` for an item of a list, "" for null."""
    if isinstance(value, Mapping):
        for key, member in value.items():
            yield from _form_fields(member, f"{name}[{key}]" if name else str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _form_fields(item, f"{name}[]")
    else:
        yield name, "" if value is None else value_text(value)


def _size(request: Request) -> int:
    return len(request.body or b"")


def _found_rows(response: Response, settle: Settle) -> list[Mapping[str, object]]:
    selector = RecordSelector(path=settle.rows, may_be_empty=True)
    try:
        body = parse_body(
            response.body, response.headers.get("content-type", ""), selector, response.request_line
        )
    except BadResponse:
        return []
    return [msgspec.json.decode(row, type=dict[str, object]) for row in body.rows]


def _is_same(found: Mapping[str, object], row: PlannedRow, columns: Sequence[str]) -> bool:
    """Whether a row of the API has the values of ``row``; columns that were not set do not count."""
    wanted = {**row.key, **row.values}
    compared = [name for name in columns if name in wanted]
    return bool(compared) and all(
        value_text(value_at(found, name)) == value_text(wanted[name]) for name in compared
    )
