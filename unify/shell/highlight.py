"""Colours of the text being typed, from the tokens that also decide where a statement ends."""

from __future__ import annotations

from prompt_toolkit.formatted_text import StyleAndTextTuples

from unify.language.commands import CHART_KINDS
from unify.language.statements import is_command
from unify.language.tokenizer import SqlToken, TokenKind, tokenize
from unify.shell.completer import SQL_WORDS, STATEMENT_STARTS

MAX_HIGHLIGHT_CHARS = 30_000  # tokenized in 30 ms at each key; longer text is not coloured
_KEYWORDS = frozenset(SQL_WORDS) | {word for start in STATEMENT_STARTS for word in start.split()}
_STYLE_CLASSES = {
    TokenKind.STRING: "string",
    TokenKind.NUMBER: "number",
    TokenKind.COMMENT: "comment",
    TokenKind.UNTERMINATED_COMMENT: "comment",
    TokenKind.UNTERMINATED_QUOTE: "open",
}


def highlight_lines(text: str) -> list[StyleAndTextTuples]:
    """Return the lines of ``text`` as styled pieces, which concatenate to ``text``."""
    lines: list[StyleAndTextTuples] = [[]]
    for style, piece in _styled_pieces(text):
        first, *others = piece.split("\n")
        lines[-1].append((style, first))
        for line in others:
            lines.append([(style, line)])
    return lines


def _styled_pieces(text: str) -> list[tuple[str, str]]:
    if len(text) > MAX_HIGHLIGHT_CHARS:
        return [("", text)]
    pieces: list[tuple[str, str]] = []
    statement_start: int | None = None
    in_command = False
    for token in tokenize(text):
        if token.text == ";":
            statement_start = None
        elif statement_start is None and token.kind not in (TokenKind.BLANK, TokenKind.COMMENT):
            statement_start = token.start
            in_command = is_command(text[token.start :].partition(";")[0])
        pieces.append((_style(token, in_command), token.text))
    return pieces


def _style(token: SqlToken, is_in_command: bool) -> str:
    if token.kind is TokenKind.WORD:
        if is_in_command:
            return "class:command" if token.text.isalpha() or token.keyword in CHART_KINDS else ""
        return "class:keyword" if token.keyword in _KEYWORDS else ""
    name = _STYLE_CLASSES.get(token.kind)
    return f"class:{name}" if name else ""
