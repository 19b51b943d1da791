"""The rows of INSERT, UPDATE, DELETE and MERGE as JSON values.

UPDATE, DELETE and MERGE choose among the stored rows of their table, which a SELECT finds and refreshes like
any other; so the rows are those of the statement's moment, whatever the table becomes before they are sent.
"""

from __future__ import annotations

from collections.abc import Sequence

from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.query import QueryRunner
from unify.interpreter.writing.rows_to_write import STORED_ROW, open_rows, target_sql
from unify.language.sql.merge_statement import MergeClause, MergeStatement
from unify.language.sql.write_statement import WriteStatement
from unify.model import PlannedRow, TableName

_SET_PREFIX, _KEY_PREFIX = "unify set ", "unify key "
_CLAUSE, _IN_SOURCE = "unify clause", "unify in source"


class RowSource:
    """Reads the rows of one statement."""

    def __init__(self, query: QueryRunner, max_age: MaxAge) -> None:
        self._query = query
        self._max_age = max_age

    def read(
        self, statement: WriteStatement | MergeStatement, target: TableName, key: Sequence[str], limit: int
    ) -> tuple[list[PlannedRow], str]:
        """Return at most ``limit`` rows, and the age of the table that they were chosen from.

        Raises QueryError; LoadFailed if a table cannot be loaded.
        """
        if isinstance(statement, MergeStatement):
            return self._read_merged(statement, target, key, limit)
        match statement.operation:
            case "insert":
                return self._read_inserted(statement, limit)
            case "update" | "delete":
                return self._read_chosen(statement, target, key, limit)

    def _read_inserted(self, statement: WriteStatement, limit: int) -> tuple[list[PlannedRow], str]:
        source = f"SELECT * FROM (\n{statement.with_clause}{statement.source}\n) AS source"
        if statement.columns:
            source += f"({', '.join(map(quoted, statement.columns))})"
        with open_rows(self._query, source, self._max_age, limit) as table:
            if not statement.columns and statement.source[:6].lower() == "values":
                raise QueryError(f"insert into {statement.target}: name the columns: (COLUMN, …) values …")
            rows = table.rows(table.object_of())
            return [
                PlannedRow(number, "insert", values) for number, (values,) in enumerate(rows, start=1)
            ], table.note

    def _read_chosen(
        self, statement: WriteStatement, target: TableName, key: Sequence[str], limit: int
    ) -> tuple[list[PlannedRow], str]:
        name = statement.alias or target.table
        chosen = [
            f"({assignment.expression}) AS {quoted(_SET_PREFIX + assignment.column)}"
            for assignment in statement.assignments
        ]
        chosen += _target_columns(name, key)
        others = f", {statement.others}" if statement.others else ""
        where = f" WHERE {statement.where}" if statement.where else ""
        sql = (
            f"{statement.with_clause}SELECT {', '.join(chosen)} "
            f"FROM {target_sql(target)} AS {quoted(name)}{others}{where}"
        )
        with open_rows(self._query, sql, self._max_age, limit) as table:
            rows = table.rows(table.object_of(_SET_PREFIX), table.object_of(_KEY_PREFIX), table.stored_row())
            return [
                PlannedRow(number, statement.operation, values, keys, before)
                for number, (values, keys, before) in enumerate(rows, start=1)
            ], table.note

    def _read_merged(
        self, statement: MergeStatement, target: TableName, key: Sequence[str], limit: int
    ) -> tuple[list[PlannedRow], str]:
        with open_rows(self._query, _merge_sql(statement, target, key), self._max_age, limit) as table:
            clauses = range(len(statement.clauses))
            rows = table.rows(
                table.object_of(columns=[_CLAUSE]),
                table.object_of(_KEY_PREFIX),
                table.stored_row(),
                *(table.object_of(_set_prefix(clause)) for clause in clauses),
            )
            planned: list[PlannedRow] = []
            for number, (chosen, keys, before, *values) in enumerate(rows, start=1):
                clause = chosen[_CLAUSE]
                assert isinstance(clause, int)
                action = statement.clauses[clause].action
                known = {} if action == "insert" else keys
                stored = None if action == "insert" else before
                planned.append(PlannedRow(number, action, values[clause], known, stored))
            return planned, table.note


def _merge_sql(statement: MergeStatement, target: TableName, key: Sequence[str]) -> str:
    """SELECT the rows of source and target with the number of the first clause that applies to each."""
    name = statement.alias or target.table
    is_matched = f"({quoted(name)}.{quoted(STORED_ROW)} IS NOT NULL)"
    in_source = f"({quoted(statement.source_name)}.{quoted(_IN_SOURCE)} IS NOT NULL)"
    tests = [
        f"WHEN {_clause_condition(clause, is_matched, in_source)} THEN {number}"
        for number, clause in enumerate(statement.clauses)
    ]
    chosen = [f"CASE {' '.join(tests)} END AS {quoted(_CLAUSE)}", *_target_columns(name, key)]
    for number, clause in enumerate(statement.clauses):
        chosen += [
            f"CASE WHEN {quoted(_CLAUSE)} = {number} THEN ({assignment.expression}) END "
            f"AS {quoted(_set_prefix(number) + assignment.column)}"
            for assignment in clause.assignments
        ]
    join = "FULL" if any(clause.match == "not matched by source" for clause in statement.clauses) else "LEFT"
    kept = [str(number) for number, clause in enumerate(statement.clauses) if clause.action != "nothing"]
    source = f"(SELECT *, true AS {quoted(_IN_SOURCE)} FROM {statement.source})"
    joined = (
        f"SELECT {', '.join(chosen)} FROM {source} AS {quoted(statement.source_name)} "
        f"{join} JOIN {target_sql(target)} AS {quoted(name)} {statement.condition}"
    )
    return (
        f"{statement.with_clause}SELECT * FROM (\n{joined}\n) WHERE {quoted(_CLAUSE)} IN ({', '.join(kept)})"
    )


def _clause_condition(clause: MergeClause, is_matched: str, in_source: str) -> str:
    match clause.match:
        case "matched":
            met = f"{is_matched} AND {in_source}"
        case "not matched":
            met = f"NOT {is_matched}"
        case "not matched by source":
            met = f"NOT {in_source}"
    return f"{met} AND ({clause.condition})" if clause.condition else met


def _set_prefix(clause: int) -> str:
    return f"unify set {clause} "


def _target_columns(name: str, key: Sequence[str]) -> list[str]:
    """The key and the whole stored row of the target."""
    stored = quoted(STORED_ROW)
    keys = [f"{quoted(name)}.{quoted(column)} AS {quoted(_KEY_PREFIX + column)}" for column in key]
    return [*keys, f"{quoted(name)}.{stored} AS {stored}"]
