"""The spec language and its values: a Struct for each mapping of a spec file, a field for each key.

A field with ``doc(…)`` is a key of the language. The parser, the JSON Schema and the reference in
rest_specs/README.md are derived from these Structs. The other fields are set by ``validate``, or by a load.
Texts may contain ``{name}`` variables: see ``template``.
"""
# Without `from __future__ import annotations`: to evaluate the annotations from strings takes 3 ms more.

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from msgspec import Meta, Struct, field

from unify.adapters.spec.auth import Auth, FormFields, Json
from unify.adapters.spec.elements import Name, Option, View
from unify.adapters.spec.formats import (
    ColumnGlob,
    ColumnName,
    DottedPath,
    HeaderName,
    LoadTime,
    OriginURL,
    RequestLine,
    Size,
    URLTemplate,
    WebURL,
)
from unify.adapters.spec.job import JobSpec
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.schema import Named, OneOrMore, doc
from unify.adapters.spec.table_keys import (
    DETECTED_CSV,
    ColumnDef,
    CSVFormat,
    DeletedRows,
    Filter,
    ForEach,
    Hundred,
    Incremental,
    InheritedColumn,
    Live,
    RefreshSpec,
    ResponseFormat,
)
from unify.adapters.spec.write import WriteSpec
from unify.config.connections import MAX_ROW_LIMIT
from unify.model import Column, TableDef

Headers = Mapping[HeaderName, str]
Concurrency = Annotated[int, Meta(ge=1, le=64)]
StatusCode = Annotated[int, Meta(ge=100, le=599)]
RowLimit = Annotated[int, Meta(ge=1, le=MAX_ROW_LIMIT)]
RequestRate = Annotated[float, Meta(ge=0.001, le=10_000)]


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


class TableSpec(Struct, frozen=True):
    """A table of a spec.

    ``more_rows``          further lists of rows, after those of ``rows``.
    ``condition``          ``where`` as an expression.
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
        doc(
            "Rows to keep: path and text, or texts, equal in any case; or a DuckDB expression over the "
            "columns of a row.",
            "amount > 0 and kind <> 'test'",
            written_as=str | Mapping[DottedPath, OneOrMore[str]],
        ),
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
    auth: Annotated[
        Auth | None, doc("Authentication.", '{type: bearer, token: "{token}"}', default="the adapter's")
    ] = None
    job: Annotated[
        JobSpec | None,
        doc("Job whose result the request downloads.", "{create: {request: POST /reports}, poll: …}"),
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
    condition: str | None = None
    inherited_columns: tuple[InheritedColumn, ...] = ()
    filter_values: Mapping[str, Json] = {}
    line: int = 0

    @classmethod
    def from_keys(
        cls,
        *,
        rows: tuple[str, ...] = (),
        where: str | Mapping[str, tuple[str, ...]] | None = None,
        **values: Any,
    ) -> Self:
        condition = where if isinstance(where, str) else None
        texts = where if isinstance(where, Mapping) else {}
        return cls(
            rows=rows[0] if rows else None, more_rows=rows[1:], where=texts, condition=condition, **values
        )

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
        doc(
            "Other origins of next pages, redirects and downloads; they get no credentials. "
            "`https://*.a.example` are all hosts of a domain.",
            "[https://a.example]",
        ),
    ] = ()
    credential_origins: Annotated[
        tuple[OriginURL, ...],
        doc("Other origins of the API, which get the credentials, too.", "[https://api2.a.example]"),
    ] = field(name="credentials_also_to", default=())
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


def _table_def(table: TableSpec) -> TableDef:
    columns = tuple(Column(column.name, column.type or "", column.description) for column in table.columns)
    parents = table.for_each.tables if table.for_each is not None else ()
    cursor = table.incremental.cursor if table.incremental is not None else ""
    return TableDef(table.name, table.description, columns, table.key, table.refresh.every_s, parents, cursor)
