"""Statements that write to a database: which rows they choose, and what these become in the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from unify.adapters.table_writes import TableOperation, WritableColumn, WritableTable
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.language import commands
from unify.language.sql.table_changes import TableChange
from unify.language.sql.write_statement import WriteStatement
from unify.language.tokenizer import TokenKind, statement_tokens, unquote
from unify.model import TableName

Creation = Literal["never", "if missing", "always", "replace"]
_SET, _KEY, _OLD = "unify set ", "unify key ", "unify old "


class RowsStatement(Struct, frozen=True):
    """A statement that writes the rows of a SELECT.

    ``name``      of the table, as written.
    ``columns``   of the table, one for each column of the SELECT; empty: see ``by_name``.
    ``by_name``   the columns of the SELECT name those of the table; else they are all of it, in order.
    ``key``       the columns that find a row; empty: those of the table's key.
    ``creation``  whether the table may be, or has to be, created.
    ``compared``  see TableWrite. ``chosen``: the rows were chosen from the table itself.
    """

    operation: TableOperation
    name: TableName
    source: str
    columns: tuple[str, ...] = ()
    by_name: bool = True
    key: tuple[str, ...] = ()
    creation: Creation = "never"
    compared: tuple[str, ...] = ()
    chosen: bool = False


def statement_of_insert(statement: WriteStatement, name: TableName) -> RowsStatement:
    """INSERT. Without columns, its rows are those of the table, in order."""
    source = f"{statement.with_clause}{statement.source}"
    return RowsStatement("insert", name, source, statement.columns, by_name=statement.by_name)


def statement_of_export(command: commands.ExportRows, *, exists: bool) -> RowsStatement:
    """EXPORT. Raises QueryError for what a database has no use for, or a table that exists without a mode."""
    if command.delta or command.gone is not None or command.adopt:
        word = "delta" if command.delta else "when gone" if command.gone is not None else "adopt"
        raise QueryError(
            f"export to {command.table}: {word} applies to APIs; a database takes append, replace, update, "
            "upsert and mirror by KEY"
        )
    if command.mode is None and exists:
        raise QueryError(
            f"{command.table} exists already; end with append, replace, or upsert by KEY, update by KEY or "
            "mirror by KEY"
        )
    operation = _row_operation(command.mode or "insert")
    if command.key and operation in ("insert", "replace"):
        raise QueryError(f"export to {command.table}: by KEY goes with update, upsert and mirror")
    is_strict = command.mode in ("insert", "update")
    return RowsStatement(
        operation,
        command.table,
        command.source,
        key=command.key,
        creation="never" if is_strict else "if missing",
    )


def statement_of_creation(change: TableChange, name: TableName) -> RowsStatement:
    """CREATE TABLE … AS."""
    creation: Creation = "replace" if change.or_replace else "always"
    return RowsStatement("insert", name, change.source, creation=creation)


def statement_of_choice(
    statement: WriteStatement, name: TableName, target: WritableTable, key: Sequence[WritableColumn]
) -> RowsStatement:
    """UPDATE or DELETE: a SELECT of the key of each row, its new values, and the old ones that it used."""
    alias = statement.alias or statement.target.table
    table = ".".join(map(quoted, filter(None, _parts(statement))))
    assigned = [(_known(target, one.column), one.expression) for one in statement.assignments]
    for column, _ in assigned:
        if column in key:
            raise QueryError(
                f"{name}: {column.name} is part of the key by which rows are found, and cannot be changed; "
                "delete the rows and insert them with the new key"
            )
    compared = _compared_columns(statement, target, key)
    chosen = [f"({expression}) AS {quoted(f'{_SET}{column.name}')}" for column, expression in assigned]
    for prefix, columns in ((_KEY, key), (_OLD, compared)):
        chosen += [f"{quoted(alias)}.{quoted(one.name)} AS {quoted(prefix + one.name)}" for one in columns]
    others = f", {statement.others}" if statement.others else ""
    where = f" WHERE {statement.where}" if statement.where else ""
    distinct = "DISTINCT " if others else ""
    columns = [*(column for column, _ in assigned), *key]
    return RowsStatement(
        "update" if assigned else "delete",
        name,
        f"{statement.with_clause}SELECT {distinct}{', '.join(chosen)} "
        f"FROM {table} AS {quoted(alias)}{others}{where}",
        tuple(one.name for one in columns),
        by_name=False,
        key=tuple(one.name for one in key),
        compared=tuple(one.name for one in compared),
        chosen=True,
    )


def _row_operation(mode: commands.RowMode) -> TableOperation:
    match mode:
        case "insert" | "append":
            return "insert"
        case "upsert" | "merge":
            return "upsert"
        case "update" | "mirror" | "replace":
            return mode


def _parts(statement: WriteStatement) -> Sequence[str]:
    target = statement.target
    return target.catalog, target.schema, target.table


def _known(target: WritableTable, name: str) -> WritableColumn:
    column = target.find(name)
    if column is None:
        raise QueryError(f"{target.name} has no column {name}")
    return column


def _compared_columns(
    statement: WriteStatement, target: WritableTable, key: Sequence[WritableColumn]
) -> Sequence[WritableColumn]:
    """Return the columns that the statement may have read: every one that it names, key columns apart."""
    texts = [statement.where, statement.others, *(one.expression for one in statement.assignments)]
    words = {
        unquote(token.text).lower()
        for text in texts
        for token in statement_tokens(text)
        if token.kind in (TokenKind.WORD, TokenKind.QUOTED)
    }
    return [
        column
        for column in target.columns
        if column.name.lower() in words and column not in key and not column.has_null_values
    ]
