"""SQL cut into tokens by DuckDB's lexical rules: where strings, comments and names begin and end.

Everything that looks at text before a parser does starts here, so that a ``;`` in a string is the same
``;`` in a string for splitting, for the prompt and for finding tables. Rules seen in DuckDB 1.5:
comments nest; ``--`` ends at a line feed or a carriage return; a backslash escapes only in E'' strings;
a name may hold ``$``, so a dollar quote cannot begin inside one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a token is. The last two never ended: they run to the end of the text."""

    BLANK = "blank"
    COMMENT = "comment"
    STRING = "string"  # 'a', E'a', $$a$$
    QUOTED = "quoted"  # "a"
    WORD = "word"
    NUMBER = "number"
    SYMBOL = "symbol"  # one character
    OPEN_QUOTE = "quote"
    OPEN_COMMENT = "open comment"


class Token(NamedTuple):
    """A piece of the text; ``start`` counts characters from 0."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def folded(self) -> str:
        """The text in lower case, for keywords; "" for anything that cannot be one."""
        return self.text.lower() if self.kind is Kind.WORD else ""


# Exactly what DuckDB 1.5 takes for a blank: not U+0085 or U+2028, which may be part of a name.
_BLANK = r"\t\n\f\r\x20\xa0\u2000-\u200b\u202f\u205f\u2060\u3000\ufeff"
_FIRST = rf"[^\x00-@\[-^`{{-\x7f{_BLANK}]"  # a letter, an underscore, anything beyond ASCII
_REST = rf"[^\x00-#%-/:-@\[-^`{{-\x7f{_BLANK}]"  # ... or a digit or a dollar sign
_TAG = rf"\$(?:{_FIRST}[^\x00-/:-@\[-^`{{-\x7f{_BLANK}]*)?\$"
_TOKEN = re.compile(
    rf"""
      (?P<blank>[{_BLANK}]++)
    | (?P<comment>--[^\r\n]*+)
    | (?P<block>/\*)
    | (?P<string>'[^']*+(?:''[^']*+)*+' | [eE]'(?:[^'\\]|\\.|'')*+' | (?P<tag>{_TAG}).*?(?P=tag))
    | (?P<quoted>"[^"]*+(?:""[^"]*+)*+")
    | (?P<open>(?:[eE]?'|"|{_TAG}).*)
    | (?P<word>{_FIRST}{_REST}*+)
    | (?P<number>\.?[0-9][0-9A-Za-z_.]*+)
    | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_KINDS = {kind.value: kind for kind in Kind} | {"open": Kind.OPEN_QUOTE}
_SILENT = frozenset({Kind.BLANK, Kind.COMMENT})


def scan(text: str) -> Iterator[Token]:
    """Every token of ``text`` in order; their texts joined are ``text`` again."""
    position = 0
    while position < len(text):
        token = _token_at(text, position)
        yield token
        position = token.end


def significant(text: str) -> Iterator[Token]:
    """The tokens that are neither blank nor comment; an unended comment counts, since it is a mistake."""
    return (token for token in scan(text) if token.kind not in _SILENT)


def without_comments(text: str) -> str:
    """``text`` with each comment and odd blank as spaces, so that every place stays where it was."""
    return "".join(_blanked(token.text) if token.kind in _SILENT else token.text for token in scan(text))


def sealed(text: str) -> str:
    """``text`` with what is in round brackets as NUL characters: a grammar need not know SQL.

    Every place stays where it was. A bracket that is never closed seals nothing.
    """
    pieces = list(text)
    opened: list[int] = []
    for token in scan(text):
        if token.kind is Kind.SYMBOL and token.text == "(":
            opened.append(token.end)
        elif token.kind is Kind.SYMBOL and token.text == ")" and opened:
            start = opened.pop()
            if not opened:
                pieces[start : token.start] = "\0" * (token.start - start)
    return "".join(pieces)


def words(text: str) -> frozenset[str]:
    """A set of keywords, written as a line of text."""
    return frozenset(text.split())


def unquoted(text: str) -> str:
    """The content of a ``"name"`` or a ``'string'``; anything else as it is, as a plain ``str``."""
    quote = text[:1]
    if quote in ('"', "'"):
        return text[1:-1].replace(quote * 2, quote)
    return str(text)  # a parser's token is a str that knows its place; what leaves here does not


def _token_at(text: str, position: int) -> Token:
    match = _TOKEN.match(text, position)
    assert match is not None  # the last alternative takes anything
    assert match.lastgroup is not None
    if match.lastgroup == "block":
        return _block_comment(text, position)
    return Token(_KINDS[match.lastgroup], match.group(), position)


def _block_comment(text: str, position: int) -> Token:
    depth = 0
    for edge in _BLOCK_EDGE.finditer(text, position):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return Token(Kind.COMMENT, text[position : edge.end()], position)
    return Token(Kind.OPEN_COMMENT, text[position:], position)


def _blanked(text: str) -> str:
    return re.sub(r"[^\r\n]", " ", text)
