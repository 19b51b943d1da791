"""The requests that write rows to a table, built and not sent: for rows that are given, or for examples."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.base import LostResponse
from unify.adapters.http.messages import Request
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.rest.row_writer import RowWriter
from unify.adapters.spec import template
from unify.adapters.spec.checks.write import ROW_VARIABLE, ROWS_VARIABLE
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.write import RowOperation, WriteRequest, WriteSpec
from unify.authoring.write_cases import check_planned_rows, planned_rows
from unify.config.secrets import Secret
from unify.engine.connection import open_database, quote_literal
from unify.errors import FileError, QueryError, SpecError, UsageError
from unify.interpreter.writing.rows_to_write import decode_json_object, json_object_sql
from unify.model import PlannedRow, TableName
from unify.redaction import MASK, Redactor
from unify.text import format_count

Row = Mapping[str, object]
EXAMPLE_ROWS = 2  # of a batch
MAX_REQUESTS = 20  # shown of an operation
_LOST_TEXTS = {
    LostResponse.SEND_AGAIN: "it is sent again",
    LostResponse.LOOK: "the row is looked for",
    LostResponse.UNKNOWN: "the row is unknown, and not sent again",
}
_EXAMPLES = (  # by the first letters of a DuckDB type
    (("BOOL",), True),
    (("TINYINT", "SMALLINT", "INT", "BIGINT", "HUGEINT", "UTINY", "USMALL", "UINT", "UBIG", "UHUGE"), 1),
    (("DECIMAL", "NUMERIC", "DOUBLE", "REAL", "FLOAT"), 1.5),
    (("TIMESTAMPTZ", "TIMESTAMP WITH"), "2026-01-31T12:00:00Z"),
    (("TIMESTAMP", "DATETIME"), "2026-01-31T12:00:00"),
    (("DATE",), "2026-01-31"),
    (("JSON", "STRUCT", "MAP"), {"name": "value"}),
)


class WriteSample(Struct, frozen=True):
    """The requests of one operation for some rows; ``problem`` says why they cannot be sent, or is "".

    ``lost``  what is done with a row whose response is lost.
    """

    operation: RowOperation
    rows: int
    requests: Sequence[Request]
    lost: LostResponse
    problem: str = ""


def sample_writes(
    spec: AdapterSpec,
    table: TableSpec,
    options: Mapping[str, str | Secret | None],
    *,
    rows: Sequence[Row] | None,
    operations: Sequence[RowOperation],
    redactor: Redactor,
) -> Iterator[WriteSample]:
    """Build the requests of each operation; sends nothing.

    ``rows``  what is written; None for examples. Of an update or a deletion they are the stored rows, with
              the new values of the columns that an update sets.
    """
    assert table.write is not None
    write = table.write if table.write.key else replace(table.write, key=table.key)
    target = TableName(spec.name, table.name)
    with (
        closing(RESTAdapter(spec, options, redactor=redactor)) as adapter,
        adapter.open_writer(table.name) as writer,
    ):
        for operation in operations:
            chosen = _example_rows(spec, table, write, operation) if rows is None else rows
            yield _sample_operation(target, write, operation, chosen, writer, has_examples=rows is None)


def _sample_operation(
    target: TableName,
    write: WriteSpec,
    operation: RowOperation,
    rows: Sequence[Row],
    writer: RowWriter,
    *,
    has_examples: bool,
) -> WriteSample:
    lost = writer.lost_response(operation, (), 0.0)
    values = [_set_values(write, operation, row, is_example=has_examples) for row in rows]
    planned = planned_rows(write, operation, values, rows)
    try:
        check_planned_rows(target, write, planned, writer)
        requests = list(_render_requests(writer, operation, planned))
    except (QueryError, SpecError) as error:
        return WriteSample(operation, len(planned), (), lost, error.message)
    return WriteSample(operation, len(planned), requests, lost)


def _render_requests(
    writer: RowWriter, operation: RowOperation, rows: Sequence[PlannedRow]
) -> Iterator[Request]:
    while rows:
        batch = writer.fit(operation, rows)
        yield writer.render(operation, batch, f"WRITE-{batch[0].number}-0").request
        rows = rows[len(batch) :]


def _set_values(write: WriteSpec, operation: RowOperation, row: Row, *, is_example: bool) -> Row:
    """The columns of a row that the operation sets; the others of an update tell which row it is."""
    if operation in ("delete", "restore"):
        return {}
    settable = {each.name for each in write.columns if each.is_allowed_in(operation)}
    if operation == "update":
        settable -= set(write.key)
    elif not is_example:
        return row  # what cannot be written is an error
    return {name: value for name, value in row.items() if name in settable}


# -- example rows -----------------------------------------------------------------------------------------


def _example_rows(
    spec: AdapterSpec, table: TableSpec, write: WriteSpec, operation: RowOperation
) -> Sequence[Row]:
    """Rows with a value in each column that the operation sends, one or those of a small batch."""
    request = write.request(operation)
    assert request is not None
    others = {*(option.name for option in spec.options), ROW_VARIABLE, ROWS_VARIABLE}
    settable = [each.name for each in write.columns if each.is_allowed_in(operation)]
    stored = write.key if operation != "insert" else ()
    texts = [request.request, dict(request.params), dict(request.headers)]
    if operation in ("delete", "restore"):
        settable = []
        texts += [request.body, request.each]
    names = dict.fromkeys([*settable, *stored, *template.variable_names_in(texts)])
    types = {column.name: column.type or "" for column in table.columns}
    types |= {each.name: each.type for each in write.columns if each.type}
    count = EXAMPLE_ROWS if request.batch is not None and request.batch.rows > 1 else 1
    return [
        {name: _example_value(name, types.get(name, ""), number) for name in names if name not in others}
        for number in range(1, count + 1)
    ]


def _example_value(name: str, type: str, number: int) -> object:
    if type.endswith("]"):
        return [_example_value(name, type.rpartition("[")[0], number)]
    for prefixes, value in _EXAMPLES:
        if type.upper().startswith(prefixes):
            is_number = isinstance(value, int) and not isinstance(value, bool)
            return number if is_number else value
    return f"{name} {number}"


# -- rows that are given ----------------------------------------------------------------------------------


def read_given_rows(text: str) -> Sequence[Row]:
    """Read rows from JSON, or from a file of JSON, JSON lines or CSV.

    Raises UsageError if they are no rows, FileError if the file cannot be read.
    """
    if text.lstrip().startswith(("[", "{")):
        return _decode_rows(text, "--rows")
    path = Path(text)
    try:
        if path.suffix.lower() in (".csv", ".tsv"):
            return _read_csv(path)
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"--rows: {path} cannot be read: {error}") from error
    return _decode_rows(content, str(path))


def _decode_rows(text: str, source: str) -> Sequence[Row]:
    decoder = msgspec.json.Decoder(float_hook=Decimal)
    try:
        decoded = decoder.decode(text)
    except msgspec.DecodeError as error:
        try:
            decoded = decoder.decode_lines(text)
        except msgspec.DecodeError:
            raise UsageError(f"{source}: expected rows as JSON, such as [{{…}}]: {error}") from error
    rows = [decoded] if isinstance(decoded, dict) else decoded
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{source}: expected a list of objects, each a row")
    return rows


def _read_csv(path: Path) -> Sequence[Row]:
    """Read a CSV with the types that DuckDB detects, as a statement does."""
    from unify.engine import duckdb

    path.open("rb").close()  # an error of the system says more than one of DuckDB
    with open_database() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        source = f"read_csv({quote_literal(os.fspath(path))})"
        try:
            described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
            columns = {str(name): (str(name), str(type)) for name, type, *_ in described}
            found = connection.execute(f"SELECT {json_object_sql(columns)} FROM {source}").fetchall()
        except duckdb.Error as error:
            raise UsageError(f"--rows: {path} is no CSV: {error}") from error
    return [decode_json_object(text, number) for number, (text,) in enumerate(found, start=1)]


# -- in lines ---------------------------------------------------------------------------------------------


def describe_sample(sample: WriteSample, spec: AdapterSpec, write: WriteSpec) -> Iterator[str]:
    """The requests in lines, with what counts as success. They may contain secrets."""
    request = write.request(sample.operation)
    assert request is not None
    if sample.problem:
        yield f"{sample.operation}: {sample.problem}"
        yield ""
        return
    requests = sample.requests
    rows = format_count(sample.rows, "row")
    yield f"{sample.operation}: {rows} in {format_count(len(requests), 'request')}"
    for each in requests[:MAX_REQUESTS]:
        yield from _request_lines(each, spec)
    if len(requests) > MAX_REQUESTS:
        yield f"and {format_count(len(requests) - MAX_REQUESTS, 'more request')}"
    yield f"  done: {_success_text(request)}"
    yield f"  if the response is lost: {_LOST_TEXTS[sample.lost]}{_lost_details(request, sample.lost)}"
    limits = [
        f"{format_count(maximum, 'request')} {span}"
        for maximum, span in (
            (write.limits.requests_per_minute, "a minute"),
            (write.limits.requests_per_hour, "an hour"),
        )
        if maximum is not None
    ]
    if limits:
        yield f"  at most {', '.join(limits)}"
    yield ""


def _request_lines(request: Request, spec: AdapterSpec) -> Iterator[str]:
    yield f"{request.method} {request.full_url}"
    for name, value in request.headers.items():
        yield f"  {name}: {value}"
    if spec.auth.type != "none":
        variables = ", ".join(template.variable_names_in([dict(auth.settings) for auth in spec.auths]))
        yield f"  auth: {spec.auth.type} {MASK} (from {variables or 'the spec'})"
    if request.body is not None:
        yield f"  {request.body.decode()}"


def _success_text(request: WriteRequest) -> str:
    """What the response of a row that was written is like."""
    outcomes = request.outcomes
    parts = ["a status of 200 to 299"]
    if outcomes.ok is not None:
        parts.append(f"{outcomes.ok} is true")
    lists = [name for name in (outcomes.done, outcomes.failed) if name is not None]
    if lists:
        parts.append(f"each row has its outcome in {' or '.join(lists)}, by {outcomes.by}")
    if request.created:
        parts.append(f"the response has {', '.join(request.created.values())}")
    if request.divide:
        codes = ", ".join(map(str, request.divide))
        parts.append(f"a batch with status {codes} is divided")
    return "; ".join(parts)


def _lost_details(request: WriteRequest, lost: LostResponse) -> str:
    if lost is LostResponse.LOOK and request.settle is not None:
        return f" with {request.settle.find}, by {', '.join(request.settle.same)}"
    if lost is LostResponse.SEND_AGAIN and request.idempotency is not None:
        return f" with the same {request.idempotency.header}"
    return ""
