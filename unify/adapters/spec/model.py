"""The spec language and its values: a Struct for each mapping of a spec file, a field for each key.

A field with ``doc(…)`` is a key of the language. The parser, the JSON Schema and the reference in
rest_specs/README.md are derived from these Structs. The other fields are set by ``validate``, or by a load.
Texts may contain ``{name}`` variables: see ``template``.
"""
# Without `from __future__ import annotations`: to evaluate the annotations from strings takes 3 ms more.

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from unify.adapters.spec.auth import Auth, FormFields, Json
from unify.adapters.spec.formats import (
    ColumnFormat,
    ColumnGlob,
    ColumnName,
    ColumnSource,
    ColumnType,
    DottedPath,
    Duration,
    HeaderName,
    Interval,
    LoadTime,
    Name,
    OriginURL,
    ParentRefresh,
    RequestLine,
    SelectSQL,
    Size,
    TimeFormat,
    URLTemplate,
    WebURL,
)
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.schema import Named, OneOrMore, doc
from unify.adapters.spec.write import WriteSpec
from unify.config.connections import MAX_ROW_LIMIT, ShrinkPolicy
from unify.model import Column, TableDef

Headers = Mapping[HeaderName, str]
Concurrency = Annotated[int, Meta(ge=1, le=64)]
Hundred = Annotated[int, Meta(ge=0, le=100)]
StatusCode = Annotated[int, Meta(ge=100, le=599)]
BatchSize = Annotated[int, Meta(ge=1, le=10_000)]
RowLimit = Annotated[int, Meta(ge=1, le=MAX_ROW_LIMIT)]
RequestRate = Annotated[float, Meta(ge=0.001, le=10_000)]


class Option(Struct, frozen=True):
    """A value that a connection supplies."""

    name: Name
    description: Annotated[str, doc("Description.", "Personal access token")] = ""
    default: Annotated[str | None, doc("Value if a connection sets none.", "https://api.github.com")] = None
    secret: Annotated[bool, doc("Never shown, logged or stored.", "true")] = False
    required: Annotated[bool, doc("A connection must set it.", "true")] = False

    @property
    def needs_value(self) -> bool:
        return self.required and self.default is None


# -- requests ----------------------------------------------------------------------------------------


class Limits(Struct, frozen=True):
    """The rate limits of a connection, shared by all worker processes, and the limits of one load.

    A connection may set those of a load in connections.yaml.
    """

    requests_per_second: Annotated[RequestRate | None, doc("Maximum request rate.", "10")] = None
    concurrency: Annotated[Concurrency, doc("Maximum number of concurrent requests.", "8")] = 4
    load_time_s: Annotated[
        LoadTime | None, doc("Maximum time of one load.", "6 hours", default="24 hours")
    ] = field(name="load_time", default=None)
    rows: Annotated[RowLimit | None, doc("Maximum rows of one load.", "50000000", default="1000000000")] = (
        None
    )
    bytes: Annotated[
        Size | None, doc("Maximum size of all responses of one load.", "20 GB", default="200 GB")
    ] = None


ErrorAction = Literal["skip", "fail", "retry", "wait", "end"]


class ErrorRule(Struct, frozen=True):
    """The handling of responses with this status and, if given, this text in the body."""

    status: Annotated[StatusCode | None, doc("Status code.", "404", default="any")] = None
    action: Annotated[
        ErrorAction,
        doc(
            "skip: the request has no rows (first page only); fail: the load fails; "
            "retry: retry with backoff; wait: as for status 429; end: the previous page was the last.",
            "skip",
            required=True,
        ),
    ] = "fail"
    body: Annotated[
        str | None, doc("Text in the body, outside the rows of a success.", "rate limit", default="any")
    ] = None
    where: Annotated[
        Mapping[DottedPath, str],
        doc("Paths in the body and their values, equal in any case.", "{errors.0.code: THROTTLED}"),
    ] = {}


class CheckSpec(Struct, frozen=True):
    """The request of ``unify check``."""

    request: Annotated[RequestLine, doc("Cheap request that needs the credentials.", "GET /user")]
    identity: Annotated[DottedPath | None, doc("Path of the user name in the response.", "login")] = None


# -- tables ------------------------------------------------------------------------------------------


