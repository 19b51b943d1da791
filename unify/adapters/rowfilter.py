"""The ``where`` of a table: which of the rows that came are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from unify.adapters import template


class RowFilter:
    """Keeps the rows that ``where`` asks for; with no condition in force every row, undecoded."""

    def __init__(self, where: Mapping[str, Sequence[str]], variables: template.Variables) -> None:
        self._conditions = [
            (path.split("."), wanted)
            for path, texts in where.items()
            if (
                wanted := {
                    _folded(template.fill(text, variables, "plain")) for text in _counting(texts, variables)
                }
            )
        ]

    def keep(self, rows: Sequence[bytes]) -> Sequence[bytes]:
        """The wanted ones of ``rows``, each one JSON value, in their order."""
        if not self._conditions:
            return rows
        return [row for row in rows if self._wanted(msgspec.json.decode(row))]

    def _wanted(self, row: object) -> bool:
        return all(_folded(_member(row, steps)) in wanted for steps, wanted in self._conditions)


def _counting(texts: Sequence[str], variables: template.Variables) -> list[str]:
    """The texts all of whose variables have a value; an option given as nothing has none."""
    return [
        text
        for text in texts
        if template.has_values(text, variables) and template.fill(text, variables, "plain") != ""
    ]


def _member(row: object, steps: Sequence[str]) -> object:
    for step in steps:
        row = row.get(step) if isinstance(row, dict) else None
    return row


def _folded(value: object) -> str | None:
    """``value`` as it is compared: text without regard to case, numbers and booleans as JSON writes them."""
    if value is None or isinstance(value, str):
        return value.casefold() if value is not None else None
    return msgspec.json.encode(value).decode().casefold()
