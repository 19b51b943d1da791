"""An adapter spec as typed data: what ``rest_specs/NAME.yaml`` says, checked and with its defaults.

The language is fixed by rest_specs/README.md. Reading it from YAML is ``specfile``'s business.
Texts may hold ``{name}`` variables; ``template`` puts values in.

The tables of a spec, as everybody else knows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from unify.model import Column, TableDef

Json = Any  # a JSON value out of a spec's ``body``: dict, list, str, int, float, bool or None


class Option(Struct, frozen=True):
    """Something a connection supplies. ``default`` None: it must be given if ``required``."""

    name: str
    description: str = ""
    default: str | None = None
    secret: bool = False
    required: bool = False

    @property
    def needs_value(self) -> bool:
        """Whether a connection cannot do without giving it."""
        return self.required and self.default is None


AuthType = Literal["none", "basic", "bearer", "api_key", "oauth2", "session", "aws_sigv4", "jwt"]


OAUTH_GRANTS = ("client_credentials", "refresh_token", "authorization_code", "device_code")
INTERACTIVE_GRANTS = ("authorization_code", "device_code")  # somebody has to sign in once


class Auth(Struct, frozen=True):
    """How requests prove who asks; ``settings`` holds the keys that belong to ``type`` (templates)."""

    type: AuthType = "none"
    settings: Mapping[str, Json] = field(default_factory=dict)

    @property
    def is_interactive(self) -> bool:
        """Does somebody have to sign in before anything can be read?"""
        return self.type == "oauth2" and self.settings.get("grant") in INTERACTIVE_GRANTS


PagingType = Literal["none", "page", "offset", "cursor", "link_header", "next_url", "auto"]
ParamLocation = Literal["query", "body", "path", "header"]


class Paging(Struct, frozen=True):
    """How a table's pages follow each other. ``max_pages`` bounds it; None: no bound but the data.

    ``first`` is the number of the first page or row; None: 1 of pages, 0 of rows.
    """

    type: PagingType = "auto"
    page_param: str = "page"
    first: int | None = None
    offset_param: str = "offset"
    size_param: str | None = None
    size: int | None = None
    cursor_param: str = "cursor"
    cursor_path: str | None = None
    cursor_column: str | None = None
    cursor_header: str | None = None
    more_path: str | None = None
    last_path: str | None = None  # a flag that is true on the last page
    path: str | None = None  # next_url: where the address is in the body
    header: str | None = None  # next_url: the header with the address
    total_path: str | None = None
    total_header: str | None = None
    pages_path: str | None = None
    until_empty: bool = False  # only a page without rows is the last
    first_bare: bool = False  # the first request has no page number or offset
    keep: Literal["address"] | None = None  # of a link only the query is followed
    location: ParamLocation = "query"  # the spec's key is ``in``
    max_pages: int | None = None

    @property
    def first_number(self) -> int:
        if self.first is not None:
            return self.first
        return 1 if self.type == "page" else 0


class Limits(Struct, frozen=True):
    """A connection's budget, all workers together."""

    requests_per_second: float | None = None
    concurrency: int = 4


ErrorAction = Literal["skip", "fail", "retry", "wait", "end"]


class ErrorRule(Struct, frozen=True):
    """What to do with an answer of this status (and, if given, whose body contains ``body``)."""

    status: int | None
    action: ErrorAction
    body: str | None = None


class ColumnDef(Struct, frozen=True):
    """A column as the spec declares it; ``source`` is its ``from``: a path, ``$.path`` or ``{variable}``."""

    name: str
    type: str | None = None
    description: str = ""
    format: str | None = None
    source: str | None = None


class InheritedColumn(Struct, frozen=True):
    """A column from an object that a row lies in: ``depth`` steps on the way to the rows, then ``path``."""

    column: str
    depth: int
    path: tuple[str, ...]


class ForEach(Struct, frozen=True):
    """Parents: rows of a SELECT over the connection's own tables, or given rows. ``batch`` joins values.

    ``tables``   the tables the SELECT reads, in its order.
    ``columns``  the variables it gives; None where only running it tells (``select *``).
    """

    query: str | None = None
    rows: tuple[Mapping[str, str | int | float | bool], ...] = ()
    batch: int | None = None
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None


class Incremental(Struct, frozen=True):
    """How later loads ask for what changed only.

    ``{cursor}`` in a text is where a load begins, ``{until}`` where its ``window`` ends.
    """

    cursor: str
    param: str | None = None
    start: str | None = None
    lookback_s: float = 0.0
    format: str | None = None
    window_s: float | None = None
    order: Literal["asc", "desc"] | None = None


