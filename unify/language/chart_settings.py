"""The settings of ``create chart``: which columns it shows, and that they make a chart together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unify.language.commands import ChartKind, ChartSettings

_EXAMPLE = "create chart from github.pulls as bar_chart where x = state and y = comments"
_SYNONYMS = {"color": "series"}


class InvalidChartSettings(Exception):
    """Settings that make no chart; ``start`` is the place of the one too many, None where one is missing."""

    def __init__(self, message: str, start: int | None = None) -> None:
        super().__init__(message)
        self.start = start


@dataclass(frozen=True, slots=True)
class ChartAssignment:
    """``x = state`` as it was written, and where."""

    name: str
    value: str
    start: int


def build_chart_settings(
    kind: ChartKind, name: str | None, assignments: Sequence[ChartAssignment]
) -> ChartSettings:
    """What the settings say together; ``name`` is the chart's, and its title if none is given.

    Raises  Unfit for one that is missing, given twice, or that the kind of chart has no place for.
    """
    found: dict[str, list[ChartAssignment]] = {}
    for one in assignments:
        found.setdefault(_SYNONYMS.get(one.name, one.name), []).append(one)
    for several in (found[word] for word in found if word != "y"):
        if len(several) > 1:
            raise InvalidChartSettings(
                f"a chart has one {several[0].name}, and this is the second", several[1].start
            )
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
        raise InvalidChartSettings(f"{needed} {verb} missing; a chart has both, as in: {_EXAMPLE}")


def _check_extra(kind: ChartKind, assignments: dict[str, list[ChartAssignment]]) -> None:
    columns = assignments["y"]
    for at, one in enumerate(columns):
        if one.value.lower() in [other.value.lower() for other in columns[:at]]:
            raise InvalidChartSettings(f"y = {one.value} is there already", one.start)
    series = assignments.get("series", [])
    if kind == "pie_chart" and (series or len(columns) > 1):
        raise InvalidChartSettings("a pie_chart shows one y and no series", (series or columns[1:])[0].start)
    if series and len(columns) > 1:
        raise InvalidChartSettings(
            "several y are series already; name either them or one column as series", series[0].start
        )
