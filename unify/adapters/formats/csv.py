"""Rows of a CSV: objects of texts, as JSON. Types are inferred later, or declared."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from unify.adapters.spec.table_keys import DETECTED_CSV, CSVFormat
from unify.errors import BadResponse

_NOT_CSV = re.compile(rb"\s*[<{\[]|%PDF-")  # how markup, JSON and PDF begin, and no known header line
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_SENTENCE = re.compile(r"[^\n\r,;\t|]*\S[ :][^\n\r]*\s*")  # one line of words: a message and no header
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)  # for Excel
_COMMENT_LINES = re.compile(r"(?:#[ \t#!][^\n]*\n|#\r?\n)+")
_DELIMITERS = ",;\t|"
_SAMPLE_LINES = 60  # lines to detect the delimiter and the header from
_TOTALS = re.compile(r"(grand |report |sub)?(grand)?totals?\b:?.*", re.IGNORECASE)

csv.field_size_limit(2**31 - 1)  # a body is bounded already; the default limit is 131,072 characters


def parse_csv_rows(
    body: bytes, address: str, settings: CSVFormat = DETECTED_CSV
) -> tuple[list[bytes], list[str]]:
    """Lines of a CSV as objects of texts, and the names of the columns; an empty field is null.

    The delimiter is detected. Lines of a report before the header, which have fewer fields than it, comments
    (``# …``) before it, and a line of totals at the end are left out.

    Raises:
        BadResponse: lines that do not fit the header; nothing, markup or JSON instead of CSV.
    """
    text, delimiter = _decode_csv(body, address, settings)
    lines = _read_lines(text, delimiter, address)
    start = settings.skip if settings.skip is not None else _header_index(lines)
    filled = [(number, line) for number, line in enumerate(lines[start:], start=start + 1) if any(line)]
    if settings.header:
        filled, header = filled[1:], filled[0][1] if filled else []
    else:
        header = [f"column_{number}" for number in range(1, len(filled[0][1]) + 1)] if filled else []
    names = _deduplicate_names([name.strip() for name in header])
    if filled and all(len(line) == len(names) + 1 and not line[-1] for _, line in filled):
        filled = [(number, line[:-1]) for number, line in filled]  # a delimiter at the end of each row
    if start and filled and _is_totals_line(filled[-1][1], names):
        filled.pop()
    for position, (number, line) in enumerate(filled, start=1):
        if len(line) != len(names):
            raise BadResponse(
                f"{address}: row {position} of the CSV (line {number}) has {len(line)} fields, its header "
                f"{len(names)}: {_excerpt(delimiter.join(line).encode())}"
            )
    rows = [
        msgspec.json.encode({name: value or None for name, value in zip(names, line, strict=True)})
        for _, line in filled
    ]
    return rows, names


def _decode_csv(body: bytes, address: str, settings: CSVFormat) -> tuple[str, str]:
    """The text without a ``sep=`` line and comments before the header, and its delimiter."""
    if _NOT_CSV.match(body) or not body.strip() or _BINARY.search(body[:4096]):
        raise BadResponse(f"{address}: expected CSV, got {_excerpt(body)}")
    text = body.decode()
    separator = _SEPARATOR_LINE.match(text)
    text = text[separator.end() :] if separator is not None else text
    if settings.skip is None and (comments := _COMMENT_LINES.match(text)) is not None:
        text = text[comments.end() :]
    if settings.header and _SENTENCE.fullmatch(text):
        raise BadResponse(f"{address}: expected CSV, got the text {_excerpt(body)}")
    found = separator[1] if separator is not None else None
    return text, settings.delimiter or found or _detect_delimiter(text)


def _read_lines(text: str, delimiter: str, address: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[list[str]] = []
    try:
        for line in reader:
            lines.append(line)
    except csv.Error as error:
        raise BadResponse(f"{address}: line {reader.line_num} of the CSV cannot be read ({error})") from error
    return lines


def _detect_delimiter(text: str) -> str:
    """The delimiter that cuts most lines into the same number of fields, more than one."""
    sample = text[:100_000].splitlines()[:_SAMPLE_LINES]

    def score(delimiter: str) -> tuple[float, int]:
        counts = Counter(
            fields for line in csv.reader(sample, delimiter=delimiter) if (fields := len(line)) > 1
        )
        fields, lines = counts.most_common(1)[0] if counts else (1, 0)
        return lines / max(len([line for line in sample if line.strip()]), 1), fields

    best = max(_DELIMITERS, key=score)
    if score(best)[0] == 0:
        return ","
    header = next((line for line in sample if line.strip()), "")
    comma = score(",")
    if comma[0] >= 1.0 or (comma == score(best)) or ("," in header and best not in header):
        return ","
    return best


def _header_index(lines: Sequence[Sequence[str]]) -> int:
    """The index of the header: after lines with fewer fields that end in lines which all have as many.

    Without such lines the first line is the header, so that a field too many is an error.
    """
    filled = [(index, line) for index, line in enumerate(lines) if any(line)]
    if len(filled) < 3:
        return 0
    width = Counter(len(line) for _, line in filled[-_SAMPLE_LINES:]).most_common(1)[0][0]
    wide = [(index, line) for index, line in filled if len(line) == width]
    first, header = wide[0]
    preamble = [line for index, line in filled if index < first]
    if not preamble or len(wide) < 2 or width < 2 or not all(header):
        return 0
    after = [line for index, line in filled if index > first]
    alike = all(len(line) == width for line in after)
    return first if alike and all(len(line) < width for line in preamble) else 0


def _is_totals_line(line: Sequence[str], names: Sequence[str]) -> bool:
    return len(line) == len(names) and bool(_TOTALS.fullmatch(line[0].strip()))


def _deduplicate_names(header: Sequence[str]) -> list[str]:
    """The names of the columns; a repeated one gets a number, so that no value is lost."""
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
