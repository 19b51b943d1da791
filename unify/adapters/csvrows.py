"""Rows out of a CSV: objects of texts, as JSON. Types are found later, or declared."""

from __future__ import annotations

import csv
import io

import msgspec

from unify.errors import BadResponse


def rows_of_csv(body: bytes, address: str) -> list[bytes]:
    """Lines of a CSV as objects of texts; an empty field is null."""
    reader = csv.DictReader(io.StringIO(body.decode(), newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise BadResponse(f"{address}: line {reader.line_num} of the CSV cannot be read ({error})") from error
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise BadResponse(
                f"{address}: row {number} of the CSV has another number of fields than its header"
            )
    return [msgspec.json.encode({name: value or None for name, value in row.items()}) for row in rows]
