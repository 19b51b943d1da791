"""Agents: the tools by the SDK's own client, in this process, over stdio and HTTP, of both protocol ages."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent, TextResourceContents
from msgspec.structs import replace

from tests.support.escapes import COMMANDS, ESCAPES
from tests.support.fault_server import FaultServer
from tests.support.served_home import EventStream
from tests.support.stores import create_home, settings_for_home
from unify.activity.store import ActivityStore
from unify.config.settings import Settings
from unify.lake.lake import Lake
from unify.servers.addresses import ServerAddress, bind_socket, bound_address
from unify.servers.event_log import EventLog
from unify.servers.http.access import AccessPolicy
from unify.servers.http.server import HttpServer
from unify.servers.mcp.limits import AgentLimits
from unify.servers.mcp.main import build_agent_app
from unify.servers.mcp.runner import AgentRunner
from unify.servers.mcp.server import build_server
from unify.servers.users import Role, UserStore
from unify.writes.store import WriteStore

pytestmark = [pytest.mark.lake, pytest.mark.socket]
Age = Literal["legacy", "2026-07-28"]
AGES: Sequence[Age] = ("legacy", "2026-07-28")
LIMITS = AgentLimits(rows=3, bytes=4000, seconds=10.0, calls=5)
Work = Callable[[Client], Awaitable[Any]]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = create_home(tmp_path_factory.mktemp("agents"))
    with Lake(made) as lake:
        lake.execute("create table t as select range as a, 'x' as b from range(10)")
        lake.execute("create schema shop")
        lake.execute("create table shop.orders as select 7 as id")
    return made


@contextmanager
def open_runner(settings: Settings, limits: AgentLimits = LIMITS) -> Iterator[AgentRunner]:
    runner = AgentRunner(settings, {}, limits, EventLog(None))
    try:
        yield runner
    finally:
        runner.close()


@pytest.fixture(scope="module")
def runner(settings: Settings) -> Iterator[AgentRunner]:
    with open_runner(settings) as opened:
        yield opened


def talk(runner: AgentRunner, work: Work, age: Age = "2026-07-28") -> Any:
    async def run() -> Any:
        async with Client(build_server(runner), mode=age) as client:
            return await work(client)

    return asyncio.run(run())


def call(runner: AgentRunner, tool: str, age: Age = "2026-07-28", **arguments: Any) -> CallToolResult:
    result = talk(runner, lambda client: client.call_tool(tool, arguments), age)
    assert isinstance(result, CallToolResult)
    return result


def answer(runner: AgentRunner, tool: str, age: Age = "2026-07-28", **arguments: Any) -> dict[str, Any]:
    result = call(runner, tool, age, **arguments)
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def refusal(runner: AgentRunner, tool: str, **arguments: Any) -> str:
    result = call(runner, tool, **arguments)
    assert result.is_error
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.parametrize("age", AGES)
def test_clients_of_both_ages_find_and_query_tables(runner: AgentRunner, age: Age) -> None:
    tools = talk(runner, lambda client: client.list_tools(), age).tools
    assert [tool.name for tool in tools] == [
        *("list_tables", "describe_table", "query", "explain", "job", "load", "refresh")
    ]
    found = answer(runner, "list_tables", age, search="orders")
    assert [table["table"] for table in found["tables"]] == ["shop.orders"]
    rows = answer(runner, "query", age, sql="select a, b from t order by a limit 2")
    assert rows["rows"] == [[0, "x"], [1, "x"]]
    assert (rows["complete"], rows["untrusted"]) == (True, True)


def test_a_table_is_described_with_sample_rows(runner: AgentRunner) -> None:
    described = answer(runner, "describe_table", table="shop.orders", sample_rows=2)
    assert described["columns"] == [{"name": "id", "type": "INTEGER", "description": ""}]
    assert (described["sample"], described["state"]) == ([[7]], "stored")
    assert refusal(runner, "describe_table", table="orders").endswith("(list_tables)")


def test_an_argument_can_only_lower_the_owners_limit(runner: AgentRunner) -> None:
    assert len(answer(runner, "query", sql="from t", max_rows=2)["rows"]) == 2
    many = answer(runner, "query", sql="from t", max_rows=1000)
    assert (len(many["rows"]), many["complete"], many["reason"]) == (3, False, "the first 3 rows")


@pytest.mark.parametrize(
    "sql",
    [
        "select list(range) as l from range(300000)",
        "select repeat('x', 3000000) as l",
        "select {'a': repeat('x', 3000000), 'b': [repeat('y', 100000)]} as l",
        "select repeat('x', 1900) as a, repeat('y', 1900) as b, repeat('z', 1900) as c from range(3)",
        "select " + ", ".join(f"{number} as c{number}" for number in range(300)),
        "select cast(repeat('x', 2000000) as integer)",
        "select error(repeat('x', 2000000))",
    ],
)
def test_no_answer_is_larger_than_the_limit(runner: AgentRunner, sql: str) -> None:
    result = call(runner, "query", sql=sql)
    size = len(json.dumps(result.structured_content or [str(one) for one in result.content]))
    assert size < LIMITS.bytes + 2500
    if not result.is_error:
        assert result.structured_content is not None
        assert result.structured_content["complete"] is False


def test_no_statement_leaves_the_tables(runner: AgentRunner, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\nforeign content\n")
    names = {"file": str(tmp_path / "no.db"), "text": str(tmp_path / "secret.csv"), "folder": str(tmp_path)}

    async def escape(client: Client) -> list[str]:
        passed = []
        for sql in (*ESCAPES, *COMMANDS):
            for tool in ("query", "explain"):
                result = await client.call_tool(tool, {"sql": sql.format(**names)})
                if not result.is_error or "foreign content" in str(result.content):
                    passed.append(f"{tool}: {sql}")
        return passed

    assert talk(runner, escape) == []
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_a_statement_ends_at_the_time_limit(settings: Settings) -> None:
    with open_runner(settings, replace(LIMITS, seconds=0.3)) as runner:
        sql = "select count(*) from range(1000000) a, range(1000000) b"
        assert "no answer within 0.3 s" in refusal(runner, "query", sql=sql)


def test_each_call_is_recorded(settings: Settings, runner: AgentRunner) -> None:
    answer(runner, "query", sql="select 41 + 1")
    refusal(runner, "query", sql="from unify.settings")
    with ActivityStore(settings.activity) as activity:
        refused, allowed = activity.recent_calls(2)
    assert (allowed.tool, allowed.statement, allowed.decision) == ("query", "select 41 + 1", "allowed")
    assert (allowed.rows, allowed.calls) == (1, 0)
    assert (refused.decision, refused.error) == ("refused", "unify.settings can be read in a shell only")


def test_the_owner_limits_the_schemas(settings: Settings) -> None:
    with open_runner(settings, replace(LIMITS, schemas=("shop",))) as runner:
        assert answer(runner, "query", sql="from shop.orders")["rows"] == [[7]]
        assert "no permission" in refusal(runner, "query", sql="from t")
        listed = answer(runner, "list_tables")["tables"]
        assert [table["table"] for table in listed] == ["shop.orders"]


def test_a_used_up_budget_leaves_stored_rows(settings: Settings) -> None:
    with open_runner(settings, replace(LIMITS, calls=0)) as runner:
        assert "budget of 0 API requests" in refusal(runner, "load", table="github.pulls")
        assert answer(runner, "query", sql="from shop.orders")["rows"] == [[7]]


def test_resources_and_prompts(runner: AgentRunner) -> None:
    async def read(client: Client) -> tuple[str, str]:
        tables = (await client.read_resource("unify://tables")).contents[0]
        table = (await client.read_resource("unify://table/shop.orders")).contents[0]
        assert isinstance(tables, TextResourceContents)
        assert isinstance(table, TextResourceContents)
        prompt = await client.get_prompt("why_did_it_fail", {"table": "shop.orders"})
        assert "shop.orders" in str(prompt.messages[0].content)
        return tables.text, table.text

    tables, table = talk(runner, read)
    assert {one["table"] for one in json.loads(tables)["tables"]} == {"main.t", "shop.orders"}
    assert json.loads(table)["columns"][0]["name"] == "id"


WRITABLE = """\
name: shop
base_url: "{base_url}"
options: {base_url: {required: true}, token: {secret: true}}
auth: {type: bearer, token: "{token}"}
tables:
  - name: people
    request: GET /people
    key: id
    write:
      columns: {name: {required: insert}}
      insert: {request: POST /people, body: {name: "{name}"}}
