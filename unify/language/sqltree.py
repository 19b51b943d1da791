"""Tables in the tree sqlglot makes of a statement. Imported late: sqlglot takes 90 ms."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import sqlglot
from sqlglot import exp

from unify.language.scanner import without_comments
from unify.language.tableref import TableRef

# What sqlglot cannot read it says on stderr; we have another way then, and nobody is helped by the notice.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

_DIALECT = "duckdb"
# Statements that change the table they are about, and need nothing of its rows.
_WRITERS = (exp.Insert, exp.Create, exp.Drop, exp.Alter, exp.TruncateTable, exp.Comment)
# Statements that change the rows they find.
_CHANGERS = (exp.Update, exp.Delete, exp.Merge, exp.Index)
_SUBJECTS = frozenset({"this", "tables", "expressions"})  # what those are about; the rest of them is read
# What sqlglot files under Table, and is none.
_NO_TABLES = (exp.Use, exp.UserDefinedFunction, exp.AlterRename)
_TABLE_KINDS = frozenset({"TABLE", "VIEW"})  # of CREATE and DROP; not SEQUENCE, MACRO, SCHEMA and so on


def read(sql: str) -> exp.Expr | None:
    """The tree of one statement, or None where sqlglot cannot make one that says anything."""
    try:
        trees = sqlglot.parse(without_comments(sql), read=_DIALECT)  # comments and blanks are ours to find
    except Exception:  # noqa: BLE001 - its errors, and the slips of a parser fed with anything at all
        return None
    if len(trees) != 1 or trees[0] is None or isinstance(trees[0], exp.Command):
        return None
    return trees[0]


def tree_tables(sql: str) -> list[TableRef] | None:
    """Every mention of a table, or None where sqlglot cannot read the statement."""
    tree = read(sql)
    return None if tree is None else list(in_tree(tree))


def in_tree(tree: exp.Expr) -> Iterator[TableRef]:
    """Every mention of a table in ``tree``, in the order of the text.

    Without the names of common table expressions where they are in force.
    """
    for node in mentioned(tree):
        written = is_written(node)
        yield TableRef(node.db, node.name, node.catalog, written, read=not written or _is_changed(node))


def mentioned(tree: exp.Expr) -> list[exp.Table]:
    """The nodes of those mentions."""
    nodes = sorted(filter(is_table, tree.find_all(exp.Table)), key=_place)
    return [node for node in nodes if not _names_an_expression(node)]


def is_table(node: exp.Table) -> bool:
    """Whether a Table node is one: not a table function, a schema, or the new name of something."""
    if not isinstance(node.this, exp.Identifier) or isinstance(node.parent, _NO_TABLES):
        return False
    made = node.parent if isinstance(node.parent, (exp.Create, exp.Drop)) else None
    return made is None or str(made.args.get("kind")).upper() in _TABLE_KINDS


def _place(node: exp.Table) -> int:
    return int(node.this.meta.get("start", 0))


def _names_an_expression(node: exp.Table) -> bool:
    """Whether a one-part name means a common table expression that is in force at its place."""
    if node.db:
        return False
    name, inside = node.name.lower(), None
    step: exp.Expr | None = node
    while step is not None:
        inside = step if isinstance(step, exp.CTE) else inside
        step = step.parent
        clause = None if step is None else step.args.get("with_")
        if isinstance(clause, exp.With):
            if name in _in_force(clause, inside):
                return True
            inside = None
    return False


def _in_force(clause: exp.With, inside: exp.Expr | None) -> set[str]:
    """The names a WITH gives to a place: within one of its expressions, only those before it.

    A recursive one knows itself as well.
    """
    names = set()
    for expression in clause.expressions:
        if expression is inside and not clause.args.get("recursive"):
            break
        names.add(expression.alias.lower())
        if expression is inside:
            break
    return names


def _subject(node: exp.Table) -> tuple[exp.Expr | None, str | None]:
    """The statement a table is directly part of, and as what; a list of columns around it does not count."""
    part: exp.Expr = node.parent if isinstance(node.parent, exp.Schema) else node
    return part.parent, part.arg_key


def is_written(node: exp.Table) -> bool:
    statement, role = _subject(node)
    if isinstance(statement, exp.Copy):
        return role == "this" and bool(statement.args.get("kind"))  # True is COPY … FROM
    if isinstance(statement, exp.Index):
        return role == "table"
    return role in _SUBJECTS and isinstance(statement, (*_WRITERS, *_CHANGERS))


def _is_changed(node: exp.Table) -> bool:
    return isinstance(_subject(node)[0], _CHANGERS)
