"""The keys of a table that are mappings: a Struct for each, such as ``for_each`` and ``incremental``."""
# Annotations are not strings here: see model.

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from msgspec import Meta, Struct, field

from unify.adapters.spec.auth import Json
from unify.adapters.spec.elements import Name, SelectSQL
from unify.adapters.spec.formats import (
    ColumnFormat,
    ColumnName,
    ColumnSource,
    ColumnType,
    DottedPath,
    Duration,
    DurationText,
    Interval,
    ParentRefresh,
    RequestLine,
    TimeFormat,
)
from unify.adapters.spec.schema import OneOrMore, doc
from unify.config.connections import ShrinkPolicy

Hundred = Annotated[int, Meta(ge=0, le=100)]
_WHOLE_DAY_S = 86_400.0  # in place of a window that an option sets
BatchSize = Annotated[int, Meta(ge=1, le=10_000)]


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
    sql: Annotated[
        str | None,
        doc("DuckDB expression over the columns of the row, and `{variable}`s.", "first || ' ' || last"),
    ] = None
    value: Annotated[Json, doc("Constant: a text, a number, true or false.", "card")] = None


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
        OneOrMore[Name],
        doc(
            "Option with a list of values, separated by commas, or several; each with each row, if there "
            "are rows.",
            "ids",
        ),
    ] = ()
    column: Annotated[OneOrMore[Name], doc("Variable for a value of `option`, or of each.", "id")] = field(
        name="as", default=()
    )
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None


class Incremental(Struct, frozen=True):
    """``incremental``: later loads request only changed rows.

    ``{cursor}`` in a text is the start of a load, ``{until}`` the end of its window, else of the load.

    ``durations``  of keys whose durations have variables.
    """

    cursor: Annotated[ColumnName, doc("Column that grows with each change.", "updated_at")]
    param: Annotated[str | None, doc("Parameter for the cursor, if not `{cursor}`.", "since")] = None
    start: Annotated[
        str | None,
        doc("Start of the first load: a time, or an age such as `30 days ago`.", "2015-01-01T00:00:00Z"),
    ] = None
    lookback_s: Annotated[DurationText, doc("Overlap with the previous load.", "5 minutes", default="0")] = (
        field(name="lookback", default=0.0)
    )
    format: Annotated[
        TimeFormat | None,
        doc("Format of timestamps in requests; numbers and dates are sent unchanged.", "unix"),
    ] = None
    window_s: Annotated[
        DurationText | None, doc("Length of the time windows of a load; `{until}` is the end.", "30 days")
    ] = field(name="window", default=None)
    gap_s: Annotated[
        Duration,
        DurationText,
        doc("Time between the end of a window and the start of the next one.", "1 second", default="0"),
    ] = field(name="gap", default=0.0)
    not_before_s: Annotated[
        Duration | None, doc("Greatest age of the start of a load: what the API keeps.", "90 days")
    ] = field(name="not_before", default=None)
    end: Annotated[
        str | None,
        doc("End of a load: a time, an age or an option with one.", "{end_date}", default="now"),
    ] = None
    order: Annotated[
        Literal["asc", "desc"] | None,
        doc("desc: newest rows first; a load stops at the first row older than the cursor.", "desc"),
    ] = None
    allow_future: Annotated[
        bool, doc("Rows with a cursor later than the load count for the next one's start.", "true")
    ] = False
    durations: Mapping[str, str] = {}

    @classmethod
    def from_keys(
        cls, *, window_s: float | str | None = None, lookback_s: float | str = 0.0, **values: Any
    ) -> Self:
        """Build from the keys; a duration with variables is a placeholder until a connection opens."""
        given = {"window": window_s, "lookback": lookback_s}
        return cls(
            window_s=_WHOLE_DAY_S if isinstance(window_s, str) else window_s,
            lookback_s=0.0 if isinstance(lookback_s, str) else lookback_s,
            durations={key: text for key, text in given.items() if isinstance(text, str)},
            **values,
        )


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
