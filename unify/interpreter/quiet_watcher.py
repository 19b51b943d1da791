"""The watcher of a session without a terminal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from unify.redaction import Redactor

if TYPE_CHECKING:
    from unify.adapters.base import UserPrompt
    from unify.model import LoaderStatus

ProgressCallback = Callable[[Sequence["LoaderStatus"]], None]


class QuietWatcher:
    """Keeps notices in a list and asks nothing.

    ``on_progress``  called with the status of each load that a statement waits for.
    """

    def __init__(self, notices: list[str], on_progress: ProgressCallback | None = None) -> None:
        self.redactor = Redactor()
        self._notices = notices
        self._on_progress = on_progress

    def notice(self, text: str) -> None:
        self._notices.append(text)

    def show_progress(self, statuses: Sequence[LoaderStatus]) -> None:
        if self._on_progress is not None:
            self._on_progress(statuses)

    def end_progress(self, reported_jobs: Collection[int] = ()) -> None:
        del reported_jobs

    def ask_user(self, question: str, *, secret: bool = False) -> str | None:
        del question, secret
        return None

    def user_prompt(self) -> UserPrompt | None:
        return None
