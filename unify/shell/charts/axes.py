"""The frame around a drawing: a scale with labels at its left, another below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from unify.shell.charts.ink import Ink
from unify.shell.display.width import clipped, padded, text_width
from unify.text import safe_text

FRAME_LINES = 2  # below a drawing: the axis and its labels
_LABEL_WIDTH = 20  # columns of a terminal


@dataclass(frozen=True, slots=True)
class Label:
    """A text below the axis; ``column`` is its middle, counted from the drawing's left end."""

    column: int
    text: str


def framed(
    drawing: Sequence[str], width: int, heights: Mapping[int, str], labels: Sequence[Label], ink: Ink
) -> list[str]:
    """``drawing``, lines that are ``width`` wide, with its scales.

    ``heights``  labels at the left by the number of the line, from the top.
    """
    lines = ink.lines()
    left = gutter(heights.values())
    framed = []
    for number, line in enumerate(drawing):
        text = padded(heights.get(number, ""), left, right=True)
        framed.append(
            f"{ink.dim(f'{text} {lines.tick if number in heights else lines.down}')}{line}".rstrip()
        )
    placed = spread(labels, width, lines.ellipsis)
    marks = {label.column for label in labels if label in placed}
    axis = "".join(lines.mark if column in marks else lines.across for column in range(width))
    framed.append(ink.dim(" " * (left + 1) + lines.corner + axis))
    framed.append(" " * (left + 2) + ink.dim(_line(placed, width)))
    return framed


def gutter(texts: Iterable[str]) -> int:
    """The width of the labels at the left."""
    return max((text_width(text) for text in texts), default=0)


def spread(labels: Sequence[Label], width: int, ellipsis: str) -> dict[Label, tuple[int, str]]:
    """Where labels begin, and what of them fits; only every second, third … where they would touch."""
    if not labels:
        return {}
    every = 1
    while every < len(labels):
        placed = _placed(labels[::every], width, ellipsis)
        if placed is not None:
            return placed
        every += 1
    return _placed(labels[:1], width, ellipsis) or {}


def _placed(labels: Sequence[Label], width: int, ellipsis: str) -> dict[Label, tuple[int, str]] | None:
    placed: dict[Label, tuple[int, str]] = {}
    end = -1
    for label in labels:
        text = clipped(safe_text(label.text), min(width, _LABEL_WIDTH), ellipsis)
        begin = max(0, min(label.column - text_width(text) // 2, width - text_width(text)))
        if begin <= end:
            return None
        placed[label] = begin, text
        end = begin + text_width(text)
    return placed


def _line(placed: Mapping[Label, tuple[int, str]], width: int) -> str:
    line = ""
    for begin, text in sorted(placed.values()):
        line = padded(line, begin) + text
    return clipped(line, width).rstrip()