"""


def test_a_write_is_planned_and_waits_for_a_person(tmp_path: Path) -> None:
    settings = create_home(tmp_path)
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "shop.yaml").write_text(WRITABLE)
    with FaultServer() as api:
        settings.connections.write_text(
            "shop: {adapter: shop, writes: [people], "
            f"options: {{base_url: '{api.url}', token: s3cret-canary}}}}\n"
        )
        settings = replace(settings_for_home(settings.home), specs=(tmp_path / "specs",))
        with open_runner(settings, replace(LIMITS, proposes_writes=True)) as runner:
            statement = "insert into shop.people (name) select 'Ada'"
            proposed = answer(runner, "propose_write", statement=statement, reason="asked")
            assert proposed["approve"] == f"approve write {proposed['write']}"
            assert "1 row to insert into shop.people" in proposed["plan"]
            assert "s3cret-canary" not in str(proposed)
            for escape in ("select content from read_text('/etc/hosts')", "select getenv('HOME')"):
                statement = f"insert into shop.people (name) {escape}"
                assert "calls the" in refusal(runner, "propose_write", statement=statement, reason="x")
        assert api.requests == []
        with WriteStore(settings.writes) as writes:
            [write] = writes.recent("default", 10)
        assert (write.state.value, write.requested_by) == ("planned", "mcp: asked")


def test_http_needs_a_token_and_limits_its_user(settings: Settings) -> None:
    users = UserStore(settings)
    token = users.add_user("agent", Role.READER, schemas=["shop"])
    log = EventStream()

    async def use(address: str, age: Age) -> tuple[bool, bool]:
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
            transport = streamable_http_client(address, http_client=http)
            async with Client(transport, mode=age) as client:
                own = await client.call_tool("query", {"sql": "from shop.orders"})
                other = await client.call_tool("query", {"sql": "from t"})
                return own.is_error, other.is_error

    with open_runner(settings) as runner:
        listener = bind_socket("--http", ServerAddress("127.0.0.1", 0))
        address = f"http://{bound_address(listener, ServerAddress('127.0.0.1', 0))}/mcp"
        app = build_agent_app(runner, AccessPolicy(), users, EventLog(log))
        server = HttpServer(app, listener, None, EventLog(log), has_lifespan=True)
        server.start()
        try:
            assert httpx2.post(address, json={}).status_code == 401
            for age in AGES:
                assert asyncio.run(use(address, age)) == (False, True)
        finally:
            server.stop()


@pytest.mark.process
@pytest.mark.parametrize("age", ["2026-07-28", pytest.param("legacy", marks=pytest.mark.slow)])
def test_stdout_is_the_protocols_alone(settings: Settings, age: Age) -> None:
    command = [sys.executable, "-m", "unify", "mcp", "--home", str(settings.home), "--rows", "1"]

    async def use() -> Any:
        parameters = StdioServerParameters(
            command=command[0], args=command[1:], env={"PATH": "/usr/bin:/bin"}
        )
        async with Client(parameters, mode=age) as client:
            return (await client.call_tool("query", {"sql": "from t"})).structured_content

    found = asyncio.run(use())
    assert found is not None
    assert (found["rows"], found["reason"]) == ([[0, "x"]], "the first 1 rows")