class ColumnDef(Struct, frozen=True):
    """A column declared by a spec."""

    name: ColumnName
    type: Annotated[
        ColumnType | None,
        doc(
            "DuckDB type; `columns: {NAME: TYPE}` is the short form.",
            "json",
            default="inferred",
            shorthand=True,
        ),
    ] = None
    description: Annotated[str, doc("Description.", "Repository name")] = ""
    format: Annotated[
        ColumnFormat | None,
        doc(
            "Format of timestamps and dates; or of numbers in texts, as 1234.5 written by the API: "
            "`1,234.5`, `1.234,5`, `1 234,5`, `1 234.5`, `1'234.5` or `1234,5`.",
            "unix_ms",
            default="iso8601",
        ),
    ] = None
    source: Annotated[
        ColumnSource | None,
        doc("Path in the row, `$.path` in the body, or `{variable}`.", '"{repo}"', default="the name"),
    ] = field(name="from", default=None)


class InheritedColumn(Struct, frozen=True):
    """A column from an object that contains the row: ``depth`` steps along ``rows``, then ``path``."""

    column: str
    depth: int
    path: tuple[str, ...]


class ForEach(Struct, frozen=True):
    """The parents of a table: rows of a SELECT over the connection's own tables, of the spec or an option.

    ``tables``   the tables that the SELECT reads, in its order.
    ``columns``  the variables it sets; None if only the result shows them (``select *``).
    """

    query: Annotated[SelectSQL | None, doc("The SELECT.", "select id from boards", shorthand=True)] = None
    rows: Annotated[
        tuple[Mapping[Name, str], ...], doc("The rows.", "[{site: de}, {site: fr}]", shorthand=True)
    ] = ()
    batch: Annotated[BatchSize | None, doc("Values per request, joined with commas.", "50", default="1")] = (
        None
    )
    refresh_s: Annotated[
        ParentRefresh,
        doc(
            "Whether a load refreshes the tables of the SELECT first: always, never, or if their last load "
            "is older.",
            "every 1 day",
            default="never",
        ),
    ] = field(name="refresh", default=None)
    option: Annotated[
        Name | None, doc("Option with a list of values, separated by commas, instead of a SELECT.", "ids")
    ] = None
    column: Annotated[Name | None, doc("Variable for a value of `option`.", "id")] = field(
        name="as", default=None
    )
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None


class Incremental(Struct, frozen=True):
    """``incremental``: later loads request only changed rows.

    ``{cursor}`` in a text is the start of a load, ``{until}`` the end of its ``window``.
    """

    cursor: Annotated[ColumnName, doc("Column that grows with each change.", "updated_at")]
    param: Annotated[str | None, doc("Parameter for the cursor, if not `{cursor}`.", "since")] = None
    start: Annotated[
        str | None,
        doc("Start of the first load: a time, or an age such as `30 days ago`.", "2015-01-01T00:00:00Z"),
    ] = None
    lookback_s: Annotated[Duration, doc("Overlap with the previous load.", "5 minutes", default="0")] = field(
        name="lookback", default=0.0
    )
    format: Annotated[
        TimeFormat | None,
        doc("Format of timestamps in requests; numbers and dates are sent unchanged.", "unix"),
    ] = None
    window_s: Annotated[
        Duration | None, doc("Length of the time windows of a load; `{until}` is the end.", "30 days")
    ] = field(name="window", default=None)
    order: Annotated[
        Literal["asc", "desc"] | None,
        doc("desc: newest rows first; a load stops at the first row older than the cursor.", "desc"),
    ] = None
    allow_future: Annotated[
        bool, doc("Rows with a cursor later than the load count for the next one's start.", "true")
    ] = False


RefreshStrategy = Literal["reload", "append", "merge", "merge_delete"]


class RefreshSpec(Struct, frozen=True):
    """``refresh``: the interval and strategy of a table's refreshes, and whether it may lose most rows."""

    every_s: Annotated[Duration | None, doc("Refresh interval.", "15 minutes")] = field(
        name="every", default=None
    )
    strategy: Annotated[
        RefreshStrategy | None,
        doc(
            "reload: replace all rows; append: add rows; merge: update by key; merge_delete: merge, and "
            "delete rows whose key is gone.",
            "merge",
            default="merge with incremental and key, else reload",
        ),
    ] = None
    reload_s: Annotated[
        Interval | None,
        doc("Interval at which a refresh reads everything, so that deleted rows go.", "every 1 day"),
    ] = field(name="reload", default=None)
    shrink: Annotated[
        ShrinkPolicy,
        doc(
            "hold: a new version that has lost most rows or columns is held back until `accept table`; "
            "allow: it is published, for tables that empty themselves, such as queues.",
            "allow",
        ),
    ] = "hold"


