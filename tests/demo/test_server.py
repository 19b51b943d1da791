"""The sample API."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.command import clean_environment
from tests.support.demo_api import DemoAPI, run_demo_server

Row = dict[str, Any]
COMPASS = "/repos/harbor-analytics/compass"


class Client:
    """A session that sends the token and can follow Link headers."""

    def __init__(self, api: DemoAPI) -> None:
        self.url = api.url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {api.token}"

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.session.get(self.url + path, headers=headers, timeout=30)

    def rows(self, path: str) -> list[Row]:
        """Return every row of ``path``, from all pages."""
        rows: list[Row] = []
        answer = self.get(path)
        while True:
            assert answer.status_code == 200, answer.text
            rows += answer.json()
            if "next" not in answer.links:
                return rows
            answer = self.get(answer.links["next"]["url"].removeprefix(self.url))

    def names(self) -> list[str]:
        return [str(repo["full_name"]) for repo in self.rows("/user/repos?per_page=100")]


@pytest.fixture
def github(demo_api: DemoAPI) -> Iterator[Client]:
    client = Client(demo_api)
    with client.session:
        yield client


def test_the_data_has_the_documented_size(github: Client) -> None:
    names = github.names()
    pulls = [row for name in names for row in github.rows(f"/repos/{name}/pulls?state=all&per_page=100")]
    issues = [row for name in names for row in github.rows(f"/repos/{name}/issues?state=all&per_page=100")]

    assert len(github.rows("/organizations")) == 5
    assert len(names) == 15
    assert len({row["id"] for row in pulls}) == len(pulls) == 1200
    assert len({row["id"] for row in issues}) == len(issues) == 4200
    assert sum("pull_request" not in row for row in issues) == 3000
    assert len(github.rows("/users?per_page=100")) == 84


def test_pulls_are_issues_with_the_same_number(github: Client) -> None:
    pulls = github.rows(f"{COMPASS}/pulls?state=all&per_page=100")
    issues = {row["number"]: row for row in github.rows(f"{COMPASS}/issues?state=all&per_page=100")}

    for pull in pulls:
        issue = issues[pull["number"]]
        assert issue["pull_request"]["url"] == pull["url"]
        assert issue["id"] != pull["id"]
        assert [issue[name] for name in ("title", "user", "state", "updated_at")] == [
            pull[name] for name in ("title", "user", "state", "updated_at")
        ]


def test_a_pull_is_nested_as_on_github(github: Client) -> None:
    pull = github.rows(f"{COMPASS}/pulls?per_page=1")[0]

    assert set(pull["head"]) == {"label", "ref", "sha", "user", "repo"}
    assert pull["base"]["repo"]["owner"]["login"] == "harbor-analytics"
    assert len(pull["base"]["repo"]) > 75
    assert pull["_links"]["self"]["href"] == pull["url"]
    assert re.fullmatch("[0-9a-f]{40}", pull["head"]["sha"])


def test_links_reach_all_pages_in_both_directions(github: Client) -> None:
    first, second = (
        github.get(f"{COMPASS}/issues?state=all"),
        github.get(f"{COMPASS}/issues?state=all&page=2"),
    )
    last = github.get(first.links["last"]["url"].removeprefix(github.url))

    assert len(first.json()) == 30
    assert set(first.links) == {"next", "last"}
    assert set(second.links) == {"prev", "next", "first", "last"}
    assert set(last.links) == {"prev", "first"}
    assert len(last.json()) == 880 % 30
    assert last.json()[-1]["number"] == 1


def test_a_page_holds_a_hundred_rows_at_most(github: Client) -> None:
    assert len(github.get(f"{COMPASS}/issues?per_page=1000").json()) == 100
    assert len(github.get(f"{COMPASS}/issues?per_page=nonsense").json()) == 30
    assert github.get(f"{COMPASS}/issues?page=999").json() == []


def test_lists_of_accounts_continue_after_an_id(github: Client) -> None:
    answer = github.get("/users?per_page=10&page=7")

    assert answer.json()[0]["login"] == "demo"  # page is not a parameter of this list
    assert f"since={answer.json()[-1]['id']}" in answer.links["next"]["url"]
    assert answer.links["first"]["url"] == f"{github.url}/users{{?since}}"


@pytest.mark.parametrize(("state", "states"), [("open", {"open"}), ("closed", {"closed"}), ("", {"open"})])
def test_state_filters_rows(github: Client, state: str, states: set[str]) -> None:
    query = f"&state={state}" if state else ""
    for kind in ("issues", "pulls"):
        assert {row["state"] for row in github.rows(f"{COMPASS}/{kind}?per_page=100{query}")} == states


def test_open_and_closed_are_all(github: Client) -> None:
    count = {
        state: len(github.rows(f"{COMPASS}/issues?per_page=100&state={state}"))
        for state in ("open", "closed", "all")
    }
    assert count["open"] + count["closed"] == count["all"] == 880


@pytest.mark.parametrize("kind", ["issues", "pulls"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("sort", ["created", "updated"])
def test_sort_and_direction_order_rows(github: Client, kind: str, sort: str, direction: str) -> None:
    rows = github.rows(f"{COMPASS}/{kind}?state=all&per_page=100&sort={sort}&direction={direction}")
    moments = [row[f"{sort}_at"] for row in rows]

    assert moments == sorted(moments, reverse=direction == "desc")


def test_since_leaves_out_unchanged_rows(github: Client) -> None:
    everything = github.rows(f"{COMPASS}/issues?state=all&per_page=100")
    since = "2025-06-01T00:00:00Z"
    recent = github.rows(f"{COMPASS}/issues?state=all&per_page=100&since={since}")

    assert {row["id"] for row in recent} == {row["id"] for row in everything if row["updated_at"] >= since}
    assert 0 < len(recent) < len(everything)


def test_commits_come_newest_first_and_link_their_parents(github: Client) -> None:
    commits = github.rows(f"{COMPASS}/commits?per_page=100")
    recent = github.rows(f"{COMPASS}/commits?per_page=100&since=2026-01-01T00:00:00Z")

    dates = [row["commit"]["committer"]["date"] for row in commits]
    assert dates == sorted(dates, reverse=True)
    assert [row["parents"][0]["sha"] for row in commits[:-1]] == [row["sha"] for row in commits[1:]]
    assert commits[-1]["parents"] == []
    assert recent == [row for row in commits if row["commit"]["committer"]["date"] >= "2026-01-01"]
    assert any(row["author"] is None for row in commits)


def test_an_empty_repository_responds_as_on_github(github: Client) -> None:
    assert github.rows("/repos/demo/notes/pulls?state=all") == []
    assert github.get("/repos/demo/notes/commits").status_code == 409
    assert github.get("/repos/demo/notes/contributors").status_code == 204


def test_contributors_and_assignees_are_users(github: Client) -> None:
    contributors = github.rows(f"{COMPASS}/contributors")

    assert sum(row["contributions"] for row in contributors) <= 520
    assert {row["login"] for row in contributors} <= {
        row["login"] for row in github.rows(f"{COMPASS}/assignees")
    }


def test_repositories_of_an_organization_and_of_a_person(github: Client) -> None:
    of_org = github.rows("/orgs/northwind-data/repos")

    assert {row["full_name"] for row in of_org} == {
        "northwind-data/ledger",
        "northwind-data/pipelines",
        "northwind-data/sample-queries",
    }
    assert [row["name"] for row in github.rows("/users/demo/repos")] == ["notes"]
    assert [row["name"] for row in github.rows("/user/repos?type=owner")] == ["notes"]
    assert github.get("/orgs/northwind-data").json()["public_repos"] == 3


def test_search_finds_by_words_and_qualifiers(github: Client) -> None:
    found = github.get("/search/issues?q=repo:harbor-analytics/compass is:pr is:open planner").json()

    assert found["total_count"] == len(found["items"]) > 0
    assert all("planner" in row["title"] and row["state"] == "open" for row in found["items"])
    by_stars = github.get("/search/repositories?q=language:python&sort=stars").json()["items"]
    assert len(by_stars) == 3
    assert [row["stargazers_count"] for row in by_stars] == sorted(
        (row["stargazers_count"] for row in by_stars), reverse=True
    )


def test_search_ends_at_a_thousand_results(github: Client) -> None:
    assert github.get("/search/issues?q=is:issue&per_page=100&page=10").status_code == 200
    assert github.get("/search/issues?q=is:issue&per_page=100&page=11").status_code == 422
    assert github.get("/search/issues").status_code == 422


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic ZGVtbzpkZW1v", "demo"])
def test_without_the_token_every_request_is_refused(demo_api: DemoAPI, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    answer = requests.get(f"{demo_api.url}/user", headers=headers, timeout=30)

    assert answer.status_code == 401
    assert answer.json()["message"] in ("Requires authentication", "Bad credentials")


def test_the_older_form_of_the_token_header_is_accepted(demo_api: DemoAPI) -> None:
    answer = requests.get(f"{demo_api.url}/user", headers={"Authorization": "token demo"}, timeout=30)
    assert answer.json()["login"] == "demo"


@pytest.mark.parametrize(
    "path", ["/nope", "/repos/demo/nope", "/orgs/demo", f"{COMPASS}/pulls/999999", "//x"]
)
def test_an_unknown_path_is_404_in_json(github: Client, path: str) -> None:
    answer = github.get(path)
    assert (answer.status_code, answer.json()["message"]) == (404, "Not Found")


def test_quota_headers_count_down(github: Client) -> None:
    first, second = (github.get("/user").headers for _ in range(2))

    assert first["x-ratelimit-limit"] == "5000"
    assert int(second["x-ratelimit-remaining"]) < int(first["x-ratelimit-remaining"])
    assert int(first["x-ratelimit-reset"]) > time.time() - 1
    assert github.get("/search/issues?q=x").headers["x-ratelimit-resource"] == "search"
    assert github.get("/rate_limit").json()["resources"]["core"]["limit"] == 5000


def test_an_unchanged_response_is_not_sent_again(github: Client) -> None:
    tag = github.get(f"{COMPASS}/pulls").headers["ETag"]
    again = github.get(f"{COMPASS}/pulls", **{"If-None-Match": tag})

    assert (again.status_code, again.content) == (304, b"")
    assert github.get(f"{COMPASS}/issues", **{"If-None-Match": tag}).status_code == 200


def test_one_connection_serves_many_requests(github: Client) -> None:
    answers = [github.get("/user", Connection="keep-alive") for _ in range(3)]
    assert all(answer.raw.version == 11 for answer in answers)
    assert all(answer.headers.get("Connection") != "close" for answer in answers)


def test_two_processes_serve_the_same_data(github: Client, tmp_path: Path) -> None:
    with run_demo_server(tmp_path) as other:
        client = Client(other)
        with client.session:
            for path in ("/user/repos", f"{COMPASS}/pulls?page=2", f"{COMPASS}/commits", "/users"):
                assert client.get(path).text.replace(other.url, github.url) == github.get(path).text


def test_every_request_is_logged_without_the_token(tmp_path: Path) -> None:
    with run_demo_server(tmp_path, token="hush-hush") as api:
        client = Client(api)
        with client.session:
            client.get("/user/repos?page=2")
            client.get("/nope")
        assert api.logged_requests() == ["GET /user/repos?page=2 200", "GET /nope 404"]
        assert "hush-hush" not in api.log.read_text(encoding="utf-8")


def test_each_response_has_the_configured_latency(tmp_path: Path) -> None:
    with run_demo_server(tmp_path, "--latency-ms", "150") as api:
        client = Client(api)
        with client.session:
            assert client.get("/user").elapsed.total_seconds() >= 0.15


def test_it_listens_on_the_loopback_interface_only(demo_api: DemoAPI) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+", demo_api.url)


def test_it_ends_with_its_standard_input(tmp_path: Path) -> None:
    with run_demo_server(tmp_path) as api:
        assert api.process.poll() is None
        assert api.process.stdin is not None
        api.process.stdin.close()
        assert api.process.wait(timeout=10) == 0


def test_a_ctrl_c_in_the_shell_does_not_end_the_server(tmp_path: Path) -> None:
    with run_demo_server(tmp_path) as api:
        api.process.send_signal(signal.SIGINT)
        client = Client(api)
        with client.session:
            assert client.get("/user").status_code == 200


def test_keep_ignores_standard_input_until_a_signal_comes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "unify.demo.server", "--keep"]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=clean_environment(tmp_path),
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert requests.get(f"{url}/user", timeout=30).status_code == 401
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert process.stdout.read() == ""
