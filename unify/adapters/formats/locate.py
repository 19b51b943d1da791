"""Locations in undecoded JSON: a dotted path, the rows of a body, a column's value in a row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

OPEN_OBJECT, OPEN_LIST = ord("{"), ord("[")
WHITESPACE = b" \t\r\n"
# Members that usually hold the rows, best first.
COMMON_ROW_MEMBERS = (
    "data",
    "items",
    "results",
    "result",
    "records",
    "rows",
    "values",
    "value",
    "entries",
    "elements",
    "objects",
    "list",
    "nodes",
    "resources",
    "content",
    "hits",
    "docs",
    "documents",
    "entities",
    "collection",
    "features",
    "edges",
    "children",
    "resource",
    "member",
    "hydra:member",
)
# Lists that accompany rows: side loads, messages, links.
_SIDE_LISTS = re.compile(
    r"_?(included|includes|errors?|warnings?|messages?|links?|meta(data)?|notices?|facets?|aggregations?|"
    r"filters?|columns?|fields?|headers?|schema|parameters?|sorts?|breadcrumbs?|expand|actions|operations|"
    r"buckets|suggestions?|deprecat\w*|permissions|scopes|tags|locales|languages|extensions|entry_points)",
    re.IGNORECASE,
)
# Members beside a list in an envelope.
_ENVELOPE_MEMBER = re.compile(
    r"_?(kind|etag|self(link)?|(next|prev).*|total\w*|count|time.*|took|\w*count|\w*estimate|links?|meta\w*|paging|"
    r"pagination|page\w*|href|url|context|has_?more|limit|offset|size|first|last|per_?page|success|ok|status|jsonapi|"
    r"range|version|api_?version|object|shards|timed_?out|response_?header|facet\w*|aggregations|max_?score|"
    r"num_?found\w*|start|errors?|warnings?|messages?|code|highlighting|debug)",
    re.IGNORECASE,
)
MIN_MAP_ROWS = 20  # alike objects in one object: below that it is more likely one row with nested objects
_SELECTOR = re.compile(r"([^\[\]]+)\[([^=\]]+)=([^\]]*)\]")

_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def split_path(path: str) -> tuple[str, ...]:
    """The steps of a dotted path; ``links[rel=next].url`` has the steps links, [rel=next] and url."""
    steps: list[str] = []
    for step in re.findall(r"(?:[^.\[]|\[[^\]]*\])+", path):
        selector = _SELECTOR.fullmatch(step)
        steps += [selector[1], f"[{selector[2]}={selector[3]}]"] if selector else [step]
    return tuple(steps)


def resolve_path(raw: msgspec.Raw | bytes, steps: Sequence[str]) -> msgspec.Raw | bytes | None:
    """The JSON at a path; None if there is nothing.

    A name with dots in it (``@odata.nextLink``) may take several steps. In a list a number counts its items,
    ``[rel=next]`` chooses one, and a name is looked up in each item.
    """
    if not steps:
        return raw
    start = first_char(raw)
    if start == OPEN_OBJECT:
        members = _object_decoder.decode(raw)
        for end in range(len(steps), 0, -1):
            name = ".".join(steps[:end])
            if name in members and (found := resolve_path(members[name], steps[end:])) is not None:
                return found
    elif start == OPEN_LIST:
        return _resolve_in_list(_list_decoder.decode(raw), steps)
    return None


def _resolve_in_list(items: Sequence[msgspec.Raw], steps: Sequence[str]) -> msgspec.Raw | bytes | None:
    step = steps[0]
    if step.lstrip("-").isdigit():
        number = int(step)
        return resolve_path(items[number], steps[1:]) if -len(items) <= number < len(items) else None
    chosen, rest = items, steps
    if step.startswith("["):
        name, _, wanted = step[1:-1].partition("=")
        chosen, rest = [item for item in items if _member_equals(item, name, wanted)], steps[1:]
    found = (resolve_path(item, rest) for item in chosen)
    return next((each for each in found if each is not None), None)


def _member_equals(item: msgspec.Raw, name: str, wanted: str) -> bool:
    if first_char(item) != OPEN_OBJECT:
        return False
    raw = _object_decoder.decode(item).get(name)
    value = None if raw is None else msgspec.json.decode(raw)
    return any(scalar_text(each) == wanted for each in (value if isinstance(value, list) else [value]))


def find_rows_path(members: Mapping[str, msgspec.Raw], table: str) -> tuple[str, bool]:
    """The path of the rows; "" for the object itself.

    Of several lists the one called like the table, also if it is empty; then one of objects by the usual
    names, then the longest that is no side list; then a map of rows. The second is False if lists are empty
    and another page may show more.
    """
    prefix = ""
    while len(members) == 1 and first_char(next(iter(members.values()))) == OPEN_OBJECT:
        name, inner = next(iter(members.items()))
        if is_map_of_rows(inner):
            return prefix + name, True
        prefix += f"{name}."
        members = _object_decoder.decode(inner)
    lists = {name: _list_decoder.decode(raw) for name, raw in members.items() if first_char(raw) == OPEN_LIST}
    full = {name: rows for name, rows in lists.items() if rows and first_char(rows[0]) == OPEN_OBJECT}
    if (named := _find_named(lists, table)) is not None and (named in full or not lists[named]):
        return prefix + named, bool(lists[named])
    usual = next((name for name in COMMON_ROW_MEMBERS if name in lists), None)
    if usual is not None and (usual in full or not full or not _has_own_rows(full)):
        return prefix + usual, bool(lists[usual])
    nested = _find_nested_rows(members, table) if not _has_own_rows(full) else None
    if nested is not None:
        return prefix + nested[0], nested[1]
    if full:
        main = {name: rows for name, rows in full.items() if not _SIDE_LISTS.fullmatch(name)}
        longest = max(main or full, key=lambda name: len(full[name]))
        return prefix + longest, bool(main)
    maps = [name for name, raw in members.items() if is_map_of_rows(raw)]
    if len(maps) == 1 and "id" not in members:
        return prefix + maps[0], True
    empty = [name for name, rows in lists.items() if not rows]
    if len(empty) == 1 and len(lists) == 1 and "id" not in members:
        return prefix + empty[0], False
    return prefix.rstrip("."), not empty


def rows_index(items: Sequence[msgspec.Raw]) -> int | None:
    """The index of the rows in a list of an object about them and the rows, as the World Bank sends."""
    starts = [first_char(item) for item in items[:4]]
    if len(starts) not in (2, 3) or starts.count(OPEN_LIST) != 1 or starts[0] != OPEN_OBJECT:
        return None
    index = starts.index(OPEN_LIST)
    rows = _list_decoder.decode(items[index])
    return index if all(first_char(row) == OPEN_OBJECT for row in rows) else None


def _find_named(names: Iterable[str], table: str) -> str | None:
    """The name that is the table's, else the only one that differs in spelling or number."""
    if table in names:
        return table
    alike = [name for name in names if _stem(name) == _stem(table)]
    return alike[0] if len(alike) == 1 else None


