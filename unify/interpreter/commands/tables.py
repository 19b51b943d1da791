"""The commands ``load``, ``refresh``, ``reload`` and ``clear table``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from unify.durations import format_duration
from unify.errors import UnknownName
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.query.load_client import (
    LoadClient,
    LoadRequest,
    load_outcome_text,
)
from unify.interpreter.results import Message
from unify.interpreter.transactions import refuse_load
from unify.lake import catalog, ledger
from unify.lake.lake import Lake
from unify.model import Action, LoaderJob, TableName
from unify.queue.rows import Schedule
from unify.queue.timing import Timing, format_moment, repeating_timing
from unify.text import format_age, format_count

if TYPE_CHECKING:
    from unify.interpreter.sources.source_tables import SourceTables


class LoadCommands:
    """Loads, refreshes and clears tables of connections; ``zone`` is the time zone of times of day."""

    def __init__(
        self,
        lake: Lake,
        connections: ConnectionCatalog,
        load_client: LoadClient,
        *,
        wait: bool,
        zone: str,
        get_sources: Callable[[], SourceTables],
    ) -> None:
        self.lake = lake
        self.connections = connections
        self.load_client = load_client
        self.wait = wait
        self.zone = zone
        self._get_sources = get_sources

    def load(self, table: TableName) -> Message:
        """Load a table; if it is stored already, return a message that names refresh and reload."""
        name = self.require_stored(table)
        stored = catalog.stored_tables(self.lake).get(name)
        if stored is not None:
            age = format_age((datetime.now(UTC) - stored.loaded_at).total_seconds())
            return Message(
                f"{name} is stored already ({format_count(stored.rows_total, 'row')}, {age}): "
                f"refresh table {name} fetches the changes, reload table {name} everything"
            )
        return self._run_load(name, Action.LOAD)

    def refresh(self, table: TableName) -> Message:
        """Fetch the changes, or load a table that was never loaded."""
        name = self.require_stored(table)
        stored = name in catalog.stored_tables(self.lake)
        return self._run_load(name, Action.REFRESH if stored else Action.LOAD)

    def reload(self, table: TableName) -> Message:
        """Fetch everything again; the old rows are replaced when the new ones are complete."""
        return self._run_load(self.require_stored(table), Action.RELOAD)

    def clear(self, table: TableName) -> Message:
        """Delete the stored rows of a table, after cancelling its loads."""
        refuse_load(self.lake, f"clear {table}")
        name = self._resolve_name(table)
        for job in self.load_client.queue.active_jobs():
            if job.table == name:
                self.load_client.cancel(job.id)
                self.load_client.wait_until_ended(job)
        had_rows = catalog.clear_table(self.lake, name)
        return Message(f"{name} is cleared" if had_rows else f"{name} had no stored rows")

    def accept(self, table: TableName) -> Message:
        """Publish the version of a table that was held back. Raises UnknownName if there is none."""
        name = self.require_stored(table)
        job = self.load_client.accept(name)
        if job is None:
            active = [one for one in self.load_client.queue.active_jobs() if one.table == name]
            raise UnknownName(
                f"{name}: job {active[0].id} is loading it; wait, or system cancel {active[0].id}"
                if active
                else f"{name}: no version is held back (show tables lists them)"
            )
        return self._report_load(job)

    def end_schedules(self, connection: str) -> Message:
        """Delete the schedules of a removed connection; the message names its stored tables."""
        queue, tenant = self.load_client.queue, self.connections.settings.tenant
        for schedule in queue.schedules():
            if schedule.tenant == tenant and schedule.table.schema == connection:
                queue.delete_schedule(tenant, schedule.table)
        stored = [str(name) for name in catalog.stored_tables(self.lake) if name.schema == connection]
        if not stored:
            return Message(f"{connection} is disconnected")
        return Message(
            f"{connection} is disconnected; the rows of {', '.join(stored)} are kept "
            f"(clear table {stored[0]} deletes them)"
        )

    def refresh_every(self, table: TableName, every_s: float, starting: time | None) -> Message:
        """Schedule the refreshes of a table; ``starting`` is a local time of day."""
        name = self.require_stored(table)
        timing = repeating_timing(every_s, starting, self.zone, datetime.now(UTC))
        self._set_schedule(name, timing)
        assert timing.next_at is not None
        next_at = format_moment(timing.next_at, self.zone)
        return Message(f"{name} is refreshed every {format_duration(every_s)}, next at {next_at}")

    def refresh_never(self, table: TableName) -> Message:
        """End the schedule of a table, including that of its spec."""
        name = self.require_stored(table)
        self._set_schedule(name, Timing(None, None))
        return Message(f"{name} is no longer refreshed on a schedule")

    def require_stored(self, table: TableName) -> TableName:
        """Return the canonical name of a table whose rows can be stored. Raises UnknownName, QueryError."""
        if self.connections.is_relational(table.schema):
            return self._get_sources().canonical_name(table)
        return self.connections.require_stored(table)

    def _resolve_name(self, table: TableName) -> TableName:
        """Return the canonical name, or the stored one if the connection was removed."""
        if not self.connections.has(table.schema):
            for name in catalog.stored_tables(self.lake):
                if str(name).lower() == str(table).lower():
                    return name
        return self.require_stored(table)

    def _set_schedule(self, name: TableName, timing: Timing) -> None:
        tenant, origin = self.connections.settings.tenant, self.connections.origin
        self.load_client.schedule_refresh(
            Schedule(
                tenant,
                name,
                origin,
                timing.every_s,
                timing.next_at,
                starting=timing.starting,
                zone=timing.zone,
                first=timing.first,
            )
        )

    def _run_load(self, name: TableName, action: Action) -> Message:
        if self.wait:
            refuse_load(self.lake, f"{action.value} {name}")
        return self._report_load(self.load_client.enqueue(LoadRequest(name, action)))

    def _report_load(self, job: LoaderJob) -> Message:
        """Wait for a load if the session waits, and return what it brought."""
        name = job.table
        if not self.wait:
            return Message(f"{name}: {job.state.value} as job {job.id} (system status shows it)")
        [ended] = self.load_client.wait([job], caller_reports=True)
        record = ledger.find_load(self.lake, ended.uid)
        reason = f"; {record.reason}" if record is not None and record.reason else ""
        return Message(load_outcome_text(ended, record) + reason)
