"""The bundled specs: each is valid, its recorded cases pass, its SQL runs, the page about them is current."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from contextlib import closing
from functools import cache
from pathlib import Path

import duckdb
import pytest
from msgspec.structs import replace

from tests.faultserver import FaultServer, Reply
from tests.support import DemoAPI, Unify
from tests.terminal import on_terminal
from unify.adapters import specdocs
from unify.adapters.base import Check
from unify.adapters.cases import (
    ANSWER,
    CASE,
    EXCHANGE,
    Case,
    cases_folder,
    find_cases,
    load_case,
    option_values,
)
from unify.adapters.rest import RESTAdapter
from unify.adapters.spec import AdapterSpec, TableSpec
from unify.adapters.specfile import bundled_specs, load_spec
from unify.errors import SourceError, SpecError
from unify.loading.preview import Preview
from unify.loading.trials import Trial, run_case

CHECKOUT = Path(__file__).parent.parent
SPECS = {path.stem: load_spec(path) for path in sorted(bundled_specs().glob("*.yaml"))}
CASES = [(spec.name, path) for spec in SPECS.values() for path in find_cases(spec)]
TABLES = [
    pytest.param(spec, table, id=f"{spec.name}-{table.name}")
    for spec in SPECS.values()
    for table in spec.tables
]

SPEC = """\
name: tracker
base_url: {url}
options:
  token: {{secret: true, required: true}}
auth: {{type: bearer, token: "{{token}}"}}
paging: {{type: page, size_param: limit, size: 2}}
tables:
  - name: boards
    request: GET /boards
    key: id
    columns: {{title: {{from: name, description: What people call it}}}}
    incremental: {{cursor: changed_at, param: since}}
  - name: cards
    request: GET /boards/{{board}}/cards
    for_each: select id as board from boards
"""


# -- the recorded cases ---------------------------------------------------------------------------------


@cache
def outcome(name: str, path: Path) -> Trial:
    """What came of one recorded case; each is run once, however many tests look at it."""
    case = next(case for case in _cases(name) if case.path == path)
    return run_case(SPECS[name], case)


@pytest.mark.parametrize(("name", "path"), CASES, ids=lambda value: getattr(value, "stem", value))
def test_a_recorded_case_passes(name: str, path: Path) -> None:
    assert outcome(name, path).differences == ()


@pytest.mark.parametrize(("spec", "table"), TABLES)
def test_a_table_has_recorded_cases(spec: AdapterSpec, table: TableSpec) -> None:
    """One at least; one with a second page where it has pages, one of a refresh where changes are loaded."""
    cases = [case for case in _cases(spec.name) if case.table == table.name]

    assert cases
    if (table.paging or spec.paging).type != "none":
        assert any(_goes_on(case) for case in cases), "no case goes on to a second page"
    if _changes_are_loaded(table):
        assert any(case.since for case in cases), "no case is of a refresh"


@pytest.mark.parametrize(("spec", "table"), TABLES)
def test_a_column_with_a_description_has_a_value_in_a_case(spec: AdapterSpec, table: TableSpec) -> None:
    """A name or path that is misspelt, or that another column's type swallows, is null for ever."""
    seen: set[str] = set()
    for found in _found(spec, table):
        names = [column.name for column in found.columns]
        values = (pair for row in found.rows for pair in zip(names, row, strict=True))
        seen |= {name for name, value in values if value is not None}

    assert [column.name for column in table.columns if column.name not in seen] == []


@cache
def _cases(name: str) -> tuple[Case, ...]:
    """The recorded cases of a bundled spec."""
    spec = SPECS[name]
    return tuple(load_case(path, spec) for path in find_cases(spec))


def _found(spec: AdapterSpec, table: TableSpec) -> list[Preview]:
    """What the cases of a table that succeed find."""
    trials = [outcome(spec.name, case.path) for case in _cases(spec.name) if case.table == table.name]
    return [trial.found for trial in trials if trial.found is not None]


def _goes_on(case: Case) -> bool:
    """Whether a request is followed by another of the same path."""
    return len({(each.method, each.target) for each in case.exchanges}) < len(case.exchanges)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_column_a_key_or_description_speaks_of_is_kept(spec: AdapterSpec) -> None:
    for table in spec.tables:
        assert table.description, table.name
        assert table.key or table.live or not _changes_are_loaded(table), table.name
    assert spec.description
    assert spec.documentation
    assert all(option.description for option in spec.options)


def _changes_are_loaded(table: TableSpec) -> bool:
    return table.incremental is not None and table.refresh.strategy != "reload"


# -- what unify check asks ------------------------------------------------------------------------------


def check_of(name: str, reply: Reply) -> tuple[Check | SourceError, FaultServer]:
    """What a check of a bundled spec says where its API answers everything with ``reply``."""
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


