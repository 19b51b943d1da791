"""MERGE INTO, cut into its clauses as they are written; nothing is rewritten or run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from unify.errors import QueryError
from unify.language.sql.refs import TableRef
from unify.language.sql.write_statement import Assignment, StatementReader, parse_assignment

Match = Literal["matched", "not matched", "not matched by source"]
MergeAction = Literal["insert", "update", "delete", "nothing"]


class MergeClause(Struct, frozen=True):
    """``when … [and condition] then action``. ``assignments`` are the columns that it sets."""

    match: Match
    action: MergeAction
    condition: str = ""
    assignments: tuple[Assignment, ...] = ()


class MergeStatement(Struct, frozen=True):
    """A MERGE.

    ``with_clause``  the CTEs before it, with WITH; "" for none.
    ``source``       a table or a SELECT in brackets, with its alias.
    ``source_name``  the name by which the other clauses refer to it.
    ``condition``    the join condition, with ON or USING.
    """

    target: TableRef
    alias: str
    source: str
    source_name: str
    condition: str
    clauses: tuple[MergeClause, ...]
    with_clause: str = ""
    returning: str = ""

    operation: Literal["merge"] = "merge"


def parse_merge_statement(sql: str) -> MergeStatement | None:
    """Parse MERGE INTO; None for any other statement. Raises QueryError."""
    reader = StatementReader(sql)
    with_clause = reader.take_with_clause()
    if not reader.take_word("merge"):
        return None
    reader.take_word("into")
    target = reader.take_table()
    if target is None:
        return None
    alias = reader.take_alias()
    if not reader.take_word("using"):
        raise QueryError(f"merge into {target}: expected USING and the rows to merge")
    source, source_name = _take_source(reader, target)
    condition = reader.take_until("when")
    if not condition:
        raise QueryError(f"merge into {target}: expected ON CONDITION or USING (COLUMN, …)")
    clauses: list[MergeClause] = []
    while reader.take_word("when"):
        clauses.append(_take_clause(reader, target))
    if not any(clause.action != "nothing" for clause in clauses):
        raise QueryError(f"merge into {target}: expected WHEN … THEN INSERT, UPDATE or DELETE")
    returning = reader.take_until() if reader.take_word("returning") else ""
    return MergeStatement(
        target, alias, source, source_name, condition, tuple(clauses), with_clause, returning
    )


def _take_source(reader: StatementReader, target: TableRef) -> tuple[str, str]:
    """Return the source with its alias, and its name."""
    start = reader.start
    table = reader.take_table()
    if table is None:
        reader.skip_item()
    name = reader.take_alias() or (table.table if table is not None else "")
    if not name:
        raise QueryError(f"merge into {target}: name the rows to merge: using (SELECT …) as NAME")
    reader.take_name_list()
    return reader.sql[start : reader.start].strip(), name


def _take_clause(reader: StatementReader, target: TableRef) -> MergeClause:
    match = _take_match(reader, target)
    condition = reader.take_until("then") if reader.take_word("and") else ""
    if not reader.take_word("then"):
        raise QueryError(f"merge into {target}: expected THEN after WHEN {match.upper()}")
    action = reader.keyword
    reader.advance()
    match action:
        case "do" if reader.take_word("nothing"):
            return MergeClause(match, "nothing", condition)
        case "delete" if match != "not matched":
            return MergeClause(match, "delete", condition)
        case "update" if match != "not matched":
            return MergeClause(match, "update", condition, _take_set(reader, target))
        case "insert" if match == "not matched":
            return MergeClause(match, "insert", condition, _take_insert(reader, target))
    raise QueryError(f"merge into {target}: WHEN {match.upper()} THEN {action.upper()} is not possible")


def _take_match(reader: StatementReader, target: TableRef) -> Match:
    is_not = reader.take_word("not")
    if not reader.take_word("matched"):
        raise QueryError(f"merge into {target}: expected WHEN MATCHED or WHEN NOT MATCHED")
    if not is_not:
        return "matched"
    if not reader.take_word("by"):
        return "not matched"
    if reader.take_word("source"):
        return "not matched by source"
    reader.take_word("target")
    return "not matched"


def _take_set(reader: StatementReader, target: TableRef) -> tuple[Assignment, ...]:
    if not reader.take_word("set"):
        raise QueryError(f"merge into {target}: name the columns: THEN UPDATE SET COLUMN = VALUE, …")
    return tuple(map(parse_assignment, reader.take_items_until("when", "returning")))


def _take_insert(reader: StatementReader, target: TableRef) -> tuple[Assignment, ...]:
    columns = reader.take_name_list()
    if not columns or not reader.take_word("values"):
        raise QueryError(f"merge into {target}: name the columns: THEN INSERT (COLUMN, …) VALUES (VALUE, …)")
    values = reader.take_bracket_items()
    if len(values) != len(columns):
        raise QueryError(f"merge into {target}: INSERT has {len(columns)} columns and {len(values)} values")
    return tuple(_assignments(columns, values))


def _assignments(columns: Sequence[str], values: Sequence[str]) -> list[Assignment]:
    return [Assignment(column, value) for column, value in zip(columns, values, strict=True)]
