"""One line a value, a block a row: for rows too wide to stand side by side."""

from __future__ import annotations

import re
from typing import TextIO

from unify.interpreter.results import Rows
from unify.shell.display import footer
from unify.shell.display.look import Elapsed, Look
from unify.shell.display.values import Cells, cells
from unify.shell.display.width import padded, text_width
from unify.text import counted, safe_text

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_RULE_WIDTH = 40  # columns; a rule only separates


def display(rows: Rows, out: TextIO, look: Look, elapsed: Elapsed) -> None:
    """Write ``rows`` as they come. A value of several lines goes on under itself."""
    number = 0
    names = [safe_text(column.name) for column in rows.columns]
    width = max(map(text_width, names), default=0)
    for number, row in enumerate(cells(rows), start=1):
        if look.header:
            out.write(_rule(number, look))
        out.write(_block(names, width, row, look))
    if look.terminal:
        parts = [counted(number, "row"), *footer.took(elapsed, rows.note)]
        out.write(footer.line(parts, look) + "\n")


def _rule(number: int, look: Look) -> str:
    dash = "-" if look.ascii else "─"
    return f"{dash * 2} {number} ".ljust(_RULE_WIDTH, dash) + "\n"


def _block(names: list[str], width: int, row: Cells, look: Look) -> str:
    bar = " | " if look.ascii else " │ "
    null = "NULL" if look.null is None else look.null
    lines = []
    for name, cell in zip(names, row, strict=True):
        head = name
        for line in _LINE_BREAK.split(null if cell is None else cell):
            lines.append(f"{padded(head, width)}{bar if line else bar.rstrip()}{safe_text(line)}\n")
            head = ""
    return "".join(lines)
