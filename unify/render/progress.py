"""Progress of loads: live lines on a terminal, one line per finished load elsewhere."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from unify.errors import Interrupted
from unify.render import terminal
from unify.render.formats.layout import truncate_text
from unify.render.messages import Messages
from unify.text import escape_text, format_count

if TYPE_CHECKING:
    from unify.adapters.base import UserPrompt
    from unify.model import LoaderStatus
    from unify.redaction import Redactor

EXPLAIN_AFTER_S = 2.0  # most waits are shorter
MAX_LIVE_LOADS = 8  # loads shown at once; further ones are counted


class ProgressDisplay:
    """The interpreter's Watcher. ``live``: redraw progress in place; else write how each load ended.

    ``ended_jobs``  ids of jobs whose end the user has seen.
    """

    def __init__(self, messages: Messages, *, live: bool) -> None:
        self.messages = messages
        self.live = live
        self._line_count = 0  # live lines on the screen, above the cursor
        self._latest_statuses: dict[int, LoaderStatus] = {}
        self.ended_jobs: set[int] = set()
        self._waits: dict[tuple[int, str], float] = {}  # since when, monotonic; inf: it was written

    @property
    def redactor(self) -> Redactor:
        return self.messages.redactor

    def notice(self, text: str) -> None:
        self._erase_progress()
        self.messages.notice(text)

    def show_progress(self, statuses: Sequence[LoaderStatus]) -> None:
        self.ended_jobs.update(status.job for status in statuses if not status.state.active)
        if self.messages.quiet:
            return
        self._latest_statuses.update((status.job, status) for status in statuses)
        if self.live:
            self._draw_progress(statuses)
        else:
            for status in statuses:
                self._explain_wait(status)

    def end_progress(self, reported_jobs: Collection[int] = ()) -> None:
        self._erase_progress()
        if not self.live:
            for status in self._latest_statuses.values():
                if status.job not in reported_jobs:
                    self.messages.notice(load_summary(status))
        self._latest_statuses.clear()

    def ask_user(self, question: str, *, secret: bool = False) -> str | None:
        """Prompt on the terminal and return the answer; None if stdin or stderr is no terminal."""
        if not terminal.is_interactive():
            return None
        self._erase_progress()
        read = _read_with_prompt_toolkit if terminal.supports_cursor(os.environ) else _read_plain_line
        try:
            return read(escape_text(question), secret)
        except (EOFError, KeyboardInterrupt):
            raise Interrupted("interrupted") from None

    def user_prompt(self) -> UserPrompt | None:
        self._erase_progress()
        return terminal.terminal_prompt(self.messages)

    def _explain_wait(self, status: LoaderStatus) -> None:
        """Write once why a load waits, and for whom, when it has waited for a while."""
        from unify.interpreter.commands.system import waiting_text

        text = waiting_text(status, datetime.now(UTC))
        if not text:
            return
        first = self._waits.setdefault((status.job, text), time.monotonic())
        if time.monotonic() - first >= EXPLAIN_AFTER_S:
            self._waits[status.job, text] = math.inf
            self.messages.notice(f"{status.table}: {text}")

    def _draw_progress(self, statuses: Sequence[LoaderStatus]) -> None:
        from unify.interpreter.commands.system import rate_text, task_lines

        width, height = terminal.terminal_size(self.messages.stream)
        shown = list(statuses[: max(1, min(MAX_LIVE_LOADS, height - 2))])
        now = datetime.now(UTC)
        lines = [
            truncate_text(escape_text(f"{line}  {rate_text(status, now)}".rstrip()), width - 1)
            for line, status in zip(task_lines(shown, now), shown, strict=True)
        ]
        if len(statuses) > len(shown):
            lines.append(f"   +{len(statuses) - len(shown)} more")
        below = "".join(f"\r{line}\x1b[K\n" for line in lines)
        self.messages.write_raw(f"{self._cursor_up()}{below}\x1b[J")
        self._line_count = len(lines)

    def _erase_progress(self) -> None:
        if self._line_count:
            self.messages.write_raw(self._cursor_up() + "\r\x1b[J")
            self._line_count = 0

    def _cursor_up(self) -> str:
        return f"\x1b[{self._line_count}A" if self._line_count else ""


def _read_with_prompt_toolkit(question: str, secret: bool) -> str:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.output import create_output

    session: PromptSession[str] = PromptSession(output=create_output(sys.stderr))
    return session.prompt(question, is_password=secret)


def _read_plain_line(question: str, secret: bool) -> str:
    """Read a line without escape sequences, for TERM=dumb."""
    if secret:
        import getpass

        return getpass.getpass(question, sys.stderr)
    sys.stderr.write(question)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\r\n")


def load_summary(status: LoaderStatus) -> str:
    """Return ``Loaded github.pulls: 1,204 rows in 3.1 s``, or the progress so far."""
    from unify.durations import format_elapsed
    from unify.model import Action, JobState

    verbs = {
        Action.LOAD: "Loaded",
        Action.REFRESH: "Refreshed",
        Action.RELOAD: "Reloaded",
        Action.WRITE: "Wrote",
    }
    rows = format_count(status.rows, "row")
    match status.state:
        case JobState.DONE:
            return f"{verbs[status.action]} {status.table}: {rows} in {format_elapsed(status.elapsed_s)}"
        case JobState.CANCELLED:
            return f"{status.table}: the load was cancelled after {rows}"
        case JobState.FAILED | JobState.DEAD:
            return f"{status.table}: the load failed after {rows}"
        case _:
            return f"Loading {status.table}: {rows} so far"