Comparison = Literal["=", "in", ">", ">=", "<", "<=", "like"]


class Filter(Struct, frozen=True):
    """A column whose constants in a WHERE clause become request parameters.

    ``shared``  the column has a filter for each comparison, with a parameter of its own.
    """

    column: ColumnName
    param: Annotated[
        str,
        doc(
            "Parameter for the value; or one for each comparison.",
            '{">=": since, "<=": until}',
            default="the column",
            written_as=str | Mapping[Comparison, str],
        ),
    ] = ""
    ops: Annotated[tuple[Comparison, ...], doc("Comparisons.", '["=", in]', default="=")] = ("=",)
    required: Annotated[bool, doc("A query must have it (live tables).", "true")] = False
    format: Annotated[TimeFormat | None, doc("Format of timestamps.", "date", default="iso8601")] = None
    shared: bool = False

    @classmethod
    def from_keys(
        cls,
        column: str,
        param: str | Mapping[Comparison, str] = "",
        ops: tuple[Comparison, ...] = (),
        required: bool = False,
        format: str | None = None,
    ) -> tuple[Self, ...]:
        """Build one filter; or one for each comparison with a parameter, and one for the rest of ``ops``."""
        if isinstance(param, str):
            return (cls(column, param or column, ops or ("=",), required, format),)
        own = [cls(column, name, (op,), required, format, shared=True) for op, name in param.items()]
        rest = tuple(op for op in ops if op not in param)
        return (*own, *([cls(column, column, rest, required, format, shared=True)] if rest else []))

    @property
    def name(self) -> str:
        """The column; with the parameter if the column has several filters."""
        return f"{self.column}:{self.param}" if self.shared else self.column


class DeletedRows(Struct, frozen=True):
    """How the API tells deleted rows: as marked rows (tombstones), or in a list of their own."""

    where: Annotated[
        Mapping[DottedPath, OneOrMore[str]],
        doc("Path and text, or texts, equal in any case: rows with them are deleted.", "{deleted: true}"),
    ] = {}
    request: Annotated[
        RequestLine | None,
        doc(
            "Request of a list of deleted rows, for later loads. A row of the same load whose key is in the "
            "list is not stored, even if it was created again: a later load that reads it without its key in "
            "the list stores it, or a reload.",
            "GET /deleted",
        ),
    ] = None
    params: Annotated[Mapping[ColumnName, Json], doc("Its query parameters.", '{since: "{cursor}"}')] = {}
    rows: Annotated[DottedPath | None, doc("Path of the list.", "ids", default="detected")] = None
    key: Annotated[
        OneOrMore[DottedPath],
        doc("Paths of the key in an item of the list.", "item_id", default="the key, or the item itself"),
    ] = ()


class Live(Struct, frozen=True):
    """A table that is not stored: each query calls the API."""

    cache_s: Annotated[Duration, doc("How long a response is reused.", "60 seconds", default="0")] = field(
        name="cache", default=0.0
    )


ResponseFormat = Literal["json", "jsonl", "csv", "xml"]


class CSVFormat(Struct, frozen=True):
    """The format of CSV bodies. Settings of None are detected.

    Without a header the columns are called column_1, column_2 …
    """

    delimiter: Annotated[str | None, doc("Separator of fields.", '";"', default="detected")] = None
    encoding: Annotated[str | None, doc("Character encoding.", "latin-1", default="detected")] = None
    skip: Annotated[Hundred | None, doc("Lines before the header line.", "2", default="detected")] = None
    header: Annotated[bool, doc("The first line has the column names.", "false")] = True


DETECTED_CSV = CSVFormat()


