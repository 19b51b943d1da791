"""Charts as SVG, PNG and HTML files by Vega-Lite, with the optional packages altair and vl-convert."""

from __future__ import annotations

import html
import importlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unify.errors import FileError
from unify.fs.paths import absolute_path
from unify.interpreter.files.writer import WriteMode, check_target, replace_file
from unify.interpreter.results import Chart, Message, XValue, pie_slices, x_labels
from unify.text import did_you_mean, escape_text

MAX_BARS = 100  # labels of more bars overlap
MAX_SLICES = 12
_WIDTH_PX, _HEIGHT_PX = 720, 400
_BAR_HEIGHT_PX, _BAR_WIDTH_PX = 22, 90
_LETTER_WIDTH_PX = 7
_MAX_MARKED_POINTS = 60  # of a line; more markers overlap
_MAX_LABEL_CHARS = 60


def vega_spec(chart: Chart, altair: Any) -> dict[str, Any]:
    """Return the Vega-Lite specification of a chart; ``altair`` is the module."""
    drawing = _pie_chart(altair, chart) if chart.kind == "pie_chart" else _xy_chart(altair, chart)
    spec: dict[str, Any] = drawing.properties(title=chart_title(chart)).to_dict()
    return spec


def chart_title(chart: Chart) -> str:
    """Return the title, or "Y by X"."""
    return _clean_label(chart.title or chart.caption)


def omission_notes(chart: Chart) -> list[str]:
    """Return notes on values that the file omits."""
    shown = len(_drawn_x_values(chart))
    return [f"the first {shown:,} of {len(chart.x_values):,} bars"] if shown < len(chart.x_values) else []


def _xy_chart(altair: Any, chart: Chart) -> Any:
    """Return a chart of any kind except pie, with a colour per series."""
    x = _x_axis(altair, chart)
    y = altair.Y("y:Q", title=_clean_label(chart.y_title))
    several = len(chart.series) > 1
    colour = {}
    if several:
        names = _series_labels(chart)
        colour = {"color": altair.Color("series:N", title=None, sort=names)}
    base = altair.Chart(altair.Data(values=list(_data_rows(chart)))).properties(
        width=_chart_width_px(chart), height=_HEIGHT_PX
    )
    match chart.kind:
        case "bar_chart":
            beside = {"xOffset": altair.XOffset("series:N", sort=names)} if several else {}
            return base.mark_bar(tooltip=True).encode(x=x, y=y, **colour, **beside)
        case "hbar_chart":
            beside = {"yOffset": altair.YOffset("series:N", sort=names)} if several else {}
            bars = base.mark_bar(tooltip=True).encode(
                x=altair.X("y:Q", title=_clean_label(chart.y_title)), y=x, **colour, **beside
            )
            return bars.properties(height=altair.Step(_BAR_HEIGHT_PX))
        case "area_chart":
            return base.mark_area(tooltip=True, opacity=0.8).encode(x=x, y=y, **colour)
        case "scatter_chart":
            return base.mark_circle(tooltip=True, size=40).encode(x=x, y=y, **colour)
        case _:
            return base.mark_line(point=len(chart.x_values) <= _MAX_MARKED_POINTS, tooltip=True).encode(
                x=x, y=y, **colour
            )


def _pie_chart(altair: Any, chart: Chart) -> Any:
    slices = pie_slices(chart, MAX_SLICES)
    labels = _unique_labels([f"{one.label} ({one.fraction:.1%})" for one in slices])
    values = [
        {"slice": label, "value": one.value, "position": position}
        for position, (label, one) in enumerate(zip(labels, slices, strict=True))
    ]
    return (
        altair.Chart(altair.Data(values=values))
        .mark_arc(tooltip=True)
        .encode(
            theta=altair.Theta("value:Q", stack=True, title=_clean_label(chart.y_title)),
            color=altair.Color(
                "slice:N",
                sort=labels,
                title=_clean_label(chart.x_title),
                scale=altair.Scale(scheme="tableau20"),
            ),
            order=altair.Order("position:Q"),
        )
        .properties(width=_HEIGHT_PX, height=_HEIGHT_PX)
    )


def _x_axis(altair: Any, chart: Chart) -> Any:
    name = _clean_label(chart.x_title)
    if chart.kind == "hbar_chart":
        return altair.Y("x:O", title=name, sort=_x_axis_labels(chart))
    if _has_discrete_x(chart):
        axis = {"labelOverlap": True, **({"labelAngle": 0} if _labels_fit_side_by_side(chart) else {})}
        return altair.X("x:O", title=name, sort=_x_axis_labels(chart), axis=altair.Axis(**axis))
    if chart.x_kind == "time":
        return altair.X("x:T", title=name, scale=altair.Scale(type="utc"))
    return altair.X("x:Q", title=name, scale=altair.Scale(zero=False))


