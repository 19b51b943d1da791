"""``show …`` and ``describe``: what there is, as rows."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from unify.durations import duration_text
from unify.errors import UnknownName
from unify.interpreter import missing, systemshape, waiting
from unify.interpreter.freshness import MaxAge
from unify.interpreter.results import Rows, listed
from unify.interpreter.schedules import planned
from unify.interpreter.settingslist import setting_rows
from unify.interpreter.state import State
from unify.interpreter.systemshape import COUNT, MOMENT, SCHEMA, SHAPES, TEXT
from unify.model import FOUND_OUT, Column, LoaderJob, TableName
from unify.store import catalog, ledger
from unify.text import ago, did_you_mean

if TYPE_CHECKING:
    from unify.adapters.spec import Filter


class Listing:
    """Answers the listing commands from one reading of the state."""

    def __init__(self, state: State) -> None:
        self.state = state

    def connections(self) -> Rows:
        rows = [
            (found.name, found.adapter, found.tables, found.stored, found.state, found.problem or None)
            for found in self.state.connections()
        ]
        return listed(SHAPES["connections"].columns, rows, self._no_connections())

    def schemas(self) -> Rows:
        sources = self.state.sources
        rows: list[tuple[object, ...]] = [(name, "connection") for name in sources.names]
        own = catalog.schemas(self.state.lake)
        rows += [(name, "user") for name in own if not sources.has(name)]
        rows.append((SCHEMA, "system"))
        return listed([("schema", TEXT), ("kind", TEXT)], rows)

    def tables(self, schema: str | None) -> Rows:
        """Raises UnknownName for a schema that is neither a connection nor a schema of the lake."""
        if schema is not None:
            self._known_schema(schema)
        now = datetime.now(UTC)
        rows = [
            (
                found.name.schema,
                found.name.table,
                found.rows,
                ago((now - found.loaded_at).total_seconds()) if found.loaded_at else None,
                found.state,
                found.description or None,
            )
            for found in self.state.tables(schema)
        ]
        columns = [("schema", TEXT), ("table", TEXT), ("rows", COUNT), ("loaded", TEXT)]
        return listed([*columns, ("state", TEXT), ("description", TEXT)], rows, self._no_connections())

    def _no_connections(self) -> str:
        return "" if self.state.sources.names else "there are no connections yet: connect makes one"

    def columns(self, table: TableName, like: str | None = None) -> Rows:
        """The columns whose name is LIKE the pattern (``%`` and ``_``, without case)."""
        table = table if table.schema else TableName("main", table.table)
        pattern = glob_of(like) if like is not None else "*"
        found = [
            column
            for column in self._columns(table)
            if fnmatch.fnmatchcase(column.name.lower(), pattern.lower())
        ]
        rows = [(column.name, column.type or None, column.description or None) for column in found]
        stored = self._is_stored(table)
        found_later = "" if systemshape.shape(table) else "types are found out by the first load"
        note = self._found_out(table) if stored else found_later
        return listed([("column_name", TEXT), ("column_type", TEXT), ("description", TEXT)], rows, note)

    def jobs(self) -> Rows:
        jobs = self._jobs()
        reasons = waiting.reasons(self.state.sources.settings, jobs)
        rows = [
            (
                job.id,
                job.action.value,
                str(job.table),
                job.state.value,
                job.attempt,
                _whole(job.created_at),
                _whole(job.finished_at),
                reasons.get(job.id) or job.error or None,
            )
            for job in jobs
        ]
        columns = [("job", COUNT), ("action", TEXT), ("table", TEXT), ("state", TEXT)]
        columns += [("attempt", COUNT), ("created_at", MOMENT), ("finished_at", MOMENT), ("error", TEXT)]
        return listed(columns, rows)

    def schedules(self) -> Rows:
        """What is refreshed and run by itself; a table that never is is left out."""
        rows = [
            (
                one.name,
                one.kind,
                "once" if one.timing.every_s is None else duration_text(one.timing.every_s),
                f"{one.timing.starting} {one.timing.zone}" if one.timing.zone else None,
                _whole(one.timing.next_at),
                _whole(one.timing.last_at),
                one.last_status,
            )
            for one in planned(self.state.queue, self.state.sources)
            if one.active
        ]
        columns = [("name", TEXT), ("kind", TEXT), ("every", TEXT), ("starting", TEXT)]
        return listed([*columns, ("next_at", MOMENT), ("last_at", MOMENT), ("last_status", TEXT)], rows)

    def settings(self, max_age: MaxAge) -> Rows:
        return listed(SHAPES["settings"].columns, setting_rows(self.state.sources.settings, max_age))

    def _jobs(self) -> list[LoaderJob]:
        """Every active job and the hundred youngest, oldest first."""
        queue = self.state.queue
        found = {job.id: job for job in (*queue.recent(100), *queue.active())}
        return sorted(found.values(), key=lambda job: job.id)

    def _columns(self, table: TableName) -> tuple[Column, ...]:
        sources = self.state.sources
        name = sources.spelled(table) if self._offered(table) else table
        if stored := catalog.columns(self.state.lake, name):
            return stored
        if sources.has(table.schema):
            return (*sources.table(table).columns, *self._filters(table))
        if own := systemshape.columns(name):
            return own
        known = (found.name for found in self.state.tables())
        raise UnknownName(missing.no_table(table, known, self.state.schemas()))

    def _filters(self, table: TableName) -> Sequence[Column]:
        """What a live table can be asked by, where its columns do not say it already."""
        live = self.state.sources.live(table)
        known = {column.name.lower() for column in live.columns} if live is not None else set()
        found: dict[str, list[Filter]] = {}
        for each in live.filters if live is not None else ():
            if each.column.lower() not in known:
                found.setdefault(each.column, []).append(each)
        return [Column(column, "", _told(filters)) for column, filters in found.items()]

    def _offered(self, table: TableName) -> bool:
        sources = self.state.sources
        return sources.has(table.schema) and table.table.lower() in sources.tables(table.schema)

    def _is_stored(self, table: TableName) -> bool:
        return bool(catalog.columns(self.state.lake, table))

    def _found_out(self, table: TableName) -> str:
        """What the last load found out by itself: how the source pages."""
        loads = ledger.latest(self.state.lake).items()
        reasons = [load.reason for name, load in loads if str(name).lower() == str(table).lower()]
        return "; ".join(part for reason in reasons for part in reason.split("; ") if FOUND_OUT in part)

    def _known_schema(self, schema: str) -> None:
        known = self.state.schemas()
        if schema.lower() not in {name.lower() for name in known}:
            raise UnknownName(f"there is no schema {schema}{did_you_mean(schema, known)} (show schemas)")


def _whole(moment: datetime | None) -> datetime | None:
    """To the second, which is as exact as a listing has room for."""
    return moment.replace(microsecond=0) if moment is not None else None


def _told(filters: Sequence[Filter]) -> str:
    ops = ", ".join(op for each in filters for op in each.ops)
    return f"filter ({ops}){', required' if any(each.required for each in filters) else ''}"


def glob_of(like: str) -> str:
    """A LIKE pattern as a glob: its own special characters are taken literally."""
    escaped = "".join(f"[{char}]" if char in "*?[" else char for char in like)
    return escaped.replace("%", "*").replace("_", "?")
