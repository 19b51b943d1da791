"""Recorded cases, checks and SQL of the bundled specs."""

from __future__ import annotations

from contextlib import closing
from functools import cache
from pathlib import Path

import duckdb
import pytest
from msgspec.structs import replace

from tests.support.fault_server import FaultServer, MockResponse
from tests.support.paths import CHECKOUT
from unify.adapters.base import Check
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec import template
from unify.adapters.spec.auth import Auth
from unify.adapters.spec.loader import bundled_specs_folder, load_spec
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.authoring import docs
from unify.authoring.case_runner import CaseResult, run_case
from unify.authoring.cases import (
    Case,
    find_cases,
    load_case,
    option_values,
    written_rows,
)
from unify.convert.preview import Preview
from unify.errors import SourceError

SPECS = {path.stem: load_spec(path) for path in sorted(bundled_specs_folder().glob("*.yaml"))}
CASES = [(spec.name, path) for spec in SPECS.values() for path in find_cases(spec)]
TABLES = [
    pytest.param(spec, table, id=f"{spec.name}-{table.name}")
    for spec in SPECS.values()
    for table in spec.tables
]
WRITABLE_TABLES = [
    pytest.param(spec, table, id=f"{spec.name}-{table.name}")
    for spec in SPECS.values()
    for table in spec.tables
    if table.write is not None
]


# -- the recorded cases ---------------------------------------------------------------------------------


@cache
def case_result(name: str, path: Path) -> CaseResult:
    """Return the result of a recorded case; each case runs once."""
    case = next(case for case in _cases(name) if case.path == path)
    return run_case(SPECS[name], case)


@pytest.mark.parametrize(("name", "path"), CASES, ids=lambda value: getattr(value, "stem", value))
def test_a_recorded_case_passes(name: str, path: Path) -> None:
    assert case_result(name, path).differences == ()


@pytest.mark.parametrize(("spec", "table"), TABLES)
def test_a_table_has_recorded_cases(spec: AdapterSpec, table: TableSpec) -> None:
    """At least one; one with a second page if it has pages, one of a refresh if it is incremental."""
    cases = [case for case in _cases(spec.name) if case.table == table.name and case.write is None]

    assert cases
    if (table.paging or spec.paging).type != "none":
        assert any(_goes_on(case) for case in cases), "no case goes on to a second page"
    if _changes_are_loaded(table):
        assert any(case.since for case in cases), "no case is of a refresh"


@pytest.mark.parametrize(("spec", "table"), TABLES)
def test_a_column_with_a_description_has_a_value_in_a_case(spec: AdapterSpec, table: TableSpec) -> None:
    """A column with a misspelled name or path would always be NULL."""
    seen: set[str] = set()
    for found in _found(spec, table):
        names = [column.name for column in found.columns]
        values = (pair for row in found.rows for pair in zip(names, row, strict=True))
        seen |= {name for name, value in values if value is not None}

    assert [column.name for column in table.columns if column.name not in seen] == []


@pytest.mark.parametrize(("spec", "table"), WRITABLE_TABLES)
def test_each_operation_of_a_writable_table_has_a_case_and_each_column_is_sent_in_one(
    spec: AdapterSpec, table: TableSpec
) -> None:
    """A column that is misspelled in the body would be refused by the API, or ignored."""
    write = table.write
    assert write is not None
    cases = [case for case in _cases(spec.name) if case.table == table.name and case.write is not None]
    sent = {name for case in cases for row in written_rows(case) for name in row}

    assert {case.write for case in cases} == set(write.row_operations)
    assert [column.name for column in write.columns if column.name not in sent] == []
    assert all(column.description for column in write.columns)
    for operation in write.operations:
        request = write.request(operation)
        assert request is not None
        settled = [case for case in cases if case.write == operation and _loses_a_response(case)]
        assert settled or (request.idempotency is None and request.settle is None), operation


def _loses_a_response(case: Case) -> bool:
    return any(each.response.lost or each.response.status >= 500 for each in case.exchanges)


@cache
def _cases(name: str) -> tuple[Case, ...]:
    """The recorded cases of a bundled spec."""
    spec = SPECS[name]
    return tuple(load_case(path, spec) for path in find_cases(spec))


def _found(spec: AdapterSpec, table: TableSpec) -> list[Preview]:
    """Return the previews of the successful cases of a table."""
    trials = [case_result(spec.name, case.path) for case in _cases(spec.name) if case.table == table.name]
    return [trial.preview for trial in trials if trial.preview is not None]


