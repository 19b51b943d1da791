"""What somebody who waits for a load sees: live lines on a terminal, a line a load elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from unify.errors import Interrupted
from unify.shell import terminal
from unify.shell.display.width import clipped
from unify.shell.messages import Messages
from unify.text import counted, safe_text

if TYPE_CHECKING:
    from unify.adapters.person import Person
    from unify.model import LoaderStatus

LIVE_LINES = 8  # loads shown at once; the others are counted


class Progress:
    """The interpreter's Watcher: shows progress in place while ``live``, else says how each load ended."""

    def __init__(self, messages: Messages, *, live: bool) -> None:
        self.messages = messages
        self.live = live
        self._lines = 0  # live lines on the screen now, the cursor below them
        self._latest: dict[int, LoaderStatus] = {}
        self.ended: set[int] = set()  # jobs somebody waited for to their end: no news any more

    def notice(self, text: str) -> None:
        self._erase()
        self.messages.notice(text)

    def progress(self, statuses: Sequence[LoaderStatus]) -> None:
        self.ended.update(status.job for status in statuses if not status.state.active)
        if self.messages.quiet:
            return
        self._latest.update((status.job, status) for status in statuses)
        if self.live:
            self._draw(statuses)

    def settled(self, told: Collection[int] = ()) -> None:
        self._erase()
        if not self.live:
            for status in self._latest.values():
                if status.job not in told:
                    self.messages.notice(summary(status))
        self._latest.clear()

    def ask(self, question: str, *, secret: bool = False) -> str | None:
        """Ask on the terminal; stdout may go elsewhere. Without one on stdin and stderr nobody is asked."""
        if not terminal.is_attended():
            return None
        self._erase()
        ask = _asked if terminal.is_smart(os.environ) else _asked_plainly
        try:
            return ask(safe_text(question), secret)
        except (EOFError, KeyboardInterrupt):
            raise Interrupted("interrupted") from None

    def person(self) -> Person | None:
        from unify.shell.person import person

        self._erase()
        return person(self.messages)

    def _draw(self, statuses: Sequence[LoaderStatus]) -> None:
        from unify.interpreter.system import pace, task_lines  # the interpreter that calls us has loaded it

        width, height = terminal.size(self.messages.stream)
        shown = list(statuses[: max(1, min(LIVE_LINES, height - 2))])
        now = datetime.now(UTC)
        lines = [
            clipped(safe_text(f"{line}  {pace(status, now)}".rstrip()), width - 1)
            for line, status in zip(task_lines(shown, now), shown, strict=True)
        ]
        if len(statuses) > len(shown):
            lines.append(f"   +{len(statuses) - len(shown)} more")
        below = "".join(f"\r{line}\x1b[K\n" for line in lines)
        self.messages.raw(f"{self._to_top()}{below}\x1b[J")
        self._lines = len(lines)

    def _erase(self) -> None:
        if self._lines:
            self.messages.raw(self._to_top() + "\r\x1b[J")
            self._lines = 0

    def _to_top(self) -> str:
        return f"\x1b[{self._lines}A" if self._lines else ""


def _asked(question: str, secret: bool) -> str:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.output import create_output

    session: PromptSession[str] = PromptSession(output=create_output(sys.stderr))
    return session.prompt(question, is_password=secret)


def _asked_plainly(question: str, secret: bool) -> str:
    """Without an escape, for a terminal that knows none."""
    if secret:
        import getpass

        return getpass.getpass(question, sys.stderr)
    sys.stderr.write(question)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\r\n")


def summary(status: LoaderStatus) -> str:
    """``Loaded github.pulls: 1,204 rows in 3.1 s``, or how far it was when waiting ended."""
    from unify.model import Action, JobState
    from unify.shell.display.footer import duration

    verbs = {Action.LOAD: "Loaded", Action.REFRESH: "Refreshed", Action.RELOAD: "Reloaded"}
    rows = counted(status.rows, "row")
    match status.state:
        case JobState.DONE:
            return f"{verbs[status.action]} {status.table}: {rows} in {duration(status.elapsed_s)}"
        case JobState.CANCELLED:
            return f"{status.table}: the load was cancelled after {rows}"
        case JobState.FAILED | JobState.DEAD:
            return f"{status.table}: the load failed after {rows}"
        case _:
            return f"Loading {status.table}: {rows} so far"