def _stem(name: str) -> str:
    """A name in lower case and in the singular: ``ticketList`` and ``Tickets`` are ``ticket``."""
    bare = re.sub(r"[^a-z0-9]", "", name.lower())
    bare = re.sub(r"(?<=..)(list|array|data|items|collection|set)$", "", bare)
    if bare.endswith("ies") and len(bare) > 4:
        return bare[:-3] + "y"
    if bare.endswith(("ses", "xes", "zes", "ches", "shes")):
        return bare[:-2].removesuffix("e")
    return bare if bare.endswith(("ss", "us", "is")) else bare.removesuffix("s").removesuffix("e")


def _has_own_rows(full: Mapping[str, Sequence[msgspec.Raw]]) -> bool:
    return any(not _SIDE_LISTS.fullmatch(name) for name in full)


def _find_nested_rows(members: Mapping[str, msgspec.Raw], table: str) -> tuple[str, bool] | None:
    """A list of objects in an object that has the table's name or a usual one (``hits.hits``).

    An empty one only where the other members are those of an envelope; the second is False then.
    """
    found: str | None = None
    for name in (table, *COMMON_ROW_MEMBERS, "response", "payload", "d", "_embedded"):
        raw = members.get(name)
        if raw is None or first_char(raw) != OPEN_OBJECT:
            continue
        inner = _object_decoder.decode(raw)
        if not any(first_char(each) == OPEN_LIST for each in inner.values()):
            continue
        path, is_certain = find_rows_path(inner, table)
        if (
            not path
            or path not in inner
            or _SIDE_LISTS.fullmatch(path)
            or first_char(inner[path]) != OPEN_LIST
        ):
            continue
        if is_certain and first_char(_list_decoder.decode(inner[path])[0]) == OPEN_OBJECT:
            return f"{name}.{path}", True
        around = [*(each for each in members if each != name), *(each for each in inner if each != path)]
        if not is_certain and found is None and all(map(_ENVELOPE_MEMBER.fullmatch, around)):
            found = f"{name}.{path}"
    return None if found is None else (found, False)


def is_map_of_rows(raw: msgspec.Raw) -> bool:
    """Whether an object's members are rows: many objects with the same members."""
    if first_char(raw) != OPEN_OBJECT:
        return False
    members = _object_decoder.decode(raw)
    if len(members) < MIN_MAP_ROWS or any(first_char(each) != OPEN_OBJECT for each in members.values()):
        return False
    names = [frozenset(_object_decoder.decode(each)) for each in members.values()]
    return all(len(each & names[0]) * 2 >= len(each | names[0]) > 0 for each in names)


def side_lists(members: Mapping[str, msgspec.Raw], rows_name: str) -> list[str]:
    """The names of further lists of objects beside the rows that could be rows as well."""
    return [
        name
        for name, raw in members.items()
        if name != rows_name
        and first_char(raw) == OPEN_LIST
        and not _SIDE_LISTS.fullmatch(name)
        and (items := _list_decoder.decode(raw))
        and first_char(items[0]) == OPEN_OBJECT
    ]


def first_char(raw: msgspec.Raw | bytes) -> int:
    """The first character that is not white space; 0 for none."""
    view = memoryview(raw)
    for char in view[:64]:
        if char not in WHITESPACE:
            return char
    rest = bytes(view[64:]).lstrip(WHITESPACE)
    return rest[0] if rest else 0


def last_value(rows: Sequence[bytes], column: str) -> str | None:
    """The text of ``column`` in the last row: a member, a dotted path, or a flattened name (``user_login``).

    Decodes that one row. None if it is missing or null.
    """
    return row_value(rows[-1], column) if rows else None


def row_value(row: bytes, column: str) -> str | None:
    """The text of ``column`` in a row; see ``last_value``."""
    return scalar_text(_column_value(msgspec.json.decode(row), column))


def scalar_text(value: Any) -> str | None:
    if value is None or isinstance(value, dict | list):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _column_value(row: Any, column: str) -> Any:
    if not isinstance(row, dict):
        return None
    if column in row:
        return row[column]
    for name, inner in row.items():
        if isinstance(inner, dict) and column.startswith((f"{name}_", f"{name}.")):
            found = _column_value(inner, column[len(name) + 1 :])
            if found is not None:
                return found
    return next((value for name, value in row.items() if name.lower() == column.lower()), None)