RefreshStrategy = Literal["reload", "append", "merge", "merge_delete"]


class RefreshSpec(Struct, frozen=True):
    """When and how a table is brought up to date; ``strategy`` None: merge where possible, else reload."""

    every_s: float | None = None
    strategy: RefreshStrategy | None = None


class Filter(Struct, frozen=True):
    """A column whose constants in a query's WHERE become request parameters.

    ``shared``  the column has other filters too, for other comparisons: each goes to its own parameter.
    """

    column: str
    param: str
    ops: tuple[str, ...] = ("=",)
    required: bool = False
    format: str | None = None
    shared: bool = False

    @property
    def name(self) -> str:
        """What values of this filter go by: its column, unless that has several."""
        return f"{self.column}:{self.param}" if self.shared else self.column


class Live(Struct, frozen=True):
    """Not stored: each query calls the API; answers are kept for ``cache_s``."""

    cache_s: float = 0.0


ResponseFormat = Literal["json", "jsonl", "csv", "xml"]


class CSVFormat(Struct, frozen=True):
    """How a CSV is written; what is not given is detected.

    ``skip``    lines before the header line.
    ``header``  False: the first line is a row, and columns are called column_1, column_2 …
    """

    delimiter: str | None = None
    encoding: str | None = None
    skip: int | None = None
    header: bool = True


DETECTED_CSV = CSVFormat()


class TableSpec(Struct, frozen=True):
    """One table of a spec. ``paging`` None: the adapter's; ``flatten`` None: every level.

    ``where``  dotted path in a row → texts: rows are kept whose value there equals one of them, compared
               without regard to case. Texts with a variable that has no value do not count; where none
               counts, every row is kept.
    ``fallback_requests``  requests, each as ``METHOD path``, for a connection without an option that ``path`` names.
    ``lifted``  columns whose values are lifted into the rows from what the rows lie in.
    ``given``  the values of its filters that a query asks for, by column: variables of the request.
    """

    name: str
    method: str
    path: str
    description: str = ""
    params: Mapping[str, Json] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None
    form: Mapping[str, str] | None = None
    rows: str | None = None
    more_rows: tuple[str, ...] = ()  # further lists whose rows follow those of ``rows``
    rows_name: str | None = None  # column with the name of the member or list a row comes from
    names: str | None = None  # where the column names of rows that are lists are
    csv: CSVFormat = DETECTED_CSV
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    for_each: ForEach | None = None
    columns: tuple[ColumnDef, ...] = ()
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    flatten: int | None = None
    paging: Paging | None = None
    incremental: Incremental | None = None
    refresh: RefreshSpec = RefreshSpec()
    live: Live | None = None
    filters: tuple[Filter, ...] = ()
    fallback_requests: tuple[str, ...] = ()
    inherited_columns: tuple[InheritedColumn, ...] = ()
    filter_values: Mapping[str, Json] = field(default_factory=dict)
    errors: tuple[ErrorRule, ...] = ()
    format: ResponseFormat = "json"
    line: int = 0

    @property
    def request_paths(self) -> tuple[str, ...]:
        """Where it may be asked for: one of these, for each connection."""
        return (self.path, *(request.partition(" ")[2] for request in self.fallback_requests))


class View(Struct, frozen=True):
    """A SELECT over the connection's own tables and the views before it, under a name."""

    name: str
    query: str
    description: str = ""
    tables: tuple[str, ...] = ()


class AdapterSpec(Struct, frozen=True):
    """One adapter. ``path`` is the file it came from, for messages."""

    name: str
    path: str
    base_url: str
    description: str = ""
    documentation: str = ""
    options: tuple[Option, ...] = ()
    auth: Auth = Auth()
    headers: Mapping[str, str] = field(default_factory=dict)
    paging: Paging = Paging()
    limits: Limits = Limits()
    errors: tuple[ErrorRule, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    tables: tuple[TableSpec, ...] = ()
    views: tuple[View, ...] = ()
    check: str | None = None  # the request that shows whether credentials work, e.g. ``GET /user``
    check_identity: str | None = None  # dotted path in its answer: as whom

    def table(self, name: str) -> TableSpec | None:
        return next((table for table in self.tables if table.name == name), None)


def table_defs(spec: AdapterSpec) -> tuple[TableDef, ...]:
    """Every table in the order of the spec."""
    return tuple(map(_table_def, spec.tables))


def apply_schedules(tables: Sequence[TableDef], refresh: Mapping[str, float]) -> Sequence[TableDef]:
    """``tables`` with a connection's own schedules, by table, before the spec's."""
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
