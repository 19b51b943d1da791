"""Parents of tables with parameters in the path: ``/boards/{id}/cards`` is read for each row of boards."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct, field

from unify.importers.common.names import option_name, snake_case, sql_name, unique_name
from unify.importers.common.shapes import Shape

_PARAMETER = re.compile(r"\{([^{}]+)\}")
_GENERAL = frozenset(["id", "key", "name", "slug", "uuid", "code", "number", "uid", "guid"])


class PathTable(Struct, frozen=True):
    """A table, its path with ``{parameters}``, the members of its rows and their key."""

    name: str
    path: str
    row: Shape
    key: str | None = None


class LinkedTable(Struct):
    """How a path gets its values.

    ``path``     with variables of the spec in place of the parameters.
    ``query``    the SELECT of ``for_each``, ``parents`` its tables; None: only options.
    ``names``    by parameter: the variable that stands in the path.
    ``options``  the variables that a connection sets, with their parameters.
    ``columns``  columns for children, with the variable that each stores.
    """

    path: str
    query: str | None = None
    parents: tuple[str, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)


def path_parameters(path: str) -> list[str]:
    """The parameters of a path, each once."""
    return list(dict.fromkeys(_PARAMETER.findall(path)))


def link_parents(tables: Sequence[PathTable], taken: Collection[str] = ()) -> dict[str, LinkedTable]:
    """Find the tables whose rows provide the parameters of paths; the others become options.

    ``taken`` are names of options, which no variable may have.
    """
    parents = {table.name: _nearest_parent(table, tables) for table in tables}
    reserved = set(taken)
    for table in tables:
        reserved.update(variable_name(table.path, each) for each in _own_options(table, parents))
    linked: dict[str, LinkedTable] = {}
    for table in sorted(tables, key=lambda each: each.path.count("/")):
        linked[table.name] = _link(table, parents[table.name], linked, reserved)
    return linked


_Parent = tuple[PathTable, str, str] | None  # the table, the parameter, the column of its rows


def _own_options(table: PathTable, parents: Mapping[str, _Parent]) -> list[str]:
    """The parameters that neither the parent of a table nor a parent of it provides."""
    parent = parents[table.name]
    inherited = path_parameters(parent[0].path) if parent is not None else []
    known = {*inherited, parent[1]} if parent is not None else set()
    return [each for each in path_parameters(table.path) if each not in known]


def _link(
    table: PathTable, parent: _Parent, linked: Mapping[str, LinkedTable], reserved: set[str]
) -> LinkedTable:
    own = LinkedTable(table.path)
    selected = []
    if parent is not None:
        source, parameter, column = parent
        variable = _free_name(variable_name(table.path, parameter), reserved)
        own.names[parameter] = variable
        selected.append(_as(column, variable))
        above = linked[source.name]
        for each in path_parameters(source.path):
            if each in above.options.values():
                own.names[each] = above.names[each]
                own.options[above.names[each]] = each
            elif each in above.names and each in path_parameters(table.path):
                stored = _column_for_children(above, above.names[each], source.row)
                own.names[each] = above.names[each]
                selected.append(_as(stored, above.names[each]))
        own.query = f"select {', '.join(selected)} from {sql_name(source.name)}"
        own.parents = (source.name,)
    for each in path_parameters(table.path):
        if each not in own.names:
            own.names[each] = variable_name(table.path, each)
            own.options[own.names[each]] = each
    own.path = _PARAMETER.sub(lambda found: f"{{{own.names[found[1]]}}}", table.path)
    return own


def _as(column: str, variable: str) -> str:
    return sql_name(column) if column == variable else f"{sql_name(column)} as {variable}"


def _column_for_children(table: LinkedTable, variable: str, row: Shape) -> str:
    """Let a table store one of its variables; a member of its rows may have the name already."""
    members = {name.lower() for name in row.members}
    name = f"parent_{variable}" if variable.lower() in members else variable
    table.columns[name] = variable
    return name


def _free_name(name: str, reserved: Collection[str]) -> str:
    return name if name not in reserved else unique_name(f"parent_{name}", reserved)


def variable_name(path: str, parameter: str) -> str:
    """A name for a parameter; a general one gets the segment before it: ``/users/{id}`` is ``user_id``."""
    segments = path.strip("/").split("/")
    index = next((at for at, each in enumerate(segments) if f"{{{parameter}}}" in each), 0)
    name = option_name(parameter)
    if name in _GENERAL and index and not segments[index - 1].startswith("{"):
        return option_name(f"{singular(snake_case(segments[index - 1]))}_{name}")
    return name


def singular(word: str) -> str:
    """``boards`` as ``board``; for names only."""
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _nearest_parent(table: PathTable, tables: Sequence[PathTable]) -> _Parent:
    """The table at the path before the last parameter, if its rows have the value."""
    segments = table.path.strip("/").split("/")
    for index in range(len(segments) - 1, 0, -1):
        parameter = _PARAMETER.fullmatch(segments[index])
        if parameter is None:
            continue
        before = "/".join(segments[:index])
        for each in tables:
            if each.path.strip("/") == before and each.name != table.name:
                column = _column_of(parameter[1], each)
                return None if column is None else (each, parameter[1], column)
        return None
    return None


def _column_of(parameter: str, parent: PathTable) -> str | None:
    """The member of the parent's rows for a parameter: of its name, its snake form, or the key."""
    scalars = {_fold(name): name for name, member in parent.row.members.items() if member.kind == "scalar"}
    plain, single = _fold(parameter), singular(_fold(parent.name))
    if plain in scalars:
        return scalars[plain]
    if plain.startswith(single) and (rest := plain[len(single) :]) in scalars:
        return scalars[rest]
    is_id = plain.endswith(("id", "key", "uuid")) or plain in (single, parent.name)
    return parent.key if is_id else None


def _fold(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
