"""What the tools do. Each answer is bounded, and rows are marked as untrusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unify.errors import QueryError, UnknownName
from unify.interpreter.query.load_client import LoadRequest
from unify.interpreter.restriction import Restriction
from unify.interpreter.results import Message, Rows
from unify.model import Action, TableName
from unify.servers.mcp import catalog
from unify.servers.mcp.bounded import CellProjection, collect_rows
from unify.servers.mcp.limits import MAX_CELL_CHARS, MAX_SAMPLE_ROWS
from unify.servers.mcp.runner import AgentRunner, CalledTool, ProgressListener
from unify.servers.statements.sessions import RestrictedSession

Answer = dict[str, Any]
NO_PROGRESS: ProgressListener = lambda _statuses: None  # noqa: E731


class AgentTools:
    """The tools of one server. ``agent`` names the client, for the log.

    ``may_approve``  the user of the client may approve writes: the owner at stdio, or a writer over HTTP.
    """

    def __init__(
        self, runner: AgentRunner, agent: str, restriction: Restriction, *, may_approve: bool = True
    ) -> None:
        self._runner = runner
        self.agent = agent
        self.may_approve = may_approve
        self._restriction = restriction
        self._limits = runner.limits

    async def list_tables(self, search: str, connection: str) -> Answer:
        return await self._run(
            "list_tables",
            f"{search} {connection}".strip(),
            lambda session: catalog.list_tables(session, search, connection),
        )

    async def describe_table(self, table: str, sample_rows: int) -> Answer:
        rows = max(0, min(sample_rows, MAX_SAMPLE_ROWS, self._limits.rows))

        def describe(session: RestrictedSession) -> Answer:
            described = catalog.describe_table(session, table)
            if rows and described.get("state") in ("stored", "partial"):
                name = ".".join(f'"{part}"' for part in str(described["table"]).split(".", 1))
                sample = self._query(session, f"select * from {name} limit {rows:d}", rows)
                described |= {"sample": sample["rows"], "untrusted": True}
            return described

        return await self._run("describe_table", table, describe)

    async def query(self, sql: str, max_rows: int | None, on_progress: ProgressListener) -> Answer:
        rows = self._limits.rows if max_rows is None else max(1, min(max_rows, self._limits.rows))
        return await self._run("query", sql, lambda session: self._query(session, sql, rows), on_progress)

    async def explain(self, sql: str) -> Answer:
        def explain(session: RestrictedSession) -> Answer:
            result = session.interpreter.run(f"explain {sql}")
            if not isinstance(result, Rows):
                raise QueryError("only a SELECT can be explained")
            plan = {str(row[0]): str(row[1])[:MAX_CELL_CHARS] for batch in result.batches for row in batch}
            return {**plan, "calls_left": self._runner.budget.left, "calls_limit": self._limits.calls}

        return await self._run("explain", sql, explain)

    async def load(self, table: str, *, refresh: bool) -> Answer:
        """Queue a load and return its job; the requests are counted when it has ended."""
        action = Action.REFRESH if refresh else Action.LOAD

        def enqueue(session: RestrictedSession) -> Answer:
            self._runner.budget.require()
            inner = session.interpreter.session
            name = inner.connections.require_stored(_table_name(table))
            session.restriction.check_schema(name.schema)
            if not session.restriction.may_load:
                raise QueryError(f"{name}: no permission to load tables; this needs the role loader")
            job = inner.load_client.enqueue(LoadRequest(name, action))
            self._runner.follow_job(job.id)
            return {"job": job.id, "table": str(name), "state": job.state.value}

        return await self._run("refresh" if refresh else "load", table, enqueue)

    async def job(self, id: int) -> Answer:
        def find(session: RestrictedSession) -> Answer:
            inner = session.interpreter.session
            job = inner.queue.find(id) if abs(id) < 2**63 else None
            schemas = session.restriction.schemas
            if job is None or (schemas is not None and job.table.schema.lower() not in schemas):
                raise UnknownName(f"there is no job {id}")
            statuses = {one.job: one for one in _live_statuses(session)} if job.state.active else {}
            status = statuses.get(id)
            return {
                "job": id,
                "table": str(job.table),
                "state": job.state.value,
                "rows": status.rows if status is not None else None,
                "pages": status.pages if status is not None else None,
                "error": job.error[:MAX_CELL_CHARS],
            }

        return await self._run("job", str(id), find)

    async def propose_write(self, statement: str, reason: str) -> Answer:
        """Plan a write; a person approves it."""

        def propose(session: RestrictedSession) -> Answer:
            inner = session.interpreter.session
            if (check := inner.statement_check) is not None:
                check.check_write(statement)
            requested_by = f"{self.agent}: {reason}"[:200]
            write, plan = inner.write_commands.propose(statement, inner.max_age, requested_by)
            return {
                "write": write.id,
                "plan": plan[: 2 * MAX_CELL_CHARS],
                "rows": write.rows,
                "state": "waits for a person",
                "approve": f"approve write {write.id}",
            }

        return await self._run("propose_write", statement, propose)

    async def approve_write(self, id: int) -> Answer:
        """Send a planned write that the user of the client has approved, and wait for its outcome."""

        def approve(session: RestrictedSession) -> Answer:
            approved_by = f"{self.agent} (asked by the client)"[:200]
            result = session.interpreter.session.write_commands.approve(id, approved_by)
            text = result.text if isinstance(result, Message) else ""
            return {"state": "sent", "outcome": text[: 2 * MAX_CELL_CHARS], "approve": None}

        return await self._run("propose_write", f"approve write {id}", approve)

    async def decline_write(self, id: int) -> Answer:
        """Cancel a planned write that the user of the client has declined."""

        def decline(session: RestrictedSession) -> Answer:
            session.interpreter.session.write_commands.cancel(id)
            return {"state": "declined by a person; nothing was sent", "approve": None}

        return await self._run("propose_write", f"cancel write {id}", decline)

    def _query(self, session: RestrictedSession, sql: str, rows: int) -> Answer:
        result = session.interpreter.run(sql, projection=CellProjection())
        if isinstance(result, Message):
            return {"message": result.text}
        if not isinstance(result, Rows):
            raise QueryError("only a SELECT can be run here")
        found = collect_rows(result, rows, self._limits.bytes)
        home = str(self._runner.settings.home)
        notes = [result.note, *(note for note in session.notices if home not in note)]
        return {
            "columns": found.columns,
            "rows": found.rows,
            "complete": not found.reason,
            "reason": found.reason,
            "note": "; ".join(note for note in notes if note)[:MAX_CELL_CHARS],
            "untrusted": True,
        }

    async def _run(
        self,
        tool: str,
        statement: str,
        work: Callable[[RestrictedSession], Answer],
        on_progress: ProgressListener = NO_PROGRESS,
    ) -> Answer:
        restriction = self._restriction
        if not self._runner.budget.left:
            restriction = Restriction(may_load=False, schemas=restriction.schemas)
        call = CalledTool(self.agent, tool, statement, restriction)
        return await self._runner.run(call, work, on_progress)


def _table_name(table: str) -> TableName:
    schema, dot, name = table.replace('"', "").partition(".")
    if not dot:
        raise UnknownName(f"{table[:100]}: must be SCHEMA.TABLE, such as github.pulls (list_tables)")
    return TableName(schema, name)


def _live_statuses(session: RestrictedSession) -> list[Any]:
    from unify.errors import DaemonUnreachable
    from unify.status.client import StatusClient

    settings = session.interpreter.session.settings
    try:
        with StatusClient(settings.socket_folder, 1.0) as client:
            return list(client.snapshot())
    except DaemonUnreachable:
        return []
