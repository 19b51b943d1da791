"""Records out of a response body of any format, without decoding a single one. Errors are no records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from unify.adapters.formats.body import EXCERPT_CHARS, RecordSelector, ResponseBody, excerpt_body
from unify.adapters.formats.csv import parse_csv_rows
from unify.adapters.formats.error_envelope import is_error_envelope, is_error_line
from unify.adapters.formats.jsonl import parse_json_lines
from unify.adapters.formats.locate import (
    OPEN_LIST,
    OPEN_OBJECT,
    WHITESPACE,
    find_rows_path,
    first_char,
    rows_index,
    side_lists,
    split_path,
)
from unify.adapters.formats.row_selection import row_lines, rows_at_paths, rows_of
from unify.adapters.formats.text import (
    declared_charset,
    repair_json,
    to_utf8,
    unpack_gzip,
    without_guard,
)
from unify.adapters.formats.xml import parse_xml, select_xml_rows
from unify.errors import BadResponse

_FAULT_BYTE = re.compile(r"\(byte (\d+)\)")

_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_decoder = msgspec.json.Decoder(msgspec.Raw)


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
                response_body.rows = row_lines(parse_json_lines(body, address), body)
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
                f"{address}: expected one object, as before, got {excerpt_body(body)}; set rows in the spec"
            )
        response_body.is_list, response_body.rows_kind = True, "list"
        response_body.rows = rows_of(items, response_body, selector)
        response_body.outer_count = len(response_body.rows)
        return
    if selector.expect_list or first_char(body) not in (OPEN_OBJECT, OPEN_LIST):
        _raw_decoder.decode(body)  # if it is not JSON, that is the message
        expected = "a list, as before" if selector.expect_list else "a list or an object"
        raise BadResponse(f"{address}: expected {expected}, got {excerpt_body(body)}")
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
    response_body.rows = rows_at_paths(response_body, selector, address)
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
            raise BadResponse(f"{address}: the response contains errors: {excerpt_body(bytes(errors[0]))}")


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
            f"{address}: the response is an error or not ready: {excerpt_body(bytes(response_body.text))}; "
            f"{advice}"
        )


def _raise_error_line(rows: Sequence[bytes], address: str) -> None:
    """An error as the only line, or as the last line of a stream that was broken off."""
    if not rows or first_char(rows[-1]) != OPEN_OBJECT:
        return
    last = _object_decoder.decode(rows[-1])
    is_unlike = len(rows) == 1 or last.keys().isdisjoint(_object_decoder.decode(rows[0]))
    if is_unlike and is_error_line(last):
        raise BadResponse(f"{address}: a line is an error and no row: {excerpt_body(rows[-1])}")


def _raise_partial_search(response_body: ResponseBody, address: str) -> None:
    """Elasticsearch returns what it has found in time, and of the shards that did not fail."""
    members = response_body.members()
    if "_shards" in members and (response_body.value("timed_out") or response_body.value("_shards.failed")):
        raise BadResponse(
            f"{address}: the result is partial: timed_out {response_body.value('timed_out')}, "
            f"{response_body.value('_shards.failed')} shards failed"
        )


def is_markup(body: bytes) -> bool:
    return body.lstrip(WHITESPACE)[:1] == b"<"


def _not_json_error(body: bytes, content_type: str, address: str, reason: str) -> BadResponse:
    if is_markup(body):
        kind = content_type.partition(";")[0] or "markup"
        return BadResponse(
            f"{address}: expected JSON, got {kind}: {excerpt_body(body)}; "
            "is this the API's address, or its web page?"
        )
    fault = _FAULT_BYTE.search(reason)
    if fault is not None and int(fault[1]) > EXCERPT_CHARS // 2:
        body = b"\xe2\x80\xa6" + body[int(fault[1]) - EXCERPT_CHARS // 2 :]
    return BadResponse(f"{address}: the response cannot be read as JSON ({reason}): {excerpt_body(body)}")
