"""What the owner allows agents, and the API requests that they have caused."""

from __future__ import annotations

import threading

from msgspec import Struct

from unify.errors import NotPermitted
from unify.interpreter.restriction import Restriction

MAX_COLUMNS = 100
MAX_CELL_CHARS = 2000
MAX_ERROR_CHARS = 1500
MAX_LISTED_TABLES = 50
MAX_SAMPLE_ROWS = 5


class AgentLimits(Struct, frozen=True):
    """The owner's limits; an argument of a tool can only lower them.

    ``rows``, ``bytes``, ``seconds``  of one answer.
    ``calls``           API requests that loads and live tables of agents may cause.
    ``schemas``         that can be read, in lower case; none: all.
    ``proposes_writes`` agents may plan writes, which a person approves.
    """

    rows: int = 200
    bytes: int = 64 * 1024
    seconds: float = 30.0
    calls: int = 100
    schemas: tuple[str, ...] = ()
    proposes_writes: bool = False

    def restriction(self, *, may_load: bool = True) -> Restriction:
        """What the statements of agents may do."""
        schemas = frozenset(name.lower() for name in self.schemas) if self.schemas else None
        return Restriction(may_load, schemas)


class CallBudget:
    """Counts API requests. Threads may share it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._used = 0

    @property
    def used(self) -> int:
        return self._used

    @property
    def left(self) -> int:
        return max(0, self.limit - self._used)

    def add(self, calls: int) -> None:
        with self._lock:
            self._used += calls

    def require(self) -> None:
        """Raise NotPermitted if nothing is left."""
        if not self.left:
            raise NotPermitted(
                f"the budget of {self.limit:,} API requests is used up; only stored rows can be read. "
                "Its owner can start unify mcp with a larger --calls"
            )