def test_a_check_of_costs_asks_for_a_stretch_of_time() -> None:
    found, api = check_of("aws_costs", Reply.json({"ResultsByTime": []}))

    assert found == Check(accepted=True)
    assert api.log[0].json()["TimePeriod"]["Start"] == "2026-01-01"
    assert api.log[0].json()["TimePeriod"]["End"] > "2026-01-01"


@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        ("slack", b'{"ok":false,"error":"invalid_auth"}', "invalid_auth"),
        ("linear", b'{"errors":[{"message":"Authentication required"}]}', "Authentication required"),
    ],
)
def test_a_check_notices_an_api_that_refuses_with_status_200(name: str, body: bytes, told: str) -> None:
    found, _ = check_of(name, Reply(body=body).with_headers(Content_Type="application/json"))

    assert isinstance(found, SourceError)
    assert told in found.message


def test_a_check_tells_as_whom_the_api_knows_us() -> None:
    found, _ = check_of("gitlab", Reply.json({"username": "kim"}))

    assert found == Check(accepted=True, identity="kim")


# -- the SQL in specs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_view_and_every_parent_query_runs_on_the_columns_described(spec: AdapterSpec) -> None:
    """On tables that have the columns of the spec and those its cases bring, and no others."""
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


# -- what a case that fails says ------------------------------------------------------------------------


@pytest.fixture
def tracker(tmp_path: Path) -> AdapterSpec:
    path = tmp_path / "tracker.yaml"
    path.write_text(SPEC.format(url="https://api.tracker.example/v2"), encoding="utf-8")
    return load_spec(path)


def case_of(spec: AdapterSpec, text: str) -> Case:
    path = cases_folder(Path(spec.path)) / "case.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return load_case(path, spec)


PASSING = """\
table: boards
exchanges:
  - request: GET /boards
    params: {limit: 2, page: 1}
    headers: {Authorization: Bearer dummy-token}
    answer:
      body:
        - {id: 1, name: Lamps, changed_at: 2026-03-01T10:00:00Z}
        - {id: 2, name: Oil, changed_at: 2026-03-02T10:00:00Z}
  - request: GET /boards
    params: {limit: 2, page: 2}
    answer: {body: []}
columns: {id: BIGINT, title: VARCHAR, changed_at: TIMESTAMP WITH TIME ZONE}
rows: [{id: 1, title: Lamps}, {id: 2, changed_at: "2026-03-02 10:00:00+00"}]
cursor: 2026-03-02T10:00:00Z
"""


def test_a_case_passes_where_requests_rows_columns_and_cursor_are_as_written(tracker: AdapterSpec) -> None:
    assert run_case(tracker, case_of(tracker, PASSING)).differences == ()


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        (
            "GET /boards\n",
            "GET /lists\n",
            "request 1 (GET /v2/boards?limit=2&page=1): expected GET /v2/lists",
        ),
        ("{limit: 2, page: 1}", "{limit: 3, page: 1}", "expected the parameter limit=3"),
        ("{limit: 2, page: 1}", "{page: 1}", "did not expect the parameter limit=2"),
        ("Bearer dummy-token", "Bearer x", "expected the header Authorization: Bearer x"),
        (
            "Authorization: Bearer dummy-token",
            "Authorization: null",
            "did not expect the header Authorization",
        ),
        ("title: VARCHAR, ", "", "column title VARCHAR was not expected"),
        ("id: BIGINT", "id: VARCHAR", "column id: expected VARCHAR, found BIGINT"),
        ("id: BIGINT", "id: BIGINT, no: DATE", "column no is missing"),
        ("title: Lamps}", "title: Oil}", "row 1: expected title to be 'Oil', found 'Lamps'"),
        (', {id: 2, changed_at: "2026-03-02 10:00:00+00"}', "", "expected 1 rows, found 2"),
        ("cursor: 2026-03-02", "cursor: 2026-03-03", "expected the cursor 2026-03-03T10:00:00Z, found"),
        (
            "answer: {body: []}",
            "answer: {status: 403}",
            "the load failed: tracker.boards: GET https://api.tracker",
        ),
        (
            "page: 2}",
            "page: 2}\n    body: {a: 1}",
            "request 2 (GET /v2/boards?limit=2&page=2): expected a JSON body",
        ),
    ],
)
def test_a_case_that_fails_says_where(tracker: AdapterSpec, right: str, wrong: str, told: str) -> None:
    assert right in PASSING
    found = run_case(tracker, case_of(tracker, PASSING.replace(right, wrong, 1))).differences

    assert any(told in difference for difference in found), found


