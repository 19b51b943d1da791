"""Locations in undecoded JSON: a dotted path, the rows of a body, a column's value in a row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from unify.patterns import LazyPattern

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
_SIDE_LISTS = LazyPattern(
    r"_?(included|includes|errors?|warnings?|(error|warning|info)?messages?|links?|meta(data)?|notices?|facets?|aggregations?|"
    r"filters?|columns?|fields?|headers?|schema|parameters?|sorts?|breadcrumbs?|expand|actions|operations|"
    r"buckets|suggestions?|deprecat\w*|permissions|scopes|tags|locales|languages|extensions|entry_points)",
    re.IGNORECASE,
)
_ERROR_LISTS = LazyPattern(r"_?(errors?|(error|warning)messages?|warnings?)", re.IGNORECASE)
# Members beside a list in an envelope.
_ENVELOPE_MEMBER = LazyPattern(
    r"_?(kind|etag|self(link)?|(next|prev).*|total\w*|count|time.*|took|\w*count|\w*estimate|links?|meta\w*|paging|"
    r"pagination|page\w*|href|url|context|has_?more|limit|offset|size|first|last|per_?page|success|ok|status|jsonapi|"
    r"range|version|api_?version|object|shards|timed_?out|response_?header|facet\w*|aggregations|max_?score|"
    r"num_?found\w*|start|errors?|warnings?|messages?|code|highlighting|debug|"
    r"(ret|err|error|result|response|status)_?(code|no|msg|message|info|text)?|msg|message[-_]?(type|version)|"
    r"ret_?ext_?info|(request|trace|log|session)_?id|after|before|\w*cursor|\w*token|dist|modhash|geo_filter|head|help|"
    r"sort|quer(y|ies)|search\w*|batchcomplete|copyright|current_?\w*|result_?type|stats|statistics|additional_data|"
    r"type|items_per_page|start\w*|max\w*|is_?last\w*|exceeded\w*|server\w*|quota\w*|rate\w*|warning|error)",
    re.IGNORECASE,
)
_PAGING_MEMBER = LazyPattern(
    r"has_?more|more|next\w*|total\w*|count|\w*cursor|page\w*|paging|pagination|limit|offset|page_?info",
    re.IGNORECASE,
)
MIN_MAP_ROWS = 20  # alike objects in one object: below that it is more likely one row with nested objects
_SELECTOR = LazyPattern(r"([^\[\]]+)\[([^=\]]+)=([^\]]*)\]")

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
    members = {name: raw for name, raw in members.items() if not _is_no_error_list(name, raw)}
    while len(members) == 1 and first_char(next(iter(members.values()))) == OPEN_OBJECT:
        name, inner = next(iter(members.items()))
        if is_map_of_rows(inner):
            return prefix + name, True
        prefix += f"{name}."
        members = _object_decoder.decode(inner)
    lists = {name: _list_decoder.decode(raw) for name, raw in members.items() if first_char(raw) == OPEN_LIST}
    full = {name: rows for name, rows in lists.items() if rows and first_char(rows[0]) == OPEN_OBJECT}
    full = {name: rows for name, rows in full.items() if name == table or not _ERROR_LISTS.fullmatch(name)}
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
    main_lists = [name for name in lists if not _SIDE_LISTS.fullmatch(name)] or list(lists)
    if len(main_lists) == 1 and not lists[main_lists[0]] and "id" not in members:
        return prefix + main_lists[0], False
    if (absent := _find_null_list(members)) is not None:
        return prefix + absent, False
    return prefix.rstrip("."), not _has_empty_list(members)


def _is_no_error_list(name: str, raw: msgspec.Raw) -> bool:
    """``errors: []``, ``warnings: null``"""
    text = b"".join(bytes(raw)[:16].split())
    return text in (b"[]", b"null", b"{}") and _ERROR_LISTS.fullmatch(name) is not None


def _is_envelope(names: Iterable[str]) -> bool:
    return all(_ENVELOPE_MEMBER.fullmatch(re.sub(r"[-:.]", "_", name)) for name in names)


def _find_null_list(members: Mapping[str, msgspec.Raw]) -> str | None:
    """A member with a usual name that is null, in an envelope (``data: null``)."""
    name = next((name for name in COMMON_ROW_MEMBERS if name in members), None)
    if name is None or len(members) == 1 or bytes(members[name]).strip(WHITESPACE) != b"null":
        return None
    return name if _is_envelope(each for each in members if each != name) else None


def _has_empty_list(members: Mapping[str, msgspec.Raw], levels: int = 3) -> bool:
    """Whether a list that may hold the rows of another response is empty; also within objects."""
    for raw in members.values():
        if first_char(raw) == OPEN_LIST and not _list_decoder.decode(raw):
            return True
        is_object = first_char(raw) == OPEN_OBJECT and levels > 1
        if is_object and _has_empty_list(_object_decoder.decode(raw), levels - 1):
            return True
    return False


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

    In an object of another name, and if the list is empty, only where the other members are those of an
    envelope. An empty list with a usual name needs one beside it that is about pages. The second is False for
    an empty list.
    """
    found: str | None = None
    containers = (table.lower(), *COMMON_ROW_MEMBERS, *_CONTAINERS)
    for name in sorted(members, key=lambda each: _rank(each.lower(), containers)):
        inner_path = _find_inner_list(members[name], table)
        if inner_path is None:
            continue
        path, is_certain = inner_path
        inner = _object_decoder.decode(members[name])
        around = [*(each for each in members if each != name), *(each for each in inner if each != path)]
        is_envelope = _is_envelope(around)
        if is_certain and (name.lower() in containers or (is_envelope and "id" not in members)):
            return f"{name}.{path}", True
        if not is_certain and found is None and name.lower() in containers:
            has_pages = any(map(_PAGING_MEMBER.fullmatch, around)) and path in COMMON_ROW_MEMBERS
            found = f"{name}.{path}" if is_envelope or (has_pages and "id" not in inner) else None
    return None if found is None else (found, False)


def _find_inner_list(raw: msgspec.Raw, table: str) -> tuple[str, bool] | None:
    """The name of the list in an object, and whether it has objects; None if there is none."""
    if first_char(raw) != OPEN_OBJECT:
        return None
    inner = _object_decoder.decode(raw)
    if not any(first_char(each) == OPEN_LIST for each in inner.values()):
        return None
    path, is_certain = find_rows_path(inner, table)
    if not path or path not in inner or _SIDE_LISTS.fullmatch(path) or first_char(inner[path]) != OPEN_LIST:
        return None
    rows = _list_decoder.decode(inner[path])
    if is_certain and first_char(rows[0]) != OPEN_OBJECT:
        return None
    return path, is_certain


_CONTAINERS = ("response", "payload", "d", "_embedded", "query", "message")


def _rank(name: str, names: Sequence[str]) -> int:
    return names.index(name) if name in names else len(names)


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
