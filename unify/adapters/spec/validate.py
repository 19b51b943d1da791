"""What single keys cannot tell: whether the parts of a spec fit together.

Each check adds its mistakes to the report; none of them sends a request or runs a query.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from unify.adapters.spec import formats, template
from unify.adapters.spec.auth import INTERACTIVE_GRANTS, Json
from unify.adapters.spec.model import AdapterSpec, ColumnDef, InheritedColumn, TableSpec, View
from unify.adapters.spec.parse import ProblemReport
from unify.adapters.spec.sql import SelectInfo, analyze_select, find_cycles
from unify.adapters.spec.validate_table import (
    validate_distinct_names,
    validate_error_rules,
    validate_table,
    validate_variables,
)
from unify.config.yaml import NodePath

RESERVED_VARIABLES = ("cursor", "until")  # variables that a load fills in


def validate_spec(spec: AdapterSpec, report: ProblemReport) -> AdapterSpec:
    """Check ``spec`` as a whole; returned is the same spec, knowing what its SELECTs read and give."""
    _validate_names(spec, report)
    spec = _validate_parents(replace(spec, tables=tuple(map(_resolve_columns, spec.tables))), report)
    _validate_connection_keys(spec, report)
    for index, table in enumerate(spec.tables):
        validate_table(table, spec, ("tables", index), report)
    return replace(spec, views=tuple(_resolve_views(spec, report)))


def _resolve_columns(table: TableSpec) -> TableSpec:
    inherited = inherited_columns(table.columns, table.rows)
    names = {each.column for each in inherited}
    columns = tuple(
        replace(column, source=None) if column.name in names else column for column in table.columns
    )
    return replace(table, columns=columns, inherited_columns=inherited)


def inherited_columns(columns: Sequence[ColumnDef], rows: str | None) -> tuple[InheritedColumn, ...]:
    """The columns whose source is in an object around the row, below the body: ``$.shelves.name``."""
    rows_path = (rows or "").removeprefix("$").removeprefix(".").split(".")
    found = []
    for column in columns:
        root, *steps = (column.source or "").split(".")
        depth = _shared_depth(rows_path, steps) if root == "$" else 0
        if depth:
            found.append(InheritedColumn(column.name, depth, tuple(steps[depth:])))
    return tuple(found)


def _shared_depth(rows_path: Sequence[str], column_path: Sequence[str]) -> int:
    """The number of steps that both paths share; 0 for a column of the row itself."""
    if column_path[: len(rows_path)] == rows_path:
        return 0
    depth = 0
    while depth < min(len(rows_path), len(column_path)) - 1 and rows_path[depth] == column_path[depth]:
        depth += 1
    return depth


def _validate_names(spec: AdapterSpec, report: ProblemReport) -> None:
    """Tables and views share one schema, where upper and lower case are the same."""
    seen: dict[str, int] = {}
    places: list[tuple[NodePath, str]] = [(("tables", i), table.name) for i, table in enumerate(spec.tables)]
    places += [(("views", i), view.name) for i, view in enumerate(spec.views)]
    for place, name in places:
        line = report.line_of((*place, "name"))
        if name and name.lower() in seen:
            report.add_problem((*place, "name"), f"{name} is described already, in line {seen[name.lower()]}")
        seen.setdefault(name.lower(), line)
    validate_distinct_names([option.name for option in spec.options], "option", ("options",), report)
    for option in spec.options:
        if option.name in RESERVED_VARIABLES:
            report.add_problem(
                ("options", option.name), f"{{{option.name}}} is what a load fills in; rename it"
            )


# -- SELECTs ---------------------------------------------------------------------------------------


def _validate_parents(spec: AdapterSpec, report: ProblemReport) -> AdapterSpec:
    own = {table.name: table for table in spec.tables if table.name}
    tables = tuple(_resolve_parents(table, own, ("tables", i), report) for i, table in enumerate(spec.tables))
    parents = {table.name: table.for_each.tables for table in tables if table.for_each}
    places = {table.name: ("tables", i, "for_each") for i, table in enumerate(tables)}
    for circle in find_cycles(parents):
        way = " → ".join((*circle, circle[0]))
        report.add_problem(places[circle[0]], f"the tables wait for each other: {way}")
    return replace(spec, tables=tables)


def _resolve_parents(
    table: TableSpec, own_tables: Mapping[str, TableSpec], key_path: NodePath, report: ProblemReport
) -> TableSpec:
    table = replace(table, line=report.line_of(key_path))
    each = table.for_each
    if each is None:
        return table
    here = (*key_path, "for_each")
    if (each.query is None) == (not each.rows):
        report.add_problem(here, "expected a query or rows, one of them")
    if each.query is not None:
        found = _analyze_select(each.query, list(own_tables), (*here, "query"), report)
        _validate_live_parents(
            table, [own_tables[name] for name in found.tables], found, (*here, "query"), report
        )
        for name in found.columns or ():
            if template.variable_names(f"{{{name}}}") != (name,):
                report.add_problem(
                    (*here, "query"), f"the column {name!r} cannot be a variable; write … as NAME"
                )
        return replace(table, for_each=replace(each, tables=found.tables, columns=found.columns))
    columns = tuple(each.rows[0]) if each.rows else None
    if any(tuple(row) != columns for row in each.rows):
        report.add_problem(here, "every row needs the same columns in the same order")
    return replace(table, for_each=replace(each, columns=columns))


def _validate_live_parents(
    table: TableSpec,
    parents: Sequence[TableSpec],
    select: SelectInfo,
    key_path: NodePath,
    report: ProblemReport,
) -> None:
    """A live parent has no rows but those a query asks for: only a live table may be asked for each."""
    for parent in parents:
        if parent.live is None:
            continue
        if table.live is None:
            report.add_problem(
                key_path, f"{parent.name} is live and never stored; a stored table needs stored tables here"
            )
        lacking = [
            each.column
            for each in parent.filters
            if each.required and each.column not in select.referenced_columns
        ]
        if lacking:
            wanted = " and ".join(f"{column} = '...'" for column in lacking)
            report.add_problem(key_path, f"{parent.name} is live and needs a filter: where {wanted}")


def _resolve_views(spec: AdapterSpec, report: ProblemReport) -> Iterator[View]:
    known = [table.name for table in spec.tables if table.name]
    for index, view in enumerate(spec.views):
        found = _analyze_select(view.query, known, ("views", index, "query"), report) if view.query else None
        known.append(view.name)
        yield replace(view, tables=found.tables if found else ())


def _analyze_select(
    sql: str, own_tables: Sequence[str], key_path: NodePath, report: ProblemReport
) -> SelectInfo:
    try:
        return analyze_select(sql, own_tables)
    except ValueError as error:
        report.add_problem(key_path, str(error))
        return SelectInfo((), None, frozenset())


# -- variables -------------------------------------------------------------------------------------


def _validate_connection_keys(spec: AdapterSpec, report: ProblemReport) -> None:
    """Everything outside the tables: only options are variables here."""
    options = {option.name for option in spec.options}
    validate_variables(spec.base_url, ("base_url",), options, report)
    _validate_base_url(spec, report)
    settings = spec.auth.settings
    session = options | {"session"} if spec.auth.type == "session" else options
    for key, value in settings.items():
        validate_variables(value, ("auth", key), session if key == "value" else options, report)
    _validate_grant(settings, report)
    if spec.auth.type == "session" and "body" in settings and "form" in settings:
        report.add_problem(("auth", "form"), "expected body or form, not both")
    validate_variables(dict(spec.headers), ("headers",), options, report)
    if spec.check is not None:
        validate_variables(spec.check.request, ("check", "request"), options, report)
    validate_error_rules(spec.errors, (), report)


def _validate_grant(settings: Mapping[str, Json], report: ProblemReport) -> None:
    """A grant of oauth2 has the keys it cannot do without."""
    grant = settings.get("grant")
    wanted = {"refresh_token": "refresh_token", **dict.fromkeys(INTERACTIVE_GRANTS, "authorize_url")}
    key = wanted.get(grant) if isinstance(grant, str) else None
    if key is not None and key not in settings:
        report.add_problem(("auth", "grant"), f"{grant} needs {key}")


def _validate_base_url(spec: AdapterSpec, report: ProblemReport) -> None:
    """Where every option in it has a default, the whole is a web address."""
    defaults = {option.name: option.default for option in spec.options}
    names = template.variable_names(spec.base_url)
    if not names or not all(defaults.get(name) for name in names):
        return
    filled = template.render_text(spec.base_url, defaults, "plain")
    try:
        formats.check_web_url(filled)
    except ValueError as error:
        place: NodePath = ("options", names[0], "default") if len(names) == 1 else ("base_url",)
        report.add_problem(place, str(error))
