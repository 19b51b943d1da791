"""From the plain values of a spec file to ``AdapterSpec``. What was not read is left at its default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from unify.adapters.enclosing import parted
from unify.adapters.spec import (
    AdapterSpec,
    Auth,
    ColumnDef,
    ErrorRule,
    Filter,
    ForEach,
    Incremental,
    Limits,
    Live,
    Option,
    Paging,
    Refresh,
    TableSpec,
    View,
)
from unify.adapters.specreader import MISSING, Missing, Report

Json = Any  # a JSON value: dict, list, str, int, float, bool or None


def build(values: Json | Missing, report: Report) -> AdapterSpec:
    """The spec that ``values`` describe; tables keep their order and number, even those with mistakes."""
    given = _given(values)
    check = _given(given.get("check"))
    return AdapterSpec(
        name=given.get("name", ""),
        path=report.path,
        base_url=given.get("base_url", ""),
        description=given.get("description", ""),
        documentation=given.get("documentation", ""),
        options=tuple(Option(name, **_given(item)) for name, item in _given(given.get("options")).items()),
        auth=_auth(_given(given.get("auth"))),
        headers=_texts(given.get("headers")),
        paging=_paging(_given(given.get("paging"))),
        limits=Limits(**_given(given.get("limits"))),
        errors=_errors(given.get("errors")),
        allowed_origins=_list(given.get("allowed_origins")),
        tables=tuple(
            _table(_given(item), report.line(("tables", index)))
            for index, item in enumerate(given.get("tables", ()))
        ),
        views=tuple(_view(_given(item)) for item in given.get("views", ())),
        check=check.get("request"),
        check_identity=check.get("identity"),
    )


def _table(given: dict[str, Json], line: int) -> TableSpec:
    requests = _list(given.get("request")) or ("GET /",)
    method, _, path = requests[0].partition(" ")
    refresh, live = _given(given.get("refresh")), given.get("live")
    incremental, paging = given.get("incremental"), given.get("paging")
    named = [_column(name, item) for name, item in _given(given.get("columns")).items()]
    columns = parted(named, given.get("rows"))
    return TableSpec(
        name=given.get("name", ""),
        method=method,
        path=path,
        otherwise=requests[1:],
        description=given.get("description", ""),
        params=_texts(given.get("params")),
        headers=_texts(given.get("headers")),
        body=given.get("body"),
        form=_texts(given["form"]) if "form" in given else None,
        rows=given.get("rows"),
        where={key: _list(item) for key, item in _texts(given.get("where")).items()},
        key=_list(given.get("key")),
        for_each=_for_each(given["for_each"]) if "for_each" in given else None,
        columns=columns.columns,
        lifted=columns.lifted,
        exclude=_list(given.get("exclude")),
        only=_list(given.get("only")),
        flatten=given.get("flatten"),
        paging=_paging(paging) if paging is not None else None,
        incremental=_incremental(incremental) if incremental is not None else None,
        refresh=Refresh(refresh.get("every"), refresh.get("strategy")),
        live=Live(_given(live).get("cache", 0.0)) if live is not None else None,
        filters=tuple(
            each
            for name, item in _given(given.get("filters")).items()
            for each in _filters(name, _given(item))
        ),
        errors=_errors(given.get("errors")),
        format=given.get("format", "json"),
        line=line,
    )


def _auth(given: dict[str, Json]) -> Auth:
    kind = given.pop("type", "none")
    if kind is MISSING:
        return Auth()
    if kind == "oauth2":
        given.setdefault("grant", "client_credentials")
    if kind in ("api_key", "session"):
        given.setdefault("in", "header")
    if kind == "session":
        given = {"name": "Authorization", "value": "Bearer {session}"} | given
    return Auth(kind, given)


def _paging(given: dict[str, Json]) -> Paging:
    settings = {("place" if key == "in" else key): value for key, value in given.items()}
    if isinstance(settings.get("type"), Missing):
        del settings["type"]
    return Paging(**settings)


def _incremental(given: dict[str, Json]) -> Incremental:
    renamed = {"lookback": "lookback_s", "window": "window_s"}
    settings = {renamed.get(key, key): value for key, value in given.items()}
    return Incremental(**({"cursor": ""} | settings))


def _for_each(given: Json) -> ForEach:
    match given:
        case str():
            return ForEach(query=given)
        case list():
            return ForEach(rows=tuple(_texts(row) for row in given))
        case _:
            rows = tuple(_texts(row) for row in given.get("rows", ()))
            return ForEach(given.get("query"), rows, given.get("batch"))


def _column(name: str, given: Json | Missing) -> ColumnDef:
    if isinstance(given, str):
        return ColumnDef(name, given)
    settings = _given(given)
    return ColumnDef(
        name,
        settings.get("type"),
        settings.get("description", ""),
        settings.get("format"),
        settings.get("from"),
    )


def _filters(name: str, given: dict[str, Json]) -> Iterator[Filter]:
    """One filter; where comparisons have parameters of their own, one for each, and one for other ``ops``."""
    param, required, form = given.get("param", name), given.get("required", False), given.get("format")
    if not isinstance(param, dict):
        yield Filter(name, param, _list(given.get("ops")) or ("=",), required, form)
        return
    for op, its_own in param.items():
        yield Filter(name, its_own, (op,), required, form, shared=True)
    rest = tuple(op for op in _list(given.get("ops")) if op not in param)
    if rest:
        yield Filter(name, name, rest, required, form, shared=True)


def _view(given: dict[str, Json]) -> View:
    return View(given.get("name", ""), given.get("query", ""), given.get("description", ""))


def _errors(given: Sequence[Json] | None) -> tuple[ErrorRule, ...]:
    rules = (_given(item) for item in given or ())
    return tuple(
        ErrorRule(rule.get("status"), rule.get("action", "fail"), rule.get("body")) for rule in rules
    )


def _given(values: Json | Missing) -> dict[str, Json]:
    """A record as a fresh dict; empty where it could not be read."""
    return dict(values) if isinstance(values, dict) else {}


def _texts(values: Json | Missing) -> dict[str, Json]:
    """The entries of a mapping that could be read."""
    return {key: value for key, value in _given(values).items() if not isinstance(value, Missing)}


def _list(value: Json | Missing) -> tuple[str, ...]:
    """One text or a list of them, as a tuple."""
    if isinstance(value, list):
        return tuple(item for item in value if not isinstance(item, Missing))
    return () if value is None or isinstance(value, Missing) else (value,)
