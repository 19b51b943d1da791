"""The names that a statement uses, if it uses columns by their names alone.

Then a table is needed with no more columns than those of these names.
"""

from __future__ import annotations

from sqlglot import exp

_OTHER_USES = (exp.Columns, exp.Pivot, exp.Describe, exp.Summarize)  # of columns, without their names


def used_names(sql: str, tree: exp.Expr) -> frozenset[str] | None:
    """Return every identifier of a query in lower case; None if it may use other columns.

    Others are used by ``*`` and COLUMNS, by DESCRIBE and SUMMARIZE within it, by NATURAL JOIN, by position
    (``#1`` and ``t AS x(a, b)``), by a whole row (``SELECT t FROM t``), and by statements that are no SELECT.
    """
    if not isinstance(tree, exp.Query) or "#" in sql:
        return None
    if any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star)):
        return None
    if next(tree.find_all(*_OTHER_USES), None) is not None:
        return None
    if any((join.method or "").upper() == "NATURAL" for join in tree.find_all(exp.Join)):
        return None
    if any(alias.args.get("columns") for alias in tree.find_all(exp.TableAlias)):
        return None
    tables = {table.alias_or_name.lower() for table in tree.find_all(exp.Table, exp.Subquery, exp.CTE)}
    if any(not column.table and column.name.lower() in tables for column in tree.find_all(exp.Column)):
        return None
    return frozenset(name.name.lower() for name in tree.find_all(exp.Identifier))
