"""The rows at the paths of a JSON body, undecoded: through objects, lists and maps, each row on one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from unify.adapters.formats.array_rows import read_array_rows
from unify.adapters.formats.body import RecordSelector, ResponseBody, excerpt_body
from unify.adapters.formats.locate import (
    OPEN_LIST,
    OPEN_OBJECT,
    WHITESPACE,
    first_char,
    is_map_of_rows,
    side_lists,
    split_path,
)
from unify.adapters.formats.outside import outside_members
from unify.errors import BadResponse
from unify.text import did_you_mean

KEY_MEMBER = "key"  # holds the member's name of a row that is a member of an object
# What a body has left where an API leaves empty lists out; with anything else it is not such a page.
_MEMBERS_WITHOUT_ROWS = re.compile(
    r"kind|etag|self(link)?|(next|prev).*|total\w*|count|time|took|.*count|.*estimate|links?|meta(data)?|paging|"
    r"pagination|page(info)?|href|url|id|context|@odata\.\w+|has_?more|limit|offset|size|first|last|per_?page|"
    r"success|ok|status|jsonapi|range|majordimension|version|apiversion|object",
    re.IGNORECASE,
)

# The same for a list that was never seen, as Google's APIs answer: only these are certain.
_USUAL_WITHOUT_ROWS = frozenset(
    ["kind", "etag", "selfLink", "nextPageToken", "next_page_token", "totalItems", "total", "count"]
)

_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def rows_at_paths(response_body: ResponseBody, selector: RecordSelector, address: str) -> Sequence[bytes]:
    rows: list[bytes] = []
    outer_count = 0
    for path in (response_body.rows_path, *selector.more_paths):
        found, count = _raws_at_path(response_body, path, selector, address)
        outer_count += count
        is_map = selector.is_map or (
            len(found) == 1 and response_body.rows_kind == "object" and is_map_of_rows(found[0])
        )
        if is_map:
            response_body.rows_kind = "map"
            lines = _map_rows(found, selector)
            outer_count = len(lines)
        else:
            lines = rows_of(found, response_body, selector, path)
            if count == len(found):
                outer_count -= len(found) - len(lines)  # names in the first row are no row
            if selector.more_paths and selector.rows_name:
                lines = [_with_member(line, selector.rows_name, path) for line in lines]
        rows += lines
    response_body.outer_count = outer_count
    return rows


def _raws_at_path(
    response_body: ResponseBody, path: str, selector: RecordSelector, address: str
) -> tuple[list[msgspec.Raw], int]:
    """The values at ``path``, and the items of the first list on the way; lists are gone through in order."""
    current: list[msgspec.Raw] = [msgspec.Raw(response_body.text)]
    outer_count: int | None = None
    steps: Sequence[str] = split_path(path)
    if path in response_body.members_or_none():
        steps = (path,)
    current, steps = _enter_list(current, steps)
    for depth, name in enumerate(steps):
        objects: list[Mapping[str, msgspec.Raw]] = []
        for raw in current:
            if first_char(raw) == OPEN_LIST and outer_count is None:
                outer_count = len(_list_decoder.decode(raw))
            if depth == 0 and first_char(raw) == OPEN_OBJECT:
                objects.append(response_body.members())
            else:
                objects += _iter_objects(raw, path, selector, address)
        current = [members[name] for members in objects if name in members]
        if objects and not current:
            _check_missing(objects[0], name, path, selector, address)
            return [], 0
    rows: list[msgspec.Raw] = []
    for raw in current:
        if first_char(raw) == OPEN_LIST and path:
            rows += _list_decoder.decode(raw)
            response_body.rows_kind = "list"
        elif first_char(raw) in (OPEN_OBJECT, OPEN_LIST):
            if selector.seen_as == "list" and outer_count is None and not selector.is_map:
                raise BadResponse(
                    f"{address}: expected a list at {path or '$'}, as in earlier loads, got the object "
                    f"{excerpt_body(bytes(raw))}"
                )
            rows.append(raw)
            response_body.rows_kind = response_body.rows_kind or ("list" if outer_count else "object")
        elif bytes(raw).strip(WHITESPACE) != b"null":
            raise BadResponse(f"{address}: expected rows at {path!r}, got {excerpt_body(bytes(raw))}")
    return rows, len(rows) if outer_count is None else outer_count


def _enter_list(current: list[msgspec.Raw], steps: Sequence[str]) -> tuple[list[msgspec.Raw], Sequence[str]]:
    """Take the step ``1`` into a body that is a list."""
    if not steps or not steps[0].isdigit() or first_char(current[0]) != OPEN_LIST:
        return current, steps
    index = int(steps[0])
    return _list_decoder.decode(current[0])[index : index + 1], steps[1:]


def _iter_objects(
    raw: msgspec.Raw, path: str, selector: RecordSelector, address: str
) -> Iterator[Mapping[str, msgspec.Raw]]:
    """The members of an object, or of each object of a list."""
    match first_char(raw):
        case c if c == OPEN_OBJECT:
            yield _object_decoder.decode(raw)
        case c if c == OPEN_LIST:
            for item in _list_decoder.decode(raw):
                yield from _iter_objects(item, path, selector, address)
        case _ if bytes(raw).strip(WHITESPACE) == b"null" and (selector.is_optional or selector.seen_as):
            return
        case _:
            raise BadResponse(
                f"{address}: expected rows at {path!r}, got {excerpt_body(bytes(raw))} in its place"
            )


def _check_missing(
    members: Mapping[str, msgspec.Raw], name: str, path: str, selector: RecordSelector, address: str
) -> None:
    """Accept a list that is left out because it is empty. Raises BadResponse if it may be elsewhere."""
    elsewhere = side_lists(members, name)
    only_envelope = all(_MEMBERS_WITHOUT_ROWS.fullmatch(each) for each in members)
    if not elsewhere and (
        selector.is_optional
        or (selector.seen_as and only_envelope)
        or members.keys() <= _USUAL_WITHOUT_ROWS
        or _counts_zero(members)
    ):
        return
    before = "; in earlier loads the rows were there" if selector.seen_as else ""
    listed = f"; a list is at {', '.join(elsewhere[:3])}" if elsewhere and before else ""
    has = ", ".join(list(members)[:8]) or "no members"
    raise BadResponse(
        f"{address}: no member {name!r} (rows: {path}) in the response{did_you_mean(name, members)}; it has "
        f"{has}{before}{listed}"
    )


def _counts_zero(members: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the envelope says that there are no rows: ``resultSizeEstimate: 0``."""
    around = outside_members(msgspec.json.encode(members), "")
    return any(
        member.value in (0, "0")
        and re.search(r"count|total|estimate|found|size$", member.name, re.IGNORECASE)
        for member in around
        if not isinstance(member.value, bool)
    )


