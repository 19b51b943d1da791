"""Runs of constants in lists: what is searched for tables or words need not be split into their tokens.

A statement with 80,000 values has 320,000 tokens, nearly all of them in ``, (1, 'a'), (2, 'b')`` or in
``, 1, 2``, and a token takes Python microseconds in each pass. In a FROM list a string is a table or a file.
A function of constants is one, too; ``called_functions`` has the names, since one may be a macro.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

_OPENING = frozenset("([{")
_CLOSING = frozenset(")]}")
# Reserved words that end a FROM list.
_FROM_ENDS = frozenset(
    {"select", "where", "group", "having", "window", "qualify", "order", "limit", "offset", "returning"}
    | {"union", "intersect", "except", ";"}
)

MIN_RUN = 16  # constants; shorter lists are split into tokens

_S = r"[\t-\r\x20]"
_NUMBER = r"[-+]?\.?[0-9][0-9A-Za-z_.]*+(?:(?<=[eE])[-+][0-9]++)?"
_STRING = r"'[^']*+(?:''[^']*+)*+'"
_TYPED = rf"(?:(?:date|time|timestamp|timestamptz|interval){_S}*+)?{_STRING}(?:::[a-z]++)?"
_SCALAR = rf"(?:{_NUMBER}|{_TYPED}|null|true|false|default)"
_ARGUMENTS = rf"{_S}*+(?:{_SCALAR}(?:{_S}*+,{_S}*+{_SCALAR})*+(?:{_S}++as{_S}++[a-z]++)?)?{_S}*+"
_CALL = rf"(?!(?:select|from|join|using|table|values)\b)[a-z_][a-z0-9_]*+\({_ARGUMENTS}\)"
_LIST = rf"\[{_S}*+(?:{_SCALAR}(?:{_S}*+,{_S}*+{_SCALAR})*+)?{_S}*+\]"
_MEMBER = rf"{_STRING}{_S}*+:{_S}*+{_SCALAR}"
_STRUCT = rf"\{{{_S}*+{_MEMBER}(?:{_S}*+,{_S}*+{_MEMBER})*+{_S}*+\}}"
_CONSTANT = rf"(?:{_SCALAR}|{_CALL}|{_LIST}|{_STRUCT})"
_ROW = rf"\({_S}*+{_CONSTANT}(?:{_S}*+,{_S}*+{_CONSTANT})*+{_S}*+\)"
_BRANCH = rf"{_S}*+when{_S}++{_CONSTANT}{_S}++then{_S}++{_CONSTANT}(?={_S})"
# Each member is in balanced brackets and ends before a comma, a bracket or another branch of CASE.
PATTERN = rf"(?:{_S}*+,{_S}*+(?:{_CONSTANT}|{_ROW})(?={_S}*+[,)\]])|{_BRANCH}){{{MIN_RUN},}}+"


@cache
def constant_run() -> re.Pattern[str]:
    """Return the compiled PATTERN, which takes 6 ms."""
    return re.compile(PATTERN, re.IGNORECASE | re.ASCII)


@cache
def _call() -> re.Pattern[str]:
    """Return the pattern of a string, or of a call, which is its only group."""
    return re.compile(rf"{_STRING}|({_CALL})", re.IGNORECASE | re.ASCII)


def called_functions(run: str) -> Sequence[tuple[int, int]]:
    """Return start and end of the first call of each function in a run of constants."""
    if run.find("(") < 0:
        return ()
    first: dict[str, tuple[int, int]] = {}
    for call in _call().finditer(run):
        if call[1] is not None:
            name = call[1].partition("(")[0].lower()
            if name not in first:
                first[name] = call.span(1)
    return tuple(first.values())


class FromLists:
    """Follows the tokens of a statement: whether a comma is now one of a FROM list."""

    def __init__(self) -> None:
        self.is_open = False
        self._outer: list[bool] = []  # of the brackets around
        self._before = ""

    def add(self, word: str) -> None:
        """Add a token in lower case."""
        if word in _OPENING:
            self._outer.append(self.is_open)
            self.is_open = False
        elif word in _CLOSING:
            self.is_open = bool(self._outer) and self._outer.pop()
        elif self._before != ".":  # a word after a dot is a name
            if word in ("from", "join", "using"):
                self.is_open = True
            elif word in _FROM_ENDS:
                self.is_open = False
        self._before = word


def may_have_run(sql: str) -> bool:
    """Whether a text has as many members as the shortest run; most statements have fewer."""
    return sql.count(",") >= MIN_RUN or sql.count(",") + sql.lower().count("when") >= MIN_RUN