def _goes_on(case: Case) -> bool:
    """Return whether a path is requested more than once, or an address that an earlier response has."""
    bodies = [str(each.response.body) for each in case.exchanges]
    is_next = any(
        each.target.partition("?")[0] in body
        for number, each in enumerate(case.exchanges)
        for body in bodies[:number]
    )
    return is_next or len({(each.method, each.target) for each in case.exchanges}) < len(case.exchanges)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_bundled_spec_has_descriptions_and_keys(spec: AdapterSpec) -> None:
    for table in spec.tables:
        assert table.description, table.name
        assert table.key or table.live or not _changes_are_loaded(table), table.name
    assert spec.description
    assert spec.documentation
    assert all(option.description for option in spec.options)


def _changes_are_loaded(table: TableSpec) -> bool:
    return table.incremental is not None and table.refresh.strategy != "reload"


# -- the requests of unify check ------------------------------------------------------------------------


def check_of(name: str, reply: MockResponse) -> tuple[Check | SourceError, FaultServer]:
    """Check a bundled spec against an API that responds to every request with ``reply``."""
    spec = SPECS[name]
    options = option_values(Case("check", Path(), "", (), options={"start": "2026-01-01"}), spec)
    with FaultServer() as api:
        for method in ("GET", "POST"):
            api.serve(f"{method} {CHECKS.get(name, '/')}", reply)
        moved = replace(spec, base_url=api.url)
        with closing(RESTAdapter(moved, {**options, "org": "acme"})) as adapter:
            try:
                return adapter.check(), api
            except SourceError as error:
                return error, api


CHECKS = {"slack": "/auth.test", "linear": "/graphql", "gitlab": "/user"}


def test_a_check_of_costs_requests_a_period() -> None:
    found, api = check_of("aws_costs", MockResponse.json({"ResultsByTime": []}))

    assert found == Check(accepted=True)
    assert api.requests[0].json()["TimePeriod"]["Start"] == "2026-01-01"
    assert api.requests[0].json()["TimePeriod"]["End"] > "2026-01-01"


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("slack", b'{"ok":false,"error":"invalid_auth"}', "invalid_auth"),
        ("linear", b'{"errors":[{"message":"Authentication required"}]}', "Authentication required"),
    ],
)
def test_a_check_notices_an_api_that_refuses_with_status_200(name: str, body: bytes, message: str) -> None:
    found, _ = check_of(name, MockResponse(body=body).with_headers(Content_Type="application/json"))

    assert isinstance(found, SourceError)
    assert message in found.message


def test_a_check_names_the_authenticated_user() -> None:
    found, _ = check_of("gitlab", MockResponse.json({"username": "kim"}))

    assert found == Check(accepted=True, identity="kim")


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_check_needs_the_required_options_and_one_request(spec: AdapterSpec) -> None:
    """Also that of a first table, for a spec without ``check``, and with a body that is not JSON."""
    given = {option.name: "x" for option in spec.options if option.required and not option.secret}
    options = option_values(Case("check", Path(), "", (), options=given), spec)
    line = spec.check.request if spec.check is not None else spec.tables[0].requests[0]
    target = template.render_text(line.partition("?")[0], options, "path")
    is_xml = spec.check is None and spec.tables[0].format == "xml"
    with FaultServer() as api:
        api.serve(target, MockResponse.text("<rss/>", "text/xml") if is_xml else MockResponse.json({}))
        moved = replace(spec, base_url=api.url, auth=Auth("none"), other_auths=())
        with closing(RESTAdapter(moved, options)) as adapter:
            assert adapter.check().accepted

    assert len(api.requests) == 1


# -- the SQL in specs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_view_and_parent_query_runs_on_the_described_columns(spec: AdapterSpec) -> None:
    """On tables with the columns of the spec and of its cases."""
    with duckdb.connect() as connection:
        for table in spec.tables:
            columns = ", ".join(f'"{name}" {type_}' for name, type_ in _columns(spec, table).items())
            connection.execute(f'CREATE TABLE "{table.name}" ({columns})')
        for table in spec.tables:
            if table.for_each is not None and table.for_each.query is not None:
                connection.execute(table.for_each.query)
        for view in spec.views:
            connection.execute(f'CREATE VIEW "{view.name}" AS {view.query}')
            connection.execute(f'SELECT * FROM "{view.name}"')

    assert all(table.columns for table in spec.tables)


def _columns(spec: AdapterSpec, table: TableSpec) -> dict[str, str]:
    found = {column.name: column.type or "VARCHAR" for column in table.columns}
    for preview in _found(spec, table):
        found |= {column.name: column.type for column in preview.columns}
    return found


def test_the_documentation_of_the_adapters_is_current() -> None:
    """If not: python -m unify.authoring.docs"""
    written = (CHECKOUT / "docs" / "adapters.md").read_text(encoding="utf-8")

    assert written == docs.render_page(SPECS.values())
