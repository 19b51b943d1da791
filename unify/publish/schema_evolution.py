"""Schema evolution: how the columns of a table change when a load has other columns or types.

Functions of type texts; nothing here accesses the lake. No stored value is lost: a type is replaced only by
one that holds all values of both, at worst VARCHAR, or JSON if one of them is nested.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from msgspec import Struct

from unify.engine.widening import UNTYPED, Place, common_type, final_type
from unify.model import Column


class TargetColumn(Struct, frozen=True):
    """A column of the table after the load.

    ``stored_type`` and ``loaded_type`` are its types before and in the load, "" where it is absent;
    ``loaded_name`` is its spelling in the load.
    """

    name: str
    type: str
    stored_type: str = ""
    loaded_type: str = ""
    loaded_name: str = ""
    description: str = ""

    @property
    def is_added(self) -> bool:
        return not self.stored_type

    @property
    def is_type_changed(self) -> bool:
        return bool(self.stored_type) and self.stored_type != self.type


def evolve_columns(
    stored: Sequence[Column],
    loaded: Sequence[Column],
    *,
    declared: Collection[str] = (),
    value_types: Mapping[str, str] | None = None,
    is_exact: Callable[[str, Place], bool] = lambda _name, _place: False,
) -> tuple[TargetColumn, ...]:
    """Return the columns of the table after a load: the stored ones in their order, then the new ones.

    ``declared``     names whose loaded type applies: the spec declares it, and all rows are replaced.
    ``value_types``  types of stored columns that are untyped wherever the column has no value.
    ``is_exact``     whether the integers of a column at a place, stored and loaded, all equal a double;
                     called only where integers and doubles meet.
    """
    loaded_by_name = {column.name.lower(): column for column in loaded}
    result = []
    for column in stored:
        match = loaded_by_name.pop(column.name.lower(), None)
        if match is None:
            result.append(TargetColumn(column.name, column.type, column.type, description=column.description))
            continue
        if match.name in declared:
            target = match.type
        else:
            values = (value_types or {}).get(column.name, column.type) or UNTYPED
            target = final_type(common_type(values, match.type, partial(is_exact, column.name)))
        description = match.description or column.description
        result.append(TargetColumn(column.name, target, column.type, match.type, match.name, description))
    result += [
        TargetColumn(column.name, column.type, "", column.type, column.name, column.description)
        for column in loaded_by_name.values()
    ]
    return tuple(result)


def replace_columns(stored: Sequence[Column], loaded: Sequence[Column]) -> tuple[TargetColumn, ...]:
    """Return the columns of the table after a reload from a source that has no other columns than ``loaded``.

    Names are compared exactly: a table has no two columns that differ only in case.
    """
    before = {column.name: column.type for column in stored}
    return tuple(
        TargetColumn(
            column.name,
            column.type,
            before.get(column.name, ""),
            column.type,
            column.name,
            column.description,
        )
        for column in loaded
    )
