"""Rows out of a CSV: objects of texts, as JSON. Types are found later, or declared."""

from __future__ import annotations

import csv
import io
import re

import msgspec

from unify.errors import BadResponse

_NOT_CSV = re.compile(rb"\s*[<{\[]")  # how markup and JSON begin, and no header line that anybody has seen

csv.field_size_limit(2**31 - 1)  # a body is bounded already; the usual limit is 131,072 characters


def parse_csv_rows(body: bytes, address: str) -> list[bytes]:
    """Lines of a CSV as objects of texts; an empty field is null. The first line names the columns.

    Raises  BadResponse for lines that do not fit the first, and for what is no CSV: nothing, markup, JSON.
    """
    if _NOT_CSV.match(body) or not body.strip():
        raise BadResponse(f"{address}: expected CSV, got {_excerpt(body)}")
    reader = csv.reader(io.StringIO(body.decode(), newline=""), strict=True)
    try:
        lines = [line for line in reader if line]
    except csv.Error as error:
        raise BadResponse(f"{address}: line {reader.line_num} of the CSV cannot be read ({error})") from error
    names = _deduplicate_names(lines[0])
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(names):
            raise BadResponse(
                f"{address}: row {number} of the CSV has another number of fields than its header"
            )
    return [
        msgspec.json.encode({name: value or None for name, value in zip(names, line, strict=True)})
        for line in lines[1:]
    ]


def _deduplicate_names(header: list[str]) -> list[str]:
    """The names of the columns; one that is there already gets a number, so that no value is lost."""
    names: dict[str, None] = {}
    for name in header:
        number, own = 1, name
        while own in names:
            number += 1
            own = f"{name}_{number}"
        names[own] = None
    return list(names)


def _excerpt(body: bytes) -> str:
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return repr(text[:80]) if text else "nothing"
