"""Recorded cases of a spec: what is asked of its API, what the API answered, and what has to come of it.

A spec's cases lie beside it: ``tests/NAME/CASE.yaml`` in the folder of NAME.yaml. Their format is the part
"Cases" of rest_specs/README.md. They hold no secrets: a secret option is ``dummy-…``, written or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unify.adapters.base import ParentRow
from unify.adapters.rest.pushdown import missing_filters
from unify.adapters.spec.model import AdapterSpec
from unify.adapters.spec.parse import INVALID, InvalidValue, ProblemReport, parse_value
from unify.adapters.spec.schema import (
    AnySchema,
    Key,
    ListSchema,
    MapSchema,
    NumberSchema,
    ObjectSchema,
    TextSchema,
    UnionSchema,
)
from unify.config import yaml
from unify.config.secrets import Secret
from unify.errors import SpecError
from unify.text import did_you_mean

Json = Any  # a JSON value: dict, list, str, int, float, bool or None

_TEXT = TextSchema()

ANSWER = ObjectSchema(
    "answer",
    (
        Key("status", NumberSchema(100, 599), "Its status.", "200", "404"),
        Key("headers", MapSchema(_TEXT, "header"), "Its headers.", "none", "{Link: '<…>; rel=\"next\"'}"),
        Key("body", AnySchema(), "Its body, written as YAML and sent as JSON.", "none", "[{id: 1}]"),
        Key("text", _TEXT, "Its body as it is, instead.", "none", "id,name"),
    ),
)

EXCHANGE = ObjectSchema(
    "exchanges[]",
    (
        Key("request", TextSchema("request"), "Method and path.", "", "GET /items", True),
        Key("params", MapSchema(AnySchema(), "column"), "All of its query parameters.", "none", "{page: 2}"),
        Key(
            "headers",
            MapSchema(AnySchema(), "header"),
            "Headers it has; null: has not.",
            "any",
            "{Accept: text/csv}",
        ),
        Key("body", AnySchema(), "Its JSON body.", "none", "{first: 10}"),
        Key("form", MapSchema(_TEXT, "column"), "Its form fields.", "none", "{a: 1}"),
        Key("answer", ANSWER, "What the API answers.", "", "{body: []}", True),
    ),
)

_BY_PARENT = UnionSchema((_TEXT, MapSchema(_TEXT, "column")))

CASE = ObjectSchema(
    "case",
    (
        Key("description", _TEXT, "What it shows.", "none", "Two pages of items"),
        Key("table", TextSchema("name"), "The table that is read.", "", "items", True),
        Key("options", MapSchema(_TEXT), "What the connection supplies.", "the defaults", "{org: acme}"),
        Key(
            "parents",
            ListSchema(MapSchema(AnySchema(), "column")),
            "Rows of its for_each.",
            "none",
            "[{id: 1}]",
        ),
        Key("filters", MapSchema(AnySchema(), "column"), "What a query asks for.", "none", "{q: lamp}"),
        Key(
            "since",
            _BY_PARENT,
            "The stored cursor; by parent, as JSON, where there are several.",
            "none",
            "2026-01-01",
        ),
        Key("now", _TEXT, "When it happens.", "2026-03-15T12:00:00Z", "2026-01-31T23:59:00Z"),
        Key(
            "exchanges", ListSchema(EXCHANGE), "Requests in their order, each with its answer.", "", "", True
        ),
        Key("columns", MapSchema(_TEXT, "column"), "Every column with its type.", "any", "{id: BIGINT}"),
        Key(
            "rows",
            AnySchema(),
            "The rows in their order, as far as their columns are named.",
            "any",
            "[{id: 1}]",
        ),
        Key("cursor", _BY_PARENT, "The cursor the next load begins at.", "any", "2026-02-01"),
        Key("error", _TEXT, "The load fails, and its message holds this.", "it succeeds", "credentials"),
    ),
)


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """What the API answers. ``body`` is JSON, unless there is a ``text``."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """One request as it has to be, and its answer. ``body`` and ``form`` None: it has none."""

    method: str
    target: str
    response: RecordedResponse
    params: Mapping[str, Json] = field(default_factory=dict)
    headers: Mapping[str, Json] = field(default_factory=dict)
    body: Json = None
    form: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One case. ``columns``, ``rows`` and ``cursor`` None: not looked at. ``now`` is aware."""

    name: str
    path: Path
    table: str
    exchanges: tuple[RecordedExchange, ...]
    description: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    parents: tuple[ParentRow, ...] = ()
    filters: Mapping[str, Json] = field(default_factory=dict)
    since: str | Mapping[str, str] | None = None
    now: datetime = datetime(2026, 3, 15, 12, tzinfo=UTC)
    columns: Mapping[str, str] | None = None
    rows: Sequence[Mapping[str, Json]] | None = None
    cursor: str | Mapping[str, str] | None = None
    error: str | None = None