class TableSpec(Struct, frozen=True):
    """A table of a spec.

    ``more_rows``          further lists of rows, after those of ``rows``.
    ``inherited_columns``  columns whose values are copied into the rows from the objects around them.
    ``filter_values``      the values that a query gives for filters, by column: variables of the request.
    """

    name: Annotated[Name, doc("Name in SQL.", "pulls")]
    requests: Annotated[
        OneOrMore[RequestLine],
        doc(
            "Method and path, or a full URL of the same origin. In a list: the first one whose options all "
            "have a value; a response with status 404 moves on to the next.",
            "GET /repos/{owner}/{repo}/pulls",
            required=True,
            unless="shares",
        ),
    ] = field(name="request", default=())
    shares: Annotated[
        Name | None,
        doc("Table whose requests this one reads, too: other rows of the same responses.", "zones"),
    ] = None
    description: Annotated[str, doc("What a row is.", "Pull requests of every repository")] = ""
    params: Annotated[Mapping[ColumnName, Json], doc("Query parameters.", "{state: all}")] = {}
    headers: Annotated[Headers, doc("Headers besides the adapter's.", "{Accept: text/csv}")] = {}
    body: Annotated[Json, doc("JSON body of a POST.", '{query: "…"}')] = None
    form: Annotated[FormFields | None, doc("Form fields of a POST, instead of a body.", "{a: 1}")] = None
    body_of_get: Annotated[
        bool, doc("A GET request has the `body` or `form`, too: some APIs require it.", "true")
    ] = False
    rows: Annotated[
        str | None,
        doc(
            "Path of the rows, or paths of several lists; `$` is the body itself.",
            "items",
            default="detected",
            written_as=OneOrMore[DottedPath],
        ),
    ] = None
    rows_name: Annotated[
        ColumnName | None, doc("Column for the name of the member or list that has the row.", "kind")
    ] = None
    names: Annotated[DottedPath | None, doc("Path of the column names of rows that are lists.", "cols")] = (
        None
    )
    csv: Annotated[CSVFormat, doc("Format of CSV bodies.", '{delimiter: ";"}')] = DETECTED_CSV
    where: Annotated[
        Mapping[DottedPath, OneOrMore[str]],
        doc("Rows to keep: path and text, or texts, equal in any case.", '{owner.login: "{org}"}'),
    ] = {}
    key: Annotated[OneOrMore[ColumnName], doc("Columns that identify a row.", "id")] = ()
    for_each: Annotated[
        ForEach | None,
        doc("One request for each row of a SELECT or list.", "select id as board from boards"),
    ] = None
    columns: Annotated[Named[ColumnDef], doc("Declared columns.", "{number: bigint}")] = ()
    exclude: Annotated[OneOrMore[ColumnGlob], doc("Columns to leave out: names or globs.", '["*_url"]')] = ()
    only: Annotated[OneOrMore[ColumnGlob], doc("Columns to keep: names or globs.", "[id, name]")] = ()
    flatten: Annotated[
        Hundred | None, doc("Levels of objects that become columns.", "1", default="every level")
    ] = None
    paging: Annotated[Paging | None, doc("Pagination.", "{type: none}", default="the adapter's")] = None
    incremental: Annotated[Incremental | None, doc("Load only changed rows.", "{cursor: id}")] = None
    refresh: Annotated[RefreshSpec, doc("When and how to refresh.", "{every: 1 hour}")] = RefreshSpec()
    deleted: Annotated[
        DeletedRows | None,
        doc("Rows that delete the stored rows of their key.", "{where: {deleted: true}}"),
    ] = None
    live: Annotated[Live | None, doc("Not stored; queries call the API.", "{cache: 60 seconds}")] = None
    filters: Annotated[Named[Filter], doc("Constants of WHERE that become parameters.", "{q: {}}")] = ()
    errors: Annotated[
        tuple[ErrorRule, ...], doc("Rules before the adapter's.", "[{status: 410, action: skip}]")
    ] = ()
    format: Annotated[ResponseFormat, doc("Format of responses.", "csv")] = "json"
    write: Annotated[WriteSpec | None, doc("How rows are written.", "{columns: …, insert: …}")] = None
    more_rows: tuple[str, ...] = ()
    inherited_columns: tuple[InheritedColumn, ...] = ()
    filter_values: Mapping[str, Json] = {}
    line: int = 0

    @classmethod
    def from_keys(cls, *, rows: tuple[str, ...] = (), **values: Any) -> Self:
        return cls(rows=rows[0] if rows else None, more_rows=rows[1:], **values)

    @property
    def method(self) -> str:
        return self.requests[0].partition(" ")[0] if self.requests else "GET"

    @property
    def sends_body(self) -> bool:
        return self.method != "GET" or self.body_of_get

    @property
    def path(self) -> str:
        return self.request_paths[0] if self.requests else "/"

    @property
    def request_paths(self) -> tuple[str, ...]:
        return tuple(request.partition(" ")[2] for request in self.requests)


