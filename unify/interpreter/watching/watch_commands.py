"""``watch … to …``, ``run watch``, ``unwatch``, ``show watches``."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from unify.durations import format_duration
from unify.errors import LoadFailed, QueryError, UnifyError, UnknownName
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.load_client import LoadClient
from unify.interpreter.results import Message, Rows, listing_rows
from unify.interpreter.watching.deliveries import Deliverer, changes_text, split_place
from unify.interpreter.watching.watch_runner import Look, WatchRunner
from unify.interpreter.webhook_secrets import check_secret, environment_variable
from unify.lake import catalog
from unify.lake.history.changed_tables import newest_snapshot
from unify.lake.lake import Lake
from unify.language.commands import WatchRows
from unify.language.sql.analysis import analyse
from unify.model import TableName, WatchTarget
from unify.queue.scripts import ScheduledScript
from unify.queue.timing import Timing
from unify.queue.watches import DeliveryState, Watch, WatchDefinition
from unify.text import did_you_mean, format_count

RETRY_LOOK_AFTER = timedelta(minutes=5)
_COLUMNS = [
    *(("name", "VARCHAR"), ("target", "VARCHAR"), ("looks", "VARCHAR"), ("rows", "BIGINT")),
    *(("last_look", "TIMESTAMP WITH TIME ZONE"), ("last_change", "TIMESTAMP WITH TIME ZONE")),
    *(("delivered", "BIGINT"), ("pending", "BIGINT"), ("dead", "BIGINT"), ("error", "VARCHAR")),
]


class WatchCommands:
    """The watches of one session. ``folder`` is the base of relative paths."""

    def __init__(
        self,
        lake: Lake,
        connections: ConnectionCatalog,
        load_client: LoadClient,
        runner: WatchRunner,
        deliverer: Deliverer,
        *,
        folder: Path,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._lake = lake
        self._connections = connections
        self._load_client = load_client
        self._queue = load_client.queue
        self._tenant = load_client.settings.tenant
        self._runner = runner
        self._deliverer = deliverer
        self._folder = folder
        self._now = now

    def create(self, command: WatchRows, max_age: MaxAge) -> Message:
        """Create a watch, or replace that of the same name: later changes are sent, today's rows are not.

        Raises QueryError for a SELECT or a target that cannot be used.
        """
        target = self._checked_target(command)
        name = command.name or self._free_name()
        previous = self._queue.watches.find(self._tenant, name)
        definition = WatchDefinition(
            source=command.source,
            key=command.key,
            every_s=command.every_s,
            tables=self._tables(command),
            target=target,
            condition=command.condition,
            created_by=getpass.getuser(),
            origin=self._connections.origin,
            folder=str(self._folder),
        )
        snapshot = newest_snapshot(self._lake)  # before the rows are read
        new = Watch(
            tenant=self._tenant,
            name=previous.name if previous is not None else name,
            uid=secrets.token_hex(8),
            definition=definition,
            sequence=self._last_sequence(name),
            snapshot=snapshot,
            result_of=snapshot,
        )
        watch = self._runner.first_look(new, max_age)
        if previous is not None:
            self._queue.watches.drop(previous)
            self._runner.remove(previous)
        self._queue.watches.put(watch)
        self._load_client.schedule_statement(self._schedule(watch))
        verb = "created" if previous is None else "replaced"
        rows = format_count(watch.rows, "row")
        return Message(
            f"watch {watch.name} {verb}: {rows} now; it looks {looks_text(definition)} and sends changes to "
            f"{target.shown}"
        )

    def run(self, name: str, max_age: MaxAge) -> Message:
        """Look now, and send what has changed. Raises the error of a delivery that failed."""
        watch = self._get(name)
        lock = self._runner.acquire(watch)
        try:
            look = self._look(watch, max_age)
            files = self._runner.files(watch)
            try:
                sent = self._deliverer.deliver(look.watch, files)
            finally:
                pending = {each.version for each in self._queue.watches.pending(look.watch)}
                files.remove_others({look.watch.version}, pending)
        finally:
            lock.release()
        changes = "; ".join(map(changes_text, look.changes)) or "no change"
        text = f"watch {watch.name}: {changes}"
        if sent:
            numbers = ", ".join(str(each.sequence) for each in sent)
            text += f"; sent: {numbers}"
        if pending:
            raise LoadFailed(f"{text}; {len(pending)} pending (select * from unify.deliveries)")
        return Message(text, sum(counts.total for counts in look.changes))

    def _look(self, locked: Watch, max_age: MaxAge) -> Look:
        """Look; a look that fails is repeated by the daemon, because the change that caused it is over."""
        watch = self._get(locked.name)
        try:
            if watch.uid != locked.uid:  # its lock is another one
                raise UnknownName(f"watch {watch.name} was replaced meanwhile")
            return self._runner.look(watch, max_age)
        except UnifyError:
            self._queue.scripts.trigger(watch.tenant, watch.script_name, self._now() + RETRY_LOOK_AFTER)
            raise

    def drop(self, name: str) -> Message:
        """Remove a watch; what was not sent is not sent any more. Raises UnknownName."""
        watch = self._get(name)
        self._load_client.unschedule_script(self._tenant, watch.script_name)
        self._queue.watches.drop(watch)
        self._runner.remove(watch)
        return Message(f"watch {watch.name} removed")

    def list_watches(self) -> Rows:
        """List the watches with what they have sent."""
        sent: dict[str, dict[DeliveryState, int]] = {}
        errors: dict[str, str] = {}
        for delivery in self._queue.watches.deliveries(self._tenant):
            states = sent.setdefault(delivery.uid, {})
            states[delivery.state] = states.get(delivery.state, 0) + 1
            errors[delivery.uid] = delivery.error
        scheduled = {one.name for one in self._queue.scripts.list_scripts() if one.tenant == self._tenant}
        rows: list[tuple[object, ...]] = []
        for watch in self._queue.watches.list(self._tenant):
            states = sent.get(watch.uid, {})
            looks = looks_text(watch.definition)
            if watch.script_name not in scheduled:  # in a copy of a home
                looks += " (not scheduled: create it again)"
            rows.append(
                (
                    *(watch.name, watch.definition.target.shown, looks),
                    *(watch.rows, watch.looked_at, watch.changed_at),
                    *(states.get(state, 0) for state in (DeliveryState.DELIVERED, DeliveryState.PENDING)),
                    *(states.get(DeliveryState.DEAD, 0), errors.get(watch.uid) or None),
                )
            )
        return listing_rows(_COLUMNS, rows)

    # Creation

    def _checked_target(self, command: WatchRows) -> WatchTarget:
        target = command.target
        if target is None:
            raise QueryError(
                "a watch with a name needs a target: to 'https://…', 'FILE.jsonl', a table or mail"
            )
        match target.kind:
            case "address":
                return WatchTarget("address", target.place, secret=check_secret(target.secret))
            case _ if target.secret:
                raise QueryError("only an address has a secret")
            case "file" if not target.place.lower().endswith((".jsonl", ".ndjson")):
                raise QueryError(f"{target.place}: changes are appended to a file of JSON lines: FILE.jsonl")
            case "table":
                self._check_table(split_place(target.place))
        return target

    def _check_table(self, table: TableName) -> None:
        self._connections.connection(table.schema)
        if not self._connections.is_relational(table.schema):
            raise QueryError(
                f"{table}: changes are appended to tables of databases; for an API, write "
                f"create sync NAME as upsert into {table} by KEY SELECT … after load of …"
            )

    def _tables(self, command: WatchRows) -> tuple[TableName, ...] | None:
        """The tables of the lake that a SELECT reads; None if it reads views or what has no name in it."""
        views = {one.name for one in catalog.user_tables(self._lake) if one.kind == "view"}
        stored = catalog.all_columns(self._lake).keys() - views
        tables = {TableName(table.schema.lower(), table.table.lower()) for table in stored}
        found: set[TableName] = set()
        is_known = True
        for ref in map(self._runner.qualify_ref, analyse(command.source).tables):
            name = TableName((ref.schema or "main").lower(), ref.table.lower())
            if self._connections.is_relational(name.schema) and command.every_s is None:
                raise QueryError(f"{name} is read live, so its changes are not known; add every 5 minutes")
            is_known = is_known and ref.catalog in ("", "lake") and name in tables
            found.add(name)
        return tuple(sorted(found)) if is_known and found else None

    def _last_sequence(self, name: str) -> int:
        """The last number of a watch of this name: receivers discard a number that they have seen."""
        previous = self._queue.watches.find(self._tenant, name)
        sent = self._queue.watches.deliveries(self._tenant)
        numbers = [each.sequence for each in sent if each.name.lower() == name.lower()]
        return max([*numbers, 0 if previous is None else previous.sequence])

    def _free_name(self) -> str:
        taken = {watch.name for watch in self._queue.watches.list(self._tenant)}
        names = (f"watch_{number}" for number in range(1, len(taken) + 2))
        return next(name for name in names if name not in taken)

    def _schedule(self, watch: Watch) -> ScheduledScript:
        definition = watch.definition
        first = self._now() if definition.every_s is not None else None
        quoted = watch.name.replace('"', '""')
        return ScheduledScript(
            self._tenant,
            watch.script_name,
            watch.script_name,
            definition.folder,
            definition.origin,
            Timing(definition.every_s, first),
            statement=f'run watch "{quoted}"',
            variable=environment_variable(definition.target.secret),
            on_demand=True,
        )

    def _get(self, name: str) -> Watch:
        watch = self._queue.watches.find(self._tenant, name)
        if watch is None:
            meant = did_you_mean(name, [one.name for one in self._queue.watches.list(self._tenant)])
            raise UnknownName(f"there is no watch {name}{meant} (show watches lists them)")
        return watch


def looks_text(definition: WatchDefinition) -> str:
    """``every 5 minutes``, ``after changes of shop.orders``, ``after changes``."""
    if definition.every_s is not None:
        return f"every {format_duration(definition.every_s)}"
    if definition.tables is None:
        return "after changes of any table"
    return f"after changes of {', '.join(map(str, definition.tables))}"
