"""Variables: set, used in any SQL, shown, unset; values bound and rows as tables."""

from __future__ import annotations

import stat

import pytest

from tests.support.command import UnifyCommand
from tests.support.database import open_cursor
from unify.engine.exact import exact_parquet_query
from unify.errors import QueryError
from unify.language.tokenizer import (
    VariableUse,
    find_variables,
    is_definition,
    is_select,
    substitute_variables,
)

# an expression, and what `select typeof($v), $v` says of it
VALUES = [
    ("42", "INTEGER", "42"),
    ("9223372036854775808", "HUGEINT", "9223372036854775808"),
    ("1.50", '"DECIMAL(3,2)"', "1.50"),
    ("0.1::float", "FLOAT", "0.1"),
    ("1e300", "DOUBLE", "1e+300"),
    ("'it''s'", "VARCHAR", "it's"),
    ("'a' || E'\\n' || 'b'", "VARCHAR", '"a\nb"'),
    ("true", "BOOLEAN", "true"),
    ("date '2026-02-28'", "DATE", "2026-02-28"),
    ("timestamp_ns '2026-02-28 01:02:03.123456789'", "TIMESTAMP_NS", "2026-02-28 01:02:03.123456789"),
    ("interval 14 months", "INTERVAL", "1 year 2 months"),
    ("'\\x00\\xFF'::blob", "BLOB", "\\x00\\xFF"),
    ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", "UUID", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("[1, null, 3]", "INTEGER[]", '"[1, NULL, 3]"'),
]


@pytest.fixture
def unify(shared_unify: UnifyCommand) -> UnifyCommand:
    return shared_unify


class TestAValue:
    def test_is_bound_with_its_type(self, unify: UnifyCommand) -> None:
        statements = [
            f"$v = {expression}; select typeof($v) as t, $v::varchar as v" for expression, _, _ in VALUES
        ]
        answer = unify(*statements)
        assert answer.stdout.split("t,v\n")[1:] == [f"{type},{shown}\n" for _, type, shown in VALUES], answer

    def test_can_be_null(self, unify: UnifyCommand) -> None:
        assert unify("$v = null", "select $v is null, coalesce($v, 7)").rows[1] == ["true", "7"]

    def test_is_never_inserted_into_the_text(self, unify: UnifyCommand) -> None:
        hostile = "x' or 1=1; drop table t; --"
        answer = unify(
            "create table t as select 'open' as state",
            "select count(*) from t where state = $s",
            "from t",
            args=["--var", f"s={hostile}"],
        )
        assert answer.stdout == "count_star()\n0\nstate\nopen\n", answer

    def test_can_be_used_in_any_statement(self, unify: UnifyCommand) -> None:
        answer = unify(
            "$state = 'open'; $n = 2",
            "create table t as select $state as state, unnest([1, 2, 3]) as n",
            "update t set state = 'shut' where n = $n; delete from t where n > $n",
            "insert into t values ($state, $n * 5)",
            "select * from t where state = $state order by n limit $n",
        )
        assert answer.stdout == "state,n\nopen,1\nopen,10\n", answer

    def test_can_be_computed_from_others_and_from_tables(self, unify: UnifyCommand) -> None:
        answer = unify("create table t as select 5 as a", "$x = 2; $y = (select max(a) from t) * $x; $y")
        assert answer.stdout == "$y\n10\n", answer
        assert "$y = 10" in answer.stderr

    def test_of_the_command_line_is_text(self, unify: UnifyCommand) -> None:
        answer = unify("select typeof($n), $n::int + 1, $e", args=["--var", "n=41", "--var", "e=a=b"])
        assert answer.rows[1] == ["VARCHAR", "42", "a=b"]

    def test_has_to_be_one_value(self, unify: UnifyCommand) -> None:
        answer = unify("$x = unnest([1, 2])")
        assert answer.exit_status == 1
        assert "one value" in answer.stderr


