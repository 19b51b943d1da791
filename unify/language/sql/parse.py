"""Parsing with sqlglot: the tables in a syntax tree.

Imported late: sqlglot takes 90 ms.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import lru_cache

import sqlglot
from sqlglot import exp

from unify.language.sql.refs import TableRef
from unify.language.tokenizer import blank_comments

# sqlglot warns on stderr about syntax it cannot parse; the fallback makes the warning useless.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

_DIALECT = "duckdb"
_MAX_CACHED_CHARS = 20_000  # a tree takes about 100 bytes a character
# Statements that change their target table without reading its rows.
_WRITE_STATEMENTS = (exp.Insert, exp.Create, exp.Drop, exp.Alter, exp.TruncateTable, exp.Comment)
# Statements that read and change rows of their target.
_ROW_CHANGE_STATEMENTS = (exp.Update, exp.Delete, exp.Merge, exp.Index)
_TARGET_ROLES = frozenset({"this", "tables", "expressions"})  # roles of the target; other tables are read
# Parents under which a Table node is not a table.
_NON_TABLE_PARENTS = (exp.Use, exp.UserDefinedFunction, exp.AlterRename)
_TABLE_KINDS = frozenset({"TABLE", "VIEW"})  # of CREATE and DROP; not SEQUENCE, MACRO or SCHEMA


def parse_sql(sql: str) -> exp.Expr | None:
    """Return the syntax tree of one statement, which callers must not change; None if it cannot be parsed."""
    return _parse_cached(sql) if len(sql) <= _MAX_CACHED_CHARS else _parse(sql)


def _parse(sql: str) -> exp.Expr | None:
    try:
        trees = sqlglot.parse(blank_comments(sql), read=_DIALECT)  # by DuckDB's rules
    except Exception:  # noqa: BLE001 - sqlglot raises more than its own errors on arbitrary text
        return None
    if len(trees) != 1 or trees[0] is None or isinstance(trees[0], exp.Command):
        return None
    return trees[0]


_parse_cached = lru_cache(maxsize=4)(_parse)  # the tables and the conditions of a statement are in one tree


def statement_tables(sql: str) -> list[TableRef] | None:
    """Return every reference to a table, or None if sqlglot cannot parse the statement."""
    tree = parse_sql(sql)
    return None if tree is None else list(tree_table_refs(tree))


def tree_table_refs(tree: exp.Expr) -> Iterator[TableRef]:
    """Yield every table reference below ``root`` in the order of the text, CTE names in scope excluded."""
    for node in table_nodes(tree):
        written = is_write_target(node)
        yield TableRef(
            node.db, node.name, node.catalog, written, is_read=not written or _is_row_change_target(node)
        )
    if isinstance(tree, exp.Comment) and isinstance(column := tree.this, exp.Column):
        yield TableRef(column.db, column.table, column.catalog, is_written=True, is_read=False)


def table_nodes(tree: exp.Expr) -> list[exp.Table]:
    """Return the nodes of those references."""
    nodes = sorted(filter(is_table_node, tree.find_all(exp.Table)), key=_text_position)
    return [node for node in nodes if not _is_cte_name(node)]


def all_table_names(tree: exp.Expr) -> set[tuple[str, str, str]]:
    """Return catalog, schema and name of every table and CTE that the tree names, in lower case."""
    nodes = [node for node in tree.find_all(exp.Table) if is_table_node(node)]
    return {(node.catalog.lower(), node.db.lower(), node.name.lower()) for node in nodes}


def is_table_node(node: exp.Table) -> bool:
    """Return whether a Table node is a table, not a table function, a schema or a new name."""
    if not isinstance(node.this, exp.Identifier) or isinstance(node.parent, _NON_TABLE_PARENTS):
        return False
    made = node.parent if isinstance(node.parent, (exp.Create, exp.Drop)) else None
    return made is None or str(made.args.get("kind")).upper() in _TABLE_KINDS


def _text_position(node: exp.Table) -> int:
    return int(node.this.meta.get("start", 0))


def _is_cte_name(node: exp.Table) -> bool:
    """Return whether a one-part name refers to a CTE in scope."""
    if node.db:
        return False
    name, inside = node.name.lower(), None
    step: exp.Expr | None = node
    while step is not None:
        inside = step if isinstance(step, exp.CTE) else inside
        step = step.parent
        clause = None if step is None else step.args.get("with_")
        if isinstance(clause, exp.With):
            if name in _visible_ctes(clause, inside):
                return True
            inside = None
    return False


def _visible_ctes(clause: exp.With, inside: exp.Expr | None) -> set[str]:
    """Return the CTE names visible at ``inside``; a recursive CTE sees itself."""
    names = set()
    for expression in clause.expressions:
        if expression is inside and not clause.args.get("recursive"):
            break
        names.add(expression.alias.lower())
        if expression is inside:
            break
    return names


def _parent_statement(node: exp.Table) -> tuple[exp.Expr | None, str | None]:
    """Return the statement that directly contains a table, and its role there. Column lists are skipped."""
    part: exp.Expr = node.parent if isinstance(node.parent, exp.Schema) else node
    return part.parent, part.arg_key


def is_write_target(node: exp.Table) -> bool:
    statement, role = _parent_statement(node)
    if isinstance(statement, exp.Copy):
        return role == "this" and bool(statement.args.get("kind"))  # True is COPY … FROM
    if isinstance(statement, exp.Index):
        return role == "table"
    return role in _TARGET_ROLES and isinstance(statement, (*_WRITE_STATEMENTS, *_ROW_CHANGE_STATEMENTS))


def _is_row_change_target(node: exp.Table) -> bool:
    return isinstance(_parent_statement(node)[0], _ROW_CHANGE_STATEMENTS)