def _map_rows(raws: Sequence[msgspec.Raw], selector: RecordSelector) -> list[bytes]:
    """The members of objects as rows, each with the member's name as a column."""
    rows: list[bytes] = []
    for raw in raws:
        if first_char(raw) != OPEN_OBJECT:
            rows += row_lines([raw], bytes(raw))
            continue
        members = _object_decoder.decode(raw)
        lines = row_lines(list(members.values()), bytes(raw))
        rows += [
            _with_member(line, selector.rows_name or KEY_MEMBER, name, keep=selector.rows_name is None)
            for name, line in zip(members, lines, strict=True)
        ]
    return rows


def _with_member(row: bytes, name: str, value: str, *, keep: bool = False) -> bytes:
    """Return ``row`` with one more member; ``keep``: a member of that name stays."""
    if keep and name in _object_decoder.decode(row):
        return row
    inside = row.rstrip(WHITESPACE)[:-1]
    comma = b"" if first_char(inside[1:]) == 0 else b","
    return inside + comma + msgspec.json.encode(name) + b":" + msgspec.json.encode(value) + b"}"


def rows_of(
    items: Sequence[msgspec.Raw], response_body: ResponseBody, selector: RecordSelector, path: str = ""
) -> list[bytes]:
    if selector.names_path is not None or selector.positions:
        steps = (path,) if path in response_body.members_or_none() else split_path(path)
        objects = read_array_rows(
            response_body.text, steps, selector.names_path, selector.positions, response_body.address
        )
        if objects is not None:
            names = (selector.names_path or "").removeprefix("$").removeprefix(".")
            response_body.has_header = names == f"{path}.0".removeprefix(".")
            return row_lines(objects, b"\n")
    return row_lines(items, response_body.text)


def row_lines(raws: Sequence[msgspec.Raw], body: bytes) -> list[bytes]:
    """Rows as bytes, each on one line; a row that is not an object becomes ``{"value": …}``."""
    rows = list(map(bytes, raws))
    if b"\n" in body or b"\r" in body:  # between tokens only: JSON has no raw line ends in texts
        rows = [row.replace(b"\n", b" ").replace(b"\r", b" ").strip() for row in rows]
    if all(row[0] == OPEN_OBJECT for row in rows if row):
        return rows
    return [row if row[0] == OPEN_OBJECT else b'{"value":%b}' % row for row in rows]
