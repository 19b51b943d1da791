"""How rows are written to a table: the key ``write`` of a table and its parts."""
# Annotations are not strings here: see model.

from collections.abc import Mapping
from typing import Annotated, Literal, cast

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from unify.adapters.spec.auth import FormFields, Json
from unify.adapters.spec.formats import (
    ColumnName,
    ColumnType,
    DottedPath,
    Duration,
    HeaderName,
    RequestLine,
    Size,
    WriteRequestLine,
)
from unify.adapters.spec.schema import Named, OneOrMore, doc

WriteOperation = Literal["insert", "update", "delete", "upsert"]
RowOperation = Literal["insert", "update", "delete", "upsert", "restore"]  # restore: take a delete back
WRITE_OPERATIONS: tuple[WriteOperation, ...] = ("insert", "update", "delete", "upsert")
BatchRows = Annotated[int, Meta(ge=1, le=10_000)]
Rate = Annotated[int, Meta(ge=1, le=1_000_000)]
StatusCode = Annotated[int, Meta(ge=100, le=599)]
Required = Literal["true", "false", "insert", "update", "upsert"]


class WriteColumn(Struct, frozen=True):
    """A column that can be written. Other columns of a statement are refused."""

    name: ColumnName
    type: Annotated[
        ColumnType | None, doc("DuckDB type that the values must fit.", "varchar", default="any")
    ] = None
    required: Annotated[
        Required,
        doc("true: each row has a value; insert, update or upsert: each row of that operation.", "insert"),
    ] = "false"
    only: Annotated[
        OneOrMore[WriteOperation], doc("Operations that may set it.", "update", default="all")
    ] = ()
    description: Annotated[str, doc("Description.", "Title of the issue")] = ""

    def is_allowed_in(self, operation: RowOperation) -> bool:
        return not self.only or operation in self.only

    def is_required_in(self, operation: RowOperation) -> bool:
        return self.required in ("true", operation)


class Batch(Struct, frozen=True):
    """How many rows one request holds."""

    rows: Annotated[BatchRows, doc("Maximum number of rows.", "100")]
    bytes: Annotated[Size | None, doc("Maximum size of the body.", "1 MB")] = None


class Outcomes(Struct, frozen=True):
    """Where the response of a batch says what became of each row."""

    done: Annotated[DottedPath | None, doc("Path of the list of rows that were written.", "results")] = None
    failed: Annotated[DottedPath | None, doc("Path of the list of rows that were refused.", "errors")] = None
    by: Annotated[
        str,
        doc(
            "Path in an item of the value that its row sent; or position: the items are in the order of the "
            "rows.",
            "objectWriteTraceId",
        ),
    ] = "position"
    failed_by: Annotated[
        DottedPath | None,
        doc(
            "The same path in an item of `failed`; a list has the values of several rows.",
            "context.objectWriteTraceId",
            default="by",
        ),
    ] = None
    new: Annotated[
        DottedPath | None,
        doc("Path in an item, or the row, of the flag that an upsert has created it.", "new"),
    ] = None
    id: Annotated[DottedPath | None, doc("Path in an item of the id of the row.", "id")] = None
    status: Annotated[DottedPath | None, doc("Path in an item of its status code.", "status")] = None
    ok: Annotated[
        str | None, doc("Path in an item, or `$.path` in the body, of a flag for success.", "$.ok")
    ] = None
    message: Annotated[
        DottedPath | None, doc("Path in an item, or in the body, of the error.", "message")
    ] = None


class Idempotency(Struct, frozen=True):
    """How a request names itself, so that the API carries it out once however often it is sent."""

    header: Annotated[HeaderName, doc("Header for the key.", "Idempotency-Key")]
    lives_s: Annotated[Duration, doc("How long the API remembers a key.", "24 hours")] = field(
        name="lives", default=24 * 3600.0
    )


class Settle(Struct, frozen=True):
    """The request that finds a row whose response was lost."""

    find: Annotated[RequestLine, doc("Request.", "GET /issues?title={title}")]
    params: Annotated[Mapping[ColumnName, Json], doc("Query parameters.", '{email: "{email}"}')] = {}
    body: Annotated[Json, doc("JSON body of a POST.", '{filter: {email: "{email}"}}')] = None
    rows: Annotated[DottedPath | None, doc("Path of the list of rows.", "items", default="detected")] = None
    same: Annotated[
        OneOrMore[ColumnName],
        doc("Columns whose values identify the row in the response.", "[title, body]", required=True),
    ] = ()


class AlreadyDone(Struct, frozen=True):
    """A response that means that the row is as it should be."""

    status: Annotated[StatusCode, doc("Status code.", "422")]
    body: Annotated[str | None, doc("Text in the body.", "already_exists", default="any")] = None


