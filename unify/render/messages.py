"""Everything that is said to a person: errors, notices, what a statement did. All of it on stderr."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from typing import TextIO

from unify.errors import CommandSyntaxError, Interrupted, QueryError, UnifyError
from unify.render.formats.layout import wrap_text
from unify.text import escape_text

_LINE_LABEL = re.compile(r"^LINE (\d+): ", re.MULTILINE)
_RED, _DIM, _RESET = "\x1b[31m", "\x1b[2m", "\x1b[0m"


class Messages:
    """The only one who writes to stderr.

    ``quiet``  notices and messages are left out (-q); errors never.
    ``write_above``  set while a prompt is on screen: takes a text and shows it above the prompt.
    """

    def __init__(
        self, stream: TextIO | None, *, quiet: bool = False, colour: bool = False, debug: bool = False
    ) -> None:
        self.stream: TextIO = stream or io.StringIO()
        self.quiet = quiet
        self.colour = colour
        self.debug = debug
        self.write_above: Callable[[str], None] | None = None

    def error(self, error: UnifyError, script: str = "", line: int = 1) -> None:
        """Say what went wrong, where (``deploy.sql:12``), and point at it where that is known.

        ``line``  of the script, where the statement begins; lines are counted from there.
        """
        if isinstance(error, Interrupted) and self.stream.isatty():
            self.write_raw("\n")  # behind the ^C that the terminal has written
        text = render_error(error)
        if script:
            text, line = _point_into_script(text, line)
            text = f"{script}:{line}: {text}"
        first, _, rest = text.partition("\n")
        first, rest = self._wrap_text(first), self._wrap_text(rest)
        styled = f"{_RED}{first}{_RESET}" if self.colour else first
        self.write(styled + (f"\n{rest}" if rest else ""))
        if self.debug:
            self.write_traceback(error)

    def internal_error(self, error: BaseException) -> None:
        """Say that the fault is ours, in one line; all of it with --debug."""
        kind = type(error).__name__
        self.write(f"unexpected error: {kind}: {escape_text(str(error))}")
        if self.debug:
            self.write_traceback(error)
        else:
            self.write("this is a fault in Unify; the same command with --debug says where")

    def notice(self, text: str) -> None:
        """Say one line beside the results."""
        if not self.quiet:
            line = self._wrap_text(escape_text(text, allow="\n"))
            self.write(f"{_DIM}{line}{_RESET}" if self.colour else line)

    def _wrap_text(self, text: str) -> str:
        """On a terminal, no word is cut at its edge; elsewhere each line stays one."""
        width = _terminal_width(self.stream)
        return text if width is None else wrap_text(text, width)

    def write_traceback(self, error: BaseException) -> None:
        import traceback

        self.write("".join(traceback.format_exception(error)).rstrip())

    def write(self, text: str) -> None:
        """Write one text of our own making, which is safe by now."""
        if self.write_above is not None:
            self.write_above(text)
        else:
            self.write_raw(text + "\n")

    def write_raw(self, text: str) -> None:
        """Write and flush. Where nobody listens any more, there is nobody to tell."""
        try:
            self.stream.write(text)
            self.stream.flush()
        except (BrokenPipeError, ValueError):  # ValueError: the stream is closed
            self.stream = io.StringIO()


def render_error(error: UnifyError) -> str:
    """The whole message, of several lines where it points at a place or lists mistakes."""
    lines = [escape_text(_replace_tabs(error.message), allow="\n")]
    match error:
        case QueryError():
            from unify.language import error_position

            first, *rest = re.sub(r"\n+(?=LINE \d+: )", "\n", lines[0]).split("\n")
            lines = [first + escape_text(error_position.suggest_keyword(error.message)), *rest]
        case CommandSyntaxError() if error.source:
            from unify.language import error_position

            lines.append(error_position.render_pointer(error.source, error.line, error.column))
    return "\n".join(lines)


def _point_into_script(text: str, first: int) -> tuple[str, int]:
    """What points into a statement pointing into its script, and the line; ``first`` without a pointer."""
    place = _LINE_LABEL.search(text)
    if place is None:
        return text, first
    line = first + int(place[1]) - 1
    label = f"LINE {line}: "
    further = " " * (len(label) - len(place[0]))  # the caret below moves with the text
    shown, _, below = text[place.end() :].partition("\n")
    return f"{text[: place.start()]}{label}{shown}\n{further}{below}", line


def _replace_tabs(text: str) -> str:
    """DuckDB indents with tabs; within a line one takes the place of one character, as its caret counts."""
    return re.sub(r"^\t+", "    ", text, flags=re.MULTILINE).replace("\t", " ")


def _terminal_width(stream: TextIO) -> int | None:
    """The columns of the terminal behind ``stream``; None where there is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None
