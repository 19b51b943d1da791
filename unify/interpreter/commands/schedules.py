"""``run 'FILE' every …``, ``run 'FILE' at …``, ``unschedule``, ``show schedules``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from unify.durations import format_duration
from unify.engine.connection import quote_literal
from unify.errors import UnknownName
from unify.interpreter.commands.tables import LoadCommands
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.query.load_client import LoadClient
from unify.interpreter.results import Message, ScheduleScript
from unify.language.commands import NotebookOptions, RunAt, RunEvery, is_notebook
from unify.model import TableName
from unify.queue.scripts import ScheduledScript
from unify.queue.timing import Timing, format_moment, repeating_timing, resolve_run_at
from unify.text import did_you_mean


class ScheduleCommands:
    """Schedules scripts, and removes the schedules of scripts and tables.

    ``zone``    the local time zone.
    ``folder``  the base of relative paths in a script.
    """

    def __init__(
        self,
        connections: ConnectionCatalog,
        load_client: LoadClient,
        load_commands: LoadCommands,
        *,
        zone: str,
        folder: Path,
    ) -> None:
        self.connections = connections
        self.load_client = load_client
        self.load_commands = load_commands
        self.zone = zone
        self.folder = folder

    def run_every(self, command: RunEvery) -> ScheduleScript:
        timing = repeating_timing(command.every_s, command.starting, self.zone, datetime.now(UTC))
        return self._schedule(command.path, command.notebook, timing)

    def run_at(self, command: RunAt) -> ScheduleScript:
        """Raises UsageError for a time in the past."""
        timing = Timing(None, resolve_run_at(command.start_at, self.zone, datetime.now(UTC)))
        return self._schedule(command.path, command.notebook, timing)

    def unschedule(self, name: TableName) -> Message:
        """Remove a schedule. Raises UnknownName with the closest name."""
        known = self._scheduled_names()
        scheduled = next((one for one in known if one.lower() == str(name).lower()), None)
        if scheduled is None:
            suggestion = did_you_mean(str(name), known)
            raise UnknownName(f"{name} has no schedule{suggestion} (show schedules lists them)")
        table = known[scheduled]
        if table is not None:
            return self._unschedule_table(table)
        self.load_client.unschedule_script(self.connections.settings.tenant, scheduled)
        return Message(f"schedule {scheduled} removed")

    def _schedule(self, path: str, notebook: NotebookOptions, timing: Timing) -> ScheduleScript:
        return ScheduleScript(
            path, lambda resolved, options: self._schedule_script(resolved, options, timing), notebook
        )

    def _schedule_script(self, path: Path, notebook: NotebookOptions, timing: Timing) -> Message:
        known = self.load_client.queue.scripts.list_scripts()
        previous = next((one for one in known if one.path == str(path)), None)
        statement = notebook_statement(path, notebook) if is_notebook(str(path)) else ""
        script = self.load_client.schedule_script(path, self.folder, timing, statement)
        replaced = f" (replaces {frequency_text(previous.timing)})" if previous is not None else ""
        return Message(schedule_message(script, self.zone) + replaced)

    def _scheduled_names(self) -> Mapping[str, TableName | None]:
        """Return the scheduled tables by name, and the scripts with None."""
        queue, tenant = self.load_client.queue, self.connections.settings.tenant
        tables = [one.table for one in queue.schedules() if one.tenant == tenant and one.every_s is not None]
        scripts = [one.name for one in queue.scripts.list_scripts() if one.tenant == tenant]
        return {str(table): table for table in tables} | dict.fromkeys(scripts)

    def _unschedule_table(self, table: TableName) -> Message:
        """End the schedule of a table, also if its connection was removed."""
        try:
            return self.load_commands.refresh_never(table)
        except UnknownName:
            self.load_client.queue.delete_schedule(self.connections.settings.tenant, table)
            return Message(f"{table} is no longer refreshed on a schedule")


def schedule_message(script: ScheduledScript, zone: str) -> str:
    """``report runs every 1 day starting 08:00, next at 2026-03-01 08:00 CET``."""
    timing = script.timing
    assert timing.next_at is not None
    next_at = format_moment(timing.next_at, zone)
    if timing.every_s is None:
        return f"{script.name} runs once, at {next_at}"
    return f"{script.name} runs {frequency_text(timing)}, next at {next_at}"


def notebook_statement(path: Path, options: NotebookOptions) -> str:
    """Return the statement that runs a notebook; all paths are absolute."""
    given = ", ".join(f"{name} = {_literal(value)}" for name, value in options.values)
    parameters = f" with {given}" if given else ""
    page = f" to {quote_literal(options.html)}" if options.html else ""
    return f"run {quote_literal(str(path))}{parameters}{page}"


def _literal(value: str | float | bool | None) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return quote_literal(value)
        case _:
            return repr(value)


def frequency_text(timing: Timing) -> str:
    """``once``, ``every 15 minutes``, ``every 1 day starting 08:00``."""
    if timing.every_s is None:
        return "once"
    starting = f" starting {timing.starting}" if timing.starting else ""
    return f"every {format_duration(timing.every_s)}{starting}"
