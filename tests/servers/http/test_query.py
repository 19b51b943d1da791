"""POST /query and /statements: formats, parameters, roles, limits, cancellation."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow
import pytest
from msgspec import Struct
from msgspec.structs import replace

from tests.support.escapes import COMMANDS, ESCAPES
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.served_home import ServedHome, serve_home
from tests.support.shop import SPEC_WITHOUT_TOKEN
from tests.support.stores import create_home, settings_for_home
from tests.support.waiting import wait_until
from unify.activity.store import ActivityStore
from unify.config.settings import Settings
from unify.lake.lake import Lake
from unify.servers.statements.limits import StatementLimits
from unify.servers.users import Role, UserStore

pytestmark = [pytest.mark.socket, pytest.mark.lake, pytest.mark.process]
SLOW = "select count(*) from range(100000) a, range(100000) b where a.range + b.range = 1"


class QueryServer(Struct, frozen=True):
    """A server with tables and users; ``tokens`` by role."""

    settings: Settings
    home: ServedHome
    tokens: Mapping[str, str]

    def rows(self, sql: object, role: str = "loader", **headers: str) -> object:
        response = self.home.query(sql, self.tokens[role], **headers)
        assert response.status_code == 200, response.text
        return response.json()

    def refused(self, sql: object, role: str = "loader", **headers: str) -> tuple[int, str]:
        response = self.home.query(sql, self.tokens[role], **headers)
        return response.status_code, response.json()["error"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryServer]:
    settings = create_home(tmp_path_factory.mktemp("queried"))
    with Lake(settings) as lake:
        lake.execute("create table t as select 1 as a, 'x' as b, date '2026-01-02' as d")
        lake.execute("create schema shop")
        lake.execute("create table shop.orders as select range as id from range(3)")
    users = UserStore(settings)
    tokens = {
        "reader": users.add_user("ann", Role.READER),
        "loader": users.add_user("bob", Role.LOADER),
        "shop": users.add_user("cyd", Role.LOADER, schemas=["Shop"]),
    }
    limits = StatementLimits(bytes=30_000_000, seconds=20.0)
    with serve_home(settings, limits=limits) as home:
        yield QueryServer(settings, home, tokens)


def test_rows_are_json_by_default(server: QueryServer) -> None:
    response = server.home.query("select * from t", server.tokens["reader"])
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == [{"a": 1, "b": "x", "d": "2026-01-02"}]
    assert int(response.headers["X-Unify-Statement"]) > 0


def test_other_formats_are_chosen_by_accept(server: QueryServer) -> None:
    lines = server.home.query("from shop.orders", server.tokens["reader"], Accept="application/x-ndjson")
    assert [json.loads(line) for line in lines.text.splitlines()] == [{"id": 0}, {"id": 1}, {"id": 2}]
    text = server.home.query("from t", server.tokens["reader"], Accept="text/csv;q=0.9, text/html")
    assert list(csv.reader(io.StringIO(text.text))) == [["a", "b", "d"], ["1", "x", "2026-01-02"]]
    arrow = server.home.query("from t", server.tokens["reader"], Accept="application/vnd.apache.arrow.stream")
    table = pyarrow.ipc.open_stream(arrow.content).read_all()
    assert [str(field.type) for field in table.schema] == ["int32", "string", "date32[day]"]
    status, error = server.refused("from t", Accept="text/html")
    assert status == 406
    assert "text/csv" in error


@pytest.mark.parametrize(
    ("params", "rows"),
    [
        ([1, "x"], [{"n": 1}]),
        ([2, "x"], [{"n": 0}]),
    ],
)
def test_parameters_are_bound(server: QueryServer, params: list[object], rows: object) -> None:
    body = {"sql": "select count(*) as n from t where a = ? and b = ?", "params": params}
    assert server.rows(body) == rows


def test_named_parameters_are_bound(server: QueryServer) -> None:
    assert server.rows({"sql": "select :x as v, $y as w", "params": {"x": 1.5, "y": None}}) == [
        {"v": 1.5, "w": None}
    ]


def test_errors_are_the_sentences_of_the_shell(server: QueryServer) -> None:
    status, error = server.refused("select * from orderz")
    assert status == 400
    assert error == "table orderz does not exist (show tables)"
    assert server.refused("selekt 1")[0] == 400
    assert server.refused("")[1].endswith("it is empty")
    assert server.refused({"sql": "select 1", "parms": []})[0] == 400
    assert server.refused({"sql": "select ?", "params": []})[0] == 400
    assert "does not exist" in server.refused("from nowhere.t")[1]


def test_a_token_is_needed(server: QueryServer) -> None:
    assert server.home.query("select 1", "unify.ann.wrong").status_code == 401
    assert server.home.session.post(f"{server.home.address}/query", data=b"select 1").status_code == 401
    assert server.home.get("/statements/x").status_code == 401
    assert server.home.get("/statements/x", server.tokens["reader"]).status_code == 404


def test_schemas_limit_a_user(server: QueryServer) -> None:
    assert server.rows("select count(*) as n from shop.orders", "shop") == [{"n": 3}]
    assert server.refused("select * from t", "shop")[0] == 403
    assert server.refused("show tables", "shop")[0] == 400


@pytest.mark.parametrize("sql", [*ESCAPES, *COMMANDS])
def test_no_statement_leaves_the_tables(server: QueryServer, sql: str, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\nforeign content\n")
    names = {"file": str(tmp_path / "no.db"), "text": str(tmp_path / "secret.csv"), "folder": str(tmp_path)}
    status, error = server.refused(sql.format(**names))
    assert status in (400, 403)
    assert "foreign content" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_a_reader_causes_no_load(server: QueryServer) -> None:
    assert server.refused("load table github.pulls", "reader")[0] == 403
    status, error = server.refused("from t", "reader", X_Unify_Max_Age="0")
    assert status == 403
    assert "role loader" in error


def test_a_large_result_is_streamed_in_constant_memory(server: QueryServer) -> None:
    sql = "select range as id, repeat('x', 50) as text from range(200000)"
    response = server.home.query(sql, server.tokens["reader"], Accept="application/x-ndjson")
    assert sum(1 for _ in response.iter_lines(65_536)) == 200_000


def test_a_result_beyond_the_limit_ends_the_connection(server: QueryServer) -> None:
    sql = "select repeat('x', 1000) as text from range(100000)"
    response = server.home.query(sql, server.tokens["reader"], Accept="text/csv")
    with pytest.raises(Exception, match=r"ncomplete|broken|ended"):
        sum(len(chunk) for chunk in response.iter_content(65_536))
    with ActivityStore(server.settings.activity) as activity:
        wait_until(lambda: activity.recent(1)[0].finished_at is not None)
        [newest] = activity.recent(1)
    assert newest.state == "failed"
    assert "limit of this server" in newest.error


def test_a_statement_is_cancelled_when_its_client_is_gone(server: QueryServer) -> None:
    body = SLOW.encode()
    head = (
        f"POST /query HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.tokens['reader']}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with ActivityStore(server.settings.activity) as activity:
        with server.home.connect() as client:
            client.sendall(head.encode() + body)
            wait_until(lambda: bool(activity.running()))
            running = activity.running()
        wait_until(lambda: not activity.running())
        [ended] = activity.recent(1)
    assert ended.id == running[0].id
    assert (ended.state, ended.error) == ("cancelled", "the client is gone")


def test_a_statement_ends_on_request(server: QueryServer) -> None:
    response = server.home.query(SLOW, server.tokens["reader"], Prefer="wait=0")
    assert response.status_code == 202
    assert response.json()["state"] == "running"
    address = f"{server.home.address}{response.headers['Location']}"
    headers = {"Authorization": f"Bearer {server.tokens['loader']}"}
    assert server.home.session.delete(address, headers=headers).status_code == 404  # another user
    headers = {"Authorization": f"Bearer {server.tokens['reader']}"}
    assert server.home.session.delete(address, headers=headers).status_code == 204
    assert server.home.session.get(address, headers=headers).status_code == 404
    with ActivityStore(server.settings.activity) as activity:
        wait_until(lambda: not activity.running())


def test_a_result_that_another_request_fetches_is_not_found(server: QueryServer) -> None:
    """Two requests at once would each get a part of the rows."""
    token = server.tokens["reader"]
    location = server.home.query("select count(*) from range(30000000)", token, Prefer="wait=0")
    assert location.status_code == 202, location.text

    with ThreadPoolExecutor(2) as threads:
        address = location.headers["location"]
        fetched = threads.map(lambda _: server.home.get(address, token, Prefer="wait=20").status_code, "ab")

    assert sorted(fetched) == [200, 404]


def test_another_process_can_cancel_a_statement(server: QueryServer) -> None:
    response = server.home.query(SLOW, server.tokens["reader"], Prefer="wait=0")
    location = response.headers["Location"]
    with ActivityStore(server.settings.activity) as activity:
        wait_until(lambda: bool(activity.running()))  # it is recorded beside the response
        [running] = activity.running()
        assert (running.user, running.protocol, running.sql) == ("ann", "http", SLOW)
        assert activity.ask_cancel(running.id) is not None
        wait_until(lambda: not activity.running())
    ended = server.home.get(location, server.tokens["reader"])
    assert (ended.status_code, ended.json()["error"]) == (408, "cancelled by system cancel client")


def test_later_commits_are_seen(server: QueryServer) -> None:
    with Lake(server.settings) as lake:
        lake.execute("create table later as select 1 as a")
    assert server.rows("from later") == [{"a": 1}]


def test_the_openapi_document_names_the_routes(server: QueryServer) -> None:
    document = server.home.get("/openapi.json", server.tokens["reader"]).json()
    assert {"/query", "/statements/{id}"} <= document["paths"].keys()
    assert document["openapi"].startswith("3.1")


def test_a_load_takes_longer_than_the_client_waits(home: Path, api: FaultServer) -> None:
    api.serve("/orders", MockResponse.json([{"id": 1}, {"id": 2}]))
    specs = home / "specs"
    specs.mkdir()
    spec = SPEC_WITHOUT_TOKEN + "  - {name: orders, request: GET /orders}\n"
    (specs / "shop.yaml").write_text(spec)
    (home / "connections.yaml").write_text(f"shop: {{adapter: shop, options: {{base_url: '{api.url}'}}}}\n")
    settings = replace(settings_for_home(home), specs=(specs,))
    token = UserStore(settings).add_user("bob", Role.LOADER)
    reader = UserStore(settings).add_user("ann", Role.READER)
    with serve_home(settings) as served:
        refused = served.query("select * from shop.orders", reader)
        assert (refused.status_code, "not loaded" in refused.text) == (403, True)
        response = served.query("select count(*) as n from shop.orders", token, Prefer="wait=0")
        assert response.status_code == 202
        location = response.headers["Location"]
        while response.status_code == 202:
            response = served.get(location, token, Prefer="wait=5")
        assert response.json() == [{"n": 2}], served.log.getvalue()
        assert "loaded in" in response.headers["X-Unify-Note"]
        again = served.query("select count(*) as n from shop.orders", reader)
        assert again.json() == [{"n": 2}]
        assert "stored" in again.headers["X-Unify-Note"]
