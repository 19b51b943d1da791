"""Tables found by the words before them, for statements no parser here can read.

Only names of two or three parts: a single word after FROM may be anything. Never raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from unify.language.scanner import Kind, Token, significant, unquoted, words
from unify.language.tableref import TableRef

_READING = words(
    "from join using pivot unpivot pivot_wider pivot_longer summarize describe desc copy vacuum analyze"
)
_WRITING = frozenset({"into", "table", "view", "truncate"})
_CHANGING = frozenset({"update"})
# What may stand between the word and the name: create table if not exists a.b.
_BETWEEN = frozenset({"if", "not", "exists", "only", "lateral", "table"})
# A bracket after one of these goes on with a list of tables; after any other word it calls a function.
_BEFORE_BRACKET = frozenset({"from", "join", "using", "lateral"})
# What ends a list of tables: a comma after it announces no table.
_LIST_ENDS = words(
    "select where group order having qualify limit offset window set union intersect except values "
    "returning when sample"
)
# from a.b inside these is no table: extract(year from a.b).
_OWN_FROM = frozenset({"extract", "substring", "trim", "overlay", "position"})


def scan_tables(sql: str) -> list[TableRef]:
    """Every mention of ``name.name`` or ``name.name.name`` where a table is meant."""
    tokens = list(significant(sql))
    found: list[TableRef] = []
    lists = [False]  # for each open bracket, whether a comma there goes on with a list of tables
    for position, token in enumerate(tokens):
        word = token.folded
        if token.text == "(":
            lists.append(lists[-1] and _goes_on(tokens[position - 1]))
        elif token.text == ")" and len(lists) > 1:
            lists.pop()
        elif word in _LIST_ENDS:
            lists[-1] = False
        if _announces(tokens, position, in_list=lists[-1]):
            lists[-1] = lists[-1] or word in ("from", "using")
            ref = _name_after(tokens, position)
            if ref is not None:
                found.append(ref)
    return found


def _goes_on(before: Token) -> bool:
    return before.text in (",", "(") or before.folded in _BEFORE_BRACKET


def _announces(tokens: Sequence[Token], position: int, *, in_list: bool) -> bool:
    """Whether a table's name may follow: after one of the words, or , or ( in a list of tables."""
    token = tokens[position]
    if token.text in (",", "("):
        return in_list and token.kind is Kind.SYMBOL
    if token.folded == "from":
        return not _is_own_from(tokens, position)
    return token.folded in _READING or token.folded in _WRITING or token.folded in _CHANGING


def _is_own_from(tokens: Sequence[Token], position: int) -> bool:
    """`is distinct from x`, and the FROM of a function's own syntax."""
    before = tokens[max(0, position - 4) : position]
    if before and before[-1].folded == "distinct":
        return True
    return any(word.folded in _OWN_FROM and bracket.text == "(" for word, bracket in pairwise(before))


def _name_after(tokens: Sequence[Token], position: int) -> TableRef | None:
    """The table's name after the word at ``position``, if there is one of two or three parts."""
    announced = tokens[position].folded
    position += 1
    while position < len(tokens) and tokens[position].folded in _BETWEEN:
        position += 1
    if position + 1 < len(tokens) and tokens[position + 1].text == ":":
        position += 2  # from alias: a.b
    parts = _parts(tokens[position : position + 5])
    after = position + 2 * len(parts) - 1
    if not 2 <= len(parts) <= 3:
        return None
    written = announced in _WRITING or announced in _CHANGING
    if not written and after < len(tokens) and tokens[after].text == "(":
        return None  # a table function in a schema
    catalog = parts[0] if len(parts) == 3 else ""
    return TableRef(parts[-2], parts[-1], catalog, written, read=announced not in _WRITING)


def _parts(tokens: Sequence[Token]) -> list[str]:
    """The parts of the dotted name at the beginning of ``tokens``."""
    parts: list[str] = []
    for name, dot in zip(tokens[0::2], [*tokens[1::2], None], strict=False):
        if name.kind not in (Kind.WORD, Kind.QUOTED):
            break
        parts.append(unquoted(name.text))
        if dot is None or dot.text != ".":
            break
    return parts
