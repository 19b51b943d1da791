"""What an open transaction of the user may not contain.

``refuse_irreversible`` refuses what ROLLBACK could not undo. It does not undo these either, which concern the
running session, the daemon or a file, as SET and COPY TO do in DuckDB: ``set``, ``system …``, loads that are
queued under --no-wait or because rows are outdated, ``export``, charts.
"""

from __future__ import annotations

from unify.errors import QueryError
from unify.lake.lake import Lake
from unify.language import commands
from unify.language.commands import Command


def refuse_load(lake: Lake, action: str) -> None:
    """Raise QueryError in an open transaction: it holds the lock that publishing a load waits for."""
    if lake.in_transaction and not lake.read_only:
        raise QueryError(
            f"cannot {action} inside a transaction, which holds the write lock of the lake; "
            "commit or roll back first"
        )


def refuse_irreversible(command: Command, *, in_transaction: bool) -> None:
    """Raise QueryError for a command that changes schedules, pauses, connections or writes, or publishes."""
    if in_transaction and (action := _irreversible_action(command)):
        raise QueryError(
            f"cannot {action} inside a transaction, because rollback would not undo it; "
            "commit or roll back first"
        )


def _irreversible_action(command: Command) -> str:
    match command:
        case commands.RefreshEvery(table) | commands.RefreshNever(table):
            return f"change the schedule of {table}"
        case commands.RunEvery(path) | commands.RunAt(path):
            return f"schedule {path}"
        case commands.Unschedule(name):
            return f"unschedule {name}"
        case commands.PauseLoads(target):
            return f"pause {target.schema}"
        case commands.ResumeLoads(target):
            return f"resume {target.schema}"
        case commands.AcceptVersion(table):
            return f"accept {table}"
        case commands.CopyFiles(_, target):
            return f"copy to {target}"
        case commands.RemoveFiles(place):
            return f"remove {place}"
        case commands.Connect():
            return "connect"
        case commands.Disconnect(name):
            return f"disconnect {name}"
        case _:
            return _writing_action(command)


def _writing_action(command: Command) -> str:
    match command:
        case (
            commands.ApproveWrite(write)
            | commands.RetryWrite(write)
            | commands.CancelWrite(write)
            | commands.UndoWrite(write)
        ):
            return f"send or cancel write {write}"
        case commands.CreateSync(name) | commands.RunSync(name) | commands.DropSync(name):
            return f"change or run sync {name}"
        case commands.WatchRows() | commands.RunWatch() | commands.Unwatch():
            return "watch rows"
        case _:
            return ""
