"""Records out of a response body, without decoding a single one; and the values around them.

A body is read only as deep as the rows lie. A row stays the bytes the source wrote, on one line, so that
integers keep their digits and duplicate keys reach the type inference.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from unify.adapters.base import Scalar
from unify.adapters.formats.array_rows import read_array_rows
from unify.adapters.formats.csv import parse_csv_rows
from unify.adapters.formats.cut_lists import find_cut_list, find_cut_member
from unify.adapters.formats.error_envelope import is_error_envelope, is_error_line
from unify.adapters.formats.jsonl import parse_json_lines
from unify.adapters.formats.locate import (
    OPEN_LIST,
    OPEN_OBJECT,
    WHITESPACE,
    find_rows_path,
    first_char,
    is_map_of_rows,
    resolve_path,
    rows_index,
    side_lists,
    split_path,
)
from unify.adapters.formats.nesting import with_inherited_columns
from unify.adapters.formats.outside import outside_members
from unify.adapters.formats.text import (
    declared_charset,
    repair_json,
    to_utf8,
    unpack_gzip,
    without_guard,
)
from unify.adapters.formats.xml import parse_xml, select_xml_rows
from unify.adapters.paging.base import Member
from unify.adapters.spec.model import DETECTED_CSV, CSVFormat, InheritedColumn, ResponseFormat
from unify.errors import BadResponse
from unify.text import did_you_mean, excerpt

_EXCERPT_CHARS = 80  # characters of a body in a message
KEY_MEMBER = "key"  # holds the member's name of a row that is a member of an object
_FAULT_BYTE = re.compile(r"\(byte (\d+)\)")
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
_raw_decoder = msgspec.json.Decoder(msgspec.Raw)


class RecordSelector(Struct, frozen=True):
    """The path of the rows in a body.

    ``path``        a dotted path; "" or ``$`` for the body itself; ``a.*`` for the members of an object; with
                    ``?`` at its end it need not exist; None to be found.
    ``more_paths``  further lists whose rows follow.
    ``table``       its name, a hint for finding the rows.
    ``expect_list``, ``expect_object``  the body itself was a list, or the row, on earlier pages or loads.
    ``is_detected`` ``path`` is where earlier pages or loads had the rows; it is not declared.
    ``seen_as``     list, object or map: what was at ``path`` on earlier pages or loads; "" for nothing.
                    A list that was seen may be left out.
    ``may_be_empty``  a body without a byte, or ``null``, has no rows.
    ``rows_name``   column that holds the name of the member or list a row comes from.
    ``names_path``  where the column names of rows that are lists are: ``$.columns``; the first of the rows
                    (``$.values.0``) is no row then.
    ``positions``   items of rows that are lists whose member is their number, counted from 0.
    """

    path: str | None = None
    format: ResponseFormat = "json"
    table: str = ""
    expect_list: bool = False
    nullable: bool = False
    expect_object: bool = False
    is_detected: bool = False
    seen_as: str = ""
    may_be_empty: bool = False
    more_paths: tuple[str, ...] = ()
    rows_name: str | None = None
    names_path: str | None = None
    positions: frozenset[int] = frozenset()
    csv: CSVFormat = DETECTED_CSV

    @property
    def dotted_path(self) -> str | None:
        """Return ``path`` without ``$``, ``?`` and ``.*``."""
        if self.path is None:
            return None
        path = self.path.removesuffix("?").removesuffix(".*")
        return path.removeprefix("$").removeprefix(".")

    @property
    def is_map(self) -> bool:
        return self.seen_as == "map" or (self.path is not None and self.path.removesuffix("?").endswith(".*"))

    @property
    def is_optional(self) -> bool:
        return self.path is not None and self.path.endswith("?")


class ResponseBody:
    """One body: its ``rows`` undecoded, and the values around them.

    ``rows_path``    the path the rows were at; "" if the body itself is the list or the row.
    ``is_list``      the body itself is the list.
    ``is_certain``   where the rows are was not guessed from empty lists.
    ``rows_kind``    list, object or map: what is at the path; "" for nothing.
    ``has_header``   the first item of each list of rows had the names of the columns.
    ``csv_names``    the names in the header line of a CSV.
    ``outer_count``  items of the outermost list on the way to the rows: pages are counted in these.
    ``repairs``      what was repaired to read the body, and how often.
    ``side_lists``   other lists of objects that might be rows too, if the path was found.
    """

    __slots__ = (
        *("address", "text", "_members", "_outer_count", "_outside", "is_certain", "is_list", "repairs"),
        *("csv_names", "has_header", "rows", "rows_kind", "rows_path", "side_lists"),
    )

    def __init__(self, body: bytes, address: str) -> None:
        self.text = body
        self.address = address
        self._members: Mapping[str, msgspec.Raw] | None = None
        self._outside: tuple[Member, ...] | None = None
        self._outer_count: int | None = None
        self.rows: Sequence[bytes] = ()
        self.rows_path = ""
        self.rows_kind = ""
        self.has_header = False
        self.csv_names: Sequence[str] = ()
        self.is_list = False
        self.is_certain = True
        self.repairs: Counter[str] = Counter()
        self.side_lists: Sequence[str] = ()

    @property
    def outer_count(self) -> int:
        return len(self.rows) if self._outer_count is None else self._outer_count

    @outer_count.setter
    def outer_count(self, count: int) -> None:
        self._outer_count = count

    def value(self, path: str) -> Any:
        """The decoded value at a dotted path of the body; None if there is nothing."""
        raw = self.raw_value(path)
        return None if raw is None else msgspec.json.decode(raw)

    def scalar(self, path: str) -> Scalar:
        """The same for a column: an object or list is its JSON text."""
        raw = self.raw_value(path)
        if raw is None:
            return None
        text = bytes(raw).strip(WHITESPACE)
        if text[:1] in (b"{", b"["):
            return text.decode()
        value: Scalar = msgspec.json.decode(text)
        return value

    def outside(self) -> tuple[Member, ...]:
        """The scalar members outside the rows; none if the body itself is the row."""
        if self._outside is None:
            self._outside = outside_members(self.text, self.rows_path) if self.rows_path else ()
        return self._outside

    def add_inherited_columns(self, inherited: Sequence[InheritedColumn]) -> None:
        """Add to every row the values of these columns from the objects around it."""
        self.rows = with_inherited_columns(
            self.rows,
            self.text,
            self.rows_path,
            inherited,
            is_map=self.rows_kind == "map",
            has_header=self.has_header,
        )

    def find_cut_list(self) -> str:
        """What says that a list around the rows is not complete; "" if nothing does."""
        steps = split_path(self.rows_path)
        return find_cut_list(self.text, steps) if len(steps) > 1 and self.rows_kind == "list" else ""

    def find_cut_member(self) -> str:
        """What says that a list within one of the first rows is not complete; "" if nothing does."""
        return next(filter(None, map(find_cut_member, self.rows[:3])), "")

    def raw_value(self, path: str) -> msgspec.Raw | bytes | None:
        """The undecoded JSON at a path; see ``locate.resolve_path``."""
        steps = split_path(path)
        if not steps or first_char(self.text) != OPEN_OBJECT:
            return resolve_path(self.text, steps)
        for end in range(len(steps), 0, -1):
            name = ".".join(steps[:end])
            if name in self.members():
                found = resolve_path(self.members()[name], steps[end:])
                if found is not None:
                    return found
        return None

    def members_or_none(self) -> Mapping[str, msgspec.Raw]:
        return self.members() if first_char(self.text) == OPEN_OBJECT else {}

    def members(self) -> Mapping[str, msgspec.Raw]:
        """The members of a body that is an object; read once."""
        if self._members is None:
            self._members = _object_decoder.decode(self.text)
        return self._members


def parse_body(body: bytes, content_type: str, selector: RecordSelector, address: str) -> ResponseBody:
    """Split a body into rows.

    Raises:
        BadResponse: anything but rows; the message names the address and quotes the body.
    """
    body = unpack_gzip(body, address)
    if selector.format == "xml":
        return _parse_xml_body(body, content_type, selector, address)
    charset = selector.csv.encoding or declared_charset(content_type)
    fallback = "windows-1252" if selector.format == "csv" else None
    body = to_utf8(body, charset, address, fallback)
    try:
        match selector.format:
            case "json":
                return _parse_json_body(without_guard(body), content_type, selector, address)
            case "jsonl" if is_markup(body):
                raise _not_json_error(body, content_type, address, "")
            case "jsonl":
                response_body = ResponseBody(b"null", address)  # lines have nothing around them
                response_body.rows = _row_lines(parse_json_lines(body, address), body)
                _raise_error_line(response_body.rows, address)
            case "csv":
                response_body = ResponseBody(b"null", address)
                response_body.rows, response_body.csv_names = parse_csv_rows(body, address, selector.csv)
                if len(response_body.rows) == 1:
                    _raise_error_line(response_body.rows, address)
            case unknown:
                raise BadResponse(f"{address}: responses of format {unknown} cannot be read")
    except RecursionError as error:
        raise BadResponse(f"{address}: the response is nested deeper than can be read") from error
    return response_body


def _parse_json_body(body: bytes, content_type: str, selector: RecordSelector, address: str) -> ResponseBody:
    repairs: Counter[str] = Counter()
    response_body = ResponseBody(body, address)
    try:
        try:
            _select_json_rows(response_body, body, selector, address)
        except msgspec.DecodeError:
            body, repairs = repair_json(body)
            if not repairs:
                raise
            response_body = ResponseBody(body, address)
            _select_json_rows(response_body, body, selector, address)
    except msgspec.DecodeError as error:
        raise _not_json_error(body, content_type, address, str(error)) from error
    response_body.repairs = repairs
    return response_body


def _parse_xml_body(body: bytes, content_type: str, selector: RecordSelector, address: str) -> ResponseBody:
    """The root element as if it were JSON, so that paging finds its values there."""
    document = parse_xml(body, address, declared_charset(content_type))
    response_body = ResponseBody(msgspec.json.encode(document.root), address)
    response_body.rows_path = selector.dotted_path or ""
    response_body.rows = select_xml_rows(document, response_body.rows_path, address)
    if not response_body.rows:
        _raise_error_envelope(response_body, address, in_xml=True)
    return response_body


def _select_json_rows(
    response_body: ResponseBody, body: bytes, selector: RecordSelector, address: str
) -> None:
    path = selector.dotted_path
    if _has_no_value(body):
        if selector.may_be_empty or (selector.nullable and body.strip(WHITESPACE)):
            response_body.is_certain = False
            return
        if not body.strip(WHITESPACE):
            raise BadResponse(f"{address}: the response is empty; expected JSON")
    items = _list_decoder.decode(body) if first_char(body) == OPEN_LIST and not path else None
    if items is not None and path is None and not selector.expect_list:
        index = rows_index(items)
        path, items = (path, items) if index is None else (str(index), None)
    if items is not None:
        if selector.expect_object:
            raise BadResponse(
                f"{address}: expected one object, as before, got {_excerpt(body)}; set rows in the spec"
            )
        response_body.is_list, response_body.rows_kind = True, "list"
        response_body.rows = _rows_of(items, response_body, selector)
        response_body.outer_count = len(response_body.rows)
        return
    if selector.expect_list or first_char(body) not in (OPEN_OBJECT, OPEN_LIST):
        _raw_decoder.decode(body)  # if it is not JSON, that is the message
        expected = "a list, as before" if selector.expect_list else "a list or an object"
        raise BadResponse(f"{address}: expected {expected}, got {_excerpt(body)}")
    if first_char(body) == OPEN_OBJECT:
        _raise_graphql_errors(response_body.members(), address)
    if path is None:
        response_body.rows_path, response_body.is_certain = find_rows_path(
            response_body.members(), selector.table
        )
        if response_body.rows_path in response_body.members():
            response_body.side_lists = side_lists(response_body.members(), response_body.rows_path)
    else:
        response_body.rows_path = path
    response_body.rows = _rows_at_paths(response_body, selector, address)
    _check_no_list_within(response_body, selector, address)
    if selector.path != "$" and first_char(body) == OPEN_OBJECT:
        _raise_error_envelope(response_body, address)
        _raise_partial_search(response_body, address)


def _check_no_list_within(response_body: ResponseBody, selector: RecordSelector, address: str) -> None:
    """Raises BadResponse if the object that was the row has the rows in a list now.

    Earlier responses may have been without rows, and have left the list out.
    """
    if not selector.is_detected or (selector.seen_as, response_body.rows_kind) != ("object", "object"):
        return
    for row in response_body.rows[:1]:
        path, is_certain = find_rows_path(_object_decoder.decode(row), selector.table)
        if path and is_certain:
            place = response_body.rows_path or "$"
            inner = ".".join(filter(None, (response_body.rows_path, path)))
            raise BadResponse(
                f"{address}: expected one object at {place}, as in earlier loads, and now there are rows at "
                f"{inner}; set rows: {inner} for all of them, or rows: {place} for one row"
            )


def _has_no_value(body: bytes) -> bool:
    return len(body) < 64 and body.strip(WHITESPACE) in (b"", b"null")


def _raise_graphql_errors(members: Mapping[str, msgspec.Raw], address: str) -> None:
    """GraphQL sends status 200 with whatever data it has beside its errors: that is not a whole page."""
    alone = members.keys() <= {"errors", "extensions"}
    if "errors" in members and ("data" in members or alone) and first_char(members["errors"]) == OPEN_LIST:
        errors = _list_decoder.decode(members["errors"])
        if errors:
            raise BadResponse(f"{address}: the response contains errors: {_excerpt(bytes(errors[0]))}")


def _raise_error_envelope(response_body: ResponseBody, address: str, *, in_xml: bool = False) -> None:
    """An error with status 200 instead of rows, or instead of the one object taken for the row."""
    has_row = bool(response_body.rows)
    if has_row and response_body.rows_kind != "object":
        return
    steps = split_path(response_body.rows_path)
    if is_error_envelope(response_body.members(), has_row=has_row, rows_steps=steps, in_xml=in_xml):
        advice = (
            "if it is a row, set rows: $ in the spec"
            if has_row
            else "if it means that there are no rows, add errors: [{where: {MEMBER: VALUE}, action: skip}]"
        )
        raise BadResponse(
            f"{address}: the response is an error or not ready: {_excerpt(bytes(response_body.text))}; "
            f"{advice}"
        )


def _raise_error_line(rows: Sequence[bytes], address: str) -> None:
    """An error as the only line, or as the last line of a stream that was broken off."""
    if not rows or first_char(rows[-1]) != OPEN_OBJECT:
        return
    last = _object_decoder.decode(rows[-1])
    is_unlike = len(rows) == 1 or last.keys().isdisjoint(_object_decoder.decode(rows[0]))
    if is_unlike and is_error_line(last):
        raise BadResponse(f"{address}: a line is an error and no row: {_excerpt(rows[-1])}")


def _raise_partial_search(response_body: ResponseBody, address: str) -> None:
    """Elasticsearch returns what it has found in time, and of the shards that did not fail."""
    members = response_body.members()
    if "_shards" in members and (response_body.value("timed_out") or response_body.value("_shards.failed")):
        raise BadResponse(
            f"{address}: the result is partial: timed_out {response_body.value('timed_out')}, "
            f"{response_body.value('_shards.failed')} shards failed"
        )


def _rows_at_paths(response_body: ResponseBody, selector: RecordSelector, address: str) -> Sequence[bytes]:
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
            lines = _rows_of(found, response_body, selector, path)
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
                    f"{_excerpt(bytes(raw))}"
                )
            rows.append(raw)
            response_body.rows_kind = response_body.rows_kind or ("list" if outer_count else "object")
        elif bytes(raw).strip(WHITESPACE) != b"null":
            raise BadResponse(f"{address}: expected rows at {path!r}, got {_excerpt(bytes(raw))}")
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
                f"{address}: expected rows at {path!r}, got {_excerpt(bytes(raw))} in its place"
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
            rows += _row_lines([raw], bytes(raw))
            continue
        members = _object_decoder.decode(raw)
        lines = _row_lines(list(members.values()), bytes(raw))
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


def _rows_of(
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
            return _row_lines(objects, b"\n")
    return _row_lines(items, response_body.text)


def _row_lines(raws: Sequence[msgspec.Raw], body: bytes) -> list[bytes]:
    """Rows as bytes, each on one line; a row that is not an object becomes ``{"value": …}``."""
    rows = list(map(bytes, raws))
    if b"\n" in body or b"\r" in body:  # between tokens only: JSON has no raw line ends in texts
        rows = [row.replace(b"\n", b" ").replace(b"\r", b" ").strip() for row in rows]
    if all(row[0] == OPEN_OBJECT for row in rows if row):
        return rows
    return [row if row[0] == OPEN_OBJECT else b'{"value":%b}' % row for row in rows]


def is_markup(body: bytes) -> bool:
    return body.lstrip(WHITESPACE)[:1] == b"<"


def _not_json_error(body: bytes, content_type: str, address: str, reason: str) -> BadResponse:
    if is_markup(body):
        kind = content_type.partition(";")[0] or "markup"
        return BadResponse(
            f"{address}: expected JSON, got {kind}: {_excerpt(body)}; "
            "is this the API's address, or its web page?"
        )
    fault = _FAULT_BYTE.search(reason)
    if fault is not None and int(fault[1]) > _EXCERPT_CHARS // 2:
        body = b"\xe2\x80\xa6" + body[int(fault[1]) - _EXCERPT_CHARS // 2 :]
    return BadResponse(f"{address}: the response cannot be read as JSON ({reason}): {_excerpt(body)}")


def _excerpt(body: bytes) -> str:
    text = excerpt(body[: 4 * _EXCERPT_CHARS + 1].decode("utf-8", "replace"), 4 * _EXCERPT_CHARS)
    return repr(excerpt(" ".join(text.split()), _EXCERPT_CHARS))
