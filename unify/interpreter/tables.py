"""``load``, ``refresh``, ``reload``, ``clear``: one table, by its owner's word."""

from __future__ import annotations

from datetime import UTC, datetime, time

from unify.durations import duration_text
from unify.interpreter.loads import Loads, Wanted
from unify.interpreter.results import Message
from unify.interpreter.schedules import shown_at, timing_of
from unify.interpreter.sources import Sources
from unify.model import Action, LoaderJob, LoadRecord, TableName
from unify.store import catalog, ledger
from unify.store.duetimes import Timing
from unify.store.lake import Lake
from unify.store.queue import Schedule
from unify.text import ago, counted

_DONE_WORDS = {Action.LOAD: "loaded", Action.REFRESH: "refreshed", Action.RELOAD: "reloaded"}


class Tables:
    """Fills, refreshes and empties tables of connections; ``zone`` is whose clock times of day are on."""

    def __init__(self, lake: Lake, sources: Sources, loads: Loads, *, wait: bool, zone: str) -> None:
        self.lake = lake
        self.sources = sources
        self.loads = loads
        self.wait = wait
        self.zone = zone

    def load(self, table: TableName) -> Message:
        """Fetch a table the first time; a stored one stays, and the message says how to renew it."""
        name = self.sources.stored(table)
        stored = catalog.stored_tables(self.lake).get(name)
        if stored is not None:
            age = ago((datetime.now(UTC) - stored.loaded_at).total_seconds())
            return Message(
                f"{name} is stored already ({counted(stored.rows_total, 'row')}, {age}): "
                f"refresh table {name} fetches what changed, reload table {name} everything again"
            )
        return self._run(name, Action.LOAD)

    def refresh(self, table: TableName) -> Message:
        """Fetch what changed; a table never loaded is loaded."""
        name = self.sources.stored(table)
        stored = name in catalog.stored_tables(self.lake)
        return self._run(name, Action.REFRESH if stored else Action.LOAD)

    def reload(self, table: TableName) -> Message:
        """Fetch everything again; the old rows stay until the new ones are complete."""
        return self._run(self.sources.stored(table), Action.RELOAD)

    def clear(self, table: TableName) -> Message:
        """Forget the rows of a table, after cancelling what is loading it."""
        name = self._known(table)
        for job in self.loads.queue.active():
            if job.table == name:
                self.loads.cancel(job.id)
                self.loads.wait_ended(job)
        had = catalog.clear(self.lake, name)
        return Message(f"{name} is cleared" if had else f"{name} had no stored rows")

    def disconnected(self, connection: str) -> Message:
        """End what was scheduled for a connection that is gone, and say what is left of it."""
        queue, tenant = self.loads.queue, self.sources.settings.tenant
        for schedule in queue.schedules():
            if schedule.tenant == tenant and schedule.table.schema == connection:
                queue.unschedule(tenant, schedule.table)
        left = [str(name) for name in catalog.stored_tables(self.lake) if name.schema == connection]
        if not left:
            return Message(f"{connection} is disconnected")
        return Message(
            f"{connection} is disconnected; the rows of {', '.join(left)} stay, "
            f"until clear table {left[0]} forgets them"
        )

    def refresh_every(self, table: TableName, every_s: float, starting: time | None) -> Message:
        """Have the daemon refresh a table; ``starting`` is a time of day on this machine's clock."""
        name = self.sources.stored(table)
        timing = timing_of(every_s, starting, self.zone, datetime.now(UTC))
        self._schedule(name, timing)
        assert timing.next_at is not None
        next_at = shown_at(timing.next_at, self.zone)
        return Message(f"{name} is refreshed every {duration_text(every_s)}, next at {next_at}")

    def refresh_never(self, table: TableName) -> Message:
        """End the schedule of a table, its spec's too."""
        name = self.sources.stored(table)
        self._schedule(name, Timing(None, None))
        return Message(f"{name} is refreshed only when asked")

    def _known(self, table: TableName) -> TableName:
        """The table as its connection spells it, or as it is stored, where the connection is gone."""
        if not self.sources.has(table.schema):
            for name in catalog.stored_tables(self.lake):
                if str(name).lower() == str(table).lower():
                    return name
        return self.sources.stored(table)

    def _schedule(self, name: TableName, timing: Timing) -> None:
        tenant, origin = self.sources.settings.tenant, self.sources.origin
        self.loads.schedule(
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

    def _run(self, name: TableName, action: Action) -> Message:
        job = self.loads.request(Wanted(name, action))
        if not self.wait:
            return Message(f"{name}: {job.state.value} as job {job.id} (system status shows it)")
        [ended] = self.loads.wait([job], telling=True)
        record = ledger.find(self.lake, ended.uid)
        reason = f"; {record.reason}" if record is not None and record.reason else ""
        return Message(outcome(ended, record) + reason)


def outcome(job: LoaderJob, record: LoadRecord | None) -> str:
    """``github.pulls: 1,204 rows loaded in 3.1 s``, from the ledger's row."""
    word = _DONE_WORDS[job.action]
    if record is None:
        return f"{job.table}: {word}"
    return f"{job.table}: {counted(record.rows_read, 'row')} {word} in {record.seconds:.1f} s"
