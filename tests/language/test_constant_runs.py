"""Long lists of constants: skipped where a statement is searched for tables and words."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from unify.engine import tokens as engine_tokens
from unify.engine.volatility import is_volatile
from unify.language.sql.tables import referenced_tables
from unify.language.statements import split_statements
from unify.language.tokenizer import find_variables, significant_tokens, statement_tokens

CONSTANTS = [
    "{i}", "-{i}.5", "1e-{i}", "'x{i}'", "'it''s; -- {i}'", "NULL", "true", "date '2024-01-01'",
    "'{i}'::bigint", "['a{i}', null]", "{{'k': {i}, 'l': 'x'}}", "[]",
]  # fmt: skip


def listed(constant: str, count: int, row: bool = False) -> str:
    texts = (constant.format(i=i) for i in range(count))
    return ", ".join(f"({text}, 1)" if row else text for text in texts)


@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize("row", [False, True])
def test_a_long_list_of_constants_is_no_tokens(constant: str, row: bool) -> None:
    lists = listed(constant, 1000, row)
    sql = f"select a from github.pulls where x in ({lists}) and y in (select z from jira.issues)"

    assert len(statement_tokens(sql)) < 60
    assert len(engine_tokens.tokenize(sql)) < 60
    assert [str(ref) for ref in referenced_tables(sql)] == ["github.pulls", "jira.issues"]


def test_branches_of_a_long_case_are_no_tokens() -> None:
    branches = " ".join(f"when {i} then 'x{i}'" for i in range(1000))
    sql = f"select case a {branches} else b end from github.pulls"

    assert len(statement_tokens(sql)) < 20
    assert len(engine_tokens.tokenize(sql)) < 20


def test_functions_of_constants_are_named_once() -> None:
    rows = ", ".join(f"(random(), {i}, 'f(', lower('g({i})'), MyMacro({i}))" for i in range(1000))
    sql = f"insert into t values (1), {rows}"

    for tokens in (statement_tokens(sql), significant_tokens(sql)):
        found = list(tokens)
        assert len(found) < 60
        names = [
            one.text for one, bracket in pairwise(found) if bracket.text == "(" and one.text.isidentifier()
        ]
        assert list(dict.fromkeys(names)) == ["values", "random", "lower", "MyMacro"]
    assert is_volatile(sql)
    assert not is_volatile(sql.replace("random", "upper"))


@pytest.mark.parametrize(
    "breaker",
    ["(select max(a) from jira.issues)", "$n", "f(a)", '"a, 1, 2"', "e'\\'' ", "$$,1,2$$", "x /* , 1 */"],
)
def test_what_is_no_constant_is_found_within_a_long_list(breaker: str) -> None:
    sql = f"select * from github.pulls where a in ({listed('{i}', 500)}, {breaker}, {listed('{i}', 500)})"
    start = sql.index(breaker)
    inside = [
        token
        for token in significant_tokens(sql, constants=True)
        if start <= token.start < start + len(breaker.rstrip())
    ]

    found = statement_tokens(sql)

    assert len(found) < 60
    assert set(inside) <= set(found)


def test_tokens_outside_long_lists_keep_their_positions() -> None:
    seed = random.randrange(2**32)
    generator = random.Random(seed)
    pieces = [
        "é", "from", "'a''b'", '"x"', "--c\n", "/* , 1, 2 */", "(", ")", "when 1 then 2", ";",
        listed("{i}", 40), listed("'é{i}'", 40, row=True), listed("{i}", 5), "e'\\'', 1", "$$ , 1 $$", "::",
    ]  # fmt: skip
    print(f"seed {seed}")
    for _ in range(200):
        sql = " ".join(generator.choices(pieces, k=12))
        whole = list(significant_tokens(sql, constants=True))

        assert set(significant_tokens(sql)) <= set(whole)
        assert all(sql[token.start : token.end] == token.text for token in whole)


@pytest.mark.parametrize(
    "sql",
    [
        f"select * from (values {listed('{i}', 100, row=True)}) t, github.pulls /* é */ where 'é' = x",
        f"create table t as select 'é' as a, {listed('{i}', 100)} , b from u -- end",
    ],
)
def test_words_of_duckdb_keep_their_positions(sql: str) -> None:
    whole = engine_tokens.tokenize(sql, all_constants=True)

    found = engine_tokens.tokenize(sql)

    assert len(found) < len(whole) / 4
    assert set(found) <= set(whole)


def test_a_table_named_in_a_long_list_is_found() -> None:
    names = listed("'github.t{i}'", 40)

    assert len(referenced_tables(f"select * from query_table([{names}])")) == 40


def test_statements_and_variables_are_found_between_long_lists() -> None:
    numbers = listed("{i}", 100)
    script = f"select {numbers}; select $x, {numbers}\n; from t where a in ({numbers})"

    statements = split_statements(script)

    assert [(one.text[:10], one.line) for one in statements] == [
        ("select 0, ", 1), ("select $x,", 1), ("from t whe", 2),
    ]  # fmt: skip
    assert [use.name for use in find_variables(statements[1].text)] == ["x"]


@pytest.mark.parametrize(
    "sql",
    [
        "select * from a.b, {files}",
        "from a.b x join c.d using (y), {files} where 1 in (1, 2)",
        "select 1 in (select 1 from a.b, {files}, (select 1) c)",
    ],
)
def test_files_of_a_long_from_list_are_found(sql: str) -> None:
    files = [f"'f{i}.csv'" for i in range(40)]
    sql = sql.format(files=", ".join(files))

    assert set(files) <= {token.text for token in statement_tokens(sql)}
    assert engine_tokens.tokenize(sql) == engine_tokens.tokenize(sql, all_constants=True)
    assert sum("csv" in str(ref) for ref in referenced_tables(sql)) == 40
