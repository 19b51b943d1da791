"""MERGE INTO a table of a database, as the update, upsert or mirror that writes the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal

from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.interpreter.writing.database.statements import RowsStatement
from unify.language.sql.merge_statement import Match, MergeClause, MergeStatement
from unify.language.tokenizer import SqlToken, TokenKind, statement_tokens, unquote
from unify.model import TableName

_Expression = tuple[str, ...]  # the texts of its tokens, names in lower case


def statement_of_merge(statement: MergeStatement, name: TableName) -> RowsStatement:
    """Return the statement that writes the same rows. Raises QueryError if there is none, with the reason."""
    if statement.returning:
        raise QueryError(
            f"merge into {name}: returning is for APIs; read the rows after the statement: "
            f"select … from {name}"
        )
    clauses = {clause.match: clause for clause in statement.clauses if clause.action != "nothing"}
    if len(clauses) < len([one for one in statement.clauses if one.action != "nothing"]):
        raise _refusal(name, "it has two clauses for the same rows")
    if any(clause.condition for clause in clauses.values()):
        raise _refusal(name, "a WHEN has a condition; put it into the SELECT of the rows")
    keys = _join_keys(statement, name)
    operation = _operation(clauses, name)
    update = clauses["matched"]
    written = clauses["not matched"].assignments if "not matched" in clauses else update.assignments
    values = {one.column.lower(): (one.column, one.expression) for one in written}
    for column, key in keys.items():
        if column in values and _expression(values[column][1]) != _expression(key):
            raise _refusal(name, f"it writes another value to {column} than it compares")
        values.setdefault(column, (column, key))
    set_values = {one.column.lower(): _expression(one.expression) for one in update.assignments}
    others = {column: _expression(text) for column, (_, text) in values.items() if column not in keys}
    if {column: text for column, text in set_values.items() if column not in keys} != others:
        raise _refusal(name, "UPDATE and INSERT do not write the same values to the same columns")
    _check_sources(statement, name, [text for _, text in values.values()])
    chosen = ", ".join(f"({text}) AS {quoted(column)}" for column, text in values.values())
    return RowsStatement(
        operation,
        name,
        f"{statement.with_clause}SELECT {chosen} FROM {statement.source}",
        key=tuple(keys),
    )


def _operation(
    clauses: Mapping[Match, MergeClause], name: TableName
) -> Literal["update", "upsert", "mirror"]:
    actions = {match: clause.action for match, clause in clauses.items()}
    match actions:
        case {"matched": "update", "not matched": "insert", "not matched by source": "delete"}:
            return "mirror"
        case {"matched": "update", "not matched": "insert"} if len(actions) == 2:
            return "upsert"
        case {"matched": "update"} if len(actions) == 1:
            return "update"
    raise _refusal(name, "it is none of update, update and insert, or these and delete of rows that are gone")


def _join_keys(statement: MergeStatement, name: TableName) -> Mapping[str, str]:
    """Return the columns that find a row, in lower case, with the values of the source that they equal."""
    tokens = statement_tokens(statement.condition)
    if tokens[0].keyword == "using":
        columns = [unquote(one.text) for one in tokens[2:-1:2]]
        return {column.lower(): f"{quoted(statement.source_name)}.{quoted(column)}" for column in columns}
    found: dict[str, str] = {}
    for part in _split(_without_brackets(tokens[1:]), "and"):
        sides = list(_split(_without_brackets(part), "="))
        columns = [column for side in sides if (column := _target_column(side, statement)) is not None]
        if len(sides) != 2 or len(columns) != 1 or columns[0].lower() in found:
            raise _refusal(name, "its condition is not TARGET.COLUMN = VALUE, joined by AND")
        [value] = [side for side in sides if _target_column(side, statement) is None]
        found[columns[0].lower()] = statement.condition[value[0].start : value[-1].end]
    return found


def _target_column(tokens: Sequence[SqlToken], statement: MergeStatement) -> str | None:
    if len(tokens) != 3 or tokens[1].text != "." or not _is_target(tokens[0], statement):
        return None
    return unquote(tokens[2].text)


def _is_target(token: SqlToken, statement: MergeStatement) -> bool:
    named = statement.alias or statement.target.table
    return token.kind in (TokenKind.WORD, TokenKind.QUOTED) and unquote(token.text).lower() == named.lower()


def _check_sources(statement: MergeStatement, name: TableName, expressions: Sequence[str]) -> None:
    """Refuse values that read the table itself: the SELECT of the rows has the source only."""
    for text in expressions:
        tokens = statement_tokens(text)
        if any(_is_target(one, statement) and after.text == "." for one, after in pairwise(tokens)):
            raise _refusal(name, f"the value {text} reads the table itself")


def _split(tokens: Sequence[SqlToken], separator: str) -> Iterator[Sequence[SqlToken]]:
    """Yield the parts between separators outside of brackets."""
    depth, start = 0, 0
    for position, token in enumerate(tokens):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0 and separator in (token.keyword, token.text):
            yield tokens[start:position]
            start = position + 1
    yield tokens[start:]


def _without_brackets(tokens: Sequence[SqlToken]) -> Sequence[SqlToken]:
    """Return the tokens within brackets around all of them."""
    while len(tokens) > 1 and tokens[0].text == "(" and _closing(tokens) == len(tokens) - 1:
        tokens = tokens[1:-1]
    return tokens


def _closing(tokens: Sequence[SqlToken]) -> int:
    depth = 0
    for position, token in enumerate(tokens):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0:
            return position
    return -1


def _expression(text: str) -> _Expression:
    tokens = _without_brackets(statement_tokens(text))
    names = (TokenKind.WORD, TokenKind.QUOTED)  # in any case, whether quoted or not
    return tuple(unquote(one.text).lower() if one.kind in names else one.text for one in tokens)


def _refusal(name: TableName, reason: str) -> QueryError:
    return QueryError(
        f"merge into {name}: {reason}. Write export (SELECT …) to {name} upsert by KEY, or mirror by KEY to "
        "delete the rows that the SELECT does not have"
    )
