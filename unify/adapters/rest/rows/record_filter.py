"""RecordFilter: keeps the rows whose values at paths equal texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from unify.adapters.spec import template


class RecordFilter:
    """Keeps the rows that match ``where``. Conditions without a value do not apply."""

    def __init__(self, where: Mapping[str, Sequence[str]], variables: template.Variables) -> None:
        self._conditions = [
            (path.split("."), values)
            for path, texts in where.items()
            if (
                values := {
                    _fold_case(template.render_text(text, variables, "plain"))
                    for text in _active_texts(texts, variables)
                }
            )
        ]

    def filter_rows(self, rows: Sequence[bytes]) -> Sequence[bytes]:
        """The matching rows, each one JSON value, in their order."""
        if not self._conditions:
            return rows
        return [row for row in rows if self._matches(msgspec.json.decode(row))]

    def _matches(self, row: object) -> bool:
        return all(_fold_case(_member_value(row, steps)) in values for steps, values in self._conditions)


def _active_texts(texts: Sequence[str], variables: template.Variables) -> list[str]:
    """The texts whose variables all have a value; an empty option has none."""
    return [
        text
        for text in texts
        if template.has_values(text, variables) and template.render_text(text, variables, "plain") != ""
    ]


def _member_value(row: object, steps: Sequence[str]) -> object:
    for step in steps:
        row = row.get(step) if isinstance(row, dict) else None
    return row


def _fold_case(value: object) -> str | None:
    """``value`` for a case-insensitive comparison; numbers and booleans as in JSON."""
    if value is None or isinstance(value, str):
        return value.casefold() if value is not None else None
    return msgspec.json.encode(value).decode().casefold()
