"""CREATE TABLE … AS, DROP TABLE and TRUNCATE, cut into their clauses as they are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from unify.language.sql.refs import TableRef
from unify.language.tokenizer import SqlToken, TokenKind, statement_tokens, unquote

ChangeKind = Literal["create", "drop", "truncate"]


class TableChange(Struct, frozen=True):
    """A statement that creates, drops or empties one table.

    ``source``       the SELECT of CREATE TABLE … AS; "" if the table is declared by its columns.
    ``or_replace``   CREATE OR REPLACE. ``if_exists``: DROP … IF EXISTS, CREATE … IF NOT EXISTS.
    """

    kind: ChangeKind
    target: TableRef
    source: str = ""
    or_replace: bool = False
    if_exists: bool = False


def parse_table_change(sql: str) -> TableChange | None:
    """Parse CREATE TABLE, DROP TABLE or TRUNCATE of one table; None for any other statement."""
    tokens = [token for token in statement_tokens(sql) if token.text != ";"]
    words = [token.keyword for token in tokens]
    match words:
        case ["create", "or", "replace", "table", *_]:
            return _parse_create(sql, tokens, 4)
        case ["create", "table", *_]:
            return _parse_create(sql, tokens, 2)
        case ["drop", "table", *_]:
            return _parse_drop(tokens)
        case ["truncate", *_]:
            at = 2 if words[1:2] == ["table"] else 1
            found = _take_name(tokens, at)
            return None if found is None or found[1] < len(tokens) else TableChange("truncate", found[0])
        case _:
            return None


def _parse_create(sql: str, tokens: Sequence[SqlToken], at: int) -> TableChange | None:
    words = [token.keyword for token in tokens]
    if_not_exists = words[at : at + 3] == ["if", "not", "exists"]
    found = _take_name(tokens, at + 3 * if_not_exists)
    if found is None:
        return None
    target, end = found
    source = sql[tokens[end].end : tokens[-1].end].strip() if words[end : end + 1] == ["as"] else ""
    return TableChange("create", target, source, or_replace=at == 4, if_exists=if_not_exists)


def _parse_drop(tokens: Sequence[SqlToken]) -> TableChange | None:
    """DROP TABLE … CASCADE and several tables are none of ours."""
    if_exists = [token.keyword for token in tokens[2:4]] == ["if", "exists"]
    found = _take_name(tokens, 2 + 2 * if_exists)
    if found is None or found[1] < len(tokens):
        return None
    return TableChange("drop", found[0], if_exists=if_exists)


def _take_name(tokens: Sequence[SqlToken], at: int) -> tuple[TableRef, int] | None:
    """Return the dotted name at a token, and the position after it."""
    parts: list[str] = []
    while at < len(tokens) and tokens[at].kind in (TokenKind.WORD, TokenKind.QUOTED):
        parts.append(unquote(tokens[at].text))
        at += 1
        if at >= len(tokens) or tokens[at].text != ".":
            break
        at += 1
    if not 1 <= len(parts) <= 3:
        return None
    catalog, schema, table = ["", "", *parts][-3:]
    return TableRef(schema, table, catalog, is_written=True), at
