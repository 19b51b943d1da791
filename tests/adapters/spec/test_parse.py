"""Specs are parsed into the model."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.support.paths import GITHUB_SPEC, SPECS_README
from tests.support.spec_text import SPEC_HEAD
from unify.adapters.spec.loader import load_spec
from unify.adapters.spec.model import AdapterSpec, ErrorRule, TableSpec
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.table_keys import CSVFormat, Filter, ForEach, Incremental, RefreshSpec


def test_the_bundled_github_spec_matches_the_documentation() -> None:
    spec = load_spec(GITHUB_SPEC)

    promised = {"orgs", "repos", "pulls", "issues", "commits", "users"}
    assert promised <= {table.name for table in spec.tables}
    repos = spec.table("repos")
    assert repos is not None
    assert repos.request_paths == ("/orgs/{org}/repos", "/user/repos")
    assert spec.paging == Paging("link_header", size_param="per_page", size=100)
    assert (spec.auth.type, spec.auth.settings) == ("bearer", {"token": "{token}"})
    pulls, users = spec.table("pulls"), spec.table("users")
    assert pulls is not None
    assert users is not None
    assert (pulls.method, pulls.path) == ("GET", "/repos/{owner}/{repo}/pulls")
    assert pulls.for_each is not None
    assert (pulls.for_each.tables, pulls.for_each.columns) == (("repos",), ("owner", "repo"))
    assert pulls.incremental is not None
    assert (pulls.incremental.cursor, pulls.incremental.order) == ("updated_at", "desc")
    assert pulls.refresh.every_s == 900
    assert users.for_each is not None
    assert users.for_each.tables == ("repos", "pulls")
    assert users.paging == Paging("none")


def test_a_table_with_every_key_is_parsed(load_spec_text: Callable[[str], AdapterSpec]) -> None:
    table = load_spec_text(
        SPEC_HEAD
        + """\
    description: Orders of every shop
    params: {state: all, ids: ["{shop}", 2]}
    headers: {X-Org: "{org}"}
    rows: data.items
    key: [id, shop]
    for_each: {query: select id as shop from shops, batch: 50}
    only: [id, shop, "p*", changed]
    flatten: 1
    paging: {type: page, page_param: p, first: 0, size_param: n, size: 50, max_pages: 9}
    incremental: {cursor: changed, param: since, start: 2015-01-01T00:00:00Z, lookback: 5 minutes}
    refresh: {every: 1 hour, strategy: merge}
    filters: {id: {}, state: {param: s, ops: ["=", in]}}
    errors: [{status: 404, action: skip}, {body: quota, action: wait}]
    format: json
  - {name: shops, request: GET /shops}
"""
    ).tables[0]

    assert table == TableSpec(
        name="orders",
        requests=("GET /orders",),
        description="Orders of every shop",
        params={"state": "all", "ids": ["{shop}", 2]},
        headers={"X-Org": "{org}"},
        rows="data.items",
        key=("id", "shop"),
        for_each=ForEach("select id as shop from shops", batch=50, tables=("shops",), columns=("shop",)),
        only=("id", "shop", "p*", "changed"),
        flatten=1,
        paging=Paging("page", page_param="p", first=0, size_param="n", size=50, max_pages=9),
        incremental=Incremental("changed", "since", "2015-01-01T00:00:00Z", lookback_s=300.0),
        refresh=RefreshSpec(3600.0, "merge"),
        filters=(Filter("id", "id"), Filter("state", "s", ("=", "in"))),
        errors=(ErrorRule(404, "skip"), ErrorRule(None, "wait", "quota")),
        format="json",
        line=7,
    )


def test_listed_rows_and_live_tables_are_parsed(load_spec_text: Callable[[str], AdapterSpec]) -> None:
    spec = load_spec_text(
        SPEC_HEAD
        + """\
    for_each: [{site: de, n: 1}, {site: fr, n: 2}]
    params: {s: "{site}"}
  - name: search
    request: POST /search/{org}
    body: {query: "query { viewer { login } }", after: "{cursor}"}
    paging: {type: cursor, cursor_path: a.b, in: body}
    live: {cache: 60 seconds}
    filters: {q: {required: true}}
  - name: sites
    request: GET /sites
    columns: {id: bigint, price: {type: "decimal(10,2)", format: "1.234,5"}, org: {from: "{org}"}}
    where: {org.name: "{org}"}
    exclude: "*_url"
views:
  - {name: v, query: "select * from orders"}
  - {name: w, query: "with x as (select id from v) select count(*) as n from x join sites using (id)"}
"""
    )
    orders, search, sites = spec.tables
    assert orders.for_each is not None
    assert orders.for_each.rows == ({"site": "de", "n": "1"}, {"site": "fr", "n": "2"})
    assert orders.for_each.columns == ("site", "n")
    assert (search.live is not None and search.live.cache_s, search.filters[0].required) == (60, True)
    assert search.paging == Paging("cursor", cursor_path="a.b", location="body")
    assert [(column.name, column.type, column.source) for column in sites.columns] == [
        ("id", "bigint", None),
        ("price", "decimal(10,2)", None),
        ("org", None, "{org}"),
    ]
    assert (sites.exclude, sites.where) == (("*_url",), {"org.name": ("{org}",)})
    assert [view.tables for view in spec.views] == [("orders",), ("sites", "v")]


def test_the_example_of_the_reference_is_a_valid_spec(load_spec_text: Callable[[str], AdapterSpec]) -> None:
    example, *_ = re.findall(r"```yaml\n(.*?)```", SPECS_README.read_text(encoding="utf-8"), re.DOTALL)

    spec = load_spec_text(example)

    assert [table.name for table in spec.tables] == ["boards", "cards"]


def test_rows_in_several_lists_and_csv_settings_are_parsed(
    load_spec_text: Callable[[str], AdapterSpec],
) -> None:
    spec = load_spec_text(
        SPEC_HEAD
        + """\
    rows: [open.*, closed?]
    rows_name: state
    names: columns
    paging: {type: offset, first: 1, last_path: done, total_header: X-Total, until_empty: true, in: header}
    errors: [{status: 416, action: end}]
  - {name: rates, request: GET /rates, format: csv, csv: {delimiter: ";", skip: 2, header: false}}
"""
    )
    orders, rates = spec.tables
    assert (orders.rows, orders.more_rows, orders.rows_name, orders.names) == (
        "open.*",
        ("closed?",),
        "state",
        "columns",
    )
    assert orders.paging == Paging(
        "offset", first=1, last_path="done", total_header="X-Total", until_empty=True, location="header"
    )
    assert orders.errors == (ErrorRule(416, "end"),)
    assert rates.csv == CSVFormat(";", skip=2, header=False)
