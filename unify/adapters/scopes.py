"""Scopes: the rows of a table's ``for_each``, each asked for once and each with a state of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from unify.adapters.base import ParentRow
from unify.adapters.spec import ForEach


def scope_of(parent: ParentRow) -> str:
    """The name of a ``for_each`` row's state: its JSON text, keys sorted."""
    return json.dumps(parent, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def distinct(for_each: ForEach | None, parents: Sequence[ParentRow]) -> Iterator[ParentRow | None]:
    """Each different parent once, in order; None alone for a table without parents."""
    if for_each is None:
        yield None
        return
    different = list({scope_of(parent): parent for parent in parents or for_each.rows}.values())
    yield from different if for_each.batch is None else _joined(different, for_each.batch)


def _joined(parents: Sequence[ParentRow], size: int) -> Iterator[ParentRow]:
    """``size`` parents as one: each value is their different values, with commas between."""
    for start in range(0, len(parents), size):
        group = parents[start : start + size]
        yield {
            name: ",".join(dict.fromkeys(str(parent[name]) for parent in group if parent[name] is not None))
            for name in group[0]
        }
