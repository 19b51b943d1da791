"""From the plain values of a spec file to ``AdapterSpec``. What was not read is left at its default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from unify.adapters.spec.model import (
    AdapterSpec,
    Auth,
    ColumnDef,
    ErrorRule,
    Filter,
    ForEach,
    Incremental,
    InheritedColumn,
    Limits,
    Live,
    Option,
    Paging,
    RefreshSpec,
    TableSpec,
    View,
)
from unify.adapters.spec.parse import INVALID, InvalidValue, ProblemReport


@dataclass(frozen=True, slots=True)
class ColumnSplit:
    """The columns of a table: as its rows will have them, and what has to be lifted into the rows."""

    columns: tuple[ColumnDef, ...]
    inherited: tuple[InheritedColumn, ...]


def split_columns(columns: Sequence[ColumnDef], rows: str | None) -> ColumnSplit:
    """Tell columns apart that come from an object on the way to the rows, the body itself aside."""
    way = (rows or "").removeprefix("$").removeprefix(".").split(".")
    kept: list[ColumnDef] = []
    lifted: list[InheritedColumn] = []
    for column in columns:
        steps = (column.source or "").split(".")
        depth = _shared_depth(way, steps[1:]) if steps[0] == "$" else 0
        if depth:
            lifted.append(InheritedColumn(column.name, depth, tuple(steps[1 + depth :])))
            kept.append(replace(column, source=None))
        else:
            kept.append(column)
    return ColumnSplit(tuple(kept), tuple(lifted))


def _shared_depth(rows_path: Sequence[str], column_path: Sequence[str]) -> int:
    """How many steps a column's path has in common with that of the rows, and still is not in them."""
    if list(column_path[: len(rows_path)]) == list(rows_path):
        return 0
    depth = 0
    while depth < min(len(rows_path), len(column_path)) - 1 and rows_path[depth] == column_path[depth]:
        depth += 1
    return depth


Json = Any  # a JSON value: dict, list, str, int, float, bool or None


def build_spec(values: Json | InvalidValue, report: ProblemReport) -> AdapterSpec:
    """The spec that ``values`` describe; tables keep their order and number, even those with mistakes."""
    given = _as_dict(values)
    check = _as_dict(given.get("check"))
    return AdapterSpec(
        name=given.get("name", ""),
        path=report.path,
        base_url=given.get("base_url", ""),
        description=given.get("description", ""),
        documentation=given.get("documentation", ""),
        options=tuple(
            Option(name, **_as_dict(item)) for name, item in _as_dict(given.get("options")).items()
        ),
        auth=_build_auth(_as_dict(given.get("auth"))),
        headers=_valid_entries(given.get("headers")),
        paging=_build_paging(_as_dict(given.get("paging"))),
        limits=Limits(**_as_dict(given.get("limits"))),
        errors=_build_error_rules(given.get("errors")),
        allowed_origins=_as_tuple(given.get("allowed_origins")),
        tables=tuple(
            _build_table(_as_dict(item), report.line_of(("tables", index)))
            for index, item in enumerate(given.get("tables", ()))
        ),
        views=tuple(_build_view(_as_dict(item)) for item in given.get("views", ())),
        check=check.get("request"),
        check_identity=check.get("identity"),
    )


def _build_table(values: dict[str, Json], line: int) -> TableSpec:
    requests = _as_tuple(values.get("request")) or ("GET /",)
    method, _, path = requests[0].partition(" ")
    refresh, live = _as_dict(values.get("refresh")), values.get("live")
    incremental, paging = values.get("incremental"), values.get("paging")
    named = [_build_column(name, item) for name, item in _as_dict(values.get("columns")).items()]
    columns = split_columns(named, values.get("rows"))
    return TableSpec(
        name=values.get("name", ""),
        method=method,
        path=path,
        fallback_requests=requests[1:],
        description=values.get("description", ""),
        params=_valid_entries(values.get("params")),
        headers=_valid_entries(values.get("headers")),
        body=values.get("body"),
        form=_valid_entries(values["form"]) if "form" in values else None,
        rows=values.get("rows"),
        where={key: _as_tuple(item) for key, item in _valid_entries(values.get("where")).items()},
        key=_as_tuple(values.get("key")),
        for_each=_build_for_each(values["for_each"]) if "for_each" in values else None,
        columns=columns.columns,
        inherited_columns=columns.inherited,
        exclude=_as_tuple(values.get("exclude")),
        only=_as_tuple(values.get("only")),
        flatten=values.get("flatten"),
        paging=_build_paging(paging) if paging is not None else None,
        incremental=_build_incremental(incremental) if incremental is not None else None,
        refresh=RefreshSpec(refresh.get("every"), refresh.get("strategy")),
        live=Live(_as_dict(live).get("cache", 0.0)) if live is not None else None,
        filters=tuple(
            each
            for name, item in _as_dict(values.get("filters")).items()
            for each in _build_filters(name, _as_dict(item))
        ),
        errors=_build_error_rules(values.get("errors")),
        format=values.get("format", "json"),
        line=line,
    )


