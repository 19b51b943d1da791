"""Each mistake in a spec is reported with its position."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.spec_text import SPEC_HEAD, load_problems
from unify.adapters.spec.model import AdapterSpec

# -- what is refused ---------------------------------------------------------------------------------

MISTAKES = [
    # formats
    ('    columns: {n: {format: "%d.%m.%Q"}}\n', "'%d.%m.%Q': %Q is not a strftime directive"),
    ('    columns: {n: {type: date, format: "%d/%m"}}\n', "'%d/%m' has no year; write it like %d/%m/%Y"),
    ('    incremental: {cursor: at, param: since, format: "%Y-%m-%"}\n', "% is not a strftime directive"),
    ("    columns: {n: {type: date, format: '%H:%M'}}\n", "'%H:%M' has no day, which a date needs"),
    (
        "    params: {to: '{until}'}\n    incremental: {cursor: at, param: since, start: 2026-01-01, "
        "format: date, window: 1 hour}\n",
        "incremental.window: a window of less than a day requires a format with a time, not date",
    ),
    # expressions
    ("    columns: {n: {sql: 'a + {rate}'}}\n", "tables.orders.columns.n.sql: unknown variable {rate}"),
    ("    columns: {n: {sql: '{token}'}}\n", "columns.n.sql: a secret option cannot be stored in a table"),
    ("    columns: {n: {sql: 'sum(a)'}}\n", "columns.n.sql: an expression reads one row: no aggregates"),
    ("    columns: {n: {sql: a, value: 1}}\n", "columns.n: expected one of from, sql and value"),
    ("    columns: {n: {value: [1]}}\n", "columns.n.value: expected a text, a number, true or false"),
    ("    where: a >\n", "9:12: tables.orders.where: the expression cannot be parsed"),
    # authentication of a table
    ("    auth: {type: bearer, token: '{tokn}'}\n", "tables.orders.auth.token: unknown variable {tokn}"),
    (
        "    auth: {type: oauth2, grant: device_code, token_url: https://a.example/t, client_id: x, "
        "authorize_url: https://a.example/a}\n",
        "tables.orders.auth.grant: a user signs in for the whole adapter, not for a table",
    ),
    # other origins
    (
        "credentials_also_to: ['https://*.shop.example']\n",
        "9:23: credentials_also_to[0]: expected one host: credentials are not sent to all hosts of a domain",
    ),
    # moments
    ("    params: {a: '{now:%Q}'}\n", "params.a: '%Q': %Q is not a strftime directive"),
    ("    params: {a: '{org:dat}'}\n", "unknown encoder 'dat'"),
    (
        "    incremental: {cursor: a, param: s, end: later}\n",
        "tables.orders.incremental.end: 'later' is not a timestamp",
    ),
    ("    incremental: {cursor: a, param: s, gap: 1 second}\n", "incremental.gap: a gap requires a window"),
    (
        "    params: {b: '{until}'}\n    incremental: {cursor: a, param: s, start: 2026-01-01, "
        "window: '{dayz} days'}\n",
        "incremental.window: unknown variable {dayz}",
    ),
    # jobs
    (
        "    job: {create: {request: POST /jobs, body: {x: '{y}'}, values: {id: id}}}\n",
        "tables.orders.job.create.body.x: unknown variable {y}",
    ),
    (
        "    job: {create: {request: POST /jobs, values: {id: id}}}\n",
        "tables.orders.job: the request of the table uses no value of the job, such as its URL",
    ),
    (
        "    params: {j: '{id}'}\n    job: {create: {request: GET /jobs, body: {a: 1}, values: {id: id}}}\n",
        "job.create.body: a GET request has no body",
    ),
    (
        "    params: {j: '{id}'}\n    job: {create: {request: GET /jobs, values: {id: id}}, "
        "poll: {request: 'GET /jobs', status: state}}\n",
        "job.poll: status requires done",
    ),
    (
        "    params: {j: '{id}'}\n    job: {create: {request: GET /jobs, values: {id: id}}, "
        "poll: {request: 'GET /jobs', done: ok}}\n",
        "job.poll.done: requires status",
    ),
    (
        "    params: {j: '{id}'}\n    live: {}\n    job: {create: {request: GET /jobs, values: {id: id}}}\n",
        "tables.orders.job: a live table reads no job: each query would create one",
    ),
    # filters
    (
        "    filters: {at: {ops: ['>=', '<=']}}\n",
        "filters.at.ops: one parameter cannot express both ends of a range",
    ),
    ("    filters: {at: {ops: [like], format: date}}\n", "filters.at.format: like compares texts"),
    (
        "    paging: {type: page}\n    filters: {page: {}}\n",
        "filters.page: page is a parameter of paging",
    ),
    # shared requests
    ("    shares: orders\n", "orders is no stored table with a request of its own"),
    ("  - {name: b, shares: ordres}\n", "of its own; did you mean orders?"),
    ("  - {name: b, shares: orders, params: {a: 1}}\n", "not allowed with params: the requests are those"),
    ("  - {name: b, request: GET /b, shares: orders}\n", "not allowed with request: the requests are those"),
    ("  - {name: b}\n", "tables.b: request is missing"),
    # deleted rows
    (
        "    for_each: {query: select id as x from orders, refresh: daily}\n",
        "'daily' is not before, never or every DURATION, such as every 1 day",
    ),
    ("    for_each: {rows: [{x: a}], refresh: before}\n", "for_each.refresh: not allowed without query"),
    ("    refresh: {reload: every 1 day}\n", "refresh.reload: every refresh of this table reads everything"),
    ("    deleted: {where: {deleted: true}}\n", "9:14: tables.orders.deleted: requires a key"),
    (
        "    key: id\n    exclude: [a_*]\n    deleted: {where: {a.b: true}}\n",
        "deleted.where.a.b: exclude removes this column; loads need it",
    ),
    ("    key: id\n    deleted: {}\n", "deleted: expected where or request"),
    (
        "    key: id\n    deleted: {request: GET /gone}\n",
        "deleted.request: requires incremental: any other load reads every row",
    ),
    (
        "    key: id\n    incremental: {cursor: at, param: s}\n"
        "    deleted: {request: GET /gone, key: [a, b]}\n",
        "deleted.key: expected a path for each column of the table's key",
    ),
    (
        "    key: id\n    incremental: {cursor: at, param: s}\n"
        "    deleted: {request: GET /gone, params: {s: '{cursr}'}}\n",
        "deleted.params.s: unknown variable {cursr}; did you mean cursor?",
    ),
    # quoting
    (
        "    params: {q: \"name eq '{token:odat}'\"}\n",
        "9:14: tables.orders.params.q: {token:odat}: unknown encoder 'odat'; did you mean odata?",
    ),
    (
        "    params: {q: '{token:sql}'}\n",
        "{token:sql}: unknown encoder 'sql'; did you mean soql?",
    ),
    (
        "    params: {q: '{token:xyz}'}\n",
        "{token:xyz}: unknown encoder 'xyz'; known are odata, soql, jql, influx, json",
    ),
    ("    params: {q: '{tokn:odata}'}\n", "unknown variable {tokn}; did you mean token?"),
    # keys and values
    ("    requets: x\n", "9:5: tables.orders.requets: unknown key"),
    ("    strategy: merge\n", "9:5: tables.orders.strategy: unknown key; it belongs in refresh"),
    ("    concurrency: 2\n", "9:5: tables.orders.concurrency: unknown key; it belongs in limits"),
    (
        "    incremental: {cursor: at, param: since, every: 1 hour}\n",
        "every: unknown key; it belongs in poll or in refresh",
    ),
    ("    parms: {}\n", "9:5: tables.orders.parms: unknown key; did you mean params?"),
    ("    description:\n", "9:17: tables.orders.description: has no value; expected a string"),
    ("    description: [a]\n", "9:18: tables.orders.description: expected a string, found a list"),
    (
        "    flatten: deep\n",
        "9:14: tables.orders.flatten: expected a whole number from 0 to 100, found 'deep'",
    ),
    ("    format: jsn\n", "9:13: tables.orders.format: expected one of json, jsonl, csv, xml, found 'jsn'"),
    (
        "    columns: {n: {type: bigint, format: unix}}\n",
        "9:41: tables.orders.columns.n.format: 'unix' is a timestamp format and does not apply to bigint",
    ),
    (
        '    columns: {n: {type: date, format: "1,234.5"}}\n',
        "9:39: tables.orders.columns.n.format: '1,234.5' is a number format and does not apply to date",
    ),
    (
        '    columns: {n: {format: "1.000,00"}}\n',
        "9:27: tables.orders.columns.n.format: '1.000,00' is not a number format; use one of '1,234.5'",
    ),
    ("    format: csv\n    rows: a\n", "10:11: tables.orders.rows: not allowed with format csv"),
    (
        "    columns: {a: bigint, A: bigint}\n",
        "9:15: tables.orders.columns.a: differs from another column only in upper and lower case",
    ),
    (
        "    paging: {type: page, in: body}\n",
        "9:30: tables.orders.paging.in: a GET request has no body; use POST /…, set body_of_get: true, or",
    ),
    (
        "    paging: {type: page, in: path}\n",
        "9:30: tables.orders.paging.in: the path of the request does not contain {page}",
    ),
    (
        "    for_each: [{a: b}, {a: c}]\n",
        "9:15: tables.orders.for_each: the request uses none of {a}: every row would send the same",
    ),
    (
        "    for_each: {rows: [{a: b, c: d}], batch: 5}\n    params: {q: '{a}', r: '{c}'}\n",
        "9:45: tables.orders.for_each.batch: a batch requires a for_each with one column",
    ),
    (
        "    for_each: {rows: [{a: b}], batch: 5}\n    params: {q: '{a}'}\n    columns: {x: {from: '{a}'}}\n",
        "11:25: tables.orders.columns.x.from: a batch has many values; use a path in the response",
    ),
    ("    format: xml\n", "9:13: tables.orders.format: xml requires rows: the path of the repeated element"),
    ("    name: again\n", "9:5: tables.orders.name: duplicate key; it is first in line 7"),
    ("    params: [a]\n", "9:13: tables.orders.params: expected a mapping (KEY: VALUE), found a list"),
    ("    exclude: {}\n", "9:14: tables.orders.exclude: expected a string or a list"),
    ("    key: []\n", "9:10: tables.orders.key: the list is empty"),
    ("    refresh: {evry: 1 hour}\n", "9:15: tables.orders.refresh.evry: unknown key; did you mean every?"),
    ("    refresh: {shrink: yes}\n", "9:23: tables.orders.refresh.shrink: expected one of hold, allow"),
    ("    refresh: {every: often}\n", "9:22: tables.orders.refresh.every: 'often' is not a duration"),
    (
        "    headers: {Host: x}\n",
        "9:15: tables.orders.headers.Host: the HTTP client sets the header Host; remove it",
    ),
    ('    headers: {"a b": x}\n', "9:15: tables.orders.headers.a b: 'a b' is not a header name"),
    (
        "    columns: {id: int7}\n",
        "9:19: tables.orders.columns.id: 'int7' is not a column type; did you mean int?",
    ),
    ("    columns: {id: hugeint}\n", "cannot be stored exactly; use decimal(38,0)"),
    ("    columns: {id: {type: 'decimal(40,1)'}}\n", "decimal has at most 38 digits"),
    ("    rows: a..b\n", "9:11: tables.orders.rows: 'a..b' is not a dotted path"),
    ("    paging: {type: pgae}\n", "9:20: tables.orders.paging.type: expected one of none, page, offset"),
    ("    paging: {type: page, path: x}\n", "9:26: tables.orders.paging.path: not allowed with type page"),
    (
        "    paging: {type: next_url}\n",
        "9:13: tables.orders.paging: expected one of path and header",
    ),
    (
        "    paging: {type: next_url, path: a, header: b}\n",
        "9:13: tables.orders.paging: expected one of path and header",
    ),
    ("    csv: {skip: 1}\n", "9:10: tables.orders.csv: not allowed with format json"),
    ("    paging: {type: cursor}\n", "expected one of cursor_path, cursor_column and cursor_header"),
    ("    paging: {size_param: n}\n", "9:13: tables.orders.paging: size_param requires size"),
    ("    errors: [{action: skip}]\n", "9:14: tables.orders.errors[0]: expected status, body or where"),
    # variables
    (
        "    params: {a: '{ogr}'}\n",
        "9:14: tables.orders.params.a: unknown variable {ogr}; did you mean org?",
    ),
    ("    params: {a: '{cursor}'}\n", "{cursor} requires incremental"),
    (
        "    params: {a: ['{x_y_z}']}\n",
        "9:18: tables.orders.params.a[0]: unknown variable {x_y_z}; variables here: {now}, {org}",
    ),
    ("    params: {a: '{ org }'}\n", "{ org } is not a variable; a variable is one name in braces"),
    ("    params: {a: '{token.__class__}'}\n", "{token.__class__} is not a variable"),
    (
        "    columns: {t: {from: '{token}'}}\n",
        "9:25: tables.orders.columns.t.from: a secret option cannot be stored",
    ),
    ("    columns: {t: {from: 'x{org}'}}\n", "is neither a {variable} nor a dotted path"),
    ("    where: {a: '{nope_nope}'}\n", "9:13: tables.orders.where.a: unknown variable {nope_nope}"),
    ("    for_each: [{org: x}]\n", "org is an option and a column of for_each; rename the column"),
    ("    for_each: [{a: x}, {b: y}]\n", "every row needs the same columns"),
    ("    for_each: {option: orgs, as: x}\n", "9:24: tables.orders.for_each.option: unknown option orgs"),
    ("    for_each: {option: token}\n", "for_each: expected option and as together"),
    ("    for_each: {option: token, as: x}\n", "for_each.option: a secret option cannot be a list"),
    ("    for_each: {option: org, as: x}\n", "the option org has to be required or to have a default"),
    ("    for_each: {query: select 1 as a, rows: [{x: b}]}\n", "expected query or rows, an option, or one"),
    # parts that do not fit
    ("    key: id\n    exclude: ['i*']\n", "9:10: tables.orders.key: exclude removes the column id"),
    ("    key: id\n    only: [name]\n", "9:10: tables.orders.key: only does not keep the column id"),
    ("    body: {}\n", "9:11: tables.orders.body: a GET request has no body"),
    (
        "    incremental: {cursor: a}\n",
        "9:18: tables.orders.incremental: the request does not send the cursor",
    ),
    (
        "    incremental: {cursor: a, param: s, start: soon}\n",
        "'soon' is not a timestamp, such as 2015-01-01",
    ),
    ("    incremental: {cursor: a, param: s, window: 1 day}\n", "a window requires {until}"),
    ("    refresh: {strategy: merge}\n", "merge requires a key"),
    ("    refresh: {strategy: append}\n", "append requires incremental"),
    ("    filters: {a: {required: true}}\n", "only a live table can require a filter"),
    (
        "    live: {}\n    refresh: {every: 1 hour}\n",
        "9:11: tables.orders.live: a live table is not stored",
    ),
    (
        "  - name: Orders\n    request: GET /x\n",
        "9:11: tables.Orders.name: Orders is already defined in line 7",
    ),
    ("  - request: GET /x\n", "9:5: tables[1]: name is missing"),
    ("  - name: a b\n    request: GET /x\n", "9:11: tables.a b.name: 'a b' is not a name"),
    ("views: [{name: orders, query: select * from orders}]\n", "orders is already defined in line 7"),
    # addresses
    (
        "  - {name: a, request: get /x}\n",
        "9:24: tables.a.request: method 'get' is not supported; did you mean GET?",
    ),
    ('  - {name: a, request: ["GET /x/{ogr}", GET /x]}\n', "unknown variable {ogr}; did you mean org?"),
    (
        "  - {name: a, request: [GET /x, DELETE /x]}\n",
        "9:33: tables.a.request[1]: method 'DELETE' is not supported",
    ),
    (
        "  - {name: a, request: [GET /x, 'GET https://evil.example/x']}\n",
        "https://evil.example is not the origin of base_url",
    ),
    ("  - {name: a, request: DELETE /x}\n", "method 'DELETE' is not supported; use GET or POST"),
    ("  - {name: a, request: GET}\n", "'GET' is not a request; write METHOD and path"),
    ("  - {name: a, request: GET x}\n", "'x' is not a path; a path starts with a single /"),
    ("  - {name: a, request: GET //evil.example/x}\n", "is not a path; a path starts with a single /"),
    ("  - {name: a, request: GET /x/../y}\n", "a URL must not contain . or .. segments"),
    ("  - {name: a, request: GET /x/%2E%2e/y}\n", "a URL must not contain . or .. segments"),
    ("  - {name: a, request: 'GET file:///etc/passwd'}\n", "is not a path"),
    (
        "  - {name: a, request: 'GET https://evil.example/x'}\n",
        "https://evil.example is not the origin of base_url (https://api.shop.example)",
    ),
    (
        "  - {name: a, request: 'GET https://u:p@api.shop.example/x'}\n",
        "a URL must not contain credentials",
    ),
    # SELECTs
    (
        "    for_each: drop table orders\n",
        "9:15: tables.orders.for_each: only a SELECT is allowed here, not 'DROP'",
    ),
    ("    for_each: select x from orders\n", "9:15: tables.orders.for_each: circular for_each"),
    ("    for_each: select x from boards\n", "unknown table boards"),
    (
        "    for_each: select x from jira.issues\n",
        "only tables of this connection, by name alone, are allowed",
    ),
    ("    for_each: select 1 as x; select 2 as y\n", "expected exactly one SELECT"),
    ("    for_each: select ';' as x;\n", "remove the ;"),
    ("    for_each: copy orders to '/tmp/x'\n", "only a SELECT is allowed here, not 'COPY'"),
    ("    for_each: attach '/tmp/x'\n", "only a SELECT is allowed here, not 'ATTACH'"),
    ("    for_each: install httpfs\n", "only a SELECT is allowed here, not"),
    ("    for_each: select * from '/etc/passwd'\n", "unknown table /etc/passwd"),
    ("    for_each: select * from read_csv('/etc/passwd')\n", "table functions are not allowed"),
    ("    for_each: select * from read_text('/etc/passwd')\n", "table functions are not allowed"),
    ("    for_each: select * from glob('/*')\n", "table functions are not allowed"),
    ("    for_each: select getenv('HOME') as x\n", "calls the function getenv, which is not allowed"),
    (
        "    for_each: select current_setting('threads') as x\n",
        "calls the function current_setting, which is not allowed",
    ),
    (
        '    for_each: with "/etc/x.csv" as (select 1 as a) select a from y\n',
        "a name after WITH must be a plain identifier",
    ),
    ("    for_each: select ? as x\n", "a SELECT in a spec cannot have parameters"),
    ("    for_each: select 1\n", "the column '1' cannot be a variable; write … as NAME"),
    ("    for_each: select from where\n", "the SQL cannot be parsed"),
    ("    for_each: select 1 as x into y\n", "only a SELECT is allowed here, not 'INTO'"),
    (
        "    for_each: select a from a\n  - {name: a, request: GET /a, for_each: select o from orders}\n",
        "circular for_each: orders → a → orders",
    ),
    (
        "    for_each: select a from a\n  - {name: a, request: GET /a, live: {}}\n",
        "9:15: tables.orders.for_each: a is a live table: a stored table cannot read it",
    ),
    (
        "    live: {}\n    for_each: select x from a\n"
        "  - {name: a, request: GET /a, live: {}, filters: {q: {required: true}}}\n",
        "10:15: tables.orders.for_each: a requires a filter: where q = '...'",
    ),
    (
        "views: [{name: v, query: insert into orders values (1)}]\n",
        "only a SELECT is allowed here, not 'INSERT'",
    ),
    ("views: [{name: v, query: select * from v}]\n", "unknown table v"),
]


@pytest.mark.parametrize(("added", "explained"), MISTAKES)
def test_a_mistake_is_explained_with_its_position(
    load_spec_text: Callable[[str], AdapterSpec], added: str, explained: str
) -> None:
    found = load_problems(load_spec_text, SPEC_HEAD + added)

    assert any(explained in problem for problem in found), found


def test_all_mistakes_are_reported_in_the_order_of_the_file(
    load_spec_text: Callable[[str], AdapterSpec],
) -> None:
    found = load_problems(
        load_spec_text,
        SPEC_HEAD.replace("GET", "FETCH").replace("token", "to ken") + "    kye: id\nviws: []\n",
    )

    assert [problem.split(":")[0] for problem in found] == ["4", "8", "9", "10"]


def test_every_cycle_of_parents_is_reported(load_spec_text: Callable[[str], AdapterSpec]) -> None:
    problems = load_problems(
        load_spec_text,
        SPEC_HEAD
        + """\
    for_each: select a.x as y from a join b using (x)
  - {name: a, request: "GET /{x}", for_each: select x from c}
  - {name: b, request: "GET /{x}", for_each: select x from orders}
  - {name: c, request: "GET /{x}", for_each: select x from orders}
""",
    )

    cycles = [problem.partition("circular for_each: ")[2] for problem in problems if "circular" in problem]
    assert sorted(cycles) == ["orders → a → c → orders", "orders → b → orders"]