def _data_rows(chart: Chart) -> Iterator[Mapping[str, object]]:
    """Yield a mapping per point with fixed member names; column names could be Vega expressions."""
    shown = _drawn_x_values(chart)
    positions: Mapping[XValue, str | float] = dict(zip(shown, _x_positions(chart), strict=True))
    fill_gaps = chart.kind == "area_chart"  # stacked areas require a value at every x
    for name, one in zip(_series_labels(chart), chart.series, strict=True):
        points: Iterable[tuple[XValue, float]] = one.points
        if fill_gaps:
            values = dict(one.points)
            points = [(x, values.get(x, 0.0)) for x in shown]
        yield from ({"x": positions[x], "y": y, "series": name} for x, y in points if x in positions)


def _x_positions(chart: Chart) -> Sequence[str | float]:
    if _has_discrete_x(chart):
        return _x_axis_labels(chart)
    numbers = [x for x in _drawn_x_values(chart) if isinstance(x, float)]
    return [x * 1000 for x in numbers] if chart.x_kind == "time" else numbers  # Vega's times: milliseconds


def _has_discrete_x(chart: Chart) -> bool:
    """Whether the x axis is a list of values at equal distances."""
    return chart.x_kind == "text" or chart.kind in ("bar_chart", "hbar_chart")


def _drawn_x_values(chart: Chart) -> tuple[XValue, ...]:
    return chart.x_values[:MAX_BARS] if chart.kind in ("bar_chart", "hbar_chart") else chart.x_values


def _chart_width_px(chart: Chart) -> int:
    """Return the width, smaller for a few bars."""
    bars = len(_drawn_x_values(chart)) * len(chart.series)
    return max(_HEIGHT_PX, min(_WIDTH_PX, bars * _BAR_WIDTH_PX)) if chart.kind == "bar_chart" else _WIDTH_PX


def _labels_fit_side_by_side(chart: Chart) -> bool:
    """Whether the labels fit horizontally; otherwise Vega rotates them."""
    labels = _x_axis_labels(chart)
    return max(map(len, labels)) * _LETTER_WIDTH_PX * len(labels) < _chart_width_px(chart)


def _x_axis_labels(chart: Chart) -> list[str]:
    return _unique_labels(x_labels(chart, _drawn_x_values(chart)))


def _series_labels(chart: Chart) -> list[str]:
    return _unique_labels([one.name for one in chart.series])


def _unique_labels(texts: Sequence[str]) -> list[str]:
    """Return distinct labels; Vega merges equal ones."""
    labels: dict[str, None] = {}
    duplicates: Counter[str] = Counter()
    for text in texts:
        label = short = _clean_label(text)
        while label in labels:
            duplicates[short] += 1
            label = f"{short} ({duplicates[short] + 1})"
        labels[label] = None
    return list(labels)


def _clean_label(text: str) -> str:
    """Escape control characters and truncate long text."""
    return escape_text(text if len(text) <= _MAX_LABEL_CHARS else text[: _MAX_LABEL_CHARS - 1] + "…")


SUFFIXES = (".svg", ".png", ".html")
_ALLOWED_MODES = "overwrite"
_PNG_SCALE = 2.0  # device pixels per pixel, for high-resolution screens


def check_chart_file(path: str, mode: WriteMode) -> Path:
    """Return the target file of a chart. Raises FileError; call before loading tables."""
    target = absolute_path(path)
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        hint = did_you_mean(suffix, SUFFIXES) if suffix else ""
        raise FileError(f"{target.name}: unknown suffix; charts are saved as .svg, .png or .html{hint}")
    check_target(target, mode, _ALLOWED_MODES)
    _import_library("altair")
    _import_library("vl_convert")
    return target


def save_chart(chart: Chart, target: Path, path: str, mode: WriteMode) -> Message:
    """Write the chart atomically. Raises FileError."""
    try:
        content = _render(chart, target.suffix.lower())
    except ValueError as error:
        raise FileError(f"{target.name}: the chart cannot be drawn: {str(error).splitlines()[0]}") from error
    with replace_file(target, mode, _ALLOWED_MODES) as new:
        new.write_bytes(content)
    return Message("; ".join([f"chart written to {path}", *chart.row_notes, *omission_notes(chart)]))


def _render(chart: Chart, suffix: str) -> bytes:
    document = vega_spec(chart, _import_library("altair"))
    converter = _import_library("vl_convert")
    if suffix == ".png":
        return bytes(converter.vegalite_to_png(document, scale=_PNG_SCALE))
    if suffix == ".svg":
        return str(converter.vegalite_to_svg(document)).encode()
    return _html_page(chart, document, converter.javascript_bundle).encode()


def _html_page(chart: Chart, spec: dict[str, Any], bundle: Any) -> str:
    """Return a page that includes the JavaScript and escapes the data; it loads nothing from the network."""
    data = json.dumps(spec).replace("<", "\\u003c")
    options = '{"actions": {"export": true, "source": false, "compiled": false, "editor": false}}'
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(chart_title(chart))}</title>\n</head>\n<body>\n"
        '<div id="chart"></div>\n'
        f'<script type="module">{bundle("window.draw = vegaEmbed;")}</script>\n'
        f'<script type="module">window.draw("#chart", {data}, {options});</script>\n'
        "</body>\n</html>\n"
    )


def _import_library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise FileError(
            "chart files require the Python packages altair and vl-convert-python: "
            "pip install 'unify-sql[charts]'; without TO, the chart is drawn in the terminal"
        ) from error
