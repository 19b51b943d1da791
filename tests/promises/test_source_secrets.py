"""Secrets of databases and stores: no output, log or file has one, whatever fails.

The stores are a server that refuses every request with a message that repeats it. Databases refuse the
password, the certificate, the SQL, or the connection. Secrets are also where they do not belong: in an
address, a host, a path.
"""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import unify as unify_api
from tests.support.command import UnifyCommand
from tests.support.home_files import encoded_forms, find_leaks
from tests.support.mysql_server import MySQLServer
from tests.support.odbc_drivers import POSTGRES_DRIVER
from tests.support.postgres_server import PASSWORD, PostgresServer
from unify.api.session import PythonSession

pytestmark = [pytest.mark.lake, pytest.mark.process, pytest.mark.socket]

SECRET = "s3cr'et \"/+\\canary"
KEY = "Y2FuYXJ5LWtleS1vZi1hbi1hY2NvdW50LWNhbmFyeQ=="  # base64, as azure wants it
STATEMENTS = (
    "from NAME.t",
    "explain from NAME.t",
    "describe NAME.t",
    "show tables from NAME",
    "show schemas from NAME",
    "query NAME 'select nope from nothing'",
    "from query('NAME', 'select 1')",
    "show files from NAME",
    "import NAME.'a.csv' into copied",
    "export (select 1 as a) to NAME.'b.csv'",
    "copy NAME.'a.csv' to NAME.'c.csv'",
    "create view v_NAME as from NAME.t",
    "insert into NAME.t values (1)",
    "$x = select * from NAME.t",
)
LISTINGS = (
    "show connections",
    "show settings",
    "show jobs",
    "from unify.connections",
    "from unify.settings",
    "from duckdb_secrets()",
    "from duckdb_databases()",
    "from duckdb_settings()",
    "from duckdb_views()",
    "show databases",
)


class Repeater(BaseHTTPRequestHandler):
    """Refuses each request with a message that has all of it."""

    def _refuse(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode("utf-8", "replace")
        text = f"{self.path} {self.headers} {body}".replace("&", "&amp;").replace("<", "&lt;")
        data = (
            f"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>{text}</Message></Error>".encode()
        )
        self.send_response(403, "Forbidden")
        self.send_header("content-type", "application/xml")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PROPFIND = do_OPTIONS = do_MKCOL = _refuse

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def run_repeater() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Repeater)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def connections(
    postgres: Mapping[str, str], mysql: Mapping[str, str], address: str
) -> Mapping[str, Mapping[str, object]]:
    """Return the connections by name; each fails in another way, but for ``pg`` and ``my``."""
    secret = {"password": SECRET}
    dsn = f"postgresql://reader:{SECRET}@127.0.0.1:1/shop"
    odbc = f"Driver={{{POSTGRES_DRIVER}}};Server=127.0.0.1;Port=1;Database=d;Uid=u;Pwd={{{SECRET}}}"
    files = {"tables": {"t": "a.csv"}, "writable": True}
    s3 = {"bucket": "b", "endpoint": address, "access_key_id": "AKIA", "secret_access_key": SECRET}
    host = address.removeprefix("http://")
    return {
        "pg": {"adapter": "postgres", "options": postgres},
        "pg_password": {"adapter": "postgres", "options": {**postgres, **secret}},
        "pg_host": {"adapter": "postgres", "options": {**postgres, **secret, "port": "1"}},
        "pg_tls": {"adapter": "postgres", "options": {**postgres, "sslmode": "verify-full"}},
        "pg_dsn": {"adapter": "postgres", "options": {"database": dsn, **secret}},
        "pg_dsn_host": {"adapter": "postgres", "options": {"host": dsn, "database": "d", **secret}},
        "od_string": {"adapter": "odbc", "options": {"connection_string": odbc}},
        "od_driver": {"adapter": "odbc", "options": {"driver": "none", "user": "reader", **secret}},
        "ad_uri": {"adapter": "adbc", "options": {"driver": "postgresql", "uri": dsn}},
        "ad_password": {
            "adapter": "adbc",
            "options": {
                "driver": "postgresql",
                "uri": f"postgresql://127.0.0.1:{postgres['port']}/shop",
                "user": "reader",
                **secret,
            },
        },
        "my": {"adapter": "mysql", "options": mysql},
        "my_password": {"adapter": "mysql", "options": {**mysql, **secret}},
        "my_host": {"adapter": "mysql", "options": {**mysql, **secret, "port": "1"}},
        "my_tls": {
            "adapter": "mysql",
            "options": {**mysql, "ssl_mode": "verify_identity", "ssl_ca": "none.pem"},
        },
        "my_dsn": {
            "adapter": "mysql",
            "options": {"host": f"mysql://u:{SECRET}@h", "database": "d", **secret},
        },
        "s3": {"adapter": "s3", "options": s3, **files},
        "s3_host": {"adapter": "s3", "options": {**s3, "endpoint": "http://127.0.0.1:1"}, **files},
        "s3_token": {"adapter": "s3", "options": {**s3, "session_token": SECRET.replace("\\", "")}, **files},
        "azure": {
            "adapter": "azure",
            "options": {"account": "acc", "container": "c", "endpoint": address, "account_key": KEY},
            **files,
        },
        "dav": {"adapter": "webdav", "options": {"url": address, "user": "u", **secret}, **files},
        "dav_address": {"adapter": "webdav", "options": {"url": f"http://u:canary-in-url@{host}/"}, **files},
        "web": {"adapter": "http", "options": {"url": address, "token": SECRET.replace("\\", "")}, **files},
        "web_address": {"adapter": "http", "options": {"url": f"http://u:canary-in-url@{host}/"}, **files},
        "sftp": {
            "adapter": "sftp",
            "options": {"host": "127.0.0.1", "port": "1", "user": "u", "host_key": "ssh-rsa AAAA", **secret},
            **files,
        },
        "gcs": {
            "adapter": "gcs",
            "options": {
                "bucket": "b",
                "endpoint": address,
                "service_account_key": json.dumps({"private_key": SECRET}),
            },
            **files,
        },
    }


