"""Statements about the session, settings, and parameters: parsed without a server."""

from __future__ import annotations

import struct
from decimal import Decimal, localcontext

import pytest

from unify.servers.postgres import session_statements as plans
from unify.servers.postgres.client_settings import ClientSettings
from unify.servers.postgres.parameters import decode_parameters, infer_oids, number_parameters
from unify.servers.postgres.session_statements import parse_session_statement
from unify.servers.postgres.sqlstates import ClientError
from unify.servers.postgres.wire_types import NUMERIC, postgres_type, wire_column


@pytest.mark.parametrize(
    ("sql", "plan"),
    [
        ("", plans.NoStatement()),
        ("-- nothing", plans.NoStatement()),
        ("select 1", plans.RunStatement("select 1")),
        ("show tables", plans.RunStatement("show tables")),
        ("show tables from shop", plans.RunStatement("show tables from shop")),
        ("SHOW search_path", plans.ShowSetting("search_path")),
        ("show transaction isolation level", plans.ShowSetting("transaction_isolation")),
        ("set a to 'b'", plans.SetSetting("a", "b")),
        ("SET SESSION a.b = 1", plans.SetSetting("a.b", "1")),
        ('set search_path = shop, "Main"', plans.SetSetting("search_path", 'shop, "Main"')),
        ("set time zone 'UTC'", plans.SetSetting("TimeZone", "UTC")),
        ("set names 'utf8'", plans.SetSetting("client_encoding", "utf8")),
        ("set a = default", plans.SetSetting("a", None)),
        ("reset all", plans.SetSetting("all", None, "RESET")),
        ("set session characteristics as transaction read only", plans.AcceptStatement("SET")),
        ("begin transaction isolation level serializable", plans.BeginTransaction()),
        ("START TRANSACTION READ ONLY", plans.BeginTransaction()),
        ("commit", plans.EndTransaction("COMMIT")),
        ("rollback to savepoint s", plans.EndTransaction("ROLLBACK", to_savepoint=True)),
        ("abort", plans.EndTransaction("ROLLBACK")),
        ("release savepoint s", plans.AcceptStatement("RELEASE")),
        ("discard all", plans.DiscardState("all")),
        ('deallocate prepare "S_1"', plans.DeallocateStatement("S_1")),
        ("deallocate all", plans.DeallocateStatement(None)),
        ('close "C"', plans.CloseCursor("C")),
        ("close all", plans.CloseCursor(None)),
        ("declare c no scroll cursor for select 1", plans.DeclareCursor("c", "select 1")),
        ('DECLARE "C" CURSOR WITH HOLD FOR select 2', plans.DeclareCursor("C", "select 2", is_held=True)),
        ("fetch forward 10 from c", plans.FetchCursor("c", 10)),
        ("fetch all in c", plans.FetchCursor("c", None)),
        ("fetch c", plans.FetchCursor("c", 1)),
        ("move 5 from c", plans.FetchCursor("c", 5, is_move=True)),
        ("copy (select ')' from t) to stdout", plans.CopyRows("select ')' from t")),
        ("copy s.t (a) to stdout csv", plans.CopyRows("SELECT a FROM s.t ", "csv", delimiter=",", null="")),
        ("drop table t", plans.RunStatement("drop table t")),
    ],
)
def test_statements_about_the_session(sql: str, plan: plans.SessionStatement) -> None:
    assert parse_session_statement(sql) == plan


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("copy t from stdin", "0A000"),
        ("copy (select 1) to '/tmp/x'", "0A000"),
        ("copy (select 1) to program 'id'", "0A000"),
        ("copy t to stdout (compression gzip)", "0A000"),
        ("fetch backward 1 from c", "0A000"),
        ("declare c scroll cursor for select 1", "0A000"),
        ("declare c for select 1", "42601"),
        ("set a", "42601"),
        ("set 'a' = 1", "42601"),
        ("commit prepared 'x'", "0A000"),
    ],
)
def test_what_is_refused(sql: str, sqlstate: str) -> None:
    with pytest.raises(ClientError) as caught:
        parse_session_statement(sql)
    assert caught.value.sqlstate == sqlstate


