"""Recorded cases of a spec: requests, the responses of the API, and the rows or outcomes that they result in.

The cases of a spec are in the folder beside it: ``tests/NAME/CASE.yaml`` for NAME.yaml. rest_specs/README.md
documents their keys under "Cases". They contain no secrets: a secret option has the value ``dummy-NAME``.
"""
# Annotations are not strings here: see unify.adapters.spec.model.

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, get_args

from msgspec import Struct, field

from unify.adapters.rest.pushdown import missing_filters
from unify.adapters.spec.auth import Json
from unify.adapters.spec.elements import Name
from unify.adapters.spec.formats import AnyRequestLine, ColumnName, HeaderName
from unify.adapters.spec.model import AdapterSpec, Headers, StatusCode
from unify.adapters.spec.parse import ProblemReport, parse_file
from unify.adapters.spec.schema import TextFormat, doc
from unify.adapters.spec.write import RowOperation
from unify.config.secrets import Secret
from unify.model import RowState
from unify.text import did_you_mean


def _check_timestamp(text: str) -> datetime:
    try:
        timestamp = datetime.fromisoformat(text)
    except ValueError:
        timestamp = datetime.min
    if timestamp.tzinfo is None:
        raise ValueError(f"{text!r} is not a timestamp with time zone, such as 2026-03-15T12:00:00Z")
    return timestamp


Timestamp = Annotated[datetime, TextFormat("timestamp", _check_timestamp)]
Cursors = str | Mapping[ColumnName, str]  # one for all parents, or by parent: its row as JSON


class RecordedResponse(Struct, frozen=True):
    """A response of the API."""

    status: Annotated[StatusCode, doc("Status code.", "404")] = 200
    headers: Annotated[Headers, doc("Headers.", "{Link: '<…>; rel=\"next\"'}")] = {}
    body: Annotated[Json, doc("Body, as YAML that is sent as JSON.", "[{id: 1}]")] = None
    text: Annotated[str | None, doc("Body, as it is sent.", "id,name")] = None
    lost: Annotated[
        bool, doc("true: the connection ends before the response, as if it were lost.", "true")
    ] = False


class RecordedExchange(Struct, frozen=True):
    """An expected request and its response."""

    request: Annotated[AnyRequestLine, doc("Method and path, or URL for another origin.", "GET /items")]
    response: Annotated[RecordedResponse, doc("Response.", "{body: []}")] = field(name="answer")
    params: Annotated[Mapping[ColumnName, Json], doc("All query parameters.", "{page: 2}")] = {}
    headers: Annotated[
        Mapping[HeaderName, Json], doc("Headers to compare; null: the header is not sent.", "{X-Org: acme}")
    ] = {}
    body: Annotated[Json, doc("JSON body; white space in strings is normalized.", "{first: 10}")] = None
    form: Annotated[
        Mapping[ColumnName, Json] | None, doc("Form fields; a list is a repeated one.", "{a: 1}")
    ] = None

    @property
    def method(self) -> str:
        return self.request.partition(" ")[0]

    @property
    def target(self) -> str:
        return self.request.partition(" ")[2]


OutcomeState = Literal["created", "updated", "deleted", "unchanged", "rejected", "unknown", "not sent"]
assert set(get_args(OutcomeState)) == {state.value for state in RowState if state.is_settled}


class RecordedOutcome(Struct, frozen=True):
    """What became of a row of a write. Keys that are not given are not compared."""

    state: Annotated[OutcomeState, doc("State of the row.", "created")]
    status: Annotated[StatusCode | None, doc("Status code.", "201")] = None
    created: Annotated[Mapping[ColumnName, Json] | None, doc("Columns of the response.", "{id: 7}")] = None
    message: Annotated[str, doc("Text in the message.", "name is taken")] = ""


class Case(Struct, frozen=True):
    """A recorded case. ``columns``, ``rows`` and ``cursor`` of None are not compared.

    With ``write``, ``rows`` are written, one for each of ``stored`` if there are some.
    """

    name: str
    path: Path
    table: Annotated[Name, doc("Table to read.", "items")]
    exchanges: Annotated[
        tuple[RecordedExchange, ...],
        doc("Requests in order, with their responses.", default="none, for rows of `write` that are refused"),
    ] = ()
    description: Annotated[str, doc("What the case shows.", "Two pages of items")] = ""
    options: Annotated[Mapping[Name, str], doc("Options that differ from the defaults.", "{org: acme}")] = {}
    parents: Annotated[tuple[Mapping[ColumnName, Json], ...], doc("Rows of for_each.", "[{id: 1}]")] = ()
    filters: Annotated[Mapping[ColumnName, Json], doc("Filters of the query.", "{q: lamp}")] = {}
    since: Annotated[
        Cursors | None, doc("Stored cursor, or by parent: its row as JSON.", "{'{\"id\":1}': 2026-01-01}")
    ] = None
    now: Annotated[
        Timestamp, doc("Current time.", "2026-01-31T23:59:00Z", default="2026-03-15T12:00:00Z")
    ] = datetime(2026, 3, 15, 12, tzinfo=UTC)
    columns: Annotated[Mapping[ColumnName, str] | None, doc("All columns: type.", "{id: BIGINT}")] = None
    rows: Annotated[
        Json,
        doc(
            "All rows in order, each with columns to compare; timestamps are in UTC. With `write`: the rows "
            "that are written.",
            "[{id: 1}]",
        ),
    ] = None
    cursor: Annotated[Cursors | None, doc("Cursor after the load, or by parent.", "2026-02-01")] = None
    error: Annotated[
        str | None, doc("Text in the error message; the load or write must fail.", "credentials")
    ] = None
    write: Annotated[
        RowOperation | None, doc("Operation that writes `rows`; restore takes a delete back.", "insert")
    ] = None
    stored: Annotated[
        tuple[Mapping[ColumnName, Json], ...],
        doc("Stored rows that an update, delete or restore has chosen.", "[{id: 1, name: old}]"),
    ] = ()
    outcomes: Annotated[
        tuple[RecordedOutcome, ...], doc("Outcomes of the rows of `write`, in order.", "[{state: created}]")
    ] = ()


