"""Where statements end: for scripts, which are split, and for the prompt, which waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from unify.language.recognition import is_command
from unify.language.scanner import Kind, Token, scan, significant

Waiting = Literal["quote", "comment", "bracket", ";"]
# What a line break within such a token leaves open.
_INSIDE: Mapping[Kind, Waiting] = {
    Kind.STRING: "quote",
    Kind.QUOTED: "quote",
    Kind.OPEN_QUOTE: "quote",
    Kind.COMMENT: "comment",
    Kind.OPEN_COMMENT: "comment",
}


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a script, without the ``;`` that ended it and the comments around it.

    ``line`` is where ``text`` starts, from 1.
    """

    text: str
    line: int = 1


def split(text: str) -> list[Statement]:
    """The statements of ``text``, in order; a ``;`` in quotes, comments and brackets ends none.

    An empty statement is dropped; the last one needs no ``;``, and keeps a quote or comment that never ends.
    """
    found = [tokens for tokens, _ended in _statements(text) if tokens]
    lines = _Lines(text)
    return [
        Statement(text[tokens[0].start : tokens[-1].end], lines.number(tokens[0].start)) for tokens in found
    ]


def waiting_for(text: str) -> Waiting | None:
    """What ``text`` still needs before Enter runs it; None if nothing.

    SQL waits for its ``;``, one of our own commands only for the end of a quote, comment or bracket.
    """
    tokens, ended = _last(text)
    if ended or not tokens:
        return None
    if tokens[-1].kind in (Kind.OPEN_QUOTE, Kind.OPEN_COMMENT):
        return _INSIDE[tokens[-1].kind]
    return _needed(tokens, _depth(tokens), text)


def waiting_by_line(text: str) -> list[Waiting | None]:
    """For each line of ``text`` but the first, what the text above it still needs.

    Time    one pass: a paste of a thousand lines is painted at every key.
    """
    found: list[Waiting | None] = []
    tokens: list[Token] = []
    depth = 0
    for token in scan(text):
        if lines := token.text.count("\n"):
            inside = _INSIDE.get(token.kind)
            found += [inside or _needed(tokens, depth, text[: token.start])] * lines
        if token.kind in (Kind.BLANK, Kind.COMMENT):
            continue
        depth = max(0, depth + _step(token))
        ends = depth == 0 and token.kind is Kind.SYMBOL and token.text == ";"
        tokens = [] if ends else [*tokens[:1], token]
    return found


def is_complete(text: str) -> bool:
    """Whether Enter runs ``text``; text without a statement is complete, and runs nothing."""
    return waiting_for(text) is None


def _needed(tokens: Sequence[Token], depth: int, text: str) -> Waiting | None:
    """What a statement of these tokens at the end of ``text`` needs, where no quote or comment is open."""
    if depth > 0:
        return "bracket"
    return None if not tokens or is_command(text[tokens[0].start :]) else ";"


def _statements(text: str) -> Iterator[tuple[list[Token], bool]]:
    """The tokens of each statement, and whether a ``;`` ended it; the last one may be empty."""
    tokens: list[Token] = []
    depth = 0
    for token in significant(text):
        depth = max(0, depth + _step(token))
        if depth == 0 and token.kind is Kind.SYMBOL and token.text == ";":
            yield tokens, True
            tokens = []
        else:
            tokens.append(token)
    yield tokens, False


def _last(text: str) -> tuple[list[Token], bool]:
    """The last statement somebody typed something for, and whether it was ended."""
    last: tuple[list[Token], bool] = ([], True)
    for tokens, ended in _statements(text):
        if tokens:
            last = (tokens, ended)
    return last


def _depth(tokens: Sequence[Token]) -> int:
    depth = 0
    for token in tokens:
        depth = max(0, depth + _step(token))
    return depth


def _step(token: Token) -> int:
    """How a token changes the depth of brackets."""
    if token.kind is not Kind.SYMBOL:
        return 0
    return 1 if token.text in "([{" else -1 if token.text in ")]}" else 0


class _Lines:
    """Line numbers of ascending places in one text, without counting from the top each time."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.line = 1
        self.position = 0

    def number(self, position: int) -> int:
        self.line += self.text.count("\n", self.position, position)
        self.position = position
        return self.line