def _build_auth(values: dict[str, Json]) -> Auth:
    kind = values.pop("type", "none")
    if kind is INVALID:
        return Auth()
    if kind == "oauth2":
        values.setdefault("grant", "client_credentials")
    if kind in ("api_key", "session"):
        values.setdefault("in", "header")
    if kind == "session":
        values = {"name": "Authorization", "value": "Bearer {session}"} | values
    return Auth(kind, values)


def _build_paging(values: dict[str, Json]) -> Paging:
    settings = {("location" if key == "in" else key): value for key, value in values.items()}
    if isinstance(settings.get("type"), InvalidValue):
        del settings["type"]
    return Paging(**settings)


def _build_incremental(values: dict[str, Json]) -> Incremental:
    renamed = {"lookback": "lookback_s", "window": "window_s"}
    settings = {renamed.get(key, key): value for key, value in values.items()}
    return Incremental(**({"cursor": ""} | settings))


def _build_for_each(values: Json) -> ForEach:
    match values:
        case str():
            return ForEach(query=values)
        case list():
            return ForEach(rows=tuple(_valid_entries(row) for row in values))
        case _:
            rows = tuple(_valid_entries(row) for row in values.get("rows", ()))
            return ForEach(values.get("query"), rows, values.get("batch"))


def _build_column(name: str, values: Json | InvalidValue) -> ColumnDef:
    if isinstance(values, str):
        return ColumnDef(name, values)
    settings = _as_dict(values)
    return ColumnDef(
        name,
        settings.get("type"),
        settings.get("description", ""),
        settings.get("format"),
        settings.get("from"),
    )


def _build_filters(name: str, values: dict[str, Json]) -> Iterator[Filter]:
    """One filter; where comparisons have parameters of their own, one for each, and one for other ``ops``."""
    param, required, form = values.get("param", name), values.get("required", False), values.get("format")
    if not isinstance(param, dict):
        yield Filter(name, param, _as_tuple(values.get("ops")) or ("=",), required, form)
        return
    for op, its_own in param.items():
        yield Filter(name, its_own, (op,), required, form, shared=True)
    rest = tuple(op for op in _as_tuple(values.get("ops")) if op not in param)
    if rest:
        yield Filter(name, name, rest, required, form, shared=True)


def _build_view(values: dict[str, Json]) -> View:
    return View(values.get("name", ""), values.get("query", ""), values.get("description", ""))


def _build_error_rules(values: Sequence[Json] | None) -> tuple[ErrorRule, ...]:
    rules = (_as_dict(item) for item in values or ())
    return tuple(
        ErrorRule(rule.get("status"), rule.get("action", "fail"), rule.get("body")) for rule in rules
    )


def _as_dict(values: Json | InvalidValue) -> dict[str, Json]:
    """A record as a fresh dict; empty where it could not be read."""
    return dict(values) if isinstance(values, dict) else {}


def _valid_entries(values: Json | InvalidValue) -> dict[str, Json]:
    """The entries of a mapping that could be read."""
    return {key: value for key, value in _as_dict(values).items() if not isinstance(value, InvalidValue)}


def _as_tuple(value: Json | InvalidValue) -> tuple[str, ...]:
    """One text or a list of them, as a tuple."""
    if isinstance(value, list):
        return tuple(item for item in value if not isinstance(item, InvalidValue))
    return () if value is None or isinstance(value, InvalidValue) else (value,)
