"""Writing to PostgreSQL: every type arrives as the server's own text; refusals, concurrency, lost servers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import unify
from tests.adapters.database.test_postgres_types import CASES, SETUP
from tests.support.postgres_server import PostgresServer
from tests.support.stores import create_home
from unify.api.session import PythonSession

pytestmark = [pytest.mark.lake, pytest.mark.process, pytest.mark.socket]


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> str:
    return postgres_server.create_database("writes")


@pytest.fixture(scope="module")
def session(
    postgres_server: PostgresServer, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PythonSession]:
    folder = tmp_path_factory.mktemp("postgres")
    options = json.dumps(postgres_server.options(database, schemas="public, sales"))
    path = folder / "connections.yaml"
    path.write_text(f"shop:\n  adapter: postgres\n  options: {options}\n  writable: true\n")
    path.chmod(0o600)
    with unify.open(create_home(folder).home, connections=path, environment={}) as opened:
        yield opened


def test_every_type_is_written_as_it_was_read(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    columns = ", ".join(f"c{number} {type}" for number, type in enumerate(CASES))
    tables = [f"create table {table}(id int primary key, {columns})" for table in ("source", "copied")]
    statements = [SETUP, *tables]
    count = max(len(values) for _, values in CASES.values()) + 1  # the last row is NULL
    for row in range(count):
        values = [values[row] if row < len(values) else "NULL" for _, values in CASES.values()]
        statements.append(f"insert into source values ({row}, {', '.join(values)})")
    postgres_server.run(";".join(statements), database)
    session.execute("export (select * from shop.source order by id) to shop.copied append")
    expected, found = (
        postgres_server.rows(f"select * from {table} order by id", database) for table in ("source", "copied")
    )
    assert len(found) == count
    for want, have in zip(expected, found, strict=True):
        assert list(zip(CASES, have[1:], strict=True)) == list(zip(CASES, want[1:], strict=True))
