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

from unify import yamlfile
from unify.adapters.base import ParentRow
from unify.adapters.filtered import missing_filters
from unify.adapters.spec import AdapterSpec
from unify.adapters.specreader import MISSING, Missing, Report, read
from unify.adapters.specshape import Anything, Either, Entries, Items, Key, Number, Record, Text
from unify.connections import Secret
from unify.errors import SpecError
from unify.text import did_you_mean

Json = Any  # a JSON value: dict, list, str, int, float, bool or None

_TEXT = Text()

ANSWER = Record(
    "answer",
    (
        Key("status", Number(100, 599), "Its status.", "200", "404"),
        Key("headers", Entries(_TEXT, "header"), "Its headers.", "none", "{Link: '<…>; rel=\"next\"'}"),
        Key("body", Anything(), "Its body, written as YAML and sent as JSON.", "none", "[{id: 1}]"),
        Key("text", _TEXT, "Its body as it is, instead.", "none", "id,name"),
    ),
)

EXCHANGE = Record(
    "exchanges[]",
    (
        Key("request", Text("request"), "Method and path.", "", "GET /items", True),
        Key("params", Entries(Anything(), "column"), "All of its query parameters.", "none", "{page: 2}"),
        Key(
            "headers",
            Entries(Anything(), "header"),
            "Headers it has; null: has not.",
            "any",
            "{Accept: text/csv}",
        ),
        Key("body", Anything(), "Its JSON body.", "none", "{first: 10}"),
        Key("form", Entries(_TEXT, "column"), "Its form fields.", "none", "{a: 1}"),
        Key("answer", ANSWER, "What the API answers.", "", "{body: []}", True),
    ),
)

_BY_PARENT = Either((_TEXT, Entries(_TEXT, "column")))

CASE = Record(
    "case",
    (
        Key("description", _TEXT, "What it shows.", "none", "Two pages of items"),
        Key("table", Text("name"), "The table that is read.", "", "items", True),
        Key("options", Entries(_TEXT), "What the connection supplies.", "the defaults", "{org: acme}"),
        Key("parents", Items(Entries(Anything(), "column")), "Rows of its for_each.", "none", "[{id: 1}]"),
        Key("filters", Entries(Anything(), "column"), "What a query asks for.", "none", "{q: lamp}"),
        Key(
            "since",
            _BY_PARENT,
            "The stored cursor; by parent, as JSON, where there are several.",
            "none",
            "2026-01-01",
        ),
        Key("now", _TEXT, "When it happens.", "2026-03-15T12:00:00Z", "2026-01-31T23:59:00Z"),
        Key("exchanges", Items(EXCHANGE), "Requests in their order, each with its answer.", "", "", True),
        Key("columns", Entries(_TEXT, "column"), "Every column with its type.", "any", "{id: BIGINT}"),
        Key(
            "rows",
            Anything(),
            "The rows in their order, as far as their columns are named.",
            "any",
            "[{id: 1}]",
        ),
        Key("cursor", _BY_PARENT, "The cursor the next load begins at.", "any", "2026-02-01"),
        Key("error", _TEXT, "The load fails, and its message holds this.", "it succeeds", "credentials"),
    ),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the API answers. ``body`` is JSON, unless there is a ``text``."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request as it has to be, and its answer. ``body`` and ``form`` None: it has none."""

    method: str
    target: str
    reply: Reply
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
    exchanges: tuple[Exchange, ...]
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
    document = yamlfile.read(path)
    report = Report(document.path)
    values: Json | Missing = MISSING
    if document.root is not None:
        values = read(CASE, document.root, (), report)
    elif not document.flaws:
        report.add((), "the file is empty; a case begins with table and exchanges")
    for flaw in document.flaws:
        report.add_flaw(flaw)
    given = {} if isinstance(values, Missing) else values
    _check(given, spec, report)
    if report.problems:
        lines = "\n".join(str(problem) for problem in report.problems)
        raise SpecError(lines, problems=tuple(report.problems))
    return _case(path, given)


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


def _check(given: Mapping[str, Json], spec: AdapterSpec, report: Report) -> None:
    name = given.get("table")
    tables = [table.name for table in spec.tables]
    if name is not None and name not in tables:
        report.add(("table",), f"{spec.path} has no table {name}{did_you_mean(name, tables)}")
    _check_filters(given, spec, report)
    known = {option.name: option for option in spec.options}
    options = given.get("options", {})
    for key, value in options.items():
        if key not in known:
            report.add(("options", key), f"unknown option{did_you_mean(key, known)}")
        elif known[key].secret and not str(value).startswith("dummy"):
            report.add(("options", key), "a case holds no secrets; leave it out, or write dummy-…")
    for option in spec.options:
        if option.needed and not option.secret and option.name not in options:
            report.add(("options",), f"the option {option.name} is missing")
    if "now" in given and _moment(given["now"]) is None:
        report.add(("now",), f"{given['now']!r} is no moment with a zone, such as 2026-03-15T12:00:00Z")
    rows = given.get("rows")
    if rows is not None and not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        report.add(("rows",), "expected a list of rows, each lines of KEY: VALUE; [] for none")


def _check_filters(given: Mapping[str, Json], spec: AdapterSpec, report: Report) -> None:
    table = spec.table(given.get("table", ""))
    if table is None:
        return
    filters = given.get("filters", {})
    known = [each.name for each in table.filters]
    for name in filters:
        if name not in known:
            report.add(("filters", name), f"{table.name} has no such filter{did_you_mean(name, known)}")
    for name in missing_filters(table, filters):
        report.add(("filters",), f"the filter {name} is missing; {table.name} cannot be asked without")


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _case(path: Path, given: Mapping[str, Json]) -> Case:
    rest = {key: value for key, value in given.items() if key not in ("exchanges", "parents")}
    if "now" in rest:
        rest["now"] = _moment(rest["now"])
    exchanges = tuple(_exchange(each) for each in given["exchanges"])
    return Case(path.stem, path, exchanges=exchanges, parents=tuple(given.get("parents", ())), **rest)


def _exchange(given: Mapping[str, Json]) -> Exchange:
    method, _, target = given["request"].partition(" ")
    rest = {key: value for key, value in given.items() if key not in ("request", "answer")}
    return Exchange(method, target, Reply(**given["answer"]), **rest)
