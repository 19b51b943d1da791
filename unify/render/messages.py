"""Messages: writes errors and notices to stderr. Nothing else writes to stderr."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, TextIO

from unify.errors import CommandSyntaxError, Interrupted, QueryError, UnifyError
from unify.fs.process_limits import shortage_advice
from unify.render.formats.layout import wrap_text
from unify.text import escape_text, safe_text

if TYPE_CHECKING:
    from unify.redaction import Redactor

_LINE_LABEL = re.compile(r"^LINE (\d+): ", re.MULTILINE)
_CREDENTIAL_MARKS = ("://", "=", "eyJ")  # other notices need no redactor, which is slow to import
_RED, _DIM, _RESET = "\x1b[31m", "\x1b[2m", "\x1b[0m"


class Messages:
    """Writes messages to stderr.

    ``quiet``        omit notices (-q); errors are always written.
    ``write_above``  set while a prompt is on screen: shows a text above the prompt.
    """

    def __init__(
        self, stream: TextIO | None, *, quiet: bool = False, colour: bool = False, debug: bool = False
    ) -> None:
        self.stream: TextIO = stream or io.StringIO()
        self.quiet = quiet
        self.colour = colour
        self.debug = debug
        self.write_above: Callable[[str], None] | None = None

    @cached_property
    def redactor(self) -> Redactor:
        """Removes secrets from errors and notices; the adapters of this process add theirs to it."""
        from unify.redaction import Redactor

        return Redactor()

    def error(self, error: UnifyError, script: str = "", line: int = 1) -> None:
        """Write an error with its position (``deploy.sql:12``) and a pointer to the text, if known.

        ``line``  the line of the script where the statement starts.
        """
        if isinstance(error, Interrupted) and self.stream.isatty():
            self.write_raw("\n")  # after the ^C that the terminal has written
        text = self.redactor.redact(render_error(error))
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
        """Write an unexpected error in one line, or with its traceback under --debug.

        An error of the operating system that names a file is not a bug: the file may be a folder, or gone.
        Nor is a limit of the system on files, threads or memory.
        """
        if isinstance(error, OSError) and error.filename is not None and error.strerror and not self.debug:
            self.write(escape_text(self.redactor.redact(f"{error.filename}: {error.strerror}")))
            return
        if (advice := shortage_advice(error)) and not self.debug:
            self.write(advice)
            return
        kind = type(error).__name__
        self.write(f"unexpected error: {kind}: {escape_text(self.redactor.redact(str(error)))}")
        if self.debug:
            self.write_traceback(error)
        else:
            self.write("This is a bug in Unify. Run the command again with --debug to see a traceback.")

    def notice(self, text: str) -> None:
        """Write a notice, unless quiet."""
        if not self.quiet:
            if "redactor" in vars(self) or any(mark in text for mark in _CREDENTIAL_MARKS):
                text = self.redactor.redact(text)
            line = self._wrap_text(escape_text(text, allow="\n"))
            self.write(f"{_DIM}{line}{_RESET}" if self.colour else line)

    def _wrap_text(self, text: str) -> str:
        """Wrap lines between words on a terminal; leave them unchanged elsewhere."""
        try:
            width = os.get_terminal_size(self.stream.fileno()).columns
        except (OSError, ValueError):
            return text
        return wrap_text(text, width) if width else text

    def write_traceback(self, error: BaseException) -> None:
        import traceback

        self.write(
            escape_text(self.redactor.redact("".join(traceback.format_exception(error)).rstrip()), "\n\t")
        )

    def write(self, text: str) -> None:
        """Write a text; control characters that were not escaped before are escaped here."""
        text = safe_text(text)
        if self.write_above is not None:
            self.write_above(text)
        else:
            self.write_raw(text + "\n")

    def write_raw(self, text: str) -> None:
        """Write and flush. If the stream is closed, discard this text and all later ones."""
        try:
            self.stream.write(text)
            self.stream.flush()
        except (BrokenPipeError, ValueError):  # ValueError: the stream is closed
            self.stream = io.StringIO()


def render_error(error: UnifyError) -> str:
    """Return the message of an error, with a pointer to its position in the statement if known."""
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
    """Change ``LINE 1:`` of a statement to the line of its script; return text and line, or ``first``."""
    match = _LINE_LABEL.search(text)
    if match is None:
        return text, first
    line = first + int(match[1]) - 1
    label = f"LINE {line}: "
    indent = " " * (len(label) - len(match[0]))  # keeps the caret below its character
    statement, _, caret = text[match.end() :].partition("\n")
    return f"{text[: match.start()]}{label}{statement}\n{indent}{caret}", line


def _replace_tabs(text: str) -> str:
    """Replace DuckDB's tabs: four spaces at the start of a line, else one, as its caret counts."""
    return re.sub(r"^\t+", "    ", text, flags=re.MULTILINE).replace("\t", " ")
