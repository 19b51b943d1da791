"""Checks that the parts of a spec are consistent: names, parents, views, variables outside the tables.

The checks add problems to the report. They send no requests and run no queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from msgspec.structs import replace

from unify.adapters.spec import formats, template
from unify.adapters.spec.auth import ASSERTION_KEYS, INTERACTIVE_GRANTS, Auth, Json
from unify.adapters.spec.checks.sql import SelectInfo, analyze_select
from unify.adapters.spec.checks.table import TableValidator
from unify.adapters.spec.checks.values import (
    validate_distinct_names,
    validate_error_rules,
    validate_variables,
)
from unify.adapters.spec.checks.write import validate_write
from unify.adapters.spec.elements import View
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.parse import ProblemReport
from unify.adapters.spec.table_keys import ColumnDef, ForEach, InheritedColumn
from unify.config.yaml import NodePath
from unify.text import did_you_mean

RESERVED_VARIABLES = ("cursor", "until", template.NOW_VARIABLE)  # set by loads


def validate_spec(spec: AdapterSpec, report: ProblemReport) -> AdapterSpec:
    """Check a spec; return it with what its SELECTs read and return."""
    _validate_names(spec, report)
    spec = replace(spec, tables=_resolve_shares(spec.tables, report))
    spec = replace(spec, tables=tuple(map(_resolve_columns, spec.tables)))
    spec = _resolve_tables(spec, report)
    _validate_connection_keys(spec, report)
    for index, table in enumerate(spec.tables):
        TableValidator(table, spec, ("tables", index), report).validate()
        if table.auth is not None and table.shares is None:
            _validate_table_auth(table.auth, spec, ("tables", index, "auth"), report)
        validate_write(table, spec, ("tables", index), report)
    return replace(spec, views=tuple(_resolve_views(spec, report)))


_SAME_NAME_KEYS = (
    "params",
    "headers",
    "body",
    "form",
    "body_of_get",
    "for_each",
    "paging",
    "format",
    "csv",
    "errors",
    "auth",
)
_REQUEST_KEYS = {
    "requests": "request",
    **dict(zip(_SAME_NAME_KEYS, _SAME_NAME_KEYS, strict=True)),
}  # by field


def _resolve_shares(tables: Sequence[TableSpec], report: ProblemReport) -> tuple[TableSpec, ...]:
    """Give tables that share the requests of another one its keys about requests."""
    own = {table.name: table for table in tables}
    resolved = []
    for index, table in enumerate(tables):
        path: NodePath = ("tables", index, "shares")
        source = own.get(table.shares or "")
        if table.shares is None:
            resolved.append(table)
        elif (
            source is None
            or source is table
            or source.shares is not None
            or source.live
            or table.live
            or source.job
            or table.job
        ):
            text = f"{table.shares} is no stored table with a request of its own"
            report.add_problem(path, text + did_you_mean(table.shares, set(own) - {table.name}))
            resolved.append(replace(table, requests=table.requests or ("GET /",)))
        else:
            default = TableSpec(table.name)
            for field, key in _REQUEST_KEYS.items():
                if getattr(table, field) not in ((), getattr(default, field)):
                    text = f"not allowed with {key}: the requests are those of {table.shares}"
                    report.add_problem(path, text)
            resolved.append(replace(table, **{field: getattr(source, field) for field in _REQUEST_KEYS}))
    return tuple(resolved)


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
    inherited = []
    for column in columns:
        root, *steps = (column.source or "").split(".")
        depth = _shared_depth(rows_path, steps) if root == "$" else 0
        if depth:
            inherited.append(InheritedColumn(column.name, depth, tuple(steps[depth:])))
    return tuple(inherited)


def _shared_depth(rows_path: Sequence[str], column_path: Sequence[str]) -> int:
    """The number of steps that both paths share; 0 for a column of the row itself."""
    if column_path[: len(rows_path)] == rows_path:
        return 0
    depth = 0
    while depth < min(len(rows_path), len(column_path)) - 1 and rows_path[depth] == column_path[depth]:
        depth += 1
    return depth


def _validate_names(spec: AdapterSpec, report: ProblemReport) -> None:
    """Tables and views share a schema; names are distinct in any case."""
    lines: dict[str, int] = {}
    paths = [(("tables", index, "name"), table.name) for index, table in enumerate(spec.tables)]
    paths += [(("views", index, "name"), view.name) for index, view in enumerate(spec.views)]
    for path, name in paths:
        if name and name.lower() in lines:
            report.add_problem(path, f"{name} is already defined in line {lines[name.lower()]}")
        lines.setdefault(name.lower(), report.line_of(path))
    options = [option.name for option in spec.options]
    validate_distinct_names(options, "option", ("options",), report)
    for name in options:
        if name in RESERVED_VARIABLES:
            report.add_problem(("options", name), f"{{{name}}} is set by loads; rename the option")


# -- SELECTs -----------------------------------------------------------------------------------------


def _resolve_tables(spec: AdapterSpec, report: ProblemReport) -> AdapterSpec:
    own = {table.name: table for table in spec.tables if table.name}
    tables = tuple(
        replace(
            table,
            line=report.line_of(("tables", index)),
            for_each=_resolve_for_each(table, table.for_each, own, ("tables", index, "for_each"), report)
            if table.for_each is not None
            else None,
        )
        for index, table in enumerate(spec.tables)
    )
    for index, table in enumerate(tables):
        for option in table.for_each.option if table.for_each is not None else ():
            _validate_list_option(option, spec, ("tables", index, "for_each", "option"), report)
    parents = {table.name: table.for_each.tables for table in tables if table.for_each}
    paths: dict[str, NodePath] = {table.name: ("tables", i, "for_each") for i, table in enumerate(tables)}
    for cycle in _find_cycles(parents):
        report.add_problem(paths[cycle[0]], f"circular for_each: {' → '.join(cycle)}")
    return replace(spec, tables=tables)


def _find_cycles(parents: Mapping[str, tuple[str, ...]]) -> Iterator[list[str]]:
    """Cycles of tables that read each other; without the first step of each there is none left."""
    graph = dict(parents)
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            cycle: list[str] = error.args[1][:0:-1]  # from a table to its parents; the first is also the last
            first = cycle.index(next(name for name in parents if name in cycle))
            table, parent, *_ = cycle = [*cycle[first:], *cycle[:first], cycle[first]]
            yield cycle
            graph[table] = tuple(name for name in graph[table] if name != parent)
        else:
            return


def _resolve_for_each(
    table: TableSpec,
    each: ForEach,
    own_tables: Mapping[str, TableSpec],
    path: NodePath,
    report: ProblemReport,
) -> ForEach:
    if (each.query is not None) + bool(each.rows) > 1 or not (each.query or each.rows or each.option):
        report.add_problem(path, "expected query or rows, an option, or one of them and an option")
    if len(each.option) != len(each.column):
        report.add_problem((*path, "as"), "expected option and as together")
    if each.query is None and each.refresh_s is not None:
        report.add_problem((*path, "refresh"), "not allowed without query: rows of the spec are not loaded")
    listed = each.column
    if each.query is None:
        names = tuple(each.rows[0]) if each.rows else ()
        if any(tuple(row) != names for row in each.rows):
            report.add_problem(path, "every row needs the same columns in the same order")
        return replace(each, columns=(*names, *listed) or None)
    select = _analyze_select(each.query, list(own_tables), (*path, "query"), report)
    for name in select.tables:
        _validate_live_parent(table, own_tables[name], select, (*path, "query"), report)
    for name in select.columns or ():
        if template.variable_names(f"{{{name}}}") != (name,):
            report.add_problem((*path, "query"), f"the column {name!r} cannot be a variable; write … as NAME")
    columns = None if select.columns is None else (*select.columns, *listed)
    return replace(each, tables=select.tables, columns=columns)


def _validate_list_option(name: str, spec: AdapterSpec, path: NodePath, report: ProblemReport) -> None:
    """The values of a list are stored with the state of the loads, and a load needs at least one."""
    option = next((each for each in spec.options if each.name == name), None)
    if option is None:
        known = [each.name for each in spec.options]
        report.add_problem(path, f"unknown option {name}{did_you_mean(name, known)}")
    elif option.secret:
        report.add_problem(path, "a secret option cannot be a list of parents")
    elif not option.required and option.default is None:
        report.add_problem(path, f"the option {name} has to be required or to have a default")


def _validate_live_parent(
    table: TableSpec, parent: TableSpec, select: SelectInfo, path: NodePath, report: ProblemReport
) -> None:
    """A live parent is not stored: only a live table can read it, with the filters it requires."""
    if parent.live is None:
        return
    if table.live is None:
        report.add_problem(path, f"{parent.name} is a live table: a stored table cannot read it")
    missing = [
        f"{each.column} = '...'"
        for each in parent.filters
        if each.required and each.column not in select.referenced_columns
    ]
    if missing:
        report.add_problem(path, f"{parent.name} requires a filter: where {' and '.join(missing)}")


def _resolve_views(spec: AdapterSpec, report: ProblemReport) -> Iterator[View]:
    known = [table.name for table in spec.tables if table.name]
    for index, view in enumerate(spec.views):
        path = ("views", index, "query")
        tables = _analyze_select(view.query, known, path, report).tables if view.query else ()
        known.append(view.name)
        yield replace(view, tables=tables)


def _analyze_select(sql: str, own_tables: Sequence[str], path: NodePath, report: ProblemReport) -> SelectInfo:
    try:
        return analyze_select(sql, own_tables)
    except ValueError as error:
        report.add_problem(path, str(error))
        return SelectInfo((), None, frozenset())


# -- keys outside the tables -------------------------------------------------------------------------


def _validate_connection_keys(spec: AdapterSpec, report: ProblemReport) -> None:
    """Outside the tables only options are variables."""
    options = {option.name for option in spec.options}
    validate_variables(spec.base_url, ("base_url",), options, report)
    _validate_base_url(spec, report)
    for index, auth in enumerate(spec.auths):
        _validate_auth(auth, ("auth", index) if spec.other_auths else ("auth",), options, report)
    for index, origin in enumerate(spec.credential_origins):
        if "*" in origin:
            text = "expected one host: credentials are not sent to all hosts of a domain"
            report.add_problem(("credentials_also_to", index), text)
    validate_variables(spec.headers, ("headers",), options, report)
    if spec.check is not None:
        validate_variables(spec.check.request, ("check", "request"), options, report)
    validate_error_rules(spec.errors, (), report)


def _validate_table_auth(auth: Auth, spec: AdapterSpec, path: NodePath, report: ProblemReport) -> None:
    _validate_auth(auth, path, {option.name for option in spec.options}, report)
    if auth.is_interactive:
        report.add_problem((*path, "grant"), "a user signs in for the whole adapter, not for a table")


def _validate_auth(auth: Auth, path: NodePath, options: set[str], report: ProblemReport) -> None:
    settings = auth.settings
    for key, value in settings.items():
        known = options | {"session"} if (auth.type, key) == ("session", "value") else options
        validate_variables(value, (*path, key), known, report)
    if auth.type == "oauth2":
        _validate_grant(settings, path, report)
    if auth.type == "session" and "body" in settings and "form" in settings:
        report.add_problem((*path, "form"), "expected body or form, not both")


def _validate_grant(settings: Mapping[str, Json], path: NodePath, report: ProblemReport) -> None:
    """Check that an OAuth grant has the key it requires, and none of another grant."""
    grant = settings.get("grant")
    required = {
        "refresh_token": "refresh_token",
        "jwt_bearer": "key",
        **dict.fromkeys(INTERACTIVE_GRANTS, "authorize_url"),
    }
    key = required.get(grant) if isinstance(grant, str) else None
    if key is not None and key not in settings:
        report.add_problem((*path, "grant"), f"{grant} requires {key}")
    for key in ASSERTION_KEYS if grant != "jwt_bearer" else ():
        if key in settings:
            report.add_problem((*path, key), "requires grant: jwt_bearer")


def _validate_base_url(spec: AdapterSpec, report: ProblemReport) -> None:
    """Check the URL that results from the defaults of the options in it, if all have one."""
    defaults = {option.name: option.default for option in spec.options}
    names = template.variable_names(spec.base_url)
    if not names or not all(defaults.get(name) for name in names):
        return
    try:
        formats.check_web_url(template.render_text(spec.base_url, defaults, "plain"))
    except ValueError as error:
        path: NodePath = ("options", names[0], "default") if len(names) == 1 else ("base_url",)
        report.add_problem(path, str(error))
