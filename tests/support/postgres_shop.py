"""A database of a PostgreSQL server as connection ``shop``, whose loads run in this process."""

from __future__ import annotations

import duckdb
import msgspec

from tests.support.postgres_server import PostgresServer
from tests.support.source_home import SourceHome
from unify.engine.connection import connect, extension_path

ORDERS = (
    "create table orders (id bigint primary key, status text, updated_at timestamptz default now());"
    "insert into orders values (1, 'open', '2026-01-01'), (2, 'paid', '2026-01-02')"
)


class PostgresShop(SourceHome):
    """A home with a connection to ``database`` of ``server``."""

    server: PostgresServer
    database: str

    def use(self, tables: str = "{}", more: str = "", **options: str) -> None:
        """Write connections.yaml; the password is in the environment."""
        values = self.server.options(self.database, **options)
        self.environment["SHOP_PASSWORD"] = values.pop("password")
        given = msgspec.json.encode({**values, "password": "${SHOP_PASSWORD}"}).decode()
        self.configure(f"{{adapter: postgres, options: {given}, tables: {tables}{more}}}")

    def run(self, sql: str) -> str:
        return self.server.run(sql, self.database)

    def fill(self, rows: int = 20_000) -> None:
        """Create the table ``big``."""
        self.run(
            "create table big (id bigint primary key, note text);"
            f"insert into big select i, md5(i::text) from generate_series(1, {rows}) as i"
        )

    def server_checksum(self, table: str = "big") -> str:
        """Return count and sum of ids at the server."""
        return self.run(f"select count(*), sum(id) from {table}").strip()

    def stored_checksum(self, table: str = "big") -> str:
        """Return the same of the lake."""
        [(count, total)] = self.rows(f"select count(*), sum(id) from shop.{table}")
        return f"{count}|{total}"


class OtherSession:
    """A session of another client, with an open transaction."""

    def __init__(self, shop: PostgresShop) -> None:
        self._duck = connect()
        path = extension_path("postgres_scanner", duckdb.__version__)
        self._duck.execute(f"LOAD '{path}'")
        options = shop.server.options(shop.database)
        names = ("host", "port", "database", "user", "password")
        self._duck.execute(
            f"CREATE SECRET s (TYPE postgres, {', '.join(f'{name} ?' for name in names)})",
            [options[name] for name in names],
        )
        self._duck.execute("ATTACH '' AS other (TYPE postgres, SECRET s)")
        self._duck.execute("BEGIN")

    def run(self, sql: str) -> None:
        self._duck.execute(f"CALL postgres_execute('other', $q${sql}$q$)")

    def commit(self) -> None:
        self._duck.execute("COMMIT")
        self._duck.close()
