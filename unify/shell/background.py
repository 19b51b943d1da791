"""The session opens, and its names are read, while a person looks at the prompt."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from unify.errors import UnifyError

if TYPE_CHECKING:
    from unify.interpreter.results import Names
    from unify.shell.script import Session

Open = Callable[[], "Session"]


class Background:
    """One session, opened by a thread of its own. It is never used by two threads at once.

    ``names``    those of the last reading: what completion offers, at once and perhaps a little old.
    ``mistake``  is told of a fault of ours; from the thread.
    """

    def __init__(self, open_session: Open, mistake: Callable[[BaseException], None]) -> None:
        self._names: Names | None = None
        self._open = open_session
        self._mistake = mistake
        self._session: Session | None = None
        self._thread: threading.Thread | None = None

    @property
    def names(self) -> Names:
        from unify.interpreter.results import Names

        return self._names or Names()

    def start(self) -> None:
        """Open the session if need be and read the names, without anybody waiting for it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._prepare, name="names", daemon=True)
            self._thread.start()

    def session(self) -> Session:
        """The session, for the caller alone until the next ``start``. Raises what opening it raises."""
        self._settle()
        if self._session is None:
            self._session = self._open()
        return self._session

    def close(self) -> None:
        self._settle()
        if self._session is not None:
            self._session.close()

    def _settle(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _prepare(self) -> None:
        """What goes wrong here goes wrong again, and is told, when a statement needs it."""
        try:
            if self._session is None:
                self._session = self._open()
            self._names = self._session.names()
        except UnifyError:
            self._names = None
        except Exception as error:  # noqa: BLE001 — a thread's last border: told without a traceback
            self._mistake(error)
