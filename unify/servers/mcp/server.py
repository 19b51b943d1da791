"""The MCP server: tools, resources and prompts over one AgentRunner."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextvars import ContextVar
from typing import Annotated, Any, TypeVar

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp_types import ToolAnnotations
from msgspec import json
from pydantic import Field

from unify.model import LoaderStatus
from unify.servers.mcp import texts
from unify.servers.mcp.approvals import add_write_tool
from unify.servers.mcp.runner import AgentRunner, CallFailed
from unify.servers.mcp.tools import AgentTools, Answer
from unify.servers.users import Role, User
from unify.version import VERSION

Agent = Context[Any, Any]
Found = TypeVar("Found")
_HTTP_REQUEST: ContextVar[Any] = ContextVar("http_request", default=None)  # of the message; None: stdio
READS = ToolAnnotations(read_only_hint=True, open_world_hint=True)
LOADS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True)
Sql = Annotated[str, Field(description="One SELECT in DuckDB's SQL", max_length=100_000)]
Table = Annotated[str, Field(description="connection.table, such as github.pulls", max_length=500)]


def build_server(runner: AgentRunner) -> MCPServer[Any]:
    """Return the server with its tools."""
    instructions = texts.INSTRUCTIONS + (texts.WRITES if runner.limits.proposes_writes else "")
    server: MCPServer[Any] = MCPServer(
        "unify",
        title="Unify",
        instructions=instructions,
        version=VERSION,
        log_level="ERROR",
        middleware=[_remember_request],
    )
    _add_reading_tools(server, runner)
    _add_loading_tools(server, runner)
    if runner.limits.proposes_writes:
        add_write_tool(server, lambda ctx: _tools(runner, ctx), _answer)
    _add_resources(server, runner)
    _add_prompts(server)
    return server


def _add_reading_tools(server: MCPServer[Any], runner: AgentRunner) -> None:
    @server.tool(annotations=READS)
    async def list_tables(ctx: Agent, search: str = "", connection: str = "") -> Answer:
        """List tables: name, description, rows, age, state. search: words in name or description."""
        return await _answer(_tools(runner, ctx).list_tables(search[:200], connection[:200]))

    @server.tool(annotations=READS)
    async def describe_table(ctx: Agent, table: Table, sample_rows: int = 0) -> Answer:
        """Columns with types and descriptions, key, required filters; up to 5 rows of a stored table."""
        return await _answer(_tools(runner, ctx).describe_table(table, sample_rows))

    @server.tool(annotations=READS)
    async def query(ctx: Agent, sql: Sql, max_rows: int | None = None) -> Answer:
        """Run one SELECT; tables that are not stored are loaded first. max_rows can lower the limit only."""
        progress = _ProgressReporter(ctx)
        return await _answer(_tools(runner, ctx).query(sql, max_rows, progress))

    @server.tool(annotations=READS)
    async def explain(ctx: Agent, sql: Sql) -> Answer:
        """What a SELECT would load and request, and how many API requests are left. Sends nothing."""
        return await _answer(_tools(runner, ctx).explain(sql))

    @server.tool(annotations=READS)
    async def job(ctx: Agent, id: int) -> Answer:
        """State, rows and error of a load."""
        return await _answer(_tools(runner, ctx).job(id))


def _add_loading_tools(server: MCPServer[Any], runner: AgentRunner) -> None:
    @server.tool(annotations=LOADS)
    async def load(ctx: Agent, table: Table) -> Answer:
        """Load a table for the first time; returns a job at once."""
        return await _answer(_tools(runner, ctx).load(table, refresh=False))

    @server.tool(annotations=LOADS)
    async def refresh(ctx: Agent, table: Table) -> Answer:
        """Fetch what has changed in a stored table; returns a job at once."""
        return await _answer(_tools(runner, ctx).load(table, refresh=True))


def _add_resources(server: MCPServer[Any], runner: AgentRunner) -> None:
    @server.resource("unify://tables", mime_type="application/json")
    async def tables() -> str:
        """The tables, as list_tables gives them."""
        return _to_json(await _read(_tools(runner, None).list_tables("", "")))

    @server.resource("unify://table/{name}", mime_type="application/json")
    async def table(name: str, ctx: Agent) -> str:
        """One table, as describe_table gives it."""
        return _to_json(await _read(_tools(runner, ctx).describe_table(name, 0)))

    @server.resource("unify://help/sql", mime_type="text/markdown")
    def sql_help() -> str:
        """What SQL can be run."""
        return texts.SQL_HELP


def _add_prompts(server: MCPServer[Any]) -> None:
    @server.prompt()
    def explore(connection: str) -> str:
        """Find out what a connection contains."""
        return texts.explore_prompt(connection)

    @server.prompt()
    def why_did_it_fail(table: str) -> str:
        """Find out why loads of a table fail."""
        return texts.failure_prompt(table)


async def _remember_request(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware: keeps the HTTP request for handlers of static resources, which get no context."""
    token = _HTTP_REQUEST.set(ctx.request)
    try:
        return await call_next(ctx)
    finally:
        _HTTP_REQUEST.reset(token)


def _tools(runner: AgentRunner, ctx: Agent | None) -> AgentTools:
    """Return the tools with the rights of the agent: those of the owner, and of the user of a token."""
    restriction = runner.limits.restriction()
    request = _HTTP_REQUEST.get()
    user = request.scope.get("user") if request is not None else None
    name = _client_name(ctx) if ctx is not None else ""
    if not isinstance(user, User):
        return AgentTools(runner, name, restriction)
    rights = restriction.intersect(user.restriction())
    is_writer = user.role is Role.WRITER
    return AgentTools(runner, f"{user.name} {name}".strip(), rights, may_approve=is_writer)


def _client_name(ctx: Agent) -> str:
    params = ctx.session.client_params
    return params.client_info.name[:50] if params is not None else ""


async def _answer(work: Awaitable[Answer]) -> Answer:
    try:
        return await work
    except CallFailed as error:
        raise ToolError(error.message) from None


async def _read(work: Awaitable[Answer]) -> Answer:
    try:
        return await work
    except CallFailed as error:
        raise ResourceError(error.message) from None


def _to_json(answer: Answer) -> str:
    return json.encode(answer).decode()


class _ProgressReporter:
    """Reports the progress of loads to an agent, from the thread of the statement."""

    def __init__(self, ctx: Agent) -> None:
        self._ctx = ctx
        self._loop = asyncio.get_running_loop()
        self._last = ""

    def __call__(self, statuses: Sequence[LoaderStatus]) -> None:
        text = "; ".join(f"{one.table}: {one.rows:,} rows, {one.state.value}" for one in statuses)
        if text and text != self._last:
            self._last = text
            rows = sum(one.rows for one in statuses)
            report = self._ctx.report_progress(rows, None, text)
            asyncio.run_coroutine_threadsafe(report, self._loop)
