"""What single keys cannot tell: whether the parts of a spec fit together.

Each check adds its mistakes to the report; none of them sends a request or runs a query.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from unify.adapters import specforms, template
from unify.adapters.spec import (
    PERSON_GRANTS,
    AdapterSpec,
    Json,
    TableSpec,
    View,
)
from unify.adapters.specreader import Report
from unify.adapters.specsql import Selected, circles, examine
from unify.adapters.specvariables import check_texts
from unify.adapters.tablecheck import alike, check_rules, check_table
from unify.yamlnodes import Place

LOADS_OWN = ("cursor", "until")  # variables that a load fills in


def check(spec: AdapterSpec, report: Report) -> AdapterSpec:
    """Check ``spec`` as a whole; returned is the same spec, knowing what its SELECTs read and give."""
    _names(spec, report)
    spec = _parents(spec, report)
    _address(spec, report)
    for index, table in enumerate(spec.tables):
        check_table(table, spec, ("tables", index), report)
    return replace(spec, views=tuple(_views(spec, report)))


def _names(spec: AdapterSpec, report: Report) -> None:
    """Tables and views share one schema, where upper and lower case are the same."""
    seen: dict[str, int] = {}
    places: list[tuple[Place, str]] = [(("tables", i), table.name) for i, table in enumerate(spec.tables)]
    places += [(("views", i), view.name) for i, view in enumerate(spec.views)]
    for place, name in places:
        line = report.line((*place, "name"))
        if name and name.lower() in seen:
            report.add((*place, "name"), f"{name} is described already, in line {seen[name.lower()]}")
        seen.setdefault(name.lower(), line)
    alike([option.name for option in spec.options], "option", ("options",), report)
    for option in spec.options:
        if option.name in LOADS_OWN:
            report.add(("options", option.name), f"{{{option.name}}} is what a load fills in; rename it")


# -- SELECTs ---------------------------------------------------------------------------------------


def _parents(spec: AdapterSpec, report: Report) -> AdapterSpec:
    own = {table.name: table for table in spec.tables if table.name}
    tables = tuple(_with_parents(table, own, ("tables", i), report) for i, table in enumerate(spec.tables))
    parents = {table.name: table.for_each.tables for table in tables if table.for_each}
    places = {table.name: ("tables", i, "for_each") for i, table in enumerate(tables)}
    for circle in circles(parents):
        way = " → ".join((*circle, circle[0]))
        report.add(places[circle[0]], f"the tables wait for each other: {way}")
    return replace(spec, tables=tables)


def _with_parents(table: TableSpec, own: Mapping[str, TableSpec], place: Place, report: Report) -> TableSpec:
    each = table.for_each
    if each is None:
        return table
    here = (*place, "for_each")
    if (each.query is None) == (not each.rows):
        report.add(here, "expected a query or rows, one of them")
    if each.query is not None:
        found = _select(each.query, list(own), (*here, "query"), report)
        _live_parents(table, [own[name] for name in found.tables], found, (*here, "query"), report)
        for name in found.columns or ():
            if template.names(f"{{{name}}}") != (name,):
                report.add((*here, "query"), f"the column {name!r} cannot be a variable; write … as NAME")
        return replace(table, for_each=replace(each, tables=found.tables, columns=found.columns))
    columns = tuple(each.rows[0]) if each.rows else None
    if any(tuple(row) != columns for row in each.rows):
        report.add(here, "every row needs the same columns in the same order")
    return replace(table, for_each=replace(each, columns=columns))


def _live_parents(
    table: TableSpec, parents: Sequence[TableSpec], found: Selected, place: Place, report: Report
) -> None:
    """A live parent has no rows but those a query asks for: only a live table may be asked for each."""
    for parent in parents:
        if parent.live is None:
            continue
        if table.live is None:
            report.add(
                place, f"{parent.name} is live and never stored; a stored table needs stored tables here"
            )
        lacking = [each.column for each in parent.filters if each.required and each.column not in found.named]
        if lacking:
            wanted = " and ".join(f"{column} = '...'" for column in lacking)
            report.add(place, f"{parent.name} is live and needs a filter: where {wanted}")


def _views(spec: AdapterSpec, report: Report) -> Iterator[View]:
    known = [table.name for table in spec.tables if table.name]
    for index, view in enumerate(spec.views):
        found = _select(view.query, known, ("views", index, "query"), report) if view.query else None
        known.append(view.name)
        yield replace(view, tables=found.tables if found else ())


def _select(sql: str, own: Sequence[str], place: Place, report: Report) -> Selected:
    try:
        return examine(sql, own)
    except ValueError as error:
        report.add(place, str(error))
        return Selected((), None, frozenset())


# -- variables -------------------------------------------------------------------------------------


def _address(spec: AdapterSpec, report: Report) -> None:
    """Everything outside the tables: only options are variables here."""
    options = {option.name for option in spec.options}
    check_texts(spec.base_url, ("base_url",), options, report)
    _base_url(spec, report)
    settings = spec.auth.settings
    session = options | {"session"} if spec.auth.type == "session" else options
    for key, value in settings.items():
        check_texts(value, ("auth", key), session if key == "value" else options, report)
    _grant(settings, report)
    if spec.auth.type == "session" and "body" in settings and "form" in settings:
        report.add(("auth", "form"), "expected body or form, not both")
    check_texts(dict(spec.headers), ("headers",), options, report)
    check_texts(spec.check or "", ("check", "request"), options, report)
    check_rules(spec.errors, (), report)


def _grant(settings: Mapping[str, Json], report: Report) -> None:
    """A grant of oauth2 has the keys it cannot do without."""
    grant = settings.get("grant")
    wanted = {"refresh_token": "refresh_token", **dict.fromkeys(PERSON_GRANTS, "authorize_url")}
    key = wanted.get(grant) if isinstance(grant, str) else None
    if key is not None and key not in settings:
        report.add(("auth", "grant"), f"{grant} needs {key}")


def _base_url(spec: AdapterSpec, report: Report) -> None:
    """Where every option in it has a default, the whole is a web address."""
    defaults = {option.name: option.default for option in spec.options}
    names = template.names(spec.base_url)
    if not names or not all(defaults.get(name) for name in names):
        return
    filled = template.fill(spec.base_url, defaults, "plain")
    try:
        specforms.web(filled)
    except ValueError as error:
        place: Place = ("options", names[0], "default") if len(names) == 1 else ("base_url",)
        report.add(place, str(error))