class WriteRequest(Struct, frozen=True):
    """The request that writes one row, or a batch of rows."""

    request: Annotated[WriteRequestLine, doc("Method and path.", "POST /issues")]
    params: Annotated[Mapping[ColumnName, Json], doc("Query parameters.", "{notify: false}")] = {}
    headers: Annotated[
        Mapping[HeaderName, str], doc("Headers besides the adapter's.", "{Prefer: return}")
    ] = {}
    body: Annotated[
        Json,
        doc(
            "JSON body. Members with a column that the statement does not set are left out; `{rows}` is the "
            "list of a batch.",
            '{title: "{title}"}',
        ),
    ] = None
    form: Annotated[FormFields | None, doc("Form fields, instead of a body.", '{name: "{name}"}')] = None
    batch: Annotated[Batch | None, doc("Several rows in a request.", "{rows: 100}")] = None
    each: Annotated[Json, doc("One row of a batch; `{row}` is its number.", '{id: "{email}"}')] = None
    outcomes: Annotated[Outcomes, doc("Where the response has the outcome of a row.", "{ok: $.ok}")] = (
        Outcomes()
    )
    created: Annotated[
        Mapping[ColumnName, DottedPath],
        doc("Columns that the response of an insert has, by path.", "{id: id, number: number}"),
    ] = {}
    returned: Annotated[
        DottedPath | None, doc("Path of the row in the response.", "data", default="the body")
    ] = None
    idempotency: Annotated[
        Idempotency | None, doc("The API carries out a request once.", "{header: Idempotency-Key}")
    ] = None
    settle: Annotated[Settle | None, doc("Finds a row whose response was lost.", "{find: GET /items}")] = None
    already: Annotated[
        OneOrMore[AlreadyDone],
        doc("Responses that mean that nothing is left to do.", "{status: 422, body: already_exists}"),
    ] = ()
    divide: Annotated[
        OneOrMore[StatusCode],
        doc(
            "Status codes with which a batch is sent again in halves, to find the refused row.", "[400, 422]"
        ),
    ] = ()
    adds: Annotated[
        OneOrMore[ColumnName],
        doc(
            "Columns with which each request of an update adds something: it is not sent again.",
            "comment",
        ),
    ] = ()
    undo: Annotated[
        Json,
        doc("Body with which the request of a delete restores the row, which still exists.", "{state: open}"),
    ] = None

    @property
    def method(self) -> str:
        return self.request.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.request.partition(" ")[2]


class WriteLimits(Struct, frozen=True):
    """Rate limits of writes, besides those of the connection."""

    requests_per_minute: Annotated[Rate | None, doc("Maximum requests in a minute.", "60")] = None
    requests_per_hour: Annotated[Rate | None, doc("Maximum requests in an hour.", "450")] = None


class WriteSpec(Struct, frozen=True):
    """``write``: the columns and requests with which rows of a table are written."""

    columns: Annotated[Named[WriteColumn], doc("Columns that can be written.", "{title: {required: insert}}")]
    key: Annotated[
        OneOrMore[ColumnName],
        doc("Columns that identify a row in a statement.", "email", default="the table's"),
    ] = ()
    insert: Annotated[WriteRequest | None, doc("Request that creates a row.", "{request: POST /items}")] = (
        None
    )
    update: Annotated[
        WriteRequest | None, doc("Request that changes a row.", '{request: "PATCH /items/{id}"}')
    ] = None
    delete: Annotated[
        WriteRequest | None, doc("Request that deletes a row.", '{request: "DELETE /items/{id}"}')
    ] = None
    upsert: Annotated[
        WriteRequest | None, doc("Request that creates or changes a row.", '{request: "PUT /items/{id}"}')
    ] = None
    limits: Annotated[WriteLimits, doc("Rate limits of writes.", "{requests_per_minute: 60}")] = WriteLimits()
    null_as_empty: Annotated[
        bool,
        doc(
            "NULL is sent as an empty text, with which the API clears a value, except for columns of the "
            "type json.",
            "true",
        ),
    ] = False

    def request(self, operation: RowOperation) -> WriteRequest | None:
        """The request of an operation, if the API has it; ``restore`` is delete with the body ``undo``."""
        if operation != "restore":
            return cast("WriteRequest | None", getattr(self, operation))
        if self.delete is None or self.delete.undo is None:
            return None
        part = "body" if self.delete.batch is None else "each"
        return replace(self.delete, already=(), undo=None, **{part: self.delete.undo})

    @property
    def operations(self) -> tuple[WriteOperation, ...]:
        return tuple(each for each in WRITE_OPERATIONS if self.request(each) is not None)

    @property
    def row_operations(self) -> tuple[RowOperation, ...]:
        """The operations, and restore if a deleted row can be restored."""
        can_restore = self.request("restore") is not None
        return (*self.operations, *(("restore",) if can_restore else ()))

    @property
    def upsert_key(self) -> tuple[str, ...]:
        """The columns by which an upsert finds its row: those that only upserts require, else the key."""
        required = tuple(column.name for column in self.columns if column.required == "upsert")
        return required or tuple(self.key)

    def column(self, name: str) -> WriteColumn | None:
        """The column of this name, in any case."""
        return next((each for each in self.columns if each.name.lower() == name.lower()), None)
