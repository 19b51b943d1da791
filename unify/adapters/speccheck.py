"""What single keys cannot tell: whether the parts of a spec fit together.

Each check adds its mistakes to the report; none of them sends a request or runs a query.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit

from unify.adapters import specforms, template
from unify.adapters.spec import (
    PERSON_GRANTS,
    AdapterSpec,
    ColumnDef,
    ErrorRule,
    Incremental,
    Json,
    Paging,
    TableSpec,
    View,
)
from unify.adapters.specreader import Report
from unify.adapters.specsql import Selected, circles, examine
from unify.adapters.specvariables import check_texts, known_in
from unify.numberforms import NUMBER_FORMS
from unify.yamlnodes import Place

_NUMBER = re.compile(r"[0-9]+([.][0-9]+)?")
_NUMBERS = frozenset(
    [
        *("tinyint", "smallint", "integer", "int", "bigint", "utinyint", "usmallint", "uinteger", "ubigint"),
        *("float", "real", "double", "decimal", "numeric"),
    ]
)
_TEXTS = frozenset(["varchar", "text", "string", "date", "time", "timestamp", "timestamptz"]) | {
    "timestamp with time zone"
}


def check(spec: AdapterSpec, report: Report) -> AdapterSpec:
    """Check ``spec`` as a whole; returned is the same spec, knowing what its SELECTs read and give."""
    _names(spec, report)
    spec = _parents(spec, report)
    _address(spec, report)
    for index, table in enumerate(spec.tables):
        _table(table, spec, ("tables", index), report)
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
    folded = [option.name.lower() for option in spec.options]
    for option in spec.options:
        if folded.count(option.name.lower()) > 1:
            report.add(("options", option.name), "differs from another option only in upper and lower case")


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
    check_texts(dict(spec.headers), ("headers",), options, report)
    check_texts(spec.check or "", ("check", "request"), options, report)
    _rules(spec.errors, (), report)


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


# -- one table -------------------------------------------------------------------------------------


def _table(table: TableSpec, spec: AdapterSpec, place: Place, report: Report) -> None:
    if table.format == "xml" and (table.rows or "$") == "$":
        report.add(
            (*place, "format"),
            "xml needs rows: where its repeated element is below the root, such as channel.item",
        )
    paging = table.paging or spec.paging
    known = known_in(table, spec, paging, place, report)
    for path in table.paths:
        check_texts(path, (*place, "request"), known, report)
    check_texts(dict(table.params), (*place, "params"), known, report)
    check_texts(dict(table.headers), (*place, "headers"), known, report)
    check_texts(table.body, (*place, "body"), known, report, body=True)
    check_texts(dict(table.form or {}), (*place, "form"), known, report)
    check_texts(dict(table.where), (*place, "where"), {option.name for option in spec.options}, report)
    _body(table, place, report)
    _columns(table, spec, known, place, report)
    _paging(spec.paging if table.paging is None else table.paging, table, place, report)
    if table.incremental is not None:
        _incremental(table, table.incremental, spec, (*place, "incremental"), report)
    _refresh(table, place, report)
    _rules(table.errors, place, report)
    _origin(table, spec, place, report)


def _body(table: TableSpec, place: Place, report: Report) -> None:
    for key, value in (("body", table.body), ("form", table.form)):
        if value is not None and table.method == "GET":
            report.add((*place, key), "a GET has no body; write the request as POST /…")
    if table.body is not None and table.form is not None:
        report.add((*place, "form"), "expected body or form, not both")


def _columns(
    table: TableSpec, spec: AdapterSpec, known: set[str] | None, place: Place, report: Report
) -> None:
    secret = {option.name for option in spec.options if option.secret}
    for column in table.columns:
        here = (*place, "columns", column.name, "from")
        check_texts(column.source or "", here, known, report)
        if secret & set(template.names(column.source or "")):
            report.add(here, "a secret option is never stored in a table")
        _format(column, (*place, "columns", column.name, "format"), report)
    needed = dict.fromkeys(table.key, (*place, "key"))
    if table.incremental is not None:
        needed.setdefault(table.incremental.cursor, (*place, "incremental", "cursor"))
    for name, here in needed.items():
        if _matches(name, table.exclude):
            report.add(here, f"the column {name} is left out by exclude")
        elif table.only and name and not _matches(name, table.only):
            report.add(here, f"the column {name} is not among only")


def _format(column: ColumnDef, place: Place, report: Report) -> None:
    """A format of numbers goes with a number, one of moments with a moment, a date or a text."""
    if column.format is None or column.type is None:
        return
    base = "" if column.type.endswith("]") else column.type.lower().partition("(")[0].strip()
    of_numbers = column.format in NUMBER_FORMS
    if of_numbers != (base in _NUMBERS) and not (base in _TEXTS and not of_numbers):
        kind = "numbers" if of_numbers else "moments"
        report.add(place, f"{column.format!r} is a format of {kind}, which {column.type} does not hold")


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), glob.lower()) for glob in globs)


def _paging(paging: Paging, table: TableSpec, place: Place, report: Report) -> None:
    here: Place = (*place, "paging") if table.paging is not None else ("paging",)
    if table.paging is None and place != ("tables", 0):
        return  # the adapter's paging is checked once
    if paging.size_param and paging.size is None:
        report.add(here, "size_param needs a size")
    sources = [key for key in (paging.cursor_path, paging.cursor_column, paging.cursor_header) if key]
    if paging.type == "cursor" and len(sources) != 1:
        report.add(here, "expected cursor_path, cursor_column or cursor_header, one of them")


def _incremental(
    table: TableSpec, incremental: Incremental, spec: AdapterSpec, place: Place, report: Report
) -> None:
    used = set(template.names_in([table.path, dict(table.params), table.body, dict(table.form or {})]))
    if incremental.param and "cursor" in used:
        report.add((*place, "param"), "expected param or {cursor} in the request, not both")
    if not incremental.param and "cursor" not in used and incremental.order != "desc":
        report.add(
            place, "nothing tells the API where to begin: give param, or {cursor} in params, or order: desc"
        )
    if incremental.window_s is not None and "until" not in used:
        report.add((*place, "window"), "a window needs {until} in params or body: where a slice ends")
    if incremental.window_s is not None and incremental.start is None:
        report.add((*place, "window"), "a window needs a start")
    start = incremental.start or ""
    check_texts(start, (*place, "start"), {option.name for option in spec.options}, report)
    if start and not template.names(start) and incremental.format in (None, "iso8601", "date"):
        _moment(start, (*place, "start"), report)


def _moment(text: str, place: Place, report: Report) -> None:
    """Or a number, where the cursor is a growing one."""
    if _NUMBER.fullmatch(text):
        return
    try:
        datetime.fromisoformat(text)
    except ValueError:
        report.add(place, f"{text!r} is no moment; write it like 2015-01-01T00:00:00Z")


def _refresh(table: TableSpec, place: Place, report: Report) -> None:
    here = (*place, "refresh", "strategy")
    strategy = table.refresh.strategy
    if strategy in ("merge", "merge_delete") and not table.key:
        report.add(here, f"{strategy} needs a key")
    if strategy == "merge_delete" and table.incremental is not None:
        report.add(here, "merge_delete has to see every row, so it does not go with incremental")
    if strategy == "append" and table.incremental is None:
        report.add(here, "append needs incremental; without it every refresh would double the rows")
    if table.live is not None and (strategy or table.refresh.every_s or table.incremental):
        report.add((*place, "live"), "a live table is never stored, so refresh and incremental mean nothing")
    for each in table.filters:
        if each.required and table.live is None:
            report.add((*place, "filters", each.column, "required"), "only a live table can require a filter")


def _rules(rules: Sequence[ErrorRule], place: Place, report: Report) -> None:
    for index, rule in enumerate(rules):
        if rule.status is None and rule.body is None:
            report.add((*place, "errors", index), "which answer? give status or body, or both")


def _origin(table: TableSpec, spec: AdapterSpec, place: Place, report: Report) -> None:
    """A request that is a full address goes where the base address does."""
    base = urlsplit(spec.base_url)
    if template.names(spec.base_url):
        return
    for target in map(urlsplit, table.paths):
        origin = f"{target.scheme}://{target.netloc}"
        same = (target.scheme, target.netloc) == (base.scheme, base.netloc)
        if target.scheme and not same and origin not in spec.allowed_origins:
            report.add((*place, "request"), f"leads to {origin}, not to {base.scheme}://{base.netloc}")