def test_a_request_too_many_and_one_too_few_are_told(tracker: AdapterSpec) -> None:
    first = PASSING.index("  - request: GET /boards\n    params: {limit: 2, page: 2}")
    rest = PASSING.index("columns:")
    short = run_case(tracker, case_of(tracker, PASSING[:first] + PASSING[rest:])).differences
    more = PASSING[:rest] + "  - {request: GET /boards, answer: {body: []}}\n"
    long = run_case(tracker, case_of(tracker, more)).differences

    assert short == ("request 2 was not expected: GET /v2/boards?limit=2&page=2",)
    assert long == ("request 3 was never sent: GET /boards",)


def test_a_load_that_has_to_fail_and_does_not_is_told(tracker: AdapterSpec) -> None:
    found = run_case(tracker, case_of(tracker, PASSING + "error: refused\n")).differences

    assert found[0] == "expected an error with 'refused'; the load succeeded"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("table: bords\nexchanges: [{request: GET /x, answer: {}}]\n", "1:8: table: "),
        ("table: boards\n", "1:1: spec: exchanges is missing"),
        ("table: boards\nexchange: []\n", "2:1: exchange: unknown key — did you mean exchanges?"),
        (PASSING + "options: {token: ghp_secret}\n", "options.token: a case holds no secrets"),
        (PASSING + "options: {tokn: dummy}\n", "options.tokn: unknown option — did you mean token?"),
        (PASSING + "filters: {q: a}\n", "filters.q: boards has no such filter"),
        (PASSING + "now: yesterday\n", "now: 'yesterday' is no moment with a zone"),
        (PASSING.replace("rows: [", "rows: [1, "), "rows: expected a list of rows"),
        ("", "1:1: spec: the file is empty"),
    ],
)
def test_a_mistake_in_a_case_is_explained_at_its_place(tracker: AdapterSpec, text: str, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        case_of(tracker, text)

    assert told in caught.value.message


def test_waiting_takes_no_time_in_a_case(tracker: AdapterSpec) -> None:
    refused = """\
  - request: GET /boards
    params: {limit: 2, page: 1}
    answer: {status: 429, headers: {Retry-After: "600"}}
"""
    text = PASSING.replace("exchanges:\n", f"exchanges:\n{refused}")

    assert run_case(tracker, case_of(tracker, text)).differences == ()


# -- the commands ---------------------------------------------------------------------------------------


def unify(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("unify")
    return subprocess.run([command, *arguments], capture_output=True, text=True, timeout=60, cwd=folder)


def test_spec_test_says_what_passed_and_what_did_not(tracker: AdapterSpec) -> None:
    case = case_of(tracker, PASSING)
    passed = unify("spec", "test", tracker.path)
    case.path.write_text(PASSING.replace("title: Lamps}", "title: Oil}"), encoding="utf-8")
    failed = unify("spec", "test", tracker.path)

    assert passed.returncode == 0
    assert passed.stdout.splitlines() == [
        f"{case.path}: ok, 2 requests",
        f"{tracker.path}: 1 of 1 case passed",
    ]
    assert failed.returncode == 1
    assert "row 1: expected title to be 'Oil', found 'Lamps'" in failed.stdout


def test_spec_test_of_a_spec_without_cases_says_where_they_go(tracker: AdapterSpec) -> None:
    done = unify("spec", "test", tracker.path)

    assert done.returncode == 1
    assert "there are no cases; they go to" in done.stdout
    assert "tests/tracker/NAME.yaml" in done.stdout


def test_spec_try_shows_request_answer_rows_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "tracker.yaml"
    with FaultServer() as api:
        rows = [
            {"id": 1, "name": "Lamps", "owner": {"login": "kim"}, "changed_at": "2026-03-01T10:00:00Z"},
            {"id": 2, "name": "Oil", "tags": ["a"], "echo": "Bearer s3cretvalue"},
        ]
        api.serve("/boards", pages=[rows, [{"id": 3}]])
        path.write_text(SPEC.format(url=api.url), encoding="utf-8")
        done = unify("spec", "try", str(path), "boards", "--option", "token=s3cretvalue")

    assert done.returncode == 0, done.stderr
    assert "s3cretvalue" not in done.stdout + done.stderr
    told = done.stdout
    assert f"GET {api.url}/boards?limit=2&page=1\n  auth: bearer *** (from token)\n200 OK, " in told
    assert "answer: list of 2, each object\n  id: integer\n  name: text\n" in told
    assert "  owner: object\n    login: text\n" in told
    assert "rows: 2 (the answer itself, found out)\npaging: next is limit=2, page=2\n" in told
    assert "title        VARCHAR  -- What people call it\n" in told
    assert "changed_at   TIMESTAMP WITH TIME ZONE\n" in told
    assert "cursor: 2026-03-01T10:00:00Z\n" in told
    assert api.asked == ["/boards?limit=2&page=1"]


def test_spec_try_tells_what_the_api_refused(tmp_path: Path) -> None:
    path = tmp_path / "tracker.yaml"
    with FaultServer() as api:
        api.serve("/boards/7/cards", Reply.error(401, "Bad credentials"))
        path.write_text(SPEC.format(url=api.url), encoding="utf-8")
        done = unify(
            "spec", "try", str(path), "cards", "--option", "token=wrong-token", "--option", "board=7"
        )

    assert done.returncode == 1
    assert "401 Unauthorized" in done.stdout
    assert "Bad credentials" in done.stdout
    assert "check option token of tracker" in done.stdout
    assert "wrong-token" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["boards"], "--option: the option token is missing"),
        (["boards", "--option", "tokn=a"], "--option tokn: unknown option — did you mean token?"),
        (["bords", "--option", "token=a"], "has no table bords — did you mean boards?"),
        (["cards", "--option", "token=a"], "give one: --option board=VALUE"),
        (["cards", "--option", "token=a", "--option", "bord=1"], "give one: --option board=VALUE"),
        (
            ["cards", "--option", "token=a", "--option", "board=1", "--option", "bord=1"],
            "--option bord: unknown option",
        ),
        (["boards", "--option", "token"], "an option is written NAME=VALUE"),
        (["boards", "--option", "token=${NO_SUCH_VARIABLE}"], "NO_SUCH_VARIABLE"),
    ],
)
def test_spec_try_explains_what_is_missing_before_it_asks(
    tracker: AdapterSpec, arguments: list[str], told: str
) -> None:
    done = unify("spec", "try", tracker.path, *arguments)

    assert done.returncode != 0
    assert told in done.stderr
    assert not done.stdout


