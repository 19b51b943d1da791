"""Settings of ``create chart``: the columns shown, and checks that they fit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unify.language.commands import ChartKind, ChartSettings

_EXAMPLE = "create chart from github.pulls as bar_chart where x = state and y = comments"
_SYNONYMS = {"color": "series"}


class InvalidChartSettings(Exception):
    """Settings that do not fit. ``start`` is the position of the extra one; None if one is missing."""

    def __init__(self, message: str, start: int | None = None) -> None:
        super().__init__(message)
        self.start = start


@dataclass(frozen=True, slots=True)
class ChartAssignment:
    """``x = state`` as written, with its position."""

    name: str
    value: str
    start: int


def build_chart_settings(
    kind: ChartKind, name: str | None, assignments: Sequence[ChartAssignment]
) -> ChartSettings:
    """Combine the settings. ``name`` is the chart's name and the default title.

    Raises:
        InvalidChartSettings: one is missing, given twice or not supported by this kind of chart.
    """
    found: dict[str, list[ChartAssignment]] = {}
    for one in assignments:
        found.setdefault(_SYNONYMS.get(one.name, one.name), []).append(one)
    for several in (found[word] for word in found if word != "y"):
        if len(several) > 1:
            raise InvalidChartSettings(f"{several[0].name} is set twice", several[1].start)
    _check_required(found)
    _check_extra(kind, found)
    texts = {word: found[word][0].value for word in found if word != "y"}
    return ChartSettings(
        x=texts["x"],
        y=tuple(one.value for one in found["y"]),
        series=texts.get("series"),
        title=texts.get("title", name),
        x_title=texts.get("x_title"),
        y_title=texts.get("y_title"),
    )


def _check_required(assignments: dict[str, list[ChartAssignment]]) -> None:
    missing = [axis for axis in ("x", "y") if axis not in assignments]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        needed = " and ".join(f"{axis} = COLUMN" for axis in missing)
        raise InvalidChartSettings(f"{needed} {verb} missing, as in: {_EXAMPLE}")


def _check_extra(kind: ChartKind, assignments: dict[str, list[ChartAssignment]]) -> None:
    columns = assignments["y"]
    for at, one in enumerate(columns):
        if one.value.lower() in [other.value.lower() for other in columns[:at]]:
            raise InvalidChartSettings(f"y = {one.value} is given twice", one.start)
    series = assignments.get("series", [])
    if kind == "pie_chart" and (series or len(columns) > 1):
        raise InvalidChartSettings("a pie_chart takes one y and no series", (series or columns[1:])[0].start)
    if series and len(columns) > 1:
        raise InvalidChartSettings(
            "several y columns and series cannot be combined: give several y columns, or one y and series",
            series[0].start,
        )