def test_settings() -> None:
    settings = ClientSettings("ann", "18.6", 180006)

    def timeout(value: str) -> float | None:
        settings.set("STATEMENT_TIMEOUT", value)
        return settings.timeout_s

    assert [timeout(value) for value in ("1500ms", "2 minutes", "250", "0")] == [1.5, 120, 0.25, None]
    settings.set("work_mem", "1GB")  # a hint for PostgreSQL's planner
    settings.set("timezone", "Europe/Berlin")
    assert (settings.get("TimeZone"), settings.get("server_version")) == ("UTC", "18.6")
    for name, value in (
        ("server_version", "9"),
        ("enable_external_access", "true"),
        ("allowed_directories", "/"),
        ("statement_timeout", "soon"),
        ("client_min_messages", "loud"),
        ("standard_conforming_strings", "off"),
        ("DateStyle", "German"),
    ):
        with pytest.raises(ClientError):
            settings.set(name, value)
    assert settings.shows("notice")
    settings.set("client_min_messages", "warning")
    assert not settings.shows("notice")


def test_parameters_are_numbered_outside_of_strings() -> None:
    assert number_parameters("select $1, '$2', \"$3\", $12 -- $4") == (
        "select $__p1, '$2', \"$3\", $__p12 -- $4",
        12,
    )


def test_types_of_parameters_are_inferred() -> None:
    sql = "select $1::int[], b from t where a = $2 and $3 < d and a in ($4) and b = any($5) limit $6"
    numbered, count = number_parameters(sql)
    oids = infer_oids(numbered, [], count, {"a": 20, "d": 1082, "b": 25})
    assert list(oids) == [1007, 20, 1082, 20, 1009, 20]
    assert list(infer_oids("select $__p1", [16], 1, {})) == [16]
    assert list(infer_oids("select $__p1 || 'x'", [0], 1, {})) == [25]


def test_wrong_parameters_are_errors() -> None:
    for values, formats, oids in (
        ([b"x"], [1], [23]),
        ([b"12:"], [0], [1700]),
        ([b"{1,NaN}"], [0], [1231]),
        ([b"{1,2"], [0], [1007]),
        ([b"\xff"], [0], [25]),
        ([b"x"], [], []),
        ([b"1", b"2"], [0, 0, 0], [23, 23]),
        ([struct.pack("!iii", 2, 0, 23)], [1], [1007]),
    ):
        with pytest.raises(ClientError):
            decode_parameters(values, formats, oids)


@pytest.mark.parametrize(
    "text", ["0", "-0.5", "12345.6700", "10000", "1e20", "-99999999999999999999.000000001", "0.0001", "NaN"]
)
def test_numeric_in_binary(text: str) -> None:
    """Groups of four decimal digits, with the weight of the first."""
    assert NUMERIC.encode is not None
    count, weight, sign, scale = struct.unpack_from("!HhHH", data := NUMERIC.encode(text))
    groups = struct.unpack_from(f"!{count}H", data, 8)
    if text == "NaN":
        assert sign == 0xC000
        return
    with localcontext(prec=60):
        value = sum((Decimal(group).scaleb(4 * (weight - at)) for at, group in enumerate(groups)), Decimal(0))
        assert (-value if sign else value) == Decimal(text)
        [decoded] = decode_parameters([data], [1], [1700])
        assert Decimal(str(decoded)) == Decimal(text)
    assert scale == max(0, -int(Decimal(text).as_tuple().exponent))


@pytest.mark.parametrize(
    ("duckdb_type", "name"),
    [
        ("UINTEGER", "int8"),
        ("ENUM('a', 'b')", "text"),
        ("TIMESTAMP_NS", "text"),
        ("TIMESTAMP_MS", "timestamp"),
        ("DECIMAL(5,2)[]", "_numeric"),
        ("INTEGER[3]", "_int4"),
        ("INTEGER[][]", "json"),
        ("MAP(VARCHAR, INTEGER)", "json"),
        ("STRUCT(a INTEGER)[]", "json"),
        ("UNION(a INTEGER, b VARCHAR)", "json"),
        ("BIT", "text"),
        ('"NULL"', "text"),
    ],
)
def test_types(duckdb_type: str, name: str) -> None:
    assert postgres_type(duckdb_type).name == name


def test_the_type_modifier_of_decimals() -> None:
    assert wire_column("a", "DECIMAL(10,2)").type_modifier == (10 << 16 | 2) + 4
    assert wire_column("a", "BIGINT").type_modifier == -1
