"""A plan of a write: the rows, how many of them delete, and what the user should know about it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from unify.adapters.spec.write import WriteSpec
from unify.errors import UsageError
from unify.model import PlannedRow, TableName
from unify.text import format_count

MAX_WRITES = 1_000  # rows of one statement, without --max-writes
MAX_LEAVING_SHARE = 0.1  # of the rows that a mirror has written, without --max-deletes


class WriteOptions(Struct, frozen=True):
    """``--yes``, ``--max-writes``, ``--max-deletes``.

    ``max_deletes``  None: a user at the prompt is asked, a script may delete none.
    """

    yes: bool = False
    max_writes: int = MAX_WRITES
    max_deletes: int | None = None


class WritePlan(Struct, frozen=True):
    """What a statement writes to ``target``.

    ``mode``     insert, update, delete, upsert, mirror, merge or undo.
    ``note``     age of the stored rows that its rows were chosen from.
    ``remarks``  what the user should know about rows that are not written.
    ``written``  how many rows the exports of ``name`` have written.
    ``leaving``  how many rows are deleted or cleared because they are gone from the source.
    ``baseline``, ``is_matched``  of NewWrite: which writes had been sent when the rows were compared.
    ``read``, ``filtered``  how many rows the source has, and how many of them are left out as unchanged.
    """

    target: TableName
    mode: str
    rows: Sequence[PlannedRow]
    note: str = ""
    remarks: Sequence[str] = ()
    name: str = ""
    written: int = 0
    leaving: int = 0
    read: int = 0
    filtered: int = 0
    undo_of: int | None = None
    baseline: str = ""
    is_matched: bool = False

    @property
    def removals(self) -> int:
        """How many rows are deleted or cleared."""
        return sum(row.action == "delete" or row.leaves for row in self.rows)


def check_removals(plan: WritePlan, limit: int | None, *, is_script: bool) -> None:
    """Raise UsageError with the number of rows if a plan removes more of them than it may.

    ``limit``  --max-deletes; None: a user at the prompt is asked, a script may delete none, and a mirror at
               most a tenth of its rows.
    """
    count = plan.removals
    if not count or (limit is not None and count <= limit):
        return
    verb = "deletes" if any(row.action == "delete" for row in plan.rows) else "clears"
    what = f"{plan.target}: the statement {verb} {format_count(count, 'row')}"
    if limit is None and not is_script:
        if plan.leaving <= plan.written * MAX_LEAVING_SHARE:
            return
        what += f" of the {plan.written:,} that it has written, more than {MAX_LEAVING_SHARE:.0%}"
    raise UsageError(f"{what}; nothing was sent. Allow it with --max-deletes {count}")


def use_declared_names(spec: WriteSpec, rows: Sequence[PlannedRow]) -> list[PlannedRow]:
    """Rename the columns of rows, which SQL finds in any case, as the spec has them."""
    names = {name for row in rows for name in row.values}
    declared = {name: column.name for name in names if (column := spec.column(name)) is not None}
    if all(name == own for name, own in declared.items()):
        return list(rows)
    from msgspec.structs import replace

    return [
        replace(row, values={declared.get(name, name): value for name, value in row.values.items()})
        for row in rows
    ]