class TestRows:
    def test_are_used_as_a_table(self, unify: UnifyCommand) -> None:
        answer = unify(
            "$t = select range as n, 'x' as s from range(3)",
            "select count(*) as rows, sum($t.n) as total from $t",
            "select a.n from $t a join $t b on a.n = b.n + 1 order by all",
        )
        assert answer.stdout == "rows,total\n3,3\nn\n1\n2\n", answer
        assert "$t: 3 rows" in answer.stderr

    def test_are_shown_by_their_name(self, unify: UnifyCommand) -> None:
        assert unify("$t = values (1), (2); $t").stdout == "col0\n1\n2\n"

    def test_of_a_select_in_brackets_are_one_value(self, unify: UnifyCommand) -> None:
        assert unify("$t = (select 7); select $t + 1").single_value == "8"

    def test_of_a_connection_are_loaded_first(self, demo_unify: UnifyCommand) -> None:
        answer = demo_unify("$orgs = select login from github.orgs", "select count(*) > 0 from $orgs")
        assert answer.single_value == "true"

    def test_replace_a_value(self, unify: UnifyCommand) -> None:
        assert unify("$x = 1; $x = select 2 as a; $x = select a + 1 as a from $x; from $x").stdout == "a\n3\n"
        assert unify("$x = select 2 as a; $x = 5; select $x").single_value == "5"

    def test_keep_integers_exact(self, unify: UnifyCommand) -> None:
        sql = "select sum(n) as s from (values (9223372036854775807), (2)) t(n)"
        assert unify(f"$t = {sql}; from $t").single_value == "9223372036854775809"
        assert unify(f"$KEPT = {sql}").exit_status == 0
        assert unify("from $KEPT").single_value == "9223372036854775809"


class TestCapitals:
    def test_are_kept_after_the_session(self, unify: UnifyCommand) -> None:
        assert (
            unify("$STATE = 'open'; $ROWS_2 = select 1 as a union all select 2; $mine = 3").exit_status == 0
        )
        assert unify("select $STATE").single_value == "open"
        assert unify("select sum(a) from $ROWS_2").single_value == "3"
        assert unify("select $mine").exit_status == 1

    def test_keep_their_type(self, unify: UnifyCommand) -> None:
        assert unify("$DAY = date '2026-02-28'; $NOTHING = null").exit_status == 0
        assert unify("select typeof($DAY), $DAY + 1, $NOTHING is null").rows[1] == [
            "DATE",
            "2026-03-01",
            "true",
        ]

    def test_are_stored_in_private_files(self, unify: UnifyCommand) -> None:
        assert unify("$TOKEN_ID = 7").exit_status == 0
        folder = unify.home / "variables"
        [file] = folder.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_can_change_their_kind_and_be_unset(self, unify: UnifyCommand) -> None:
        assert unify("$X = 1; $X = select 5 as a").exit_status == 0
        assert unify("from $X").single_value == "5"
        assert unify("$X = 2; select $X").single_value == "2"
        assert unify("unset $X").exit_status == 0
        assert "$X is not set" in unify("$X").stderr

    def test_of_the_command_line_are_valid_for_one_run(self, unify: UnifyCommand) -> None:
        assert unify("$LEVEL = 'kept'").exit_status == 0
        assert unify("select $LEVEL", args=["--var", "LEVEL=now"]).single_value == "now"
        assert unify("select $LEVEL").single_value == "kept"

    def test_refuse_values_that_a_file_would_change(self, unify: UnifyCommand) -> None:
        answer = unify("$SPAN = select interval 3 milliseconds as i")
        assert answer.exit_status == 1
        assert "column i: a Parquet file cannot hold INTERVAL exactly" in answer.stderr
        assert unify("$SPAN").exit_status == 1

    def test_damaged_on_disk_are_named(self, unify: UnifyCommand) -> None:
        assert unify("$X = 1").exit_status == 0
        (unify.home / "variables" / "X.parquet").write_bytes(b"rubbish")
        answer = unify("select $X")
        assert answer.exit_status == 1
        assert "X.parquet" in answer.stderr
        assert unify("$X = 2; select $X").single_value == "2"