# -- the walk-through of rest_specs/README.md -----------------------------------------------------------


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_walk_through_of_the_readme_works_as_written(tmp_path: Path, demo_api: DemoAPI) -> None:
    readme = (bundled_specs() / "README.md").read_text(encoding="utf-8")
    part = readme.split("## From an API to tables", 1)[1].split("\n## ", 1)[0]
    part = part.replace("http://127.0.0.1:8200", demo_api.url)
    spec, case = blocks(part, "yaml")
    (tmp_path / "tests" / "books").mkdir(parents=True)
    (tmp_path / "books.yaml").write_text(spec, encoding="utf-8")
    (tmp_path / "tests" / "books" / "repos.yaml").write_text(case, encoding="utf-8")
    commands = [line[2:] for block in blocks(part, "console") for line in block.splitlines()]

    done = [unify(*shlex.split(command)[1:], folder=tmp_path) for command in commands[1:]]

    assert commands[0].startswith("python -m unify.demo.server --port 8200")
    assert [each.returncode for each in done] == [0, 0, 0], [each.stdout + each.stderr for each in done]
    assert done[0].stdout == "books.yaml: ok, 1 table\n"
    assert "rows: 5 (the answer itself, found out)\npaging: found out: " in done[1].stdout
    assert "; next is http" in done[1].stdout
    assert done[2].stdout.endswith("books.yaml: 1 of 1 case passed\n")


def test_describe_says_how_a_table_was_found_to_page(unify: Unify, demo_api: DemoAPI) -> None:
    spec = (
        "name: books\nbase_url: URL\noptions: {token: {secret: true}}\n"
        'auth: {type: bearer, token: "{token}"}\n'
        "paging: {type: auto, size_param: per_page, size: 5}\n"
        "tables: [{name: repos, request: GET /user/repos}]\n"
    )
    (unify.home / "books.yaml").write_text(spec.replace("URL", demo_api.url), encoding="utf-8")
    unify.connect("books: {adapter: books, options: {token: demo}}\n")
    unify.environment["UNIFY_SPECS"] = str(unify.home)
    unify("load table books.repos")
    command = [*unify.command, "-c", "describe books.repos"]
    with on_terminal(command, unify.environment, unify.home, columns=200) as terminal:
        terminal.wait_for("paging found out: {type: link_header, size_param: per_page, size: 5}")


def test_the_readme_describes_every_key_of_a_case() -> None:
    readme = (bundled_specs() / "README.md").read_text(encoding="utf-8")
    part = readme.split("\n## Cases\n", 1)[1].split("\n## ", 1)[0]

    for record in (CASE, EXCHANGE):
        assert {key.name for key in record.keys} <= set(re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE))
    assert all(f"`{key.name}`" in part for key in ANSWER.keys)


# -- the page about them --------------------------------------------------------------------------------


def test_the_page_about_the_systems_is_current() -> None:
    """If not: python -m unify.adapters.specdocs"""
    written = (CHECKOUT / "docs" / "adapters.md").read_text(encoding="utf-8")

    assert written == specdocs.page(SPECS.values())
