r"""Meta commands about the output of the prompt: its destination, its format and how rows are shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from unify.errors import UsageError
from unify.fs.paths import expand_home
from unify.render.formats.options import Format
from unify.render.messages import Messages
from unify.render.output import Output, open_output
from unify.shell import meta_commands
from unify.shell.invocation import Invocation


class OutputCommands:
    r"""The output of the prompt. ``current`` is the file of ``\o``, else the default output."""

    def __init__(self, output: Output, messages: Messages, invocation: Invocation) -> None:
        self.current = output
        self._default = output
        self._messages = messages
        self._invocation = invocation
        self._format_before_expanded: Format = "box"

    def redirect(self, path: str) -> None:
        r"""``\o``: write rows to a file from now on; "" selects the default output again."""
        opened = self._open_file(path) if path else self._default
        self.close_file()
        self.current = opened
        self._messages.notice(f"rows are written to {opened.name}" if path else "rows are shown here")

    @contextmanager
    def used_once(self, path: str, *, expanded: bool) -> Iterator[None]:
        r"""``\g`` and ``\gx``: write what runs in the block to a file, or as lists of columns."""
        output, format = self.current, self.current.format
        if path:
            self.current = self._open_file(path)
        if expanded:
            self.current.format = "vertical"
        try:
            yield
        finally:
            file, self.current = self.current, output
            self.current.format = format
            if file is not output:
                file.close()

    def close_file(self) -> None:
        r"""Close the file of ``\o``. Raises UnifyError if it cannot be written completely."""
        file, self.current = self.current, self._default
        if file is not self._default:
            file.close()

    def expand(self, word: str) -> None:
        r"""``\x``."""
        is_expanded = self.current.format == "vertical"
        before = self._format_before_expanded if is_expanded else self.current.format
        self.set_format("vertical" if meta_commands.parse_switch(word, is_expanded) else before)

    def mode(self, word: str) -> None:
        """``.mode``."""
        if word:
            self.set_format(meta_commands.parse_format(word))
        else:
            self._messages.notice(f"format: {self.current.format}")

    def set_format(self, format: Format) -> None:
        if self.current.format != "vertical":
            self._format_before_expanded = self.current.format
        self.current.format = format
        self._messages.notice(f"format: {format}")

    def limit_rows(self, argument: str) -> None:
        """``.maxrows``."""
        limit = meta_commands.parse_row_limit(argument)
        self.current.all_rows = limit == "all"
        self.current.max_rows = None if isinstance(limit, str) else limit
        self._messages.notice(f"rows in a box: {limit if isinstance(limit, str) else f'at most {limit:,}'}")

    def show_header(self, word: str) -> None:
        r"""``\t`` and ``.headers``."""
        self.current.header = meta_commands.parse_switch(word, self.current.header)
        self._messages.notice(f"column names: {'on' if self.current.header else 'off'}")

    def set_null(self, text: str) -> None:
        """``.nullvalue``; without a text the one of the format."""
        self.current.null = text or None
        self._messages.notice(f"text of NULL: {text or 'the one of the format'}")

    def set_option(self, argument: str) -> None:
        r"""``\pset OPTION [VALUE]``, with psql's names. Raises UsageError for an option that is not here."""
        name, _, value = argument.partition(" ")
        value = meta_commands.unquote(value.strip())
        match name.lower():
            case "" | "format":
                self.mode(value)
            case "expanded" | "x":
                self.expand(value)
            case "tuples_only" | "t":
                hidden = meta_commands.parse_switch(value, not self.current.header)
                self.show_header("off" if hidden else "on")
            case "null":
                self.set_null(value)
            case "pager":
                raise UsageError(r"\pset pager: the pager is the command in PAGER; PAGER=cat shows all rows")
            case _:
                raise UsageError(rf"\pset {name}: not supported; use format, expanded, tuples_only or null")

    def _open_file(self, path: str) -> Output:
        if path.startswith("|"):
            raise UsageError(f"{path}: output is written to files only; for a pipe use unify -c … {path}")
        options = replace(self._invocation.output_options(), path=os.fspath(expand_home(path)), format=None)
        return open_output(options, {}, save_each_result=True)
