"""Statements over an S3 server: tables, exports, commands, and no secret in any text or file."""

from __future__ import annotations

import re
import secrets
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import UnifyCommand
from tests.support.object_servers import ACCESS_KEY, BUCKET, SECRET_KEY, ObjectServer

pytestmark = [pytest.mark.process, pytest.mark.socket]


@pytest.fixture
def bucket(unify: UnifyCommand, seaweedfs: ObjectServer) -> Iterator[UnifyCommand]:
    """The command with a connection ``s`` to a part of its own of the bucket."""
    unify.environment["S3_SECRET"] = SECRET_KEY
    unify.environment["S3_WRONG"] = "WrongSecretCanary7"
    options = (
        f"bucket: {BUCKET}, prefix: p{secrets.token_hex(6)}, endpoint: '{seaweedfs.options['endpoint']}', "
        f"access_key_id: {ACCESS_KEY}"
    )
    unify.write_connections(
        f"s: {{adapter: s3, options: {{{options}, secret_access_key: '${{S3_SECRET}}'}}, writable: true}}\n"
        f"bad: {{adapter: s3, options: {{{options}, secret_access_key: '${{S3_WRONG}}'}}, writable: true}}\n"
    )
    yield unify
    unify.stop_daemon()


def ok(unify: UnifyCommand, *statements: str, args: tuple[str, ...] = ()) -> str:
    result = unify(*statements, args=("--format", "csv", *args))
    assert result.exit_status == 0, result.stderr
    return result.stdout + result.stderr


def test_rows_go_out_and_come_back_exactly(bucket: UnifyCommand) -> None:
    query = "select i, i * 1.10::decimal(9,2) as d, 'é,\"' || i as s from range(3) t(i)"
    for suffix in ("csv.gz", "tsv", "json", "ndjson.zst", "parquet", "xlsx"):
        ok(bucket, f"export ({query}) to s.'{suffix}/a.{suffix}'")
    printed = ok(bucket, "show tables from s")
    assert [line.split(",")[1] for line in printed.splitlines()[1:7]] == [
        "csv_gz",
        "json",
        "ndjson_zst",
        "parquet",
        "tsv",
        "xlsx",
    ]
    for table in ("csv_gz", "json", "ndjson_zst", "parquet", "tsv", "xlsx"):
        rows = ok(bucket, f"select i, d::decimal(9,2), s from s.{table} order by i")
        assert rows.splitlines()[1:4] == ['0,0.00,"é,""0"', '1,1.10,"é,""1"', '2,2.20,"é,""2"'], table


def test_commands_reach_the_objects(bucket: UnifyCommand, tmp_path: Path) -> None:
    ok(bucket, "export (select 1 as i) to s.'a/x.csv'", "export (select 2 as i) to s.'a/x.csv' append")
    ok(bucket, "copy s.'a/x.csv' to s.'b/y.csv'", f"copy s.'b/y.csv' to '{tmp_path}/z.csv'")
    assert (tmp_path / "z.csv").read_text() == "i\n1\n2\n"
    ok(bucket, "export (select 3 as i) to s.b append")
    assert ok(bucket, "select i from s.b order by i").splitlines()[:4] == ["i", "1", "2", "3"]
    assert ", 2 files removed" in ok(bucket, "export (select i from s.b where i < 3) to s.b replace")
    url = ok(bucket, "url s.'a/x.csv' for 5 minutes").split()[0]
    with urllib.request.urlopen(url, timeout=30) as response:
        assert response.read() == b"i\n1\n2\n"
    assert "2 files" in ok(bucket, "remove s.'**/*.csv'", args=("--yes",))
    assert len(ok(bucket, "show files from s").splitlines()) == 1


def test_no_secret_is_in_any_text_or_file(bucket: UnifyCommand) -> None:
    ok(bucket, "export (select 1 as i) to s.'t.parquet'", "export (select 1 as i) to s.'c.csv'")
    result = bucket(
        "from s.t",
        "explain analyze from s.t",
        "from duckdb_secrets()",
        "from duckdb_views()",
        "show tables from s",
        "create table kept as from s.t",
        "load table s.c",
        "from unify.connections",
        "from unify.settings",
        "from bad.t",
        "show files from bad",
        "export (select 1) to bad.'x.csv'",
        "remove bad.'x.csv'",
        "url bad.'c.csv'",
        "from 's3://elsewhere/x.parquet'",
        args=("--keep-going", "--yes"),
    )
    assert "check secret_access_key" in result.stderr
    assert "SQL reads and writes no addresses" in result.stderr
    texts = [result.stdout, result.stderr]
    texts += [path.read_bytes().decode("latin-1") for path in bucket.home.rglob("*") if path.is_file()]
    for canary in (SECRET_KEY, "WrongSecretCanary7"):
        assert [text[:200] for text in texts if canary in text] == []
    assert not re.search(r"X-Amz-Signature=[0-9a-f]{64}", result.stderr)
