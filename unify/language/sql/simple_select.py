"""The table of a SELECT that names one table and has no place for another, found in its tokens.

Most statements typed at a prompt are of this form, and importing sqlglot takes 90 ms. What is not certain is
left to sqlglot: a second SELECT or FROM, a join, a list of tables, a function in FROM.
"""

from __future__ import annotations

from collections.abc import Sequence

from unify.language.sql.refs import TableRef
from unify.language.tokenizer import SqlToken, TokenKind, keyword_set, unquote

_CLAUSES = keyword_set("select where group having qualify window order limit offset")  # after the table
# Words of statements with other tables, and words that are no table name after FROM.
_OTHER_FORMS = keyword_set(
    "with join using into update table view describe show summarize pivot unpivot pivot_wider pivot_longer "
    "values insert delete merge copy lateral only query query_table"
)
_NAMES = (TokenKind.WORD, TokenKind.QUOTED)
_MAX_NAME_PARTS = 3  # catalog.schema.table


def simple_select_table(tokens: Sequence[SqlToken]) -> TableRef | None:
    """Return the only table of a statement, or None if its tokens do not show that it is the only one."""
    words = [token.keyword for token in tokens]
    if not words or words[0] not in ("select", "from") or words.count("from") != 1:
        return None
    if words.count("select") > 1 or not _OTHER_FORMS.isdisjoint(words):
        return None
    at = words.index("from")
    if words[at - 1 : at] == ["distinct"] or _bracket_depth(
        tokens[:at]
    ):  # is distinct from; extract(a from b)
        return None
    parts = _name_parts(tokens[at + 1 :])
    after = tokens[at + 2 * len(parts) :]
    return _make_ref(parts) if parts and _is_end_of_from(after) else None


def _bracket_depth(tokens: Sequence[SqlToken]) -> int:
    return sum(
        (token.text in "([{") - (token.text in ")]}") for token in tokens if token.kind is TokenKind.SYMBOL
    )


def _name_parts(tokens: Sequence[SqlToken]) -> Sequence[SqlToken]:
    """Return the parts of the dotted name at the start of ``tokens``; nothing if it has too many."""
    parts: list[SqlToken] = []
    for position in range(0, len(tokens), 2):
        if tokens[position].kind not in _NAMES:
            return ()
        parts.append(tokens[position])
        if position + 1 >= len(tokens) or tokens[position + 1].text != ".":
            break
    return parts if len(parts) <= _MAX_NAME_PARTS else ()


def _is_end_of_from(tokens: Sequence[SqlToken]) -> bool:
    """Whether an alias may follow, and then nothing or another clause."""
    rest = list(tokens)
    if rest and rest[0].keyword == "as":
        if len(rest) < 2 or rest[1].kind not in _NAMES:
            return False
        rest = rest[2:]
    elif rest and rest[0].kind in _NAMES and rest[0].keyword not in _CLAUSES:
        rest = rest[1:]
    return not rest or rest[0].keyword in _CLAUSES or [token.text for token in rest] == [";"]


def _make_ref(parts: Sequence[SqlToken]) -> TableRef:
    names = ["", "", *(unquote(part.text) for part in parts)]
    return TableRef(names[-2], names[-1], names[-3])
