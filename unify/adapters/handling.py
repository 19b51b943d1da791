"""What becomes of a table's rows, whoever describes the table: a spec in YAML, or an adapter in Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from unify.adapters.spec import ColumnDef, ForEach, Incremental, Refresh
from unify.model import TableDef

_NO_WISH = Refresh()


class Handling(Protocol):
    """All that a loader wants to know of a table beside its rows; a ``TableSpec`` is one."""

    @property
    def key(self) -> tuple[str, ...]: ...
    @property
    def columns(self) -> tuple[ColumnDef, ...]: ...
    @property
    def exclude(self) -> tuple[str, ...]: ...
    @property
    def only(self) -> tuple[str, ...]: ...
    @property
    def flatten(self) -> int | None: ...
    @property
    def incremental(self) -> Incremental | None: ...
    @property
    def refresh(self) -> Refresh: ...
    @property
    def for_each(self) -> ForEach | None: ...


@dataclass(frozen=True, slots=True)
class Plain:
    """The handling of a table that an adapter in Python gives: its rows are as they are to be stored."""

    key: tuple[str, ...] = ()
    columns: tuple[ColumnDef, ...] = ()
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    flatten: int | None = None
    incremental: Incremental | None = None
    refresh: Refresh = _NO_WISH
    for_each: ForEach | None = None


def handling_of(table: TableDef) -> Handling:
    """What ``table`` says of itself; with a ``cursor``, later loads ask for what changed only."""
    return Plain(
        key=table.key,
        columns=tuple(
            ColumnDef(column.name, column.type or None, column.description) for column in table.columns
        ),
        incremental=Incremental(table.cursor) if table.cursor else None,
        refresh=Refresh(table.refresh_every_s),
    )
