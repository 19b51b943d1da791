"""A chart in the words of Vega-Lite, which draws pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from unify.interpreter.chart import Chart, X, slices, x_texts
from unify.text import safe_text

MOST_BARS = 100  # more would have no room for their labels
MOST_SLICES = 12
_WIDTH, _HEIGHT = 720, 400  # pixels
_BAR_HEIGHT, _BAR_WIDTH = 22, 90
_LETTER_WIDTH = 7
_POINTS_MARKED = 60  # of a line; more would be a band
_LABEL = 60  # characters


def spec(chart: Chart, altair: Any) -> dict[str, Any]:
    """The chart in the words of Vega-Lite; ``altair`` is the library's module."""
    drawing = _pie(altair, chart) if chart.kind == "pie_chart" else _drawing(altair, chart)
    found: dict[str, Any] = drawing.properties(title=title(chart)).to_dict()
    return found


def title(chart: Chart) -> str:
    """What stands above the chart."""
    return _label(chart.title or chart.caption)


def elided(chart: Chart) -> list[str]:
    """What of the chart is not in the picture."""
    shown = len(_shown(chart))
    return [f"the first {shown:,} of {len(chart.xs):,} bars"] if shown < len(chart.xs) else []


def _drawing(altair: Any, chart: Chart) -> Any:
    """All kinds but the pie: an x, a y, and a colour for each of several series."""
    x = _x_axis(altair, chart)
    y = altair.Y("y:Q", title=_label(chart.y_title))
    several = len(chart.series) > 1
    colour = {}
    if several:
        names = _names(chart)
        colour = {"color": altair.Color("series:N", title=None, sort=names)}
    base = altair.Chart(altair.Data(values=list(_rows(chart)))).properties(
        width=_width(chart), height=_HEIGHT
    )
    match chart.kind:
        case "bar_chart":
            beside = {"xOffset": altair.XOffset("series:N", sort=names)} if several else {}
            return base.mark_bar(tooltip=True).encode(x=x, y=y, **colour, **beside)
        case "hbar_chart":
            beside = {"yOffset": altair.YOffset("series:N", sort=names)} if several else {}
            bars = base.mark_bar(tooltip=True).encode(
                x=altair.X("y:Q", title=_label(chart.y_title)), y=x, **colour, **beside
            )
            return bars.properties(height=altair.Step(_BAR_HEIGHT))
        case "area_chart":
            return base.mark_area(tooltip=True, opacity=0.8).encode(x=x, y=y, **colour)
        case "scatter_chart":
            return base.mark_circle(tooltip=True, size=40).encode(x=x, y=y, **colour)
        case _:
            return base.mark_line(point=len(chart.xs) <= _POINTS_MARKED, tooltip=True).encode(
                x=x, y=y, **colour
            )


def _pie(altair: Any, chart: Chart) -> Any:
    parts = slices(chart, MOST_SLICES)
    labels = _distinct([f"{part.label} ({part.share:.1%})" for part in parts])
    values = [
        {"slice": label, "value": part.value, "place": place}
        for place, (label, part) in enumerate(zip(labels, parts, strict=True))
    ]
    return (
        altair.Chart(altair.Data(values=values))
        .mark_arc(tooltip=True)
        .encode(
            theta=altair.Theta("value:Q", stack=True, title=_label(chart.y_title)),
            color=altair.Color(
                "slice:N", sort=labels, title=_label(chart.x_title), scale=altair.Scale(scheme="tableau20")
            ),
            order=altair.Order("place:Q"),
        )
        .properties(width=_HEIGHT, height=_HEIGHT)
    )


def _x_axis(altair: Any, chart: Chart) -> Any:
    name = _label(chart.x_title)
    if chart.kind == "hbar_chart":
        return altair.Y("x:O", title=name, sort=_labels(chart))
    if _is_labelled(chart):
        axis = {"labelOverlap": True, **({"labelAngle": 0} if _labels_lie(chart) else {})}
        return altair.X("x:O", title=name, sort=_labels(chart), axis=altair.Axis(**axis))
    if chart.x_kind == "time":
        return altair.X("x:T", title=name, scale=altair.Scale(type="utc"))
    return altair.X("x:Q", title=name, scale=altair.Scale(zero=False))


def _rows(chart: Chart) -> Iterator[Mapping[str, object]]:
    """A mapping for each point; the names of its members are ours, so that no column's name has a meaning."""
    shown = _shown(chart)
    places: Mapping[X, str | float] = dict(zip(shown, _places(chart), strict=True))
    whole = chart.kind == "area_chart"  # areas on each other need a floor everywhere
    for name, one in zip(_names(chart), chart.series, strict=True):
        points: Iterable[tuple[X, float]] = one.points
        if whole:
            values = dict(one.points)
            points = [(x, values.get(x, 0.0)) for x in shown]
        yield from ({"x": places[x], "y": y, "series": name} for x, y in points if x in places)


def _places(chart: Chart) -> Sequence[str | float]:
    if _is_labelled(chart):
        return _labels(chart)
    numbers = [x for x in _shown(chart) if isinstance(x, float)]
    return [x * 1000 for x in numbers] if chart.x_kind == "time" else numbers  # Vega's times: milliseconds


def _is_labelled(chart: Chart) -> bool:
    """Whether each x stands for itself, at an equal distance from the next."""
    return chart.x_kind == "text" or chart.kind in ("bar_chart", "hbar_chart")


def _shown(chart: Chart) -> tuple[X, ...]:
    return chart.xs[:MOST_BARS] if chart.kind in ("bar_chart", "hbar_chart") else chart.xs


def _width(chart: Chart) -> int:
    """A few bars do not become walls."""
    bars = len(_shown(chart)) * len(chart.series)
    return max(_HEIGHT, min(_WIDTH, bars * _BAR_WIDTH)) if chart.kind == "bar_chart" else _WIDTH


def _labels_lie(chart: Chart) -> bool:
    """Whether the labels have room beside each other, so that nobody has to turn their head."""
    labels = _labels(chart)
    return max(map(len, labels)) * _LETTER_WIDTH * len(labels) < _width(chart)


def _labels(chart: Chart) -> list[str]:
    return _distinct(x_texts(chart, _shown(chart)))


def _names(chart: Chart) -> list[str]:
    return _distinct([one.name for one in chart.series])


def _distinct(texts: Sequence[str]) -> list[str]:
    """Each text as a label, none like another: Vega takes what is called alike for the same."""
    found: dict[str, None] = {}
    alike: Counter[str] = Counter()
    for text in texts:
        label = short = _label(text)
        while label in found:
            alike[short] += 1
            label = f"{short} ({alike[short] + 1})"
        found[label] = None
    return list(found)


def _label(text: str) -> str:
    """Text of the data as a picture can hold it: without controls, and not without end."""
    return safe_text(text if len(text) <= _LABEL else text[: _LABEL - 1] + "…")
