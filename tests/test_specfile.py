"""Adapter specs: what the YAML says, and how each mistake is explained."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from unify import yamlfile
from unify.adapters.options import check_options, option_values
from unify.adapters.rowfilter import RowFilter
from unify.adapters.spec import (
    AdapterSpec,
    ErrorRule,
    Filter,
    ForEach,
    Incremental,
    Paging,
    Refresh,
    TableSpec,
)
from unify.adapters.specfile import bundled_specs, find_spec, load_spec
from unify.adapters.specschema import BEGIN, reference, schema, schema_text
from unify.connections import Connection, Secret
from unify.errors import ConfigError, Problem, SpecError, UnknownName
from unify.yamlnodes import plain

GITHUB = bundled_specs() / "github.yaml"
README = bundled_specs() / "README.md"

HEAD = """\
name: shop
base_url: https://api.shop.example
options:
  token: {secret: true}
  org: {}
tables:
  - name: orders
    request: GET /orders
"""  # 8 lines: what a test adds begins in line 9


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], AdapterSpec]:
    def loaded(text: str) -> AdapterSpec:
        file = tmp_path / "shop.yaml"
        file.write_text(text, encoding="utf-8")
        return load_spec(file)

    return loaded


def problems(load: Callable[[str], AdapterSpec], text: str) -> list[str]:
    """``line:column: key: text`` of every mistake."""
    with pytest.raises(SpecError) as caught:
        load(text)
    found = caught.value.problems
    assert str(caught.value) == "\n".join(str(problem) for problem in found)
    return [str(problem).removeprefix(problem.path)[1:] for problem in found]


# -- what is read ------------------------------------------------------------------------------------


def test_the_bundled_github_spec_says_what_the_documentation_promises() -> None:
    spec = load_spec(GITHUB)

    promised = {"orgs", "repos", "pulls", "issues", "commits", "users"}
    assert promised <= {table.name for table in spec.tables}
    repos = spec.table("repos")
    assert repos is not None
    assert repos.paths == ("/orgs/{org}/repos", "/user/repos")
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


def test_a_table_with_everything_is_read(load: Callable[[str], AdapterSpec]) -> None:
    table = load(
        HEAD
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
        method="GET",
        path="/orders",
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
        refresh=Refresh(3600.0, "merge"),
        filters=(Filter("id", "id"), Filter("state", "s", ("=", "in"))),
        errors=(ErrorRule(404, "skip"), ErrorRule(None, "wait", "quota")),
        format="json",
        line=7,
    )


def test_given_rows_and_live_tables_are_read(load: Callable[[str], AdapterSpec]) -> None:
    spec = load(
        HEAD
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
    assert search.paging == Paging("cursor", cursor_path="a.b", place="body")
    assert [(column.name, column.type, column.source) for column in sites.columns] == [
        ("id", "bigint", None),
        ("price", "decimal(10,2)", None),
        ("org", None, "{org}"),
    ]
    assert (sites.exclude, sites.where) == (("*_url",), {"org.name": ("{org}",)})
    assert [view.tables for view in spec.views] == [("orders",), ("sites", "v")]


# -- what is refused ---------------------------------------------------------------------------------

MISTAKES = [
    # keys and values
    ("    requets: x\n", "9:5: tables.orders.requets: unknown key"),
    ("    strategy: merge\n", "9:5: tables.orders.strategy: unknown key; it belongs in refresh"),
    ("    concurrency: 2\n", "9:5: tables.orders.concurrency: unknown key; it belongs in limits"),
    (
        "    incremental: {cursor: at, param: since, every: 1 hour}\n",
        "every: unknown key; it belongs in refresh",
    ),
    ("    parms: {}\n", "9:5: tables.orders.parms: unknown key — did you mean params?"),
    ("    description:\n", "9:17: tables.orders.description: has no value; expected a text"),
    ("    description: [a]\n", "9:18: tables.orders.description: expected a text, found a list"),
    (
        "    flatten: deep\n",
        "9:14: tables.orders.flatten: expected a whole number from 0 to 100, found 'deep'",
    ),
    ("    format: jsn\n", "9:13: tables.orders.format: expected one of json, jsonl, csv, xml, found 'jsn'"),
    (
        "    columns: {n: {type: bigint, format: unix}}\n",
        "9:41: tables.orders.columns.n.format: 'unix' is a format of moments, which bigint does not hold",
    ),
    (
        '    columns: {n: {type: date, format: "1,234.5"}}\n',
        "9:39: tables.orders.columns.n.format: '1,234.5' is a format of numbers, which date does not hold",
    ),
    (
        '    columns: {n: {format: "1.000,00"}}\n',
        "9:27: tables.orders.columns.n.format: '1.000,00' is no format of numbers; use one of '1,234.5'",
    ),
    ("    format: csv\n    rows: a\n", "10:11: tables.orders.rows: has no meaning with format csv"),
    (
        "    columns: {a: bigint, A: bigint}\n",
        "9:15: tables.orders.columns.a: differs from another column only in upper and lower case",
    ),
    (
        "    paging: {type: page, in: body}\n",
        "9:30: tables.orders.paging.in: a GET has no body; write the request as POST /…, or leave this out",
    ),
    (
        "    paging: {type: page, in: path}\n",
        "9:30: tables.orders.paging.in: the path of the request has no place for {page}",
    ),
    (
        "    for_each: [{a: b}, {a: c}]\n",
        "9:15: tables.orders.for_each: the request holds none of {a}, so that each row would ask for the",
    ),
    (
        "    for_each: {rows: [{a: b, c: d}], batch: 5}\n    params: {q: '{a}', r: '{c}'}\n",
        "9:45: tables.orders.for_each.batch: a batch joins the values of one column; for_each has more",
    ),
    (
        "    for_each: {rows: [{a: b}], batch: 5}\n    params: {q: '{a}'}\n    columns: {x: {from: '{a}'}}\n",
        "11:25: tables.orders.columns.x.from: a batch has many values; take the column from the answer",
    ),
    ("    format: xml\n", "9:13: tables.orders.format: xml needs rows: where its repeated element is"),
    ("    name: again\n", "9:5: tables.orders.name: this key stands here already, in line 7"),
    ("    params: [a]\n", "9:13: tables.orders.params: expected lines of NAME: VALUE"),
    ("    exclude: {}\n", "9:14: tables.orders.exclude: expected a text or a list"),
    ("    key: []\n", "9:10: tables.orders.key: the list is empty"),
    ("    refresh: {evry: 1 hour}\n", "9:15: tables.orders.refresh.evry: unknown key — did you mean every?"),
    ("    refresh: {every: often}\n", "9:22: tables.orders.refresh.every: 'often' is not a duration"),
    (
        "    headers: {Host: x}\n",
        "9:15: tables.orders.headers.Host: the header Host is set by the HTTP library",
    ),
    ('    headers: {"a b": x}\n', "9:15: tables.orders.headers.a b: 'a b' is no name of a header"),
    (
        "    columns: {id: int7}\n",
        "9:19: tables.orders.columns.id: 'int7' is no column type — did you mean int?",
    ),
    ("    columns: {id: hugeint}\n", "cannot be stored exactly; use decimal(38,0)"),
    ("    columns: {id: {type: 'decimal(40,1)'}}\n", "decimal has up to 38 digits"),
    ("    rows: a..b\n", "9:11: tables.orders.rows: 'a..b' is no dotted path"),
    ("    paging: {type: pgae}\n", "9:20: tables.orders.paging.type: expected one of none, page, offset"),
    ("    paging: {type: page, path: x}\n", "9:26: tables.orders.paging.path: has no meaning with type page"),
    ("    paging: {type: next_url}\n", "9:13: tables.orders.paging: path is missing"),
    ("    paging: {type: cursor}\n", "expected cursor_path, cursor_column or cursor_header"),
    ("    paging: {size_param: n}\n", "9:13: tables.orders.paging: size_param needs a size"),
    ("    errors: [{action: skip}]\n", "9:14: tables.orders.errors[0]: which answer? give status or body"),
    # variables
    (
        "    params: {a: '{ogr}'}\n",
        "9:14: tables.orders.params.a: unknown variable {ogr} — did you mean org?",
    ),
    ("    params: {a: '{cursor}'}\n", "{cursor} belongs to incremental"),
    (
        "    params: {a: ['{x_y_z}']}\n",
        "9:18: tables.orders.params.a[0]: unknown variable {x_y_z}; known here: {org}",
    ),
    ("    params: {a: '{ org }'}\n", "{ org } is no variable; a variable is one name in braces"),
    ("    params: {a: '{token.__class__}'}\n", "{token.__class__} is no variable"),
    (
        "    columns: {t: {from: '{token}'}}\n",
        "9:25: tables.orders.columns.t.from: a secret option is never stored",
    ),
    ("    columns: {t: {from: 'x{org}'}}\n", "is neither one {variable} nor a dotted path"),
    ("    where: {a: '{nope_nope}'}\n", "9:13: tables.orders.where.a: unknown variable {nope_nope}"),
    ("    for_each: [{org: x}]\n", "org is an option and a column of for_each; rename the column"),
    ("    for_each: [{a: x}, {b: y}]\n", "every row needs the same columns"),
    # parts that do not fit
    ("    key: id\n    exclude: ['i*']\n", "9:10: tables.orders.key: the column id is left out by exclude"),
    ("    key: id\n    only: [name]\n", "9:10: tables.orders.key: the column id is not among only"),
    ("    body: {}\n", "9:11: tables.orders.body: a GET has no body"),
    (
        "    incremental: {cursor: a}\n",
        "9:18: tables.orders.incremental: nothing tells the API where to begin",
    ),
    (
        "    incremental: {cursor: a, param: s, start: soon}\n",
        "'soon' is no moment; write it like 2015-01-01",
    ),
    ("    incremental: {cursor: a, param: s, window: 1 day}\n", "a window needs {until}"),
    ("    refresh: {strategy: merge}\n", "merge needs a key"),
    ("    refresh: {strategy: append}\n", "append needs incremental"),
    ("    filters: {a: {required: true}}\n", "only a live table can require a filter"),
    (
        "    live: {}\n    refresh: {every: 1 hour}\n",
        "9:11: tables.orders.live: a live table is never stored",
    ),
    (
        "  - name: Orders\n    request: GET /x\n",
        "9:11: tables.Orders.name: Orders is described already, in line 7",
    ),
    ("  - request: GET /x\n", "9:5: tables[1]: name is missing"),
    ("  - name: a b\n    request: GET /x\n", "9:11: tables.a b.name: 'a b' is no name"),
    ("views: [{name: orders, query: select * from orders}]\n", "orders is described already, in line 7"),
    # addresses
    (
        "  - {name: a, request: get /x}\n",
        "9:24: tables.a.request: 'get' is no method to read with — did you mean GET?",
    ),
    ('  - {name: a, request: ["GET /x/{ogr}", GET /x]}\n', "unknown variable {ogr} — did you mean org?"),
    ("  - {name: a, request: [GET /x, DELETE /x]}\n", "9:33: tables.a.request[1]: 'DELETE' is no method"),
    ("  - {name: a, request: [GET /x, 'GET https://evil.example/x']}\n", "leads to https://evil.example"),
    ("  - {name: a, request: DELETE /x}\n", "'DELETE' is no method to read with; use GET or POST"),
    ("  - {name: a, request: GET}\n", "'GET' is no request; write METHOD and path"),
    ("  - {name: a, request: GET x}\n", "'x' is no path; it starts with one /"),
    ("  - {name: a, request: GET //evil.example/x}\n", "is no path; it starts with one /"),
    ("  - {name: a, request: GET /x/../y}\n", "an address has no . or .. steps"),
    ("  - {name: a, request: GET /x/%2E%2e/y}\n", "an address has no . or .. steps"),
    ("  - {name: a, request: 'GET file:///etc/passwd'}\n", "is no path"),
    (
        "  - {name: a, request: 'GET https://evil.example/x'}\n",
        "leads to https://evil.example, not to https://api.shop",
    ),
    (
        "  - {name: a, request: 'GET https://u:p@api.shop.example/x'}\n",
        "credentials do not belong into an address",
    ),
    # SELECTs
    (
        "    for_each: drop table orders\n",
        "9:15: tables.orders.for_each: only a SELECT is allowed here, not 'DROP'",
    ),
    ("    for_each: select x from orders\n", "9:15: tables.orders.for_each: the tables wait for each other"),
    ("    for_each: select x from boards\n", "no table boards here"),
    ("    for_each: select x from jira.issues\n", "write the table's name alone"),
    ("    for_each: select 1 as x; select 2 as y\n", "expected exactly one SELECT"),
    ("    for_each: select ';' as x;\n", "leave the ; out"),
    ("    for_each: copy orders to '/tmp/x'\n", "only a SELECT is allowed here, not 'COPY'"),
    ("    for_each: attach '/tmp/x'\n", "only a SELECT is allowed here, not 'ATTACH'"),
    ("    for_each: install httpfs\n", "only a SELECT is allowed here, not"),
    ("    for_each: select * from '/etc/passwd'\n", "no table /etc/passwd here"),
    ("    for_each: select * from read_csv('/etc/passwd')\n", "no table functions"),
    ("    for_each: select * from read_text('/etc/passwd')\n", "no table functions"),
    ("    for_each: select * from glob('/*')\n", "no table functions"),
    ("    for_each: select getenv('HOME') as x\n", "the function getenv looks outside"),
    ("    for_each: select current_setting('threads') as x\n", "the function current_setting looks outside"),
    ('    for_each: with "/etc/x.csv" as (select 1 as a) select a from y\n', "after WITH a plain name"),
    ("    for_each: with duckdb_settings as (select 1 as a) select a from y\n", "after WITH a plain name"),
    ("    for_each: select ? as x\n", "a SELECT in a spec has no parameters"),
    ("    for_each: select 1\n", "the column '1' cannot be a variable; write … as NAME"),
    ("    for_each: select from where\n", "this is not SQL that can be read"),
    ("    for_each: select 1 as x into y\n", "only a SELECT is allowed here, not 'INTO'"),
    (
        "    for_each: select a from a\n  - {name: a, request: GET /a, for_each: select o from orders}\n",
        "the tables wait for each other: orders → a → orders",
    ),
    (
        "    for_each: select a from a\n  - {name: a, request: GET /a, live: {}}\n",
        "9:15: tables.orders.for_each: a is live and never stored; a stored table needs stored tables here",
    ),
    (
        "    live: {}\n    for_each: select x from a\n"
        "  - {name: a, request: GET /a, live: {}, filters: {q: {required: true}}}\n",
        "10:15: tables.orders.for_each: a is live and needs a filter: where q = '...'",
    ),
    (
        "views: [{name: v, query: insert into orders values (1)}]\n",
        "only a SELECT is allowed here, not 'INSERT'",
    ),
    ("views: [{name: v, query: select * from v}]\n", "no table v here"),
]


@pytest.mark.parametrize(("added", "explained"), MISTAKES)
def test_a_mistake_is_explained_at_its_place(
    load: Callable[[str], AdapterSpec], added: str, explained: str
) -> None:
    found = problems(load, HEAD + added)

    assert any(explained in problem for problem in found), found


@pytest.mark.parametrize(
    ("text", "explained"),
    [
        ("", "1:1: spec: the file is empty"),
        ("- a\n", "1:1: spec: expected lines of KEY: VALUE, found a list"),
        ("name: x\n", "1:1: spec: base_url is missing"),
        ("name: [\n", "this is not YAML"),
        ("a: [1", "2:1: a[1]: this is not YAML: did not find expected"),
        ("a: b: c\n", "1:5: a: this is not YAML: mapping values are not allowed"),
        ("name: x\n\tbase_url: y\n", "2:1: base_url: this is not YAML: found a tab character"),
        ("name: \x07\n", "1:7: YAML: a character that YAML does not allow"),
        ("name: x\n---\nname: y\n", "2:1: YAML: a second document begins here"),
        ("x: &a {<<: *a}\n", "an alias (*…) of nothing written above"),
        ("name: !!python/object/apply:os.system [id]\n", "a tag (!…) is not allowed"),
        ("x: y\u2028z\n", "1:5: YAML: U+2028 ends a line here where editors show none"),
        ("x: " + "[" * 50 + "]" * 50, "nested more than 40 levels deep"),
        ("x: " + "[" * 200_000, "nested more than 40 levels deep"),
        ("x: '" + "y" * 1_000_001 + "'", "the file is larger than 1,000,000 bytes"),
        (
            HEAD.replace("base_url: https", "base_url: file"),
            "2:11: base_url: 'file://api.shop.example' is no web",
        ),
        (HEAD.replace("https://api.shop.example", '"{org}/x"') + "bse: 1\n", "9:1: bse: unknown key"),
        (HEAD + "auth: {token: x}\n", "9:7: auth: type is missing; one of none, basic, bearer"),
        (HEAD + "auth: {type: bearer, token: '{tken}'}\n", "unknown variable {tken} — did you mean token?"),
        (HEAD + "auth: {type: berer, token: '{token}'}\n", "9:14: auth.type: expected one of"),
        (
            HEAD + "auth: {type: oauth2, grant: device_code, token_url: https://a.example, client_id: x}\n",
            "auth.grant: device_code needs authorize_url",
        ),
        (
            HEAD + "auth: {type: oauth2, token_url: https://a.example, client_id: x, redirect_port: 99999}\n",
            "auth.redirect_port: '99999' is no port; use a number from 1024 to 65535, or one {variable}",
        ),
        (HEAD + "allowed_origins: [https://a.example/x]\n", "is no origin; write https://HOST"),
        (
            HEAD + "limits: {concurrency: 0}\n",
            "9:23: limits.concurrency: expected a whole number from 1 to 64",
        ),
    ],
)
def test_a_file_that_is_no_spec_is_explained(
    load: Callable[[str], AdapterSpec], text: str, explained: str
) -> None:
    if "# " in text:
        text, explained = (
            HEAD.replace("https://api.shop.example", '"{org}/x"') + "bse: 1\n",
            "9:1: bse: unknown key",
        )
    found = problems(load, text)

    assert any(explained in problem for problem in found), found


def test_a_bomb_of_aliases_is_refused_in_no_time(load: Callable[[str], AdapterSpec]) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    started = time.monotonic()

    found = problems(load, "\n".join(levels))

    assert any("more than 100,000 values" in problem for problem in found)
    assert time.monotonic() - started < 1


def test_bytes_that_are_no_text_are_explained(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"name: x\nbase_url: \xff\n")

    with pytest.raises(SpecError, match=":2:11: YAML: this byte is not UTF-8 text"):
        load_spec(file)


def test_every_mistake_is_named_at_once_in_the_order_of_the_file(load: Callable[[str], AdapterSpec]) -> None:
    found = problems(
        load, HEAD.replace("GET", "FETCH").replace("token", "to ken") + "    kye: id\nviws: []\n"
    )

    assert [problem.split(":")[0] for problem in found] == ["4", "8", "9", "10"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml: cannot be read: No such file"):
        load_spec(tmp_path / "nothing.yaml")


# -- mutations ---------------------------------------------------------------------------------------

SEED = 20_260_101
KEYS = (
    "request",
    "description",
    "for_each",
    "params",
    "exclude",
    "incremental",
    "refresh",
    "errors",
    "columns",
)


def misspelled(lines: list[str], chance: random.Random) -> list[str]:
    """One key of a table with two letters swapped or one left out."""
    spots = [i for i, line in enumerate(lines) if re.match(rf"    ({'|'.join(KEYS)}):", line)]
    spot = chance.choice(spots)
    key, _, rest = lines[spot].strip().partition(":")
    at = chance.randrange(1, len(key) - 1)
    wrong = key[:at] + key[at + 1 :] if chance.random() < 0.5 or key[at] == key[at + 1] else swapped(key, at)
    return [*lines[:spot], f"    {wrong}:{rest}", *lines[spot + 1 :]]


def swapped(text: str, at: int) -> str:
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def without_line(lines: list[str], chance: random.Random) -> list[str]:
    spot = chance.randrange(len(lines))
    return lines[:spot] + lines[spot + 1 :]


def doubled_line(lines: list[str], chance: random.Random) -> list[str]:
    spot = chance.randrange(len(lines))
    return [*lines[:spot], lines[spot], *lines[spot:]]


def indented(lines: list[str], chance: random.Random) -> list[str]:
    spot = chance.randrange(len(lines))
    return [*lines[:spot], chance.choice([" ", "  ", "\t"]) + lines[spot], *lines[spot + 1 :]]


def with_character(lines: list[str], chance: random.Random) -> list[str]:
    text = "\n".join(lines)
    spot = chance.randrange(len(text))
    return (text[:spot] + chance.choice("{}[]:,'\"&*!|>%@`#-?\0\x85é\u202e") + text[spot:]).split("\n")


def without_character(lines: list[str], chance: random.Random) -> list[str]:
    text = "\n".join(lines)
    spot = chance.randrange(len(text))
    return (text[:spot] + text[spot + 1 :]).split("\n")


def cut_short(lines: list[str], chance: random.Random) -> list[str]:
    text = "\n".join(lines)
    return text[: chance.randrange(len(text))].split("\n")


def other_value(lines: list[str], chance: random.Random) -> list[str]:
    spots = [i for i, line in enumerate(lines) if re.search(r"\w: \S", line) and not line.startswith("#")]
    spot = chance.choice(spots)
    value = chance.choice(
        ["", "[]", "{}", "~", "12", "[1, {a: b}]", "{a: [b]}", "true", "'{nope}'", "&x *x", "1e999"]
    )
    key = re.split(r"(?<=\w): ", lines[spot])[0]
    return [*lines[:spot], f"{key}: {value}", *lines[spot + 1 :]]


MUTATIONS = [
    misspelled,
    without_line,
    doubled_line,
    indented,
    with_character,
    without_character,
    cut_short,
    other_value,
]


def mutate(rounds: int, folder: Path) -> None:
    """Each mutation is valid still, or explained within a second with file, line, column and key."""
    print(f"seed {SEED}, {rounds} rounds")
    chance = random.Random(SEED)
    specs = [path.read_text(encoding="utf-8").splitlines() for path in sorted(bundled_specs().glob("*.yaml"))]
    file = folder / "mutant.yaml"
    refused = 0
    for number in range(rounds):
        mutation = MUTATIONS[number % len(MUTATIONS)]
        lines = chance.choice(specs)
        text = "\n".join(mutation(lines, chance))
        file.write_bytes(text.encode("utf-8"))
        started = time.monotonic()
        found = mistakes(file)
        assert time.monotonic() - started < 1, text
        refused += bool(found)
        for problem in found:
            assert problem.path == str(file)
            assert 1 <= problem.line <= text.count("\n") + 2
            assert problem.column >= 1
            assert problem.key, problem
            assert problem.text, problem
        if mutation is misspelled:
            assert any("did you mean" in problem.text for problem in found), text
    assert refused > rounds / 3


def mistakes(file: Path) -> tuple[Problem, ...]:
    try:
        load_spec(file)
    except SpecError as error:
        return error.problems
    return ()


def test_sixty_mutations_of_the_bundled_specs_are_each_explained(tmp_path: Path) -> None:
    mutate(64, tmp_path)


@pytest.mark.slow
def test_thousands_of_mutations_of_the_bundled_specs_are_each_explained(tmp_path: Path) -> None:
    mutate(4000, tmp_path)


# -- where specs are ---------------------------------------------------------------------------------


def test_a_folder_of_ones_own_goes_before_the_bundled_specs(tmp_path: Path) -> None:
    own = tmp_path / "github.yaml"
    own.write_text("name: github\n", encoding="utf-8")

    assert find_spec("github", [tmp_path]) == own
    assert find_spec("github", [tmp_path / "nowhere"]) == GITHUB


@pytest.mark.parametrize("adapter", ["githb", "../github", "GITHUB"])
def test_an_unknown_adapter_names_the_nearest(adapter: str) -> None:
    with pytest.raises(UnknownName, match=r"no adapter .* — did you mean github\?"):
        find_spec(adapter, [])


@pytest.mark.parametrize("file", sorted(bundled_specs().glob("*.yaml")), ids=lambda file: str(file.stem))
def test_every_bundled_spec_is_valid_and_named_as_its_file(file: Path) -> None:
    assert load_spec(file).name == file.stem
    assert file.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json\n")


def test_a_spec_without_selects_never_loads_the_sql_parser(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(HEAD, encoding="utf-8")
    code = (
        "import sys, pathlib\n"
        "from unify.adapters.specfile import load_spec\n"
        f"load_spec(pathlib.Path({str(file)!r}))\n"
        "assert 'sqlglot' not in sys.modules\n"
    )

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# -- the reference -----------------------------------------------------------------------------------


def test_the_json_schema_is_what_the_language_is() -> None:
    current = (bundled_specs() / "schema.json").read_text(encoding="utf-8")

    assert current == schema_text(), "run python -m unify.adapters.specschema"


def test_the_reference_has_every_key_of_the_language() -> None:
    tables = README.read_text(encoding="utf-8").partition(BEGIN)[2]

    assert tables.strip() == reference().strip(), "run python -m unify.adapters.specschema"


def test_the_example_of_the_reference_is_a_valid_spec(load: Callable[[str], AdapterSpec]) -> None:
    example, *_ = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)

    spec = load(example)

    assert [table.name for table in spec.tables] == ["boards", "cards"]


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """As much of JSON Schema as ours uses."""
    types = {"string": str, "number": (int, float), "integer": int, "boolean": bool, "null": type(None)}
    types |= {"array": list, "object": dict}
    wanted = schema.get("type", [])
    kinds = [wanted] if isinstance(wanted, str) else wanted
    known = {"type", "enum", "const", "pattern", "minimum", "maximum", "items", "minItems", "anyOf", "oneOf"}
    known |= {
        "properties",
        "additionalProperties",
        "propertyNames",
        "required",
        "description",
        "title",
        "$schema",
        "not",
        "if",
        "then",
        "dependencies",
    }
    assert schema.keys() <= known
    if kinds and not any(isinstance(value, types[kind]) for kind in kinds):  # type: ignore[arg-type]
        return False
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", {})
    members = value.items() if isinstance(value, dict) else ()
    return all(
        [
            "enum" not in schema or value in schema["enum"],
            "const" not in schema or value == schema["const"],
            "pattern" not in schema
            or not isinstance(value, str)
            or bool(re.search(schema["pattern"], value)),
            "minimum" not in schema or schema["minimum"] <= value <= schema["maximum"],
            "items" not in schema or (bool(value) and all(fits(item, schema["items"]) for item in value)),
            "anyOf" not in schema or any(fits(value, each) for each in schema["anyOf"]),
            "oneOf" not in schema or sum(fits(value, each) for each in schema["oneOf"]) == 1,
            "not" not in schema or not fits(value, schema["not"]),
            "if" not in schema or not fits(value, schema["if"]) or fits(value, schema["then"]),
            all(name in value for name in schema.get("required", ())),
            all(
                name not in value or all(each in value for each in needed)
                for name, needed in schema.get("dependencies", {}).items()
            ),
            all(fits(name, schema.get("propertyNames", {})) for name, _ in members),
            all(name in properties or others is not False for name, _ in members),
            all(fits(item, properties.get(name, others or {})) for name, item in members),
        ]
    )


@pytest.mark.parametrize(
    ("added", "fitting"),
    [
        ("", True),
        ("    refresh: {every: 1 hour}\n    key: [a, b]\n    paging: {size: 5}\n", True),
        ("    for_each: {query: select 1 as x, batch: 5}\n    paging: {type: none}\n", True),
        ("    requets: x\n", False),
        ("    paging: {type: page, path: x}\n", False),
        ("    paging: {type: next_url}\n", False),
        ("    flatten: deep\n", False),
        ("    errors: [{status: 404}]\n", False),
        ("    key: []\n", False),
        ("  - {name: x, request: FETCH /x}\n", False),
        ("    paging: {type: page, cursor_path: a}\n", False),
        ("    paging: {type: page, size_param: n}\n", False),
        ("    paging: {type: cursor}\n", False),
        ("    paging: {type: cursor, cursor_path: a, cursor_column: b}\n", False),
        ("    body: {a: 1}\n", False),
        ("    form: {a: b}\n", False),
        ("    rows: a..b\n", False),
        ("    columns: {a: bigit}\n", False),
        ('    columns: {a: {from: "x{y}"}}\n', False),
        ('    columns: {a: {format: "1.000"}}\n', False),
        ("    refresh: {every: 5 parsecs}\n", False),
        ("    errors: [{action: skip}]\n", False),
        ("    for_each: {query: select 1 as a, rows: [{a: b}]}\n", False),
        ("    headers: {a b: c}\n", False),
        ("    incremental: {cursor: a, param: b, format: sometimes}\n", False),
    ],
)
def test_editors_are_told_what_the_reader_says(added: str, fitting: bool) -> None:
    assert fits(plain(yamlfile.parse((HEAD + added).encode(), "x").root), schema()) is fitting


def test_the_examples_of_the_reference_fit_the_json_schema() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    specs = [block for block in blocks if "\ntables:" in block and "\nname:" in block]
    assert len(specs) == 2
    assert all(fits(plain(yamlfile.parse(spec.encode(), "x").root), schema()) for spec in specs)


def test_the_bundled_specs_fit_the_json_schema() -> None:
    for file in bundled_specs().glob("*.yaml"):
        assert fits(plain(yamlfile.read(file).root), schema()), file


def test_yaml_is_read_as_its_own_library_reads_it(tmp_path: Path) -> None:
    """A second opinion on our node builder: what YAML 1.1 and 1.2 agree on is the same."""
    text = GITHUB.read_text(encoding="utf-8")

    assert plain(yamlfile.parse(text.encode(), "x").root) == yaml.safe_load(text)


# -- options -----------------------------------------------------------------------------------------


def connection(**options: str) -> Connection:
    return Connection("gh", "github", options, lines={"options": 2, "options.tokn": 3})


def test_options_get_their_defaults_and_references_their_values() -> None:
    values = option_values(connection(token="${T}", org="duckdb"), load_spec(GITHUB), {"T": "canary"})

    assert {name: values[name] for name in ("token", "org", "user", "base_url")} == {
        "token": Secret("canary"),
        "org": "duckdb",
        "user": None,
        "base_url": "https://api.github.com",
    }


def test_options_an_adapter_does_not_know_and_those_it_misses_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        check_options(connection(tokn="x"), load_spec(GITHUB))

    assert str(caught.value).splitlines() == [
        "connections.yaml:3: gh.options.tokn: unknown option — did you mean token?",
        "connections.yaml:2: gh.options: the option token is missing: "
        "Personal access token, with the scopes repo and read:org",
    ]


def test_a_refresh_of_an_unknown_table_is_named() -> None:
    wrong = Connection("gh", "github", {"token": "x"}, {"puls": 60.0})

    with pytest.raises(ConfigError, match=r"gh\.refresh\.puls: no table puls — did you mean pulls\?"):
        check_options(wrong, load_spec(GITHUB))


# -- where -------------------------------------------------------------------------------------------

ROWS = [b'{"o":{"l":"DuckDB"},"n":1}', b'{"o":{"l":"me"},"n":2}', b'{"o":null,"n":3}', b"[]"]


@pytest.mark.parametrize(
    ("variables", "kept"),
    [
        ({"org": "duckdb", "user": None}, ROWS[:1]),
        ({"org": "duckdb", "user": "ME"}, ROWS[:2]),
        ({"org": "other", "user": None}, []),
        ({"org": None, "user": None}, ROWS),
        ({"org": "", "user": None}, ROWS),
    ],
)
def test_where_keeps_the_rows_an_option_asks_for(variables: dict[str, str | None], kept: list[bytes]) -> None:
    assert RowFilter({"o.l": ("{org}", "{user}")}, variables).keep(ROWS) == kept


def test_where_compares_numbers_and_truth_as_json_writes_them() -> None:
    rows = [b'{"n":1,"t":true}', b'{"n":10,"t":false}']

    assert RowFilter({"n": ("1",)}, {}).keep(rows) == rows[:1]
    assert RowFilter({"t": ("true",)}, {}).keep(rows) == rows[:1]
