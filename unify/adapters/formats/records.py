"""Rows out of a body, without decoding a single one; and the few values around them that paging needs.

A body is read only as deep as the rows lie. A row stays the bytes the source wrote, on one line, so that
integers keep their digits, and duplicate keys are still there for whoever types the columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from unify.adapters.base import Scalar
from unify.adapters.formats.csv import parse_csv_rows
from unify.adapters.formats.jsonl import parse_json_lines
from unify.adapters.formats.locate import OPEN_LIST, OPEN_OBJECT, WHITESPACE, find_rows_path, first_char
from unify.adapters.formats.nesting import with_inherited_columns
from unify.adapters.formats.xml import parse_xml, select_xml_rows
from unify.adapters.spec.model import InheritedColumn, ResponseFormat
from unify.errors import BadResponse
from unify.text import did_you_mean

BOM = b"\xef\xbb\xbf"
# What is left of an answer where an API leaves empty lists out, as Google's do: anything else is no page.
MEMBERS_WITHOUT_ROWS = frozenset(
    ["kind", "etag", "selfLink", "nextPageToken", "next_page_token", "totalItems", "total", "count"]
)
_EXCERPT_CHARS = 80  # characters of a body in a message
_CHARSET = re.compile(r"charset=\"?([\w.:-]+)", re.IGNORECASE)
# Backslashes and whole surrogate pairs are gone over, so that ``half`` is one without its other half.
_SURROGATE_ESCAPES = re.compile(
    rb"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]|(?P<half>\\u[dD][89a-fA-F])",
)

_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_decoder = msgspec.json.Decoder(msgspec.Raw)


@dataclass(frozen=True, slots=True)
class RecordSelector:
    """Where rows are: a dotted path, "" or ``$`` for the body itself, None to be found out.

    ``table``   its name, a hint for finding out.

    ``listed``  the body was a list on the pages before, so an object is no page.
    ``expect_object``  the body was one object, taken for the row, on a page before: a list is no such page.
    ``nullable``   null is an answer too, and means that there is no such row.
    """

    path: str | None = None
    format: ResponseFormat = "json"
    table: str = ""
    expect_list: bool = False
    nullable: bool = False
    expect_object: bool = False


class ResponseBody:
    """One body: its ``rows`` undecoded, and ``value(path)`` for what lies around them.

    ``found``    the path the rows were at; "" where the body itself is the list or the row.
    ``listed``   the body itself is the list.
    ``certain``  where the rows are was not guessed from empty lists.
    """

    __slots__ = ("_address", "_body", "_members", "is_certain", "is_list", "rows", "rows_path")

    def __init__(self, body: bytes, address: str) -> None:
        self._body = body
        self._address = address
        self._members: Mapping[str, msgspec.Raw] | None = None
        self.rows: Sequence[bytes] = ()
        self.rows_path = ""
        self.is_list = False
        self.is_certain = True

    def value(self, path: str) -> Any:
        """What is at a dotted path of the body, decoded; None where there is nothing."""
        raw = self.raw_value(path)
        return None if raw is None else msgspec.json.decode(raw)

    def scalar(self, path: str) -> Scalar:
        """The same for a column: an object or list comes as its JSON text."""
        raw = self.raw_value(path)
        if raw is None:
            return None
        text = bytes(raw).strip(WHITESPACE)
        if text[:1] in (b"{", b"["):
            return text.decode()
        value: Scalar = msgspec.json.decode(text)
        return value

    def member_names(self, path: str) -> Sequence[str]:
        """The names of the members of the object at ``path``; none where there is no object."""
        raw = self.raw_value(path)
        if raw is None or first_char(raw) != OPEN_OBJECT:
            return ()
        return tuple(self.members() if not path else _object_decoder.decode(raw))

    def add_inherited_columns(self, inherited: Sequence[InheritedColumn]) -> None:
        """Give every row what it lies in: the values of these columns."""
        self.rows = with_inherited_columns(self.rows, self._body, self.rows_path, inherited)

    def raw_value(self, path: str) -> msgspec.Raw | bytes | None:
        """The undecoded JSON at a dotted path; a number in it counts the items of a list."""
        current: msgspec.Raw | bytes = self._body
        if "." in path and first_char(current) == OPEN_OBJECT and path in self.members():
            return self.members()[path]  # a name with a dot in it, such as @odata.nextLink
        for depth, name in enumerate(path.split(".") if path else ()):
            step = self._child(current, name, top=depth == 0)
            if step is None:
                return None
            current = step
        return current

    def _child(self, current: msgspec.Raw | bytes, name: str, *, top: bool) -> msgspec.Raw | None:
        start = first_char(current)
        if start == OPEN_OBJECT:
            members = self.members() if top else _object_decoder.decode(current)
            return members.get(name)
        if start == OPEN_LIST and name.lstrip("-").isdigit():
            items = _list_decoder.decode(current)
            return items[int(name)] if -len(items) <= int(name) < len(items) else None
        return None

    def members(self) -> Mapping[str, msgspec.Raw]:
        """The members of a body that is an object, by name; read once."""
        if self._members is None:
            self._members = _object_decoder.decode(self._body)
        return self._members


def parse_body(body: bytes, content_type: str, selector: RecordSelector, address: str) -> ResponseBody:
    """Split a body into rows.

    Raises  BadResponse, naming the address and what came instead, for anything but rows.
    """
    if selector.format == "xml":
        return _parse_xml_body(body, content_type, selector, address)
    body = _to_utf8(body.removeprefix(BOM), content_type, address)
    envelope = ResponseBody(body, address)
    try:
        match selector.format:
            case "json":
                _select_json_rows(envelope, body, selector, address)
            case "jsonl" if not is_markup(body):
                envelope = ResponseBody(b"null", address)  # nothing lies around its rows
                envelope.rows = _row_lines(parse_json_lines(body, address), body)
            case "jsonl":
                raise _not_json_error(body, content_type, address, "")
            case "csv":
                envelope = ResponseBody(b"null", address)
                envelope.rows = parse_csv_rows(body, address)
            case unknown:
                raise BadResponse(f"{address}: answers in {unknown} cannot be read")
    except msgspec.DecodeError as error:
        raise _not_json_error(body, content_type, address, str(error)) from error
    except RecursionError as error:
        raise BadResponse(f"{address}: the answer is nested deeper than can be read") from error
    return envelope


def _parse_xml_body(body: bytes, content_type: str, selector: RecordSelector, address: str) -> ResponseBody:
    """The root element as if it were JSON, so that paging finds its values there."""
    named = _CHARSET.search(content_type)
    document = parse_xml(body, address, named[1] if named else None)
    envelope = ResponseBody(msgspec.json.encode(document.root), address)
    envelope.rows_path = (selector.path or "").removeprefix("$").removeprefix(".")
    envelope.rows = select_xml_rows(document, envelope.rows_path, address)
    return envelope


def _select_json_rows(envelope: ResponseBody, body: bytes, selector: RecordSelector, address: str) -> None:
    path = None if selector.path is None else selector.path.removeprefix("$").removeprefix(".")
    if not body.strip(WHITESPACE):
        raise BadResponse(f"{address}: the answer is empty, where JSON was expected")
    if first_char(body) == OPEN_LIST and not path:
        if selector.expect_object:
            raise BadResponse(
                f"{address}: expected one object, as before, got {_excerpt(body)}; rows: says where they are"
            )
        envelope.is_list = True
        envelope.rows = _row_lines(_list_decoder.decode(body), body)
        return
    if selector.nullable and body.strip(WHITESPACE) == b"null":
        return
    if selector.expect_list or first_char(body) not in (OPEN_OBJECT, OPEN_LIST):
        _raw_decoder.decode(body)  # not JSON at all? then that is what to say
        expected = "a list, as before" if selector.expect_list else "a list or an object"
        raise BadResponse(f"{address}: expected {expected}, got {_excerpt(body)}")
    if first_char(body) == OPEN_OBJECT:
        _raise_graphql_errors(envelope.members(), address)
    if path is None:
        envelope.rows_path, envelope.is_certain = find_rows_path(envelope.members(), selector.table)
    else:
        envelope.rows_path = path
    envelope.rows = _rows_at_path(envelope, envelope.rows_path, body, address)


def _raise_graphql_errors(members: Mapping[str, msgspec.Raw], address: str) -> None:
    """GraphQL answers 200 with whatever data it has beside its errors, or none: that is no whole page."""
    alone = members.keys() <= {"errors", "extensions"}
    if "errors" in members and ("data" in members or alone) and first_char(members["errors"]) == OPEN_LIST:
        errors = _list_decoder.decode(members["errors"])
        if errors:
            raise BadResponse(f"{address}: the answer tells of errors: {_excerpt(bytes(errors[0]))}")


def _rows_at_path(envelope: ResponseBody, path: str, body: bytes, address: str) -> Sequence[bytes]:
    """The rows at ``path``; lists on the way are gone through, each item in its order."""
    if not path:
        return _row_lines([msgspec.Raw(body)], body)
    current: list[msgspec.Raw] = [msgspec.Raw(body)]
    for depth, name in enumerate(path.split(".")):
        if depth == 0 and first_char(body) == OPEN_OBJECT:
            objects = [envelope.members()]
        else:
            objects = [each for raw in current for each in _iter_objects(raw, path, address)]
        if depth == 0 and objects and name not in objects[0] and objects[0].keys() <= MEMBERS_WITHOUT_ROWS:
            return []
        current = _member_values(objects, name, path, address)
    rows: list[msgspec.Raw] = []
    for raw in current:
        match first_char(raw):
            case c if c == OPEN_LIST:
                rows += _list_decoder.decode(raw)
            case c if c == OPEN_OBJECT:
                rows.append(raw)
            case _ if bytes(raw).strip(WHITESPACE) == b"null":
                continue
            case _:
                raise BadResponse(f"{address}: expected rows at {path!r}, got {_excerpt(bytes(raw))}")
    return _row_lines(rows, body)


def _iter_objects(raw: msgspec.Raw, path: str, address: str) -> Iterator[Mapping[str, msgspec.Raw]]:
    """The members of an object, or of each object of a list."""
    match first_char(raw):
        case c if c == OPEN_OBJECT:
            yield _object_decoder.decode(raw)
        case c if c == OPEN_LIST:
            for item in _list_decoder.decode(raw):
                yield from _iter_objects(item, path, address)
        case _:
            raise BadResponse(
                f"{address}: expected rows at {path!r}, got {_excerpt(bytes(raw))} in its place"
            )


def _member_values(
    objects: Sequence[Mapping[str, msgspec.Raw]], name: str, path: str, address: str
) -> list[msgspec.Raw]:
    """What is under ``name`` in each; of several, some may lack it, as where empty lists are left out."""
    found = [members[name] for members in objects if name in members]
    if objects and not found:
        members = objects[0]
        has = ", ".join(list(members)[:8]) or "no members"
        raise BadResponse(
            f"{address}: no member {name!r} (rows: {path}) in the answer{did_you_mean(name, members)}; "
            f"it has {has}"
        )
    return found


def _row_lines(raws: Sequence[msgspec.Raw], body: bytes) -> list[bytes]:
    """Rows as bytes, each on one line; a row that is no object becomes one, as ``{"value": …}``."""
    rows = list(map(bytes, raws))
    if b"\n" in body or b"\r" in body:  # between tokens only: JSON has no raw line ends in texts
        rows = [row.replace(b"\n", b" ").replace(b"\r", b" ").strip() for row in rows]
    if all(row[0] == OPEN_OBJECT for row in rows if row):
        return rows
    return [row if row[0] == OPEN_OBJECT else b'{"value":%b}' % row for row in rows]


def _to_utf8(body: bytes, content_type: str, address: str) -> bytes:
    if body.isascii():
        return body
    named = _CHARSET.search(content_type)
    try:
        if named and named[1].lower() not in ("utf-8", "utf8"):
            return body.decode(named[1]).encode()
        body.decode()
    except (UnicodeError, LookupError) as error:
        raise BadResponse(f"{address}: the answer is not the text it says it is ({error})") from error
    return body


def is_markup(body: bytes) -> bool:
    return body.lstrip(WHITESPACE)[:1] == b"<"


def _not_json_error(body: bytes, content_type: str, address: str, reason: str) -> BadResponse:
    if is_markup(body):
        kind = content_type.partition(";")[0] or "markup"
        return BadResponse(
            f"{address}: expected JSON, got {kind}: {_excerpt(body)}; "
            "is this the API's address, or its web page?"
        )
    half = next((found.start() for found in _SURROGATE_ESCAPES.finditer(body) if found["half"]), None)
    if half is not None:
        reason = f"byte {half} begins half of a surrogate pair, which is no character"
        body = body[max(half - _EXCERPT_CHARS // 2, 0) :]
    return BadResponse(f"{address}: the answer cannot be read as JSON ({reason}): {_excerpt(body)}")


def _excerpt(body: bytes) -> str:
    text = " ".join(body[: 4 * _EXCERPT_CHARS].decode("utf-8", "replace").split())
    return repr(text if len(text) <= _EXCERPT_CHARS else text[:_EXCERPT_CHARS] + "…")
