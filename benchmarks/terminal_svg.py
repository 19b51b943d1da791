"""Renders the lines of a recorded terminal as an SVG that needs no particular font."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple
from xml.sax.saxutils import escape

_CELL_WIDTH, _CELL_HEIGHT, _FONT_SIZE = 8.4, 18, 14  # pixels; a monospace character is 0.6 em wide
_MARGIN, _TITLE_HEIGHT = 16, 34
_BACKGROUND, _BORDER, _FOREGROUND = "#0d1117", "#444c56", "#e6edf3"  # readable on light and dark pages
_COLOURS = {
    "default": _FOREGROUND,
    "black": "#6e7681",
    "red": "#ff7b72",
    "green": "#7ee787",
    "brown": "#e3b341",  # pyte's name of yellow
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#76e3ea",
    "white": _FOREGROUND,
    "brightblack": "#8b949e",
}
# The arms of a box-drawing character: left, right, up, down.
_BOX_ARMS = {
    "─": "lr",
    "│": "ud",
    "┌": "rd",
    "┐": "ld",
    "└": "ru",
    "┘": "lu",
    "├": "rud",
    "┤": "lud",
    "┬": "lrd",
    "┴": "lru",
    "┼": "lrud",
}
_BLOCKS = {char: eighths / 8 for eighths, char in enumerate("▏▎▍▌▋▊▉█", start=1)}


class Cell(NamedTuple):
    """One character of the screen with its style."""

    text: str
    colour: str = "default"
    bold: bool = False


def render_svg(lines: Sequence[Sequence[Cell]], title: str, description: str) -> str:
    """Return the lines in a terminal window; ``description`` is the text for readers without images."""
    columns = max(map(len, lines))
    width = round(columns * _CELL_WIDTH + 2 * _MARGIN)
    height = len(lines) * _CELL_HEIGHT + 2 * _MARGIN + _TITLE_HEIGHT
    body = "\n".join(element for number, line in enumerate(lines) for element in _line_elements(line, number))
    buttons = "".join(
        f'<circle cx="{_MARGIN + 6 + 20 * number}" cy="20" r="6" fill="{colour}"/>'
        for number, colour in enumerate(("#ff5f56", "#ffbd2e", "#27c93f"))
    )
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" \
role="img">
<title>{escape(title)}</title>
<desc>{escape(description)}</desc>
<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" fill="{_BACKGROUND}" \
stroke="{_BORDER}"/>
{buttons}
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" \
font-size="{_FONT_SIZE}" xml:space="preserve">
{body}
</g>
</svg>
"""


def _line_elements(line: Sequence[Cell], number: int) -> Iterator[str]:
    """Yield the elements of a line: runs of text of one style, and drawings of box and block characters."""
    top = _TITLE_HEIGHT + _MARGIN + number * _CELL_HEIGHT
    column = 0
    for (colour, bold, kind), group in groupby(line, key=_cell_style):
        run = list(group)
        x, fill = _MARGIN + column * _CELL_WIDTH, _COLOURS.get(colour, _FOREGROUND)
        text = "".join(cell.text for cell in run)
        if kind == "box":
            yield f'<path d="{_box_path(text, x, top)}" stroke="{fill}" fill="none"/>'
        elif kind == "block":
            width = sum(_BLOCKS[char] for char in text) * _CELL_WIDTH
            size = f'width="{width:.1f}" height="{_CELL_HEIGHT - 4}"'
            yield f'<rect x="{x:.1f}" y="{top + 2}" {size} fill="{fill}"/>'
        elif text.strip():
            blanks_before, blanks_after = len(text) - len(text.lstrip()), len(text) - len(text.rstrip())
            x += blanks_before * _CELL_WIDTH
            length = (len(run) - blanks_before - blanks_after) * _CELL_WIDTH  # a wide character has two cells
            weight = ' font-weight="bold"' if bold else ""
            yield (
                f'<text x="{x:.1f}" y="{top + 13}" fill="{fill}"{weight} textLength="{length:.1f}" '
                f'lengthAdjust="spacingAndGlyphs">{escape(text.strip())}</text>'
            )
        column += len(run)


def _cell_style(cell: Cell) -> tuple[str, bool, str]:
    kind = "box" if cell.text in _BOX_ARMS else "block" if cell.text in _BLOCKS else "text"
    return cell.colour, cell.bold and kind == "text", kind


def _box_path(text: str, x: float, top: float) -> str:
    parts = []
    middle = top + _CELL_HEIGHT / 2
    for number, char in enumerate(text):
        centre = x + (number + 0.5) * _CELL_WIDTH
        ends = {
            "l": f"H{centre - _CELL_WIDTH / 2:.1f}",
            "r": f"H{centre + _CELL_WIDTH / 2:.1f}",
            "u": f"V{top:.1f}",
            "d": f"V{top + _CELL_HEIGHT:.1f}",
        }
        parts += [f"M{centre:.1f} {middle:.1f}{ends[arm]}" for arm in _BOX_ARMS[char]]
    return "".join(parts)
