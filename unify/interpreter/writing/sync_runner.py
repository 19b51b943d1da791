"""One run of a sync: reads its SELECT, writes the rows, keeps the cursor, calls back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError, ResponseLost, UnifyError
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.load_client import LoadClient
from unify.interpreter.query.query import QueryRunner
from unify.interpreter.results import Message, Result, Rows
from unify.interpreter.webhook_secrets import resolve_secret
from unify.interpreter.writing.plan import WriteOptions, WritePlan
from unify.interpreter.writing.rows_to_write import open_rows
from unify.interpreter.writing.write_commands import WriteCommands
from unify.interpreter.writing.write_report import has_failures
from unify.language.commands import GONE_ROWS, ROW_MODES, ExportRows
from unify.model import RowState, WriteState
from unify.queue.scripts import ScheduledScript
from unify.queue.syncs import Sync, SyncCounts, SyncDefinition, SyncResult, SyncRun, SyncStatus
from unify.queue.timing import Timing
from unify.redaction import Redactor
from unify.text import format_count
from unify.writes.records import Write
from unify.writes.store import PlanOutdated

_WRITTEN = (RowState.CREATED, RowState.UPDATED, RowState.DELETED, RowState.UNCHANGED)
MAX_PLANS = 3  # of a run, if other writes of the table are sent meanwhile
_ENDLESS = ("nan", "inf", "infinity")
_CURSOR_TABLE = '"unify cursor"'
ExportToSource = Callable[[ExportRows, WriteOptions, MaxAge], Result]


class SyncRunner:
    """Runs syncs in this session.

    ``make_writes``         the writes of the session with other options.
    ``export_to_source``  writes rows to a table of a database, or of files.
    """

    def __init__(
        self,
        query: QueryRunner,
        connections: ConnectionCatalog,
        load_client: LoadClient,
        *,
        make_writes: Callable[[WriteOptions], WriteCommands],
        export_to_source: ExportToSource,
        get_redactor: Callable[[], Redactor],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._query = query
        self._connections = connections
        self._load_client = load_client
        self._make_writes = make_writes
        self._export_to_source = export_to_source
        self._get_redactor = get_redactor
        self._now = now

    def plan_text(self, sync: Sync, max_age: MaxAge) -> str:
        """Return what the next run would write. Raises QueryError."""
        command = _export(sync, self._next_cursor(sync, max_age))
        if self._connections.is_relational(sync.definition.table.schema):
            explained = msgspec.structs.replace(command, explain=True)
            return _text_of(self._export_to_source(explained, _options(sync), max_age))
        writes = self._make_writes(_options(sync))
        return writes.sender.plan_text(writes.plan_export(command, max_age))

    def run(self, sync: Sync, run: SyncRun, max_age: MaxAge) -> tuple[SyncResult, UnifyError | None]:
        """Run a sync and record the result, which it returns with the error that ended the run."""
        failure: UnifyError | None = None
        try:
            result = self._write(sync, max_age)
        except UnifyError as error:
            failure = error
            reason = self._get_redactor().redact(error.message)
            is_unknown = isinstance(error, ResponseLost) and self.adds_rows(sync)
            result = SyncResult(SyncStatus.FATAL, reason, is_unknown=is_unknown)
        except BaseException:  # Ctrl-C, or a bug
            interrupted = SyncResult(SyncStatus.FATAL, "interrupted", is_unknown=self.adds_rows(sync))
            self._load_client.queue.syncs.end_run(sync, run, interrupted, self._now())
            raise
        syncs = self._load_client.queue.syncs
        syncs.end_run(sync, run, result, self._now())  # before the callback, whose end may not come
        called = self._call_back(sync, run, result)
        if called:
            syncs.note_callback(run, called)
        return msgspec.structs.replace(result, callback=called), failure

    def adds_rows(self, sync: Sync) -> bool:
        """Whether a run adds rows again that an earlier run has added, because nothing tracks them."""
        definition = sync.definition
        is_added = definition.mode in (None, "insert", "append")
        return is_added and self._connections.is_relational(definition.table.schema)

    def result_text(self, sync: Sync, result: SyncResult) -> str:
        """``sync people: 3 rows read, 1 unchanged, 2 written (write 7)``."""
        counts = result.counts
        parts = [
            f"{format_count(counts.read, 'row')} read",
            f"{counts.filtered:,} unchanged",
            f"{counts.written:,} written",
        ]
        if counts.failed:
            parts.append(f"{counts.failed:,} failed")
        write = f" (write {result.write})" if result.write is not None else ""
        callback = f"; callback {result.callback}" if result.callback.startswith("failed") else ""
        reason = f"\n  {result.reason}" if result.reason else ""  # a line of its own: logs have the first one
        return f"sync {sync.name}: {', '.join(parts)}{write}{callback}{reason}"

    # Writing

    def _write(self, sync: Sync, max_age: MaxAge) -> SyncResult:
        cursor = self._next_cursor(sync, max_age)
        command = _export(sync, cursor)
        if self._connections.is_relational(sync.definition.table.schema):
            written = _row_count(self._export_to_source(command, _options(sync), max_age))
            counts = SyncCounts(read=written, formatted=written, written=written)
            return SyncResult(SyncStatus.SUCCESS, "", counts, cursor=cursor)
        writes = self._make_writes(_options(sync))
        for left in reversed(range(MAX_PLANS)):
            plan = writes.plan_export(command, max_age)
            if not plan.rows:
                counts = SyncCounts(read=plan.read, filtered=plan.filtered)
                return SyncResult(SyncStatus.SUCCESS, "; ".join(plan.remarks), counts, cursor=cursor)
            try:
                write, outcomes, reason = writes.sender.send_plan(plan)
            except PlanOutdated:
                if not left:
                    raise
            else:
                return _result(plan, write, outcomes, reason, cursor)
        raise AssertionError("unreachable")

    def _next_cursor(self, sync: Sync, max_age: MaxAge) -> str:
        """Return the greatest value of the cursor column of the new rows; the old one without new rows."""
        column = sync.definition.cursor
        if not column:
            return ""
        newest = (
            f"SELECT CAST(max({quoted(column)}) AS VARCHAR) AS newest, "
            f"count(*) - count({quoted(column)}) AS missing FROM (\n{_new_rows(sync)}\n)"
        )
        with open_rows(self._query, newest, max_age, 1, name=_CURSOR_TABLE) as rows:
            [(values,)] = rows.rows(rows.object_of())
        if values["missing"]:
            count = format_count(int(str(values["missing"])), "row")
            raise QueryError(
                f"sync {sync.name}: the SELECT returns {count} without a value in the cursor column "
                f"{column}, which no run would write; exclude NULL values, or use another cursor column"
            )
        if str(values["newest"]).lower() in _ENDLESS:
            raise QueryError(
                f"sync {sync.name}: the cursor column {column} has the value {values['newest']}, and no "
                "row is newer; exclude such rows, or use another cursor column"
            )
        return str(values["newest"]) if values["newest"] is not None else sync.cursor

    # Callbacks

    def _call_back(self, sync: Sync, run: SyncRun, result: SyncResult) -> str:
        """Call back; return what became of it, "" without a callback. A failure does not fail the run."""
        definition = sync.definition
        try:
            if definition.script:
                self._schedule_script(sync)
                return "scheduled"
            if definition.address:
                self._post(sync, run, result)
                return "delivered"
        except UnifyError as error:
            return f"failed: {self._get_redactor().redact(error.message)}"
        return ""

    def _schedule_script(self, sync: Sync) -> None:
        definition = sync.definition
        script = ScheduledScript(
            sync.tenant,
            f"{sync.name} callback",
            f"callback of sync {sync.name}",
            str(Path(definition.script).parent),
            definition.origin,
            Timing(None, self._now()),
            statement=f"run {quote_literal(definition.script)}",
        )
        self._load_client.schedule_statement(script)

    def _post(self, sync: Sync, run: SyncRun, result: SyncResult) -> None:
        from unify.adapters.http.webhook import post_signed

        secret = resolve_secret(
            sync.definition.secret, self._connections.environment, self._load_client.settings.home
        )
        now = self._now()
        body = {
            "type": "sync.ended",
            "timestamp": now.isoformat(),
            "data": {
                "sync": sync.name,
                "table": str(sync.definition.table),
                "run": run.id,
                "status": result.status.value,
                "reason": result.reason,
                "write": result.write,
                **msgspec.structs.asdict(result.counts),
            },
        }
        encoded = msgspec.json.encode(body)
        post_signed(sync.definition.address, encoded, id=f"{sync.name}/{run.id}", secret=secret, now=now)


def _result(
    plan: WritePlan, write: Write, outcomes: Mapping[RowState, int], reason: str, cursor: str
) -> SyncResult:
    written = sum(outcomes.get(state, 0) for state in _WRITTEN)
    counts = SyncCounts(plan.read, plan.filtered, len(plan.rows), written, len(plan.rows) - written)
    if write.state is not WriteState.DONE:
        return SyncResult(SyncStatus.FATAL, write.error or f"the write is {write.state}", counts, write.id)
    if has_failures(outcomes):
        return SyncResult(SyncStatus.SUCCESS_WITH_FAILURES, reason, counts, write.id)
    return SyncResult(SyncStatus.SUCCESS, "", counts, write.id, cursor)


def _options(sync: Sync) -> WriteOptions:
    definition = sync.definition
    default = WriteOptions()
    return WriteOptions(True, definition.max_writes or default.max_writes, definition.max_deletes)


def _export(sync: Sync, cursor: str) -> ExportRows:
    definition = sync.definition
    source = definition.source
    if definition.cursor:
        column = quoted(definition.cursor)
        until = f" WHERE {column} <= {quote_literal(cursor)}" if cursor else ""
        source = f"SELECT * EXCLUDE ({column}) FROM (\n{_new_rows(sync)}\n){until}"
    return ExportRows(
        source,
        definition.table,
        next((mode for mode in ROW_MODES if mode == definition.mode), None),
        definition.key,
        definition.delta,
        next((gone for gone in GONE_ROWS if gone == definition.gone), None),
        sync.name if _is_tracked(definition) else "",
        adopt=definition.adopt,
    )


def _is_tracked(definition: SyncDefinition) -> bool:
    """Whether what it has written is kept; databases are not told a name."""
    return definition.delta or definition.mode == "mirror" or definition.gone is not None


def _new_rows(sync: Sync) -> str:
    """SQL of the rows that are newer than the cursor, or have none."""
    source, column = sync.definition.source, quoted(sync.definition.cursor)
    where = f" WHERE {column} > {quote_literal(sync.cursor)} OR {column} IS NULL" if sync.cursor else ""
    return f"SELECT * FROM (\n{source}\n){where}"


def _row_count(result: Result) -> int:
    return (result.rows or 0) if isinstance(result, Message) else 0


def _text_of(result: Result) -> str:
    if isinstance(result, Rows):
        return "\n".join(str(row[-1]) for batch in result.batches for row in batch)
    return result.text if isinstance(result, Message) else ""
