"""Whether DuckDB can read rows straight into columns, or what has to be done to them first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from unify.duckdb_types import parse_type
from unify.loading.layout import Origin, Planned, Way
from unify.loading.structure import Node, Structure

MAX_FIELDS = 500  # of one nested object: DuckDB's planning grows with their square

_PLAIN_KEY = re.compile(r"[\w .$@:/+-]+", re.ASCII)  # written in JSON as it is, but for needless escapes


def way_of(structure: Structure, columns: Sequence[Planned]) -> Way:
    """How rows of this structure are made readable for these columns."""
    read = [column for column in columns if column.origin is not Origin.NOTHING]
    if any(column.origin is Origin.WHOLE for column in read) and structure.row.kinds:
        return Way(rewritten=True)
    paths = [column.path for column in read if column.origin is Origin.ROW]
    if _overlap(paths) or not _is_straight(structure.row, paths):
        return Way(rewritten=True)
    digits = [column for column in read if column.has_digits]
    if digits and not (all(map(_is_quotable, digits)) and not any("JSON" in column.type for column in read)):
        return Way(rewritten=True)
    return Way(quoted=tuple(sorted({column.path[-1] for column in digits})))


def _overlap(paths: Sequence[tuple[str, ...]]) -> bool:
    """Two columns read the same place, or one reads what another reads a part of."""
    return any(after[: len(before)] == before for before, after in pairwise(sorted(paths)))


def _is_straight(node: Node, paths: Sequence[tuple[str, ...]], depth: int = 0) -> bool:
    """Every path leads through plain objects whose members DuckDB can tell apart."""
    if node.odd or (depth and (not node.flattened or len(paths) > MAX_FIELDS)):
        return False
    below: dict[str, list[tuple[str, ...]]] = {}
    for path in paths:
        if len(path) > depth + 1:
            below.setdefault(path[depth], []).append(path)
    return all(
        key in node.members and _is_straight(node.members[key], deeper, depth + 1)
        for key, deeper in below.items()
    )


def _is_quotable(column: Planned) -> bool:
    """A number under the column's key may be read from a text as well as by itself."""
    plain = column.origin is Origin.ROW and _PLAIN_KEY.fullmatch(column.path[-1]) is not None
    return plain and not parse_type(column.type).nested
