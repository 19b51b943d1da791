"""``run 'FILE' every …``, ``run 'FILE' at …``, ``unschedule``, ``show schedules``: what happens by itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time
from pathlib import Path

from unify.durations import duration_text
from unify.errors import UnknownName
from unify.interpreter.loads import Loads
from unify.interpreter.results import Message, PlanScript
from unify.interpreter.schedules import moment_of, shown_at, timing_of
from unify.interpreter.sources import Sources
from unify.interpreter.tables import Tables
from unify.model import TableName
from unify.store.duetimes import Timing
from unify.store.scripts import Script
from unify.text import did_you_mean


class Planning:
    """Puts scripts on a schedule, and takes scripts and tables off it.

    ``zone``    the name of the zone on the clock of whoever types.
    ``folder``  where relative paths within a script start, as they do when it is run by hand.
    """

    def __init__(self, sources: Sources, loads: Loads, tables: Tables, *, zone: str, folder: Path) -> None:
        self.sources = sources
        self.loads = loads
        self.tables = tables
        self.zone = zone
        self.folder = folder

    def run_every(self, path: str, every_s: float, starting: time | None) -> PlanScript:
        timing = timing_of(every_s, starting, self.zone, datetime.now(UTC))
        return PlanScript(path, lambda place: self._planned(place, timing))

    def run_at(self, path: str, at: datetime | time) -> PlanScript:
        """Raises UsageError for a moment that is over."""
        timing = Timing(None, moment_of(at, self.zone, datetime.now(UTC)))
        return PlanScript(path, lambda place: self._planned(place, timing))

    def unschedule(self, name: TableName) -> Message:
        """Raises UnknownName with the nearest name there is."""
        known = self._known()
        found = next((one for one in known if one.lower() == str(name).lower()), None)
        if found is None:
            nearest = did_you_mean(str(name), known)
            raise UnknownName(f"nothing called {name} is on a schedule{nearest} (show schedules lists them)")
        table = known[found]
        if table is not None:
            return self._unscheduled_table(table)
        self.loads.unschedule_script(self.sources.settings.tenant, found)
        return Message(f"{found} runs no more by itself")

    def _planned(self, place: Path, timing: Timing) -> Message:
        known = self.loads.queue.scripts.all()
        before = next((one for one in known if one.path == str(place)), None)
        script = self.loads.schedule_script(place, self.folder, timing)
        instead = f" (no more {often(before.timing)})" if before is not None else ""
        return Message(told(script, self.zone) + instead)

    def _known(self) -> Mapping[str, TableName | None]:
        """Everything on a schedule by its name; None where it is a script."""
        queue, tenant = self.loads.queue, self.sources.settings.tenant
        tables = [one.table for one in queue.schedules() if one.tenant == tenant and one.every_s is not None]
        scripts = [one.name for one in queue.scripts.all() if one.tenant == tenant]
        return {str(table): table for table in tables} | dict.fromkeys(scripts)

    def _unscheduled_table(self, table: TableName) -> Message:
        """What its spec asks for counts no more either; where the connection is gone, there is no spec."""
        try:
            return self.tables.refresh_never(table)
        except UnknownName:
            self.loads.queue.unschedule(self.sources.settings.tenant, table)
            return Message(f"{table} is refreshed only when asked")


def told(script: Script, zone: str) -> str:
    """``report runs every 1 day starting 08:00, next at 2026-03-01 08:00 CET``."""
    timing = script.timing
    assert timing.next_at is not None
    next_at = shown_at(timing.next_at, zone)
    if timing.every_s is None:
        return f"{script.name} runs once, at {next_at}"
    return f"{script.name} runs {often(timing)}, next at {next_at}"


def often(timing: Timing) -> str:
    """``once``, ``every 15 minutes``, ``every 1 day starting 08:00``."""
    if timing.every_s is None:
        return "once"
    starting = f" starting {timing.starting}" if timing.starting else ""
    return f"every {duration_text(timing.every_s)}{starting}"
