"""Every table of rest_specs/github.yaml, loaded from an emulator and compared with plain HTTP requests.

Needs Node.js and npm; without them, the tests are skipped with the reason."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.support import github_emulator
from tests.support.command import UnifyCommand
from tests.support.github_emulator import GitHubEmulator
from tests.support.paths import CHECKOUT

Row = dict[str, Any]
SPEC = CHECKOUT / "rest_specs" / "github.yaml"
MADE_BY_THE_SPEC = {"owner", "repo", "pull_request_page"}  # columns that are not members of the rows


@pytest.fixture
def unify(shared_unify: UnifyCommand) -> UnifyCommand:
    return shared_unify


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubEmulator]:
    """An emulator with data: creating it takes about 500 requests."""
    with github_emulator.run_emulator(tmp_path_factory.mktemp("emulator")) as running:
        github_emulator.create_data(running)
        yield running


def test_every_table_equals_the_rows_of_plain_requests(unify: UnifyCommand, github: GitHubEmulator) -> None:
    connect(unify, github)
    expected = fetch_rows(github)

    assert set(expected) == {table["name"] for table in spec_tables()}
    assert len(expected["issues"]) > 100
    assert len(expected["pulls"]) > 100
    for table, rows in expected.items():
        assert_same(table, loaded(unify, table), rows)


def test_a_refresh_loads_changed_rows_and_keeps_the_others(
    unify: UnifyCommand, github: GitHubEmulator
) -> None:
    connect(unify, github)
    before = {table: len(loaded(unify, table)) for table in ("pulls", "issues")}

    github.request("PATCH", "/repos/mona/lark/issues/7", {"title": "Renamed", "state": "closed"})
    github.request("POST", "/repos/mona/quiet/issues", {"title": "The first one here"})
    body = {"title": "One more", "head": "late", "base": "main"}
    github.request("POST", "/repos/mona/tern/pulls", body)
    for table in before:
        refreshed = unify(f"refresh table github.{table}")
        assert refreshed.exit_status == 0, refreshed

    expected = fetch_rows(github)
    for table, count in before.items():
        assert len(expected[table]) == count + 1
        assert_same(table, loaded(unify, table), expected[table])


def test_a_connection_limited_to_an_organization_reads_only_its_rows(
    unify: UnifyCommand, github: GitHubEmulator
) -> None:
    connect(unify, github, bundled_spec=True, org="birds")

    names = unify("select full_name from github.repos order by 1")
    assert names.rows == [["full_name"], ["birds/owl"], ["birds/wren"]], names
    assert unify("select count(*) from github.pulls").single_value == "10"


def connect(
    unify: UnifyCommand, github: GitHubEmulator, *, bundled_spec: bool = False, **options: str
) -> None:
    """Connect to the emulator; without the rate limit unless ``bundled_spec``."""
    if not bundled_spec:
        (limited,) = re.findall(r"requests_per_second: \d+, ", text := SPEC.read_text(encoding="utf-8"))
        specs = unify.home / "specs"
        specs.mkdir()
        (specs / "github.yaml").write_text(text.replace(limited, ""), encoding="utf-8")
        unify.environment["UNIFY_SPECS"] = str(specs)
    entry = {"adapter": "github", "options": {"token": github.token, "base_url": github.url, **options}}
    unify.write_connections(yaml.safe_dump({"github": entry}))


def spec_tables() -> list[Row]:
    tables: list[Row] = yaml.safe_load(SPEC.read_text(encoding="utf-8"))["tables"]
    return tables


def fetch_rows(github: GitHubEmulator) -> Mapping[str, list[Row]]:
    """Return the flattened rows of every table, read with plain requests."""
    repos = github.fetch_all("/user/repos?per_page=100")

    def of_each_repo(kind: str) -> list[Row]:
        return [
            {**row, "owner": repo["owner"]["login"], "repo": repo["name"]}
            for repo in repos
            for row in github.fetch_all(f"/repos/{repo['full_name']}/{kind}?state=all&per_page=100")
        ]

    def runs(repo: Row) -> list[Row]:
        found: list[Row] = github.request("GET", f"/repos/{repo['full_name']}/actions/runs")["workflow_runs"]
        return [{**run, "owner": repo["owner"]["login"], "repo": repo["name"]} for run in found]

    pulls = of_each_repo("pulls")
    owners = {repo["owner"]["login"] for repo in repos if repo["owner"]["type"] == "User"}
    logins = owners | {pull["user"]["login"] for pull in pulls}
    rows = {
        "orgs": github.fetch_all("/user/orgs"),
        "repos": repos,
        "pulls": pulls,
        "issues": of_each_repo("issues"),
        "commits": of_each_repo("commits"),
        "issue_comments": [],  # the emulator returns 404 for this and the next table, which is skipped
        "review_comments": [],
        "labels": of_each_repo("labels"),
        "releases": of_each_repo("releases"),
        "workflow_runs": [run for repo in repos for run in runs(repo)],
        "users": [github.request("GET", f"/users/{quote(login)}") for login in sorted(logins)],
    }
    return {table: [flattened(row) for row in some] for table, some in rows.items()}


def flattened(row: Row, prefix: str = "") -> Row:
    """Return the members of an object as columns joined by ``_``, at every level; lists stay lists."""
    flat: Row = {}
    for name, value in row.items():
        column = f"{prefix}{name}"
        flat |= flattened(value, f"{column}_") if isinstance(value, dict) else {column: value}
    return flat


def loaded(unify: UnifyCommand, table: str) -> list[Row]:
    outcome = unify(f"select * from github.{table}", args=["--format", "json"])
    assert outcome.exit_status == 0, outcome
    rows: list[Row] = json.loads(outcome.stdout)
    return rows


def assert_same(table: str, found: list[Row], expected: list[Row]) -> None:
    """Assert that the rows are the same, with equal values in every column that the spec keeps."""
    identity = identity_of(table)
    excluded = next(spec.get("exclude", []) for spec in spec_tables() if spec["name"] == table)
    only = next(spec.get("only", []) for spec in spec_tables() if spec["name"] == table)
    found_by_id = {identity(row): row for row in found}
    expected_by_id = {identity(row): row for row in expected}
    assert len(found_by_id) == len(found)
    assert found_by_id.keys() == expected_by_id.keys()
    for key, row in expected_by_id.items():
        kept = {name for name in row if not any(fnmatchcase(name, pattern) for pattern in excluded)}
        kept &= {name for name in kept if not only or name in only}
        for name in sorted(kept):
            value = of_column(found_by_id[key], name)
            assert comparable(value) == comparable(row[name]), f"{table} {key}: {name}"
        unknown = {name for name, value in found_by_id[key].items() if value is not None} - row.keys()
        assert unknown <= MADE_BY_THE_SPEC, f"{table} {key}: {unknown} have no source"


def of_column(row: Row, name: str) -> Any:
    """Return the value of ``name``; None if other rows have an object there, whose members are columns."""
    if name in row:
        return row[name]
    members = [value for column, value in row.items() if column.startswith(f"{name}_")]
    assert members, f"there is no column {name}"
    assert set(members) == {None}
    return None


def identity_of(table: str) -> Callable[[Row], tuple[Any, ...]]:
    """Return the function that returns the identity of a row of ``table``."""
    if table == "commits":
        return lambda row: (row["owner"], row["repo"], row["sha"])
    if table in ("pulls", "issues"):
        return lambda row: (row["owner"], row["repo"], row["number"], row["id"])
    return lambda row: (row["id"],)


def comparable(value: Any) -> Any:
    """Return a value with its timestamps parsed, at every level."""
    if isinstance(value, str):
        return moment(value) or value
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, dict):
        return {name: comparable(item) for name, item in value.items()}
    return value


def moment(text: str) -> datetime | None:
    if len(text) < 19 or text[4:5] != "-":
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
