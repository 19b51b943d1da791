"""SQL expressions of specs: one DuckDB expression over the columns of a row.

``language.sql.untrusted`` decides which functions may be called; this module finds columns and variables.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.adapters.spec import template
from unify.language.sql.untrusted import check_select

if TYPE_CHECKING:
    from sqlglot import exp

_MAX_CHARS = 4_000
ROW_SOURCE = "row_values"


class RowExpression(Struct, frozen=True):
    """An expression; its ``sql`` names a variable as the column ``"{name}"``.

    ``columns``  of the row, that it reads.
    """

    sql: str
    columns: tuple[str, ...]
    variables: tuple[str, ...]


@lru_cache(maxsize=512)
def parse_expression(text: str) -> RowExpression:
    """Check an expression of a spec. Raises ValueError if it is more than an expression over one row."""
    if len(text) > _MAX_CHARS:
        raise ValueError(f"the expression is longer than {_MAX_CHARS:,} characters")
    variables = template.variable_names(text)
    sql = template.substitute(text, variable_column)
    select = f"select (\n{sql}\n) as value from {ROW_SOURCE}"
    tree = _parse(select)
    try:
        checked = check_select(select)
    except ValueError as error:
        raise ValueError(f"the expression {error}") from error
    if [str(table) for table in checked.tables] != [ROW_SOURCE] or checked.cte_names:
        raise ValueError("expected one expression over the columns of the row, without FROM")
    quoted = {f"{{{name}}}" for name in variables}
    columns = tuple(name for name in _columns(tree) if name not in quoted)
    return RowExpression(sql, columns, variables)


def variable_column(name: str) -> str:
    """The column of a variable, quoted."""
    return f'"{{{name}}}"'


def _parse(select: str) -> exp.Select:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # its warnings are about SQL that is rejected below
    try:
        statements = sqlglot.parse(select, read="duckdb")
    except (SqlglotError, RecursionError) as error:
        details = getattr(error, "errors", None)
        word = details[0].get("highlight") if details else None
        raise ValueError(f"the expression cannot be parsed{f', near {word!r}' if word else ''}") from error
    tree = statements[0] if len(statements) == 1 else None
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1:
        raise ValueError("expected one expression over the columns of the row")
    for node in tree.walk():
        _reject(node, tree)
    return tree


def _reject(node: exp.Expr, root: exp.Select) -> None:
    from sqlglot import exp

    if isinstance(node, exp.Query) and node is not root:
        raise ValueError("an expression cannot contain a SELECT")
    if isinstance(node, exp.AggFunc | exp.Window):
        raise ValueError("an expression reads one row: no aggregates and no window functions")
    if isinstance(node, exp.Star | exp.Placeholder | exp.Parameter):
        raise ValueError("an expression names its columns: no * and no parameters")
    if isinstance(node, exp.Column) and node.table:
        raise ValueError(
            f"{node.sql('duckdb')}: columns of nested objects are joined by _, such as user_login"
        )


def _columns(tree: exp.Select) -> list[str]:
    """The columns of the row, each once, without the parameters of lambda functions."""
    from sqlglot import exp

    bound = {each.name.lower() for found in tree.find_all(exp.Lambda) for each in found.expressions}
    names: dict[str, str] = {}
    for column in tree.find_all(exp.Column):
        if column.name.lower() not in bound:
            names.setdefault(column.name.lower(), column.name)
    return list(names.values())
