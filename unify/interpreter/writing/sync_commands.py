"""``create sync``, ``run sync``, ``drop sync``, ``show syncs``: rows that are written again and again.

Creating a sync is its approval: the plan of its first run is shown, and later runs ask nothing.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from unify.durations import format_duration
from unify.errors import FileError, LoadFailed, QueryError, UnknownName, UsageError
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.load_client import LoadClient
from unify.interpreter.results import Message, Result, Rows, Watcher, listing_rows
from unify.interpreter.webhook_secrets import check_secret, environment_variable
from unify.interpreter.writing.plan import WriteOptions
from unify.interpreter.writing.sync_runner import SyncRunner
from unify.language.commands import CreateSync, ExportRows
from unify.model import TableName
from unify.queue.scripts import ScheduledScript
from unify.queue.syncs import Sync, SyncDefinition, SyncStatus
from unify.queue.timing import Timing
from unify.text import did_you_mean
from unify.writes.store import WriteStore

_COLUMNS = [
    *(("name", "VARCHAR"), ("table", "VARCHAR"), ("mode", "VARCHAR"), ("runs", "VARCHAR")),
    *(("last_status", "VARCHAR"), ("last_run", "TIMESTAMP WITH TIME ZONE"), ("written", "BIGINT")),
    *(("failed", "BIGINT"), ("reason", "VARCHAR")),
]


class SyncCommands:
    """The syncs of one session. ``folder`` is the base of relative paths."""

    def __init__(
        self,
        connections: ConnectionCatalog,
        load_client: LoadClient,
        runner: SyncRunner,
        watcher: Watcher,
        store: WriteStore,
        *,
        options: WriteOptions,
        folder: Path,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._connections = connections
        self._load_client = load_client
        self._queue = load_client.queue
        self._tenant = load_client.settings.tenant
        self._runner = runner
        self._watcher = watcher
        self._store = store
        self._options = options
        self._folder = folder
        self._now = now

    def create(self, command: CreateSync, max_age: MaxAge) -> Message:
        """Create a sync, or replace that of the same name.

        Raises:
            QueryError: its rows cannot be written as it says.
            UsageError: a script without --yes; the message is the plan.
        """
        definition = self._define(command)
        sync = Sync(self._tenant, command.name, definition)
        previous = self._queue.syncs.find(self._tenant, command.name)
        self._check_name(command.name, previous)
        self._require_approval(sync, self._runner.plan_text(sync, max_age))
        cursor = previous.cursor if previous is not None and _is_same_source(previous, definition) else ""
        if previous is not None:
            self._queue.scripts.delete_script(self._tenant, previous.name)
        self._queue.syncs.put(Sync(self._tenant, command.name, definition, cursor))
        if definition.every_s is not None or definition.after is not None:
            self._load_client.schedule_statement(self._schedule(sync))
        verb = "created" if previous is None else "replaced"
        return Message(f"sync {command.name} {verb}; it runs {frequency_text(definition)}")

    def create_from_export(self, command: ExportRows, max_age: MaxAge) -> Message:
        """``export … every DURATION``: a sync with the name of the export, or of its table."""
        name = command.name or str(command.table).replace(".", "_")
        return self.create(CreateSync(name, command, every_s=command.every_s), max_age)

    def run(self, name: str, max_age: MaxAge) -> Result:
        """Run a sync now. Raises LoadFailed if it ended with failures, and the error that ended it."""
        sync = self._get(name)
        last = self._queue.syncs.last_run(sync)
        if last is not None and last.result.is_unknown:
            raise QueryError(
                f"sync {sync.name}: nothing tells whether its last run has added rows to "
                f"{sync.definition.table} ({last.result.reason}); look there, and create the sync again to "
                "go on"
            )
        begun = self._queue.syncs.begin_run(sync, self._now(), adds_rows=self._runner.adds_rows(sync))
        if begun is None:
            raise QueryError(f"sync {sync.name} is running; select * from unify.sync_runs")
        sync, run = begun
        result, error = self._runner.run(sync, run, max_age)
        text = self._runner.result_text(sync, result)
        if error is not None:
            raise error
        if result.status is not SyncStatus.SUCCESS:
            raise LoadFailed(text)
        return Message(text, result.counts.written)

    def drop(self, name: str) -> Message:
        """Remove a sync; what it has written stays. Raises UnknownName."""
        sync = self._get(name)
        self._load_client.unschedule_script(self._tenant, sync.name)
        self._queue.syncs.drop(self._tenant, sync.name)
        self._store.written.forget(self._tenant, sync.name)
        return Message(f"sync {sync.name} removed")

    def list_syncs(self) -> Rows:
        """List the syncs with their last runs."""
        last = {run.name: run for run in self._queue.syncs.runs(self._tenant)}
        scheduled = {one.name for one in self._queue.scripts.list_scripts() if one.tenant == self._tenant}
        rows: list[tuple[object, ...]] = []
        for sync in self._queue.syncs.list(self._tenant):
            run = last.get(sync.name)
            definition = sync.definition
            runs_itself = definition.every_s is not None or definition.after is not None
            when = frequency_text(definition)
            if runs_itself and sync.name not in scheduled:
                when += " (not scheduled: create it again)"
            head = (sync.name, str(definition.table), definition.mode, when)
            result = run.result if run is not None else None
            rows.append(
                (
                    *head,
                    result.status.value if result else None,
                    run.started_at if run else None,
                    result.counts.written if result else None,
                    result.counts.failed if result else None,
                    (result.reason or None) if result else None,
                )
            )
        return listing_rows(_COLUMNS, rows)

    # Creation

    def _define(self, command: CreateSync) -> SyncDefinition:
        rows = command.rows
        table = self._table_name(rows.table)
        if command.cursor and rows.mode == "mirror":
            raise QueryError("a mirror reads all rows: with a cursor, those before it would look deleted")
        if command.cursor and rows.gone not in (None, "nothing"):
            raise QueryError(
                f"when gone {rows.gone} compares all rows: with a cursor, those before it would look deleted"
            )
        after = None if command.after is None else self._table_name(command.after)
        if after == table:
            raise QueryError(f"a sync into {table} cannot run after its loads: writing refreshes the table")
        return SyncDefinition(
            source=rows.source,
            table=table,
            mode=rows.mode,
            key=rows.key,
            gone=rows.gone,
            delta=rows.delta and not self._connections.is_relational(table.schema),
            adopt=rows.adopt,
            cursor=command.cursor,
            every_s=command.every_s,
            after=after,
            script=self._script_path(command.script),
            address=command.address,
            secret=check_secret(command.secret) if command.address else "",
            max_writes=self._options.max_writes,
            max_deletes=self._options.max_deletes,
            created_by=getpass.getuser(),
            origin=self._connections.origin,
            folder=str(self._folder),
        )

    def _table_name(self, name: TableName) -> TableName:
        is_relational = self._connections.has(name.schema) and self._connections.is_relational(name.schema)
        return name if is_relational else self._connections.canonical_name(name)

    def _script_path(self, script: str) -> str:
        if not script:
            return ""
        path = self._folder / script
        if not path.is_file():
            raise FileError(f"{path}: there is no such file")
        return str(path)

    def _check_name(self, name: str, previous: Sync | None) -> None:
        taken = {one.name.lower() for one in self._queue.scripts.list_scripts() if one.tenant == self._tenant}
        if previous is None and name.lower() in taken:
            raise QueryError(f"a script with the name {name} is scheduled; choose another name")

    def _require_approval(self, sync: Sync, plan: str) -> None:
        if self._options.yes:
            return
        when = frequency_text(sync.definition)
        text = f"sync {sync.name}, which runs {when} and asks nothing then:\n{plan}"
        answer = self._watcher.ask_user(f"{text}\nCreate it? [y/N] ")
        if answer is None:
            raise UsageError(f"{text}\nnothing was created or sent; create it with --yes")
        if answer.strip().lower() not in ("y", "yes"):
            raise QueryError(f"sync {sync.name} was not created")

    def _schedule(self, sync: Sync) -> ScheduledScript:
        definition = sync.definition
        first = self._now() if definition.every_s is not None else None
        quoted = sync.name.replace('"', '""')
        return ScheduledScript(
            self._tenant,
            sync.name,
            f"sync {sync.name}",
            definition.folder,
            definition.origin,
            Timing(definition.every_s, first),
            statement=f'run sync "{quoted}"',
            after=definition.after,
            variable=environment_variable(definition.secret),
        )

    def _get(self, name: str) -> Sync:
        sync = self._queue.syncs.find(self._tenant, name)
        if sync is None:
            known = [one.name for one in self._queue.syncs.list(self._tenant)]
            raise UnknownName(f"there is no sync {name}{did_you_mean(name, known)} (show syncs lists them)")
        return sync


def frequency_text(definition: SyncDefinition) -> str:
    """``every 15 minutes``, ``after each load of crm.people``, ``by run sync``."""
    if definition.every_s is not None:
        return f"every {format_duration(definition.every_s)}"
    return "by run sync" if definition.after is None else f"after each load of {definition.after}"


def _is_same_source(previous: Sync, definition: SyncDefinition) -> bool:
    old = previous.definition
    return (old.source, old.cursor, old.table) == (definition.source, definition.cursor, definition.table)
