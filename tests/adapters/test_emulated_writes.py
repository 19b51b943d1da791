"""Rows are inserted, updated and deleted in emulators of GitHub, Stripe and Slack, with the bundled specs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import yaml

from tests.support.command import CommandResult, UnifyCommand
from tests.support.emulators import TOKEN, run_emulators, slack_spec_with_post

SEED = {
    "github": {
        "users": [{"login": "mona", "name": "Mona", "email": "mona@a.example"}],
        "repos": [{"owner": "mona", "name": "lark", "auto_init": True}],
    },
    "stripe": {"customers": []},
    "slack": {"team": {"name": "Nest", "domain": "nest"}, "users": [{"name": "kim", "real_name": "Kim"}]},
}
Row = dict[str, Any]

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]  # the first run installs the package


@pytest.fixture(scope="module")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("emulators")
    with run_emulators(folder, ("github", "stripe", "slack"), SEED) as urls:
        yield urls


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        made.headers["Authorization"] = f"Bearer {TOKEN}"
        yield made


def connect(unify: UnifyCommand, adapter: str, writes: list[str], **options: str) -> None:
    entry = {"adapter": adapter, "options": options, "writes": writes}
    unify.write_connections(yaml.safe_dump({"there": entry}))


def write(unify: UnifyCommand, *statements: str) -> CommandResult:
    return unify(*statements, args=["--yes", "--max-deletes", "5", "--format", "json"])


def rows_of(result: CommandResult) -> list[Row]:
    assert result.exit_status == 0, result
    rows: list[Row] = json.loads(result.stdout)
    return rows


def test_issues_and_labels_of_github(
    shared_unify: UnifyCommand, emulators: dict[str, str], session: requests.Session
) -> None:
    url = emulators["github"]
    connect(shared_unify, "github", ["issues", "labels", "issue_comments"], token=TOKEN, base_url=url)
    repo = f"{url}/repos/mona/lark"

    made = write(
        shared_unify,
        "insert into there.issues (owner, repo, title, labels) values "
        "('mona', 'lark', 'Zwei «Ü»', ['bug']), ('mona', 'lark', 'Three', []) returning *",
    )
    assert [row["outcome"] for row in rows_of(made)] == ["created", "created"]
    number = rows_of(made)[0]["number"]
    comment = "insert into there.issue_comments (owner, repo, issue_number, body) values "
    assert write(shared_unify, f"{comment}('mona', 'lark', {number}, 'Me too')").exit_status == 0
    issue = session.get(f"{repo}/issues/{number}", timeout=30).json()
    assert (issue["title"], [each["name"] for each in issue["labels"]], issue["comments"]) == (
        "Zwei «Ü»",
        ["bug"],
        1,
    )

    update = "update there.issues set title = 'Two', body = null where title like 'Zwei%'"
    delete = "delete from there.issues where title = 'Three'"
    done = write(shared_unify, update, delete)
    assert done.exit_status == 0, done
    issues = session.get(f"{repo}/issues?state=all", timeout=30).json()
    assert {(each["title"], each["state"]) for each in issues} == {("Two", "open"), ("Three", "closed")}

    label = "insert into there.labels (owner, repo, name, color) values ('mona', 'lark', 'wick', '00ff00')"
    assert write(shared_unify, label).exit_status == 0
    assert (
        write(shared_unify, "update there.labels set color = 'ff0000' where name = 'wick'").exit_status == 0
    )
    assert session.get(f"{repo}/labels/wick", timeout=30).json()["color"] == "ff0000"
    assert write(shared_unify, "delete from there.labels where name = 'wick'").exit_status == 0
    assert session.get(f"{repo}/labels/wick", timeout=30).status_code == 404


def test_a_row_that_the_api_refuses_does_not_end_the_others(
    shared_unify: UnifyCommand, emulators: dict[str, str]
) -> None:
    url = emulators["github"]
    connect(shared_unify, "github", ["issues"], token=TOKEN, base_url=url)

    result = write(
        shared_unify,
        "insert into there.issues (owner, repo, title) values "
        "('mona', 'nest', 'There is no such repository'), ('mona', 'lark', 'Four') returning *",
    )

    assert result.exit_status == 1
    assert "1 created, 1 rejected" in result.stderr
    assert "row 1: status 404" in result.stderr


def test_customers_of_stripe(
    shared_unify: UnifyCommand, emulators: dict[str, str], session: requests.Session
) -> None:
    url = emulators["stripe"]
    connect(shared_unify, "stripe", ["customers"], api_key=TOKEN, base_url=url)

    made = write(
        shared_unify,
        "insert into there.customers (email, name, metadata) values "
        "('ada@a.example', 'Ada & Co', {'plan': 'gold', 'seats': 3}) returning *",
    )
    id = rows_of(made)[0]["id"]
    customer = session.get(f"{url}/v1/customers/{id}", timeout=30).json()
    assert (customer["name"], customer["metadata"]) == ("Ada & Co", {"plan": "gold", "seats": "3"})

    done = write(shared_unify, f"update there.customers set name = 'Ada' where id = '{id}'")
    assert done.exit_status == 0, done
    assert session.get(f"{url}/v1/customers/{id}", timeout=30).json()["name"] == "Ada"

    done = write(shared_unify, f"delete from there.customers where id = '{id}'")
    assert done.exit_status == 0, done
    assert session.get(f"{url}/v1/customers/{id}", timeout=30).json().get("email") is None


def test_messages_of_slack(
    shared_unify: UnifyCommand, emulators: dict[str, str], session: requests.Session
) -> None:
    url = f"{emulators['slack']}/api"
    specs = shared_unify.home / "specs"
    specs.mkdir(exist_ok=True)
    spec = yaml.safe_dump(slack_spec_with_post("channels", "messages"), sort_keys=False)
    (specs / "slack.yaml").write_text(spec, encoding="utf-8")
    shared_unify.environment["UNIFY_SPECS"] = str(specs)
    connect(shared_unify, "slack", ["messages"], token=TOKEN, base_url=url)

    def call(method: str, **fields: str) -> Row:
        response: Row = session.post(f"{url}/{method}", data=fields, timeout=30).json()
        assert response["ok"], response
        return response

    channel = call("conversations.create", name="nest")["channel"]["id"]

    def texts() -> list[str]:
        return [each["text"] for each in call("conversations.history", channel=channel)["messages"]]

    insert = "insert into there.messages (channel, text) values "
    made = write(shared_unify, f"{insert}('{channel}', 'Ünï <&>'), ('{channel}', 'two') returning *")
    assert [row["outcome"] for row in rows_of(made)] == ["created", "created"]
    assert texts() == ["two", "Ünï <&>"]

    refused = write(shared_unify, f"{insert}('C404', 'Nobody')")
    assert refused.exit_status == 1
    assert "row 1: channel_not_found" in refused.stderr

    done = write(shared_unify, "update there.messages set text = 'one' where text like 'Ün%'")
    assert done.exit_status == 0, done
    done = write(shared_unify, "delete from there.messages where text = 'two'")
    assert done.exit_status == 0, done
    assert texts() == ["one"]
