"""Writes the rows of a result as outputs of a step of GitHub Actions: rows, value and count.

``python3 write_outputs.py FILE``, where FILE has what ``unify --format json`` wrote: an array a statement.
Only the standard library is used: the Python of the runner runs it.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

MAX_OUTPUT_BYTES = 1_000_000  # GitHub's limit is 1 MB of all outputs of a job


class Number(str):
    """A number as it is written: a double would lose digits."""


def main(path: str) -> int:
    """Write the outputs; return the exit status."""
    rows = read_last_array(Path(path).read_text("utf-8"))
    text = dump(rows)
    size = len(text.encode())
    if size > MAX_OUTPUT_BYTES:
        sys.stdout.write(
            f"::error::query: the rows have {size:,} bytes, and an output at most {MAX_OUTPUT_BYTES:,}; "
            "aggregate them, or write a file with the action export\n"
        )
        return 1
    value = "" if not rows else scalar(next(iter(rows[0].values()), None))
    write_outputs({"rows": text, "value": value, "count": str(len(rows))})
    if title := os.environ.get("SUMMARY"):
        write_summary(title, rows)
    return 0


def read_last_array(text: str) -> list[dict[str, Any]]:
    """Return the last of the arrays in a text; an empty one if there is none."""
    decoder = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=Number)
    found: list[dict[str, Any]] = []
    position = 0
    while (position := skip_blanks(text, position)) < len(text):
        found, position = decoder.raw_decode(text, position)
    return found


def skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def dump(value: object) -> str:
    """Return a value as JSON; numbers keep all their digits."""
    match value:
        case Number():
            return str(value)
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)}: {dump(part)}" for key, part in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(dump, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def scalar(value: object) -> str:
    """Return the text of a value: true and false for truth values, JSON for lists and structs."""
    match value:
        case None:
            return ""
        case str():
            return str(value)
        case _:
            return dump(value)


def write_outputs(outputs: dict[str, str]) -> None:
    """Append outputs, each between delimiters that no value can contain by chance."""
    with open(os.environ["GITHUB_OUTPUT"], "a", encoding="utf-8") as file:
        for name, value in outputs.items():
            delimiter = f"unify_{secrets.token_hex(16)}"
            file.write(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")


def write_summary(title: str, rows: list[dict[str, Any]]) -> None:
    """Append the first 100 rows as a table of Markdown to the summary of the job."""
    names = list(rows[0]) if rows else []
    lines = [f"### {cell(title)}", ""]
    if names:
        lines += ["| " + " | ".join(map(cell, names)) + " |", "|" + " --- |" * len(names)]
        lines += ["| " + " | ".join(cell(scalar(row[name])) for name in names) + " |" for row in rows[:100]]
        lines += [f"\n100 of {len(rows):,} rows"] if len(rows) > 100 else []
    else:
        lines.append("no rows")
    with open(os.environ["GITHUB_STEP_SUMMARY"], "a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n\n")


def cell(text: str) -> str:
    """Return a text as a cell of a table of Markdown, without markup."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("\\", "\\\\")
    for mark in "|*_`[]":
        escaped = escaped.replace(mark, f"\\{mark}")
    return " ".join(escaped.split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