def cases_folder(spec_path: Path) -> Path:
    """The folder of the cases of a spec."""
    return spec_path.parent / "tests" / spec_path.stem


def find_cases(spec: AdapterSpec) -> tuple[Path, ...]:
    """The files of the cases, by name."""
    return tuple(sorted(cases_folder(Path(spec.path)).glob("*.yaml")))


def load_case(path: Path, spec: AdapterSpec) -> Case:
    """Read and check a case. Raises: SpecError with every problem in ``problems``."""
    case, report = parse_file(Case, path, name=path.stem, path=path)
    if case is not None:
        _validate_case(case, spec, report)
    report.raise_problems()
    assert case is not None
    return case


def option_values(case: Case, spec: AdapterSpec) -> dict[str, str | Secret | None]:
    """The value of every option of the spec: the case's, the default, or a dummy for a secret."""
    values: dict[str, str | Secret | None] = {}
    for option in spec.options:
        given = case.options.get(option.name, option.default)
        values[option.name] = Secret(given or f"dummy-{option.name}") if option.secret else given
    return values


def _validate_case(case: Case, spec: AdapterSpec, report: ProblemReport) -> None:
    tables = [table.name for table in spec.tables]
    if case.table and case.table not in tables:
        hint = did_you_mean(case.table, tables)
        report.add_problem(("table",), f"{spec.path} has no table {case.table}{hint}")
    if not case.exchanges and (case.write is None or case.error is None):
        report.add_problem((), "exchanges is missing")
    _validate_filters(case, spec, report)
    _validate_options(case, spec, report)
    _validate_write(case, spec, report)
    rows = case.rows
    if rows is not None and not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        report.add_problem(("rows",), "expected a list of rows, each a mapping; [] for no rows")


def _validate_options(case: Case, spec: AdapterSpec, report: ProblemReport) -> None:
    known = {option.name: option for option in spec.options}
    for name, value in case.options.items():
        if name not in known:
            report.add_problem(("options", name), f"unknown option{did_you_mean(name, known)}")
        elif known[name].secret and not value.startswith("dummy"):
            report.add_problem(("options", name), "a case must not contain secrets; remove it or use dummy-…")
    for option in spec.options:
        if option.needs_value and not option.secret and option.name not in case.options:
            report.add_problem(("options",), f"the option {option.name} is missing")


def _validate_filters(case: Case, spec: AdapterSpec, report: ProblemReport) -> None:
    table = spec.table(case.table)
    if table is None:
        return
    known = [each.name for each in table.filters]
    for name in case.filters:
        if name not in known:
            report.add_problem(
                ("filters", name), f"{table.name} has no such filter{did_you_mean(name, known)}"
            )
    for name in missing_filters(table, case.filters) if case.write is None else ():
        report.add_problem(("filters",), f"the filter {name} is missing; {table.name} requires it")


_READ_KEYS = ("parents", "filters", "since", "columns", "cursor")
_WRITE_KEYS = ("stored", "outcomes")


def _validate_write(case: Case, spec: AdapterSpec, report: ProblemReport) -> None:
    if case.write is None:
        for name in _WRITE_KEYS:
            if getattr(case, name):
                report.add_problem((name,), "requires write")
        return
    for name in _READ_KEYS:
        if getattr(case, name):
            report.add_problem((name,), "not allowed with write")
    table = spec.table(case.table)
    if table is not None and (table.write is None or table.write.request(case.write) is None):
        name = "delete.undo" if case.write == "restore" else case.write
        report.add_problem(("write",), f"{case.table} has no write.{name}")
    sets_columns = case.write not in ("delete", "restore")
    chooses = case.write == "update" or not sets_columns
    if chooses != bool(case.stored):
        text = "is missing: the rows that it chooses" if chooses else f"{case.write} chooses no rows"
        report.add_problem(("stored",), f"stored {text}" if chooses else text)
    if not sets_columns and case.rows is not None:
        report.add_problem(("rows",), f"{case.write} sets no columns")
    if case.write == "update" and isinstance(case.rows, list) and len(case.rows) != len(case.stored):
        report.add_problem(("rows",), "expected one row for each of stored")
    if sets_columns and not case.rows:
        report.add_problem(("write",), f"{case.write} requires rows")
    if case.error is None and len(case.outcomes) != len(written_rows(case)):
        report.add_problem(("outcomes",), "expected one outcome for each row")


def written_rows(case: Case) -> Sequence[Mapping[str, Json]]:
    """The columns that a case with ``write`` sets, by row; for a delete or restore none of each."""
    return case.rows if isinstance(case.rows, list) else [{} for _ in case.stored]