class TestNames:
    def test_that_are_not_set_have_a_suggestion(self, unify: UnifyCommand) -> None:
        answer = unify("$state = 'open'", "select $sate")
        assert answer.exit_status == 1
        assert "$sate is not set; did you mean $state?" in answer.stderr
        assert "unset $nothing" not in unify("unset $nothing").stderr
        assert unify("unset $nothing").exit_status == 1

    def test_are_case_insensitive_if_unambiguous(self, unify: UnifyCommand) -> None:
        assert unify("$State = 1; select $STATE + $state").single_value == "2"
        assert unify("$a = 1; $A = 2; select $a").single_value == "1"
        answer = unify("$a = 1; $A = 2; select $a + $A")
        assert answer.exit_status == 1
        assert "differ in case only" in answer.stderr

    def test_cannot_be_used_in_views(self, unify: UnifyCommand) -> None:
        answer = unify("$x = 1; create view v as select $x as a")
        assert answer.exit_status == 1
        assert "$x cannot be in it" in answer.stderr

    def test_in_prepared_statements_are_parameters(self, unify: UnifyCommand) -> None:
        answer = unify("$a = 100; prepare p as select $a + $b; execute p(a := 1, b := 2)", "select $$ $a $$")
        assert answer.stdout.splitlines()[1:] == ["3", "' $a '", " $a "], answer

    def test_in_capitals_are_listed_with_all_others(self, unify: UnifyCommand) -> None:
        answer = unify(
            "$n = 5; $t = select 1 as a; $KEPT = 'x'; $gone = 1; unset $gone; show variables",
            args=["--var", "env=prod"],
        )
        assert answer.rows == [
            ["variable", "type", "value", "kept"],
            ["$env", "VARCHAR", "prod", "this session"],
            ["$n", "INTEGER", "5", "this session"],
            ["$t", "rows", "1 row", "this session"],
            ["$KEPT", "VARCHAR", "x", "home folder"],
        ], answer


USES = [
    ("select $a, $b2", ["a", "b2"]),
    ("select $a$b$a$", []),
    ("select $$ $a $$, $x", ["x"]),
    ("select $tag$ $a $tag$", []),
    ("select '$a', \"$b\" -- $c", []),
    ("select /* $a */ $b", ["b"]),
    ("select $1, $ a, a$b", []),
    ("prepare p as select $a", []),
    ("execute p($a)", ["a"]),
    ("$a", ["a"]),
    ("select $größe", ["größe"]),
]


@pytest.mark.parametrize(("sql", "names"), USES, ids=[sql for sql, _ in USES])
def test_variables_are_found_as_duckdb_reads_text(sql: str, names: list[str]) -> None:
    found = find_variables(sql)
    assert [use.name for use in found] == names
    assert [sql[use.start : use.end] for use in found] == [f"${name}" for name in names]


def test_only_known_tables_are_substituted() -> None:
    sql = "select $t.a + $v from $t"
    assert substitute_variables(sql, find_variables(sql), {"t": '"$t"'}) == 'select "$t".a + $v from "$t"'
    assert substitute_variables("x", [], {}) == "x"
    assert substitute_variables("$t", [VariableUse("t", 0, 2)], {"t": "y"}) == "y"


@pytest.mark.parametrize(
    ("sql", "rows"),
    [("SELECT 1", True), ("from t", True), ("(select 1)", False), ("selected", False), ("", False)],
)
def test_a_select_gives_rows(sql: str, rows: bool) -> None:
    assert is_select(sql) is rows


def test_views_and_macros_are_stored_as_text() -> None:
    assert is_definition("create or replace temp view v as select 1")
    assert is_definition("create macro f(x) as x")
    assert not is_definition("create table view_of as select 1")
    assert not is_definition("select 1")


def test_parquet_gets_no_128_bit_integers() -> None:
    with open_cursor() as connection:
        sql = exact_parquet_query(connection, 'select 1::hugeint as a, 2 as "b c"')
        assert connection.execute(f"describe {sql}").fetchall()[0][:2] == ("a", "DECIMAL(38,0)")
        assert connection.execute(sql).fetchall() == [(1, 2)]
        with pytest.raises(QueryError, match="column l: a Parquet file cannot hold HUGEINT exactly"):
            exact_parquet_query(connection, "select [1::hugeint] as l")
