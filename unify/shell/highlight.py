"""Colours for what is being typed, from the same tokens that decide where a statement ends."""

from __future__ import annotations

from prompt_toolkit.formatted_text import StyleAndTextTuples

from unify.language.commands import CHART_KINDS
from unify.language.recognition import is_command
from unify.language.scanner import Kind, Token, scan
from unify.shell.completing import SQL_WORDS, STARTS

LONGEST = 30_000  # characters, read in 30 ms; a pasted file beyond it stays plain, so that typing stays quick
_KEYWORDS = frozenset(SQL_WORDS) | {word for start in STARTS for word in start.split()}
_CLASSES = {
    Kind.STRING: "string",
    Kind.NUMBER: "number",
    Kind.COMMENT: "comment",
    Kind.OPEN_COMMENT: "comment",
    Kind.OPEN_QUOTE: "open",
}


def coloured(text: str) -> list[StyleAndTextTuples]:
    """The lines of ``text`` as styled pieces; joined, they are ``text`` again."""
    lines: list[StyleAndTextTuples] = [[]]
    for style, piece in _pieces(text):
        first, *others = piece.split("\n")
        lines[-1].append((style, first))
        for line in others:
            lines.append([(style, line)])
    return lines


def _pieces(text: str) -> list[tuple[str, str]]:
    if len(text) > LONGEST:
        return [("", text)]
    pieces: list[tuple[str, str]] = []
    statement_start: int | None = None
    ours = False
    for token in scan(text):
        if token.text == ";":
            statement_start = None
        elif statement_start is None and token.kind not in (Kind.BLANK, Kind.COMMENT):
            statement_start = token.start
            ours = is_command(text[token.start :].partition(";")[0])
        pieces.append((_style(token, ours), token.text))
    return pieces


def _style(token: Token, ours: bool) -> str:
    if token.kind is Kind.WORD:
        if ours:
            return "class:command" if token.text.isalpha() or token.folded in CHART_KINDS else ""
        return "class:keyword" if token.folded in _KEYWORDS else ""
    name = _CLASSES.get(token.kind)
    return f"class:{name}" if name else ""
