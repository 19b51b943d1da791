"""What a statement wants of a live table, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from unify.language.constants import Constant

if TYPE_CHECKING:
    from unify.adapters.base import ParentRow


@dataclass(frozen=True, slots=True)
class Ask:
    """One way of asking for a live table.

    ``filters``  name of a filter → value as the API is asked for it.
    ``given``    column → the value its rows have, where the answers do not tell; None: only they can tell.
    """

    filters: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, Constant | None] = field(default_factory=dict)

    @property
    def key(self) -> tuple[object, ...]:
        return tuple(sorted(self.filters.items())), tuple(sorted(self.given, key=str))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Every way of asking, in its order.

    ``parents``    the rows of ``for_each`` to ask for each of; None: the table has none.
    ``limit``      so many rows are enough; None: all.
    ``mentioned``  columns to make up, without values, where no row came that could tell any.
    """

    asks: Sequence[Ask]
    parents: Sequence[ParentRow] | None = None
    limit: int | None = None
    mentioned: Sequence[str] = ()

    @property
    def whole(self) -> Wanted:
        """The same without a limit."""
        return replace(self, limit=None)

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two wishes the same, beside the table's name."""
        from unify.adapters.scopes import scope_of

        parents = None if self.parents is None else tuple(scope_of(parent) for parent in self.parents)
        return (*(ask.key for ask in self.asks), parents, self.limit)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The rows of one table for one wish. ``cut``: there may be more, and a limit left them out."""

    relation: str
    rows: int
    cut: bool
    at: float
