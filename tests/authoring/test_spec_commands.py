"""``unify spec check``, ``spec test`` and ``spec try``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import CommandResult, InProcessCommand, UnifyCommand
from tests.support.demo_api import DemoAPI
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.spec_cases import PASSING, SPEC, case_of
from tests.support.terminal import run_on_terminal
from unify.adapters.spec.loader import bundled_specs_folder
from unify.adapters.spec.model import AdapterSpec


@pytest.fixture
def run_unify(empty_home: Path) -> Callable[..., CommandResult]:
    """Run ``unify`` with exactly these arguments; a spec needs no home."""
    return InProcessCommand(empty_home).run


def test_spec_test_reports_passed_and_failed_cases(
    run_unify: Callable[..., CommandResult], tracker: AdapterSpec
) -> None:
    case = case_of(tracker, PASSING)
    passed = run_unify("spec", "test", str(tracker.path))
    case.path.write_text(PASSING.replace("title: Lamps}", "title: Oil}"), encoding="utf-8")
    failed = run_unify("spec", "test", str(tracker.path))

    assert passed.exit_status == 0
    assert passed.stdout.splitlines() == [
        f"{case.path}: ok, 2 requests",
        f"{tracker.path}: 1 of 1 case passed",
    ]
    assert failed.exit_status == 1
    assert "row 1: expected title to be 'Oil', found 'Lamps'" in failed.stdout


def test_spec_test_without_cases_names_their_folder(
    run_unify: Callable[..., CommandResult], tracker: AdapterSpec
) -> None:
    done = run_unify("spec", "test", str(tracker.path))

    assert done.exit_status == 1
    assert "no cases found; add" in done.stdout
    assert "tests/tracker/NAME.yaml" in done.stdout


@pytest.mark.socket
def test_spec_try_shows_request_response_rows_and_columns(
    run_unify: Callable[..., CommandResult], tmp_path: Path
) -> None:
    path = tmp_path / "tracker.yaml"
    with FaultServer() as api:
        rows = [
            {"id": 1, "name": "Lamps", "owner": {"login": "kim"}, "changed_at": "2026-03-01T10:00:00Z"},
            {"id": 2, "name": "Oil", "tags": ["a"], "echo": "Bearer s3cretvalue"},
        ]
        api.serve("/boards", pages=[rows, [{"id": 3}]])
        path.write_text(SPEC.format(url=api.url), encoding="utf-8")
        done = run_unify("spec", "try", str(path), "boards", "--option", "token=s3cretvalue")

    assert done.exit_status == 0, done.stderr
    assert "s3cretvalue" not in done.stdout + done.stderr
    output = done.stdout
    assert output.startswith(
        f"plan:\n  GET {api.url}/boards\n  parameters: limit=2, page=1\n"
        "  paging: {type: page, page_param: page, size_param: limit, size: 2}\n"
        "  rows: detected in the first response\n  incremental: changed_at from the beginning\n\n"
    ), output
    assert f"GET {api.url}/boards?limit=2&page=1\n  auth: bearer *** (from token)\n200 OK, " in output
    assert "response: list of 2, each object\n  id: integer\n  name: string\n" in output
    assert "  owner: object\n    login: string\n" in output
    assert "rows: 2 (the response itself, detected)\npaging: next is limit=2, page=2\n" in output
    assert "title        VARCHAR  -- What people call it\n" in output
    assert "changed_at   TIMESTAMP WITH TIME ZONE\n" in output
    assert "cursor: 2026-03-01T10:00:00Z\n" in output
    assert api.request_targets == ["/boards?limit=2&page=1"]


@pytest.mark.socket
@pytest.mark.parametrize(
    ("pages", "counts", "end"),
    [
        (2, ["rows: 2", "page 2: 2 rows"], "paging: next is limit=2, page=3"),
        (5, ["rows: 2", "page 2: 2 rows", "page 3: 1 row"], "paging: no more pages"),
    ],
)
def test_spec_try_shows_how_pages_end(
    pages: int, counts: list[str], end: str, run_unify: Callable[..., CommandResult], tmp_path: Path
) -> None:
    path = tmp_path / "tracker.yaml"
    with FaultServer() as api:
        api.serve("/boards", pages=[[{"id": 1}, {"id": 2}], [{"id": 3}, {"id": 4}], [{"id": 5}]])
        path.write_text(SPEC.format(url=api.url), encoding="utf-8")
        done = run_unify("spec", "try", str(path), "boards", "--option", "token=t", "--pages", str(pages))

    assert done.exit_status == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(" (")[0] for line in lines if line.startswith(("rows: 2", "page "))] == counts
    assert end in lines
    assert len(api.requests) == min(pages, 4)  # one after the short page


@pytest.mark.socket
def test_spec_try_shows_what_a_load_would_note(
    run_unify: Callable[..., CommandResult], tmp_path: Path
) -> None:
    path = tmp_path / "api.yaml"
    with FaultServer() as api:
        api.serve("/things", MockResponse.json([{"id": number} for number in range(50)]))
        path.write_text(
            f"name: api\nbase_url: {api.url}\ntables: [{{name: things, request: GET /things}}]\n",
            encoding="utf-8",
        )
        done = run_unify("spec", "try", str(path), "things")

    assert "the only page has exactly 50 rows, which may be a page size\n" in done.stdout


@pytest.mark.socket
def test_spec_try_shows_a_refusal_by_the_api(run_unify: Callable[..., CommandResult], tmp_path: Path) -> None:
    path = tmp_path / "tracker.yaml"
    with FaultServer() as api:
        api.serve("/boards/7/cards", MockResponse.error(401, "Bad credentials"))
        path.write_text(SPEC.format(url=api.url), encoding="utf-8")
        done = run_unify(
            "spec", "try", str(path), "cards", "--option", "token=wrong-token", "--option", "board=7"
        )

    assert done.exit_status == 1
    assert "401 Unauthorized" in done.stdout
    assert "Bad credentials" in done.stdout
    assert "check option token of tracker" in done.stdout
    assert "wrong-token" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["boards"], "--option: the option token is missing"),
        (["boards", "--option", "tokn=a"], "--option tokn: unknown option; did you mean token?"),
        (["bords", "--option", "token=a"], "unknown table bords; did you mean boards?"),
        (["cards", "--option", "token=a"], "add --option board=VALUE"),
        (["cards", "--option", "token=a", "--option", "bord=1"], "add --option board=VALUE"),
        (
            ["cards", "--option", "token=a", "--option", "board=1", "--option", "bord=1"],
            "--option bord: unknown option",
        ),
        (["boards", "--option", "token"], "must be NAME=VALUE"),
        (["boards", "--option", "token=${NO_SUCH_VARIABLE}"], "NO_SUCH_VARIABLE"),
    ],
)
def test_spec_try_explains_missing_options_before_any_request(
    run_unify: Callable[..., CommandResult], tracker: AdapterSpec, arguments: list[str], message: str
) -> None:
    done = run_unify("spec", "try", str(tracker.path), *arguments)

    assert done.exit_status != 0
    assert message in done.stderr
    assert not done.stdout


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_walkthrough_of_the_readme_works(tmp_path: Path, demo_api: DemoAPI) -> None:
    readme = (bundled_specs_folder() / "README.md").read_text(encoding="utf-8")
    part = readme.split("## From an API to tables", 1)[1].split("\n## ", 1)[0]
    part = part.replace("http://127.0.0.1:8200", demo_api.url)
    spec, case = blocks(part, "yaml")
    (tmp_path / "tests" / "books").mkdir(parents=True)
    (tmp_path / "books.yaml").write_text(spec, encoding="utf-8")
    (tmp_path / "tests" / "books" / "repos.yaml").write_text(case, encoding="utf-8")
    commands = [line[2:] for block in blocks(part, "console") for line in block.splitlines()]

    done = [InProcessCommand(tmp_path).run(*shlex.split(command)[1:]) for command in commands[1:]]

    assert commands[0].startswith("python -m unify.demo.server --port 8200")
    assert [each.exit_status for each in done] == [0, 0, 0], [each.stdout + each.stderr for each in done]
    assert done[0].stdout == "books.yaml: ok, 1 table\n"
    assert "rows: 5 (the response itself, detected)\npaging: detected " in done[1].stdout
    assert "; next is http" in done[1].stdout
    assert done[2].stdout.endswith("books.yaml: 1 of 1 case passed\n")


def test_describe_shows_the_detected_paging(unify: UnifyCommand, demo_api: DemoAPI) -> None:
    spec = (
        "name: books\nbase_url: URL\noptions: {token: {secret: true}}\n"
        'auth: {type: bearer, token: "{token}"}\n'
        "paging: {type: auto, size_param: per_page, size: 5}\n"
        "tables: [{name: repos, request: GET /user/repos}]\n"
    )
    (unify.home / "books.yaml").write_text(spec.replace("URL", demo_api.url), encoding="utf-8")
    unify.write_connections("books: {adapter: books, options: {token: demo}}\n")
    unify.environment["UNIFY_SPECS"] = str(unify.home)
    unify("load table books.repos")
    command = [*unify.command, "-c", "describe books.repos"]
    with run_on_terminal(command, unify.environment, unify.home, columns=200) as terminal:
        terminal.expect_text("detected paging: {type: link_header, size_param: per_page, size: 5}")


def test_spec_check_names_every_mistake(unify: UnifyCommand) -> None:
    good, bad = unify.home / "good.yaml", unify.home / "bad.yaml"
    good.write_text("name: good\nbase_url: https://example.org\ntables:\n  - {name: a, request: GET /a}\n")
    bad.write_text("name: bad\nbase_urll: https://example.org\ntables:\n  - {name: a, reqest: GET /a}\n")

    outcome = unify.run("spec", "check", "good.yaml", "bad.yaml")

    assert outcome.exit_status == 1
    lines = outcome.stdout.splitlines()
    assert lines[0] == "good.yaml: ok, 1 table"
    assert "bad.yaml:2:1: base_urll: unknown key; did you mean base_url?" in lines
    assert "bad.yaml:4:15: tables.a.reqest: unknown key; did you mean request?" in lines
    assert outcome.stderr == ""


@pytest.mark.socket
def test_spec_try_names_column_and_value_of_discarded_rows(
    run_unify: Callable[..., CommandResult], tmp_path: Path
) -> None:
    path = tmp_path / "shop.yaml"
    with FaultServer() as api:
        api.serve("/orders", MockResponse.json([{"id": 1, "n": "5"}, {"id": 2, "n": "about five"}]))
        path.write_text(
            f"name: shop\nbase_url: {api.url}\ntables:\n"
            "  - {name: orders, request: GET /orders, columns: {n: bigint, z: {from: a.zone}}, "
            "paging: {type: none}}\n",
            encoding="utf-8",
        )
        done = run_unify("spec", "try", str(path), "orders")

    assert done.exit_status == 0, done.stderr
    assert (
        "1 row discarded: a value does not match its declared type\n  n: 'about five': does not fit BIGINT\n"
        "in no row: columns.z.from a.zone\n"
    ) in done.stdout
