"""JSON: one array of objects, or one object a line. Names that come twice get ``_2``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

from unify.duckdb_types import parse_type
from unify.interpreter.results import Rows
from unify.shell.display import jsonvalues
from unify.shell.display.look import Look


def display_array(rows: Rows, out: TextIO, look: Look) -> None:
    """One array, a row a line; ``[]`` if there are none."""
    opening = "["
    for line in _objects(rows, look):
        out.write(opening + line)
        opening = ",\n"
    out.write("[]\n" if opening == "[" else "]\n")


def display_lines(rows: Rows, out: TextIO, look: Look) -> None:
    """Newline-delimited JSON; nothing at all if there are no rows."""
    for line in _objects(rows, look):
        out.write(line + "\n")


def _objects(rows: Rows, look: Look) -> Iterator[str]:
    keys = [jsonvalues.string(name) + ": " for name in unique_names([c.name for c in rows.columns])]
    writers = [jsonvalues.writer(parse_type(column.type)) for column in rows.columns]
    for batch in rows.batches:
        for row in batch:
            members = [key + write(value) for key, write, value in zip(keys, writers, row, strict=True)]
            line = "{" + ", ".join(members) + "}"
            yield jsonvalues.safe(line) if look.terminal else line


def unique_names(names: Sequence[str]) -> list[str]:
    """The names with ``_2``, ``_3`` … at those that were there before."""
    taken = set(names)
    seen: set[str] = set()
    unique = []
    for name in names:
        candidate, number = name, 1
        while candidate in seen or (number > 1 and candidate in taken):
            number += 1
            candidate = f"{name}_{number}"
        seen.add(candidate)
        unique.append(candidate)
    return unique
