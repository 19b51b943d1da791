"""The page over HTTP: its files, sign-in, what its owner may read, the format of its results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

import unify.servers.http
from tests.support.page_server import PageServer, fill_home, serve_page
from tests.support.served_home import EventStream, ServedHome
from tests.support.stores import create_home
from unify.activity.store import ActivityStore
from unify.config.settings import Settings
from unify.errors import UsageError
from unify.servers.event_log import EventLog
from unify.servers.http.page import POLICY
from unify.servers.main import ServeOptions, run_servers
from unify.servers.users import Role, UserStore

pytestmark = [pytest.mark.socket, pytest.mark.lake, pytest.mark.process]
STATIC = Path(unify.servers.http.__file__).parent / "static"
TABLE = "application/vnd.unify.table+ndjson"


@pytest.fixture(scope="module")
def settings_of_page(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return fill_home(create_home(tmp_path_factory.mktemp("page")))


@pytest.fixture(scope="module")
def page(settings_of_page: Settings) -> Iterator[PageServer]:
    with serve_page(settings_of_page) as server:
        yield server


@pytest.fixture(scope="module")
def owner(page: PageServer) -> str:
    """The token of the owner."""
    address, ticket = page.address.split("/#ticket=")
    assert address == page.home.address
    response = exchange(page.home, ticket)
    assert response.status_code == 200
    assert exchange(page.home, ticket).status_code == 401
    return str(response.json()["token"])


def exchange(home: ServedHome, ticket: object) -> requests.Response:
    return home.session.post(f"{home.address}/session", json={"ticket": ticket}, timeout=30)


def test_the_page_is_served_to_strangers_with_a_strict_policy(page: PageServer) -> None:
    response = page.home.get("/")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Content-Security-Policy"] == POLICY
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "unsafe" not in POLICY
    for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', response.text):
        assert page.home.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/static/nothing.js", "/static/..%2fpage.py", "/static/", "/static/a/b"])
def test_other_files_are_not_served(page: PageServer, path: str) -> None:
    assert page.home.get(path).status_code in (401, 404)


def test_the_files_name_no_foreign_host_and_no_markup_from_data() -> None:
    for path in STATIC.iterdir():
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"(?m)(^|\s)//.*$", "", text) or path.suffix == ".css", path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text), (
            path.name
        )
        assert (
            not re.search(r"<script(?! type=\"module\" src)|\son\w+=|style=\"", text)
            or path.suffix != ".html"
        )


@pytest.mark.parametrize("body", [b"", b"[]", b'{"ticket": 1}', b'{"ticket": "x", "y": 1}', b"\xff"])
def test_a_body_without_a_ticket_is_refused(page: PageServer, body: bytes) -> None:
    response = page.home.session.post(f"{page.home.address}/session", data=body, timeout=30)
    assert response.status_code == 400
    assert response.json()["error"].startswith("the body must be a JSON object")
    assert exchange(page.home, "wrong").status_code == 401


def test_the_owner_reads_what_is_private_and_a_user_does_not(
    page: PageServer, owner: str, settings_of_page: Settings
) -> None:
    reader = UserStore(settings_of_page).add_user("ann", Role.WRITER)
    for table in ("statements", "clients", "script_runs", "agent_calls", "settings", "write_rows"):
        sql = f"select count(*) as n from unify.{table}"
        assert page.home.query(sql, owner).status_code == 200, table
        assert page.home.query(sql, reader).status_code == 403, table


def test_reading_the_state_leaves_no_trace_for_the_owner_alone(
    page: PageServer, owner: str, settings_of_page: Settings
) -> None:
    other = UserStore(settings_of_page).add_user("bob", Role.READER)
    for token in (owner, other):
        page.home.query("select 'seen'", token, X_Unify_Page="state").json()
    page.home.query("select 'asked'", owner).json()
    with ActivityStore(settings_of_page.activity) as activity:
        recorded = [(one.user, one.sql) for one in activity.recent(10)]
    assert ("owner", "select 'seen'") not in recorded
    assert {("bob", "select 'seen'"), ("owner", "select 'asked'")} <= set(recorded)


def test_a_table_has_columns_and_exact_texts(page: PageServer, owner: str) -> None:
    sql = "select 9007199254740993 as n, null as nothing, [1, 2] as l, 1.5::float as f, 'x' as n"
    lines = page.home.query(sql, owner, Accept=TABLE).text.splitlines()
    columns, row = map(json.loads, lines)
    assert [(one["name"], one["type"]) for one in columns["columns"]] == [
        ("n", "BIGINT"),
        ("nothing", "INTEGER"),
        ("l", "INTEGER[]"),
        ("f", "FLOAT"),
        ("n", "VARCHAR"),
    ]
    assert row == ["9007199254740993", None, "[1, 2]", "1.5", "x"]
    shown = page.home.query("show tables from main", owner, Accept=TABLE).text.splitlines()
    assert [json.loads(line)[1] for line in shown[1:]] == ["big_sales", "many", "sales"]


def test_lineage_names_parents_and_views(page: PageServer, owner: str) -> None:
    sql = 'select schema, "table", reads_schema, reads_table, via from unify.lineage order by all'
    response = page.home.query(sql, owner)
    assert response.status_code == 200, response.text
    rows = [tuple(row.values()) for row in response.json()]
    assert rows == [
        ("main", "big_sales", "main", "sales", "view"),
        ("shop", "items", "shop", "orders", "parents"),
    ]


def test_the_page_of_unify_ui_is_for_this_machine(settings: Settings) -> None:
    options = ServeOptions(http="0.0.0.0:0", opens_page=True)
    with pytest.raises(UsageError, match="unify ui is for this machine only"):
        run_servers(settings, options, EventLog(EventStream()))