def run_commands(unify: UnifyCommand) -> Mapping[str, str]:
    """Return what check, loads in the daemon and listings show, by command."""
    listings = "from unify.jobs; from unify.loads; from unify.requests; show jobs"
    loads = "; ".join(f"load table {name}.t" for name in ("pg_password", "my_password", "s3", "dav"))
    shown = {}
    for arguments in (
        ("check", "pg", "pg_password", "pg_tls", "my", "my_tls", "azure", "dav", "web", "sftp"),
        ("--debug", "--keep-going", "-c", loads, "-c", "from s3_token.t", "-c", listings),
        ("daemon", "stop"),
    ):
        outcome = unify.run(*arguments)
        shown[" ".join(arguments)] = outcome.stdout + outcome.stderr
    return shown


def run(session: PythonSession, sql: str) -> str:
    """Return what a statement shows: its rows, or its error."""
    try:
        result = session.execute(sql)
        return str(result.fetchall() if result.columns else result.message)
    except Exception as error:  # noqa: BLE001 - whatever is raised is looked at
        return shown_by(error)


def shown_by(error: BaseException) -> str:
    """Return the error with its causes and notes, as a traceback shows them, without lines of this test."""
    return (
        "".join(traceback.format_exception_only(error))
        + (shown_by(error.__cause__) if error.__cause__ is not None else "")
        + (
            shown_by(error.__context__)
            if error.__context__ is not None and not error.__suppress_context__
            else ""
        )
    )


@pytest.mark.parametrize("adapters", [("postgres",), pytest.param((), marks=pytest.mark.slow)])
def test_no_statement_over_a_source_shows_a_secret(
    unify: UnifyCommand,
    postgres_server: PostgresServer,
    request: pytest.FixtureRequest,
    adapters: Sequence[str],
) -> None:
    """``adapters``  whose connections are tested, in this process; empty: all, by the command also."""
    postgres = postgres_server.options(postgres_server.create_database("secrets"))
    mysql = {"host": "127.0.0.1", "port": "1", "database": "d", "user": "u", "password": SECRET}
    if not adapters:
        mysql_server: MySQLServer = request.getfixturevalue("mysql_server")
        mysql = mysql_server.options(mysql_server.create_database())
    shown: dict[str, str] = {}
    with run_repeater() as address:
        configured = {
            name: one
            for name, one in connections(postgres, mysql, address).items()
            if not adapters or one["adapter"] in adapters
        }
        path = unify.home / "connections.yaml"
        path.write_text(json.dumps(configured))
        path.chmod(0o600)
        with unify_api.open(unify.home, connections=path, environment={}) as session:
            for name in configured:
                for sql in STATEMENTS:
                    shown[f"{name}: {sql}"] = run(session, sql.replace("NAME", name))
            for sql in LISTINGS:
                shown[sql] = run(session, sql)
            shown["notices"] = str(session.notices)
        if not adapters:
            shown |= run_commands(unify)
    secrets = {SECRET, KEY, PASSWORD, "canary"}
    forms = {form for secret in secrets for form in encoded_forms(secret)}
    leaks = {place: text for place, text in shown.items() if any(form in text for form in forms)}
    assert leaks == {}
    assert find_leaks(unify.home) == []
