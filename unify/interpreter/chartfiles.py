"""Charts as svg, png and html files, through Vega-Altair and vl-convert: optional packages, imported late."""

from __future__ import annotations

import html
import importlib
import json
from pathlib import Path
from typing import Any

from unify.errors import FileError
from unify.interpreter import chartspec
from unify.interpreter.chart import Chart
from unify.interpreter.filewriting import Mode, refuse_existing, replacing
from unify.interpreter.results import Message
from unify.text import did_you_mean

SUFFIXES = (".svg", ".png", ".html")
_WAYS = "overwrite"
_SHARPNESS = 2.0  # pixels of a png for one of its size: what today's screens have


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
    return Message("; ".join([f"chart written to {place}", *chart.remarks, *chartspec.elided(chart)]))


def _content(chart: Chart, suffix: str) -> bytes:
    spec = chartspec.spec(chart, _library("altair"))
    converter = _library("vl_convert")
    if suffix == ".png":
        return bytes(converter.vegalite_to_png(spec, scale=_SHARPNESS))
    if suffix == ".svg":
        return str(converter.vegalite_to_svg(spec)).encode()
    return _page(chart, spec, converter.javascript_bundle).encode()


def _page(chart: Chart, spec: dict[str, Any], bundle: Any) -> str:
    """A page that needs no network: the program that draws is in it. Data stays data, whatever is in it."""
    data = json.dumps(spec).replace("<", "\\u003c")
    options = '{"actions": {"export": true, "source": false, "compiled": false, "editor": false}}'
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(chartspec.title(chart))}</title>\n</head>\n<body>\n"
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