class View(Struct, frozen=True):
    """A named SELECT over the connection's own tables and the views before it."""

    name: Annotated[Name, doc("Name in SQL.", "open_pulls")]
    query: Annotated[SelectSQL, doc("SELECT over the tables and the views above.", "select … from pulls")]
    description: Annotated[str, doc("What a row is.", "Open pull requests")] = ""
    tables: tuple[str, ...] = ()


class AdapterSpec(Struct, frozen=True):
    """An adapter. ``path`` is the file it was read from.

    ``other_auths``  the authentication of connections that lack options of ``auth``.
    """

    name: Annotated[Name, doc("Name of the adapter, as in connections.yaml.", "github")]
    path: str
    base_url: Annotated[URLTemplate, doc("URL to which paths are appended.", '"{base_url}"')]
    tables: Annotated[tuple[TableSpec, ...], doc("Tables.")]
    description: Annotated[str, doc("What can be read.", "Issues and pull requests")] = ""
    documentation: Annotated[WebURL, doc("Documentation of the API.", "https://docs.github.com/rest")] = ""
    options: Annotated[Named[Option], doc("Options of a connection; each is a variable.", "{org: {}}")] = ()
    auth: Annotated[
        Auth,
        doc(
            "Authentication, or several: the first one whose options have values.",
            '{type: bearer, token: "{token}"}',
            written_as=OneOrMore[Auth],
        ),
    ] = Auth("none")
    headers: Annotated[Headers, doc("Headers of every request.", "{Accept: application/json}")] = {}
    paging: Annotated[Paging, doc("Pagination of tables that declare none.", default="auto")] = Paging()
    limits: Annotated[Limits, doc("Limits of requests and loads.", "{requests_per_second: 10}")] = Limits()
    errors: Annotated[
        tuple[ErrorRule, ...], doc("Handling of error responses.", "[{status: 404, action: skip}]")
    ] = ()
    allowed_origins: Annotated[
        tuple[OriginURL, ...],
        doc("Other origins of next pages and redirects; they get no credentials.", "[https://a.example]"),
    ] = ()
    check: Annotated[CheckSpec | None, doc("Request of `unify check`.", "{request: GET /user}")] = None
    views: Annotated[tuple[View, ...], doc("Views over the tables.")] = ()
    other_auths: tuple[Auth, ...] = ()

    @classmethod
    def from_keys(cls, *, auth: tuple[Auth, ...] = (), **values: Any) -> Self:
        return cls(auth=auth[0] if auth else Auth("none"), other_auths=auth[1:], **values)

    @property
    def auths(self) -> tuple[Auth, ...]:
        return (self.auth, *self.other_auths)

    def table(self, name: str) -> TableSpec | None:
        return next((table for table in self.tables if table.name == name), None)


def table_defs(spec: AdapterSpec) -> tuple[TableDef, ...]:
    """The tables of a spec, in its order."""
    return tuple(map(_table_def, spec.tables))


def apply_schedules(tables: Sequence[TableDef], refresh: Mapping[str, float]) -> Sequence[TableDef]:
    """Replace the schedules of the spec by those of a connection, in seconds by table."""
    if not refresh:
        return tables
    return [
        replace(table, refresh_every_s=refresh.get(table.name, table.refresh_every_s)) for table in tables
    ]


def _table_def(table: TableSpec) -> TableDef:
    columns = tuple(Column(column.name, column.type or "", column.description) for column in table.columns)
    parents = table.for_each.tables if table.for_each is not None else ()
    cursor = table.incremental.cursor if table.incremental is not None else ""
    return TableDef(table.name, table.description, columns, table.key, table.refresh.every_s, parents, cursor)