def cases_folder(spec_path: Path) -> Path:
    """Where the cases of a spec lie."""
    return spec_path.parent / "tests" / spec_path.stem


def find_cases(spec: AdapterSpec) -> tuple[Path, ...]:
    """The files of its cases, by name."""
    return tuple(sorted(cases_folder(Path(spec.path)).glob("*.yaml")))


def load_case(path: Path, spec: AdapterSpec) -> Case:
    """The case in ``path``, checked. Raises SpecError with every mistake in ``problems``."""
    document = yaml.read_yaml(path)
    report = ProblemReport(document.path)
    values: Json | InvalidValue = INVALID
    if document.root is not None:
        values = parse_value(CASE, document.root, (), report)
    elif not document.flaws:
        report.add_problem((), "the file is empty; a case begins with table and exchanges")
    for flaw in document.flaws:
        report.add_flaw(flaw)
    given = {} if isinstance(values, InvalidValue) else values
    _validate_case(given, spec, report)
    if report.problems:
        lines = "\n".join(str(problem) for problem in report.problems)
        raise SpecError(lines, problems=tuple(report.problems))
    return _build_case(path, given)


def option_values(case: Case, spec: AdapterSpec) -> dict[str, str | Secret | None]:
    """Every option of the spec with its value here: the case's, the default, or a dummy for a secret."""
    values: dict[str, str | Secret | None] = {}
    for option in spec.options:
        given = case.options.get(option.name, option.default)
        if option.secret:
            values[option.name] = Secret(given or f"dummy-{option.name}")
        else:
            values[option.name] = given
    return values


def _validate_case(values: Mapping[str, Json], spec: AdapterSpec, report: ProblemReport) -> None:
    name = values.get("table")
    tables = [table.name for table in spec.tables]
    if name is not None and name not in tables:
        report.add_problem(("table",), f"{spec.path} has no table {name}{did_you_mean(name, tables)}")
    _validate_filters(values, spec, report)
    known = {option.name: option for option in spec.options}
    options = values.get("options", {})
    for key, value in options.items():
        if key not in known:
            report.add_problem(("options", key), f"unknown option{did_you_mean(key, known)}")
        elif known[key].secret and not str(value).startswith("dummy"):
            report.add_problem(("options", key), "a case holds no secrets; leave it out, or write dummy-…")
    for option in spec.options:
        if option.needs_value and not option.secret and option.name not in options:
            report.add_problem(("options",), f"the option {option.name} is missing")
    if "now" in values and _parse_timestamp(values["now"]) is None:
        report.add_problem(
            ("now",), f"{values['now']!r} is no moment with a zone, such as 2026-03-15T12:00:00Z"
        )
    rows = values.get("rows")
    if rows is not None and not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        report.add_problem(("rows",), "expected a list of rows, each lines of KEY: VALUE; [] for none")


def _validate_filters(values: Mapping[str, Json], spec: AdapterSpec, report: ProblemReport) -> None:
    table = spec.table(values.get("table", ""))
    if table is None:
        return
    filters = values.get("filters", {})
    known = [each.name for each in table.filters]
    for name in filters:
        if name not in known:
            report.add_problem(
                ("filters", name), f"{table.name} has no such filter{did_you_mean(name, known)}"
            )
    for name in missing_filters(table, filters):
        report.add_problem(
            ("filters",), f"the filter {name} is missing; {table.name} cannot be asked without"
        )


def _parse_timestamp(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _build_case(path: Path, values: Mapping[str, Json]) -> Case:
    rest = {key: value for key, value in values.items() if key not in ("exchanges", "parents")}
    if "now" in rest:
        rest["now"] = _parse_timestamp(rest["now"])
    exchanges = tuple(_build_exchange(each) for each in values["exchanges"])
    return Case(path.stem, path, exchanges=exchanges, parents=tuple(values.get("parents", ())), **rest)


def _build_exchange(values: Mapping[str, Json]) -> RecordedExchange:
    method, _, target = values["request"].partition(" ")
    rest = {key: value for key, value in values.items() if key not in ("request", "answer")}
    return RecordedExchange(method, target, RecordedResponse(**values["answer"]), **rest)
