"""Jupyter and IPython: ``%load_ext unify`` adds the magics ``%unify`` and ``%%unify``."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.display import DisplayHandle, display

from unify.api.dbapi import DatabaseConnection, connect
from unify.api.exceptions import Error, ProgrammingError
from unify.api.session import QueryResult
from unify.errors import UnifyError
from unify.interpreter.parameters import find_names
from unify.text import escape_text, format_count

if TYPE_CHECKING:
    import pandas

    from unify.model import LoaderStatus

MIN_PROGRESS_INTERVAL_S = 0.5
_TARGET = re.compile(r"\s*(?P<name>[^\W\d]\w*)\s*<<(?P<sql>.*)", re.DOTALL)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics; IPython calls it for ``%load_ext unify``."""
    shell.register_magics(UnifyMagics(shell))


class CellError(Error):
    """An error of a magic: the cell shows its message, without a traceback."""

    def _render_traceback_(self) -> Sequence[str]:
        """Return the lines that IPython shows."""
        return self.message.splitlines()


@magics_class
class UnifyMagics(Magics):
    """The magics. Statements share one connection, which is opened by the first one.

    ``%unify SQL``            the rows as a ``pandas.DataFrame``
    ``%unify name << SQL``    the same, assigned to ``name``
    ``%%unify [name <<]``     the statements of a cell; the rows are those of the last one

    ``:name`` is the value of a variable of the notebook. The home and the connections are those of
    UNIFY_HOME, UNIFY_CONNECTIONS and UNIFY_SPECS when the first statement runs.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._connection: DatabaseConnection | None = None
        self._progress: ProgressNote | None = None

    @no_var_expand
    @line_cell_magic
    def unify(self, line: str, cell: str | None = None) -> pandas.DataFrame | None:
        """Run SQL; the rows as a DataFrame, or assigned to a variable: ``%%unify name <<``."""
        try:
            name, sql = _split_target(line if cell is None else f"{line}\n{cell}")
            return self._run(sql, name)
        except UnifyError as error:
            raise CellError(error.message) from None
        except ModuleNotFoundError as error:
            if error.name not in ("numpy", "pandas"):
                raise
            raise CellError("data frames need pandas: pip install 'unify-sql[jupyter]'") from None

    def _run(self, sql: str, name: str) -> pandas.DataFrame | None:
        if not sql.strip():
            raise ProgrammingError(
                "there is no statement here: %unify select …, or %%unify and a cell of SQL"
            )
        connection = self._open()
        seen, namespace = len(connection.notices), self._namespace()
        given = {one: namespace[one] for one in find_names(sql) if one in namespace}
        self._progress = ProgressNote(can_change=hasattr(self.shell, "kernel"))
        note = ""
        try:
            result = connection.sql(sql, given or None)
            frame = result.df() if result.columns else None
            notes = [*connection.notices[seen:], _describe_result(result, frame, name)]
            note = "; ".join(filter(None, notes))
        finally:
            self._progress.end(note)
        if frame is not None:
            frame.attrs["unify_note"] = result.note
        if not name:
            return frame
        if frame is None:
            raise ProgrammingError(f"{name} <<: the statement has no rows")
        namespace[name] = frame
        return None

    def _open(self) -> DatabaseConnection:
        if self._connection is None:
            self._connection = connect(on_progress=self._report_progress)
        return self._connection

    def _namespace(self) -> dict[str, Any]:
        assert self.shell is not None
        namespace: dict[str, Any] = self.shell.user_ns
        return namespace

    def _report_progress(self, statuses: Sequence[LoaderStatus]) -> None:
        if self._progress is not None:
            self._progress.show(statuses)


class ProgressNote:
    """A line of output below the cell that shows the loads while a statement waits for them.

    ``can_change``  the line is replaced as loads go on; a terminal shows the first one alone.
    """

    def __init__(self, *, can_change: bool) -> None:
        self._can_change = can_change
        self._handle: DisplayHandle | None = None
        self._shown_at_s = 0.0

    def show(self, statuses: Sequence[LoaderStatus]) -> None:
        """Show the loads; at most every MIN_PROGRESS_INTERVAL_S."""
        now_s = time.monotonic()
        is_shown = self._handle is not None
        if now_s - self._shown_at_s < MIN_PROGRESS_INTERVAL_S or (is_shown and not self._can_change):
            return
        self._shown_at_s = now_s
        text = "; ".join(f"loading {one.table}: {format_count(one.rows, 'row')}" for one in statuses)
        if self._handle is None:
            self._handle = display(Note(text), display_id=True)
        else:
            self._handle.update(Note(text))

    def end(self, note: str) -> None:
        """Show ``note`` in place of the line."""
        if self._handle is not None and self._can_change:
            self._handle.update(Note(note))
        elif note:
            display(Note(note))


class Note:
    """A line of text in the colour of secondary text."""

    def __init__(self, text: str) -> None:
        self.text = escape_text(text)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        from html import escape

        return f'<small style="opacity: 0.7">{escape(self.text)}</small>' if self.text else ""


def _split_target(text: str) -> tuple[str, str]:
    """Return the variable before ``<<``, "" without one, and the SQL."""
    match = _TARGET.fullmatch(text)
    if match is None:
        return "", text
    return match["name"], match["sql"]


def _describe_result(result: QueryResult, frame: pandas.DataFrame | None, name: str) -> str:
    """Return ``pulls: 1,200 rows, 57 columns, stored 12 min ago``."""
    if frame is None:
        return result.message
    size = f"{format_count(len(frame), 'row')}, {format_count(len(frame.columns), 'column')}"
    return ", ".join(filter(None, [f"{name}: {size}" if name else "", result.note]))
