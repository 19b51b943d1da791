"""Charts as svg, png and html files, through Vega-Altair and vl-convert: optional packages, imported late."""

from __future__ import annotations

import html
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unify.errors import FileError
from unify.interpreter.chart import Chart, X, by_x, slices, x_text
from unify.interpreter.filewriting import Mode, refuse_existing, replacing
from unify.interpreter.results import Message
from unify.text import did_you_mean, safe_text

SUFFIXES = (".svg", ".png", ".html")
MOST_BARS = 100  # more would have no room for their labels
MOST_SLICES = 12
_WAYS = "overwrite"
_WIDTH, _HEIGHT = 720, 400  # pixels
_BAR_HEIGHT, _BAR_WIDTH = 22, 90
_LETTER_WIDTH = 7
_POINTS_MARKED = 60  # of a line; more would be a band
_SHARPNESS = 2.0  # pixels of a png for one of its size: what today's screens have
_LABEL = 60  # characters


def check(place: str, mode: Mode) -> Path:
    """The file a chart is to be saved as. Raises FileError, before anything is loaded for it."""
    target = Path(place).expanduser().absolute()
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        hint = did_you_mean(suffix, SUFFIXES) if suffix else ""
        raise FileError(
            f"{target.name}: a chart is saved as .svg, .png or .html; the suffix says which{hint}"
        )
    refuse_existing(target, mode, _WAYS)
    _library("altair")
    _library("vl_convert")
    return target


def save(chart: Chart, target: Path, place: str, mode: Mode) -> Message:
    """Write the chart, whole or not at all. Raises FileError."""
    try:
        content = _content(chart, target.suffix.lower())
    except ValueError as error:
        raise FileError(f"{target.name}: the chart cannot be drawn: {str(error).splitlines()[0]}") from error
    with replacing(target, mode, _WAYS) as new:
        new.write_bytes(content)
    return Message("; ".join([f"chart written to {place}", *chart.remarks, *_elided(chart)]))


def _content(chart: Chart, suffix: str) -> bytes:
    spec = _spec(chart)
    converter = _library("vl_convert")
    if suffix == ".png":
        return bytes(converter.vegalite_to_png(spec, scale=_SHARPNESS))
    if suffix == ".svg":
        return str(converter.vegalite_to_svg(spec)).encode()
    return _page(chart, spec, converter.javascript_bundle).encode()


def _spec(chart: Chart) -> dict[str, Any]:
    altair = _library("altair")
    drawing = _pie(altair, chart) if chart.kind == "pie_chart" else _drawing(altair, chart)
    found: dict[str, Any] = drawing.properties(title=_label(chart.title or chart.caption)).to_dict()
    return found


def _drawing(altair: Any, chart: Chart) -> Any:
    """All kinds but the pie: an x, a y, and a colour for each of several series."""
    x = _x_axis(altair, chart)
    y = altair.Y("y:Q", title=_label(chart.y_title))
    several = len(chart.series) > 1
    colour = {}
    if several:
        names = [_label(one.name) for one in chart.series]
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
    labels = [_label(f"{part.label} ({part.share:.1%})") for part in parts]
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
    title = _label(chart.x_title)
    if chart.kind == "hbar_chart":
        return altair.Y("x:O", title=title, sort=_labels(chart))
    if _is_labelled(chart):
        axis = {"labelOverlap": True, **({"labelAngle": 0} if _labels_lie(chart) else {})}
        return altair.X("x:O", title=title, sort=_labels(chart), axis=altair.Axis(**axis))
    if chart.x_kind == "time":
        return altair.X("x:T", title=title, scale=altair.Scale(type="utc"))
    return altair.X("x:Q", title=title, scale=altair.Scale(zero=False))


def _rows(chart: Chart) -> Iterator[dict[str, object]]:
    """A mapping for each point; the names of its members are ours, so that no column's name has a meaning."""
    if chart.kind in ("bar_chart", "hbar_chart", "area_chart"):
        shown = _shown(chart)
        for one, values in zip(chart.series, by_x(chart.series), strict=True):
            for x in shown:
                if x in values or chart.kind == "area_chart":  # areas on each other need a floor everywhere
                    yield {"x": _value(chart, x), "y": values.get(x, 0.0), "series": _label(one.name)}
        return
    for one in chart.series:
        for x, y in one.points:
            yield {"x": _value(chart, x), "y": y, "series": _label(one.name)}


def _value(chart: Chart, x: X) -> str | float:
    if _is_labelled(chart) or isinstance(x, str):
        return _label(x_text(chart, x))
    return x * 1000 if chart.x_kind == "time" else x  # Vega's times are in milliseconds


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
    return [_label(x_text(chart, x)) for x in _shown(chart)]


def _elided(chart: Chart) -> list[str]:
    shown = len(_shown(chart))
    return [f"the first {shown:,} of {len(chart.xs):,} bars"] if shown < len(chart.xs) else []


def _label(text: str) -> str:
    """Text of the data as a picture can hold it: without controls, and not without end."""
    return safe_text(text if len(text) <= _LABEL else text[: _LABEL - 1] + "…")


def _page(chart: Chart, spec: dict[str, Any], bundle: Any) -> str:
    """A page that needs no network: the program that draws is in it. Data stays data, whatever is in it."""
    data = json.dumps(spec).replace("<", "\\u003c")
    options = '{"actions": {"export": true, "source": false, "compiled": false, "editor": false}}'
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(_label(chart.title or chart.caption))}</title>\n</head>\n<body>\n"
        '<div id="chart"></div>\n'
        f'<script type="module">{bundle("window.draw = vegaEmbed;")}</script>\n'
        f'<script type="module">window.draw("#chart", {data}, {options});</script>\n'
        "</body>\n</html>\n"
    )


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise FileError(
            "files of charts need the Python packages altair and vl-convert-python: "
            "pip install 'unify-sql[charts]'; without to, the chart is drawn here"
        ) from error
