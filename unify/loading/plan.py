"""What one load reads, and what becomes of the rows stored before: decided from action, spec and ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from unify.adapters.base import ParentRow, Read
from unify.adapters.cursors import is_further
from unify.adapters.handling import Handling
from unify.adapters.spec import Strategy
from unify.model import Action, LoadRecord

_BUILDS_ON_STORED: tuple[Strategy, ...] = ("append", "merge")  # the others replace, so they need every row


@dataclass(frozen=True, slots=True)
class Plan:
    """How a table is loaded this time.

    ``based_on``  uid of the published load whose cursor we start from; "" when everything is read.
    ``cursor``    the cursor column; "" where loads are not incremental.
    """

    strategy: Strategy
    read: Read
    based_on: str = ""
    cursor: str = ""
    stored: Mapping[str, str] = field(default_factory=dict)

    def next_cursors(self, seen: Mapping[str, str]) -> Mapping[str, str]:
        """The state for the next load: the furthest cursor of each scope, whether rows came now or before."""
        furthest = dict(self.stored)
        for scope, cursor in seen.items():
            if scope not in furthest or is_further(cursor, furthest[scope]):
                furthest[scope] = cursor
        return furthest


def make_plan(action: Action, table: Handling, last: LoadRecord | None, parents: Sequence[ParentRow]) -> Plan:
    """Decide how to load ``table``, whose last published load is ``last``."""
    cursor = table.incremental.cursor if table.incremental else ""
    if action is not Action.REFRESH or last is None:
        return Plan("reload", Read(parents), cursor=cursor)
    strategy = table.refresh.strategy or _usual_strategy(table)
    if not table.incremental or not last.cursor or strategy not in _BUILDS_ON_STORED:
        return Plan(strategy, Read(parents), cursor=cursor)
    return Plan(strategy, Read(parents, last.cursor), last.uid, cursor, last.cursor)


def _usual_strategy(table: Handling) -> Strategy:
    return "merge" if table.incremental and table.key else "reload"
