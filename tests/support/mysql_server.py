"""A MariaDB server on loopback, from the packages of the operating system (Debian: mariadb-server).

A server is started for a process of tests that needs one, and ends with it. Tests are skipped with the reason
where MariaDB is not installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.support.postgres_server import free_port
from tests.support.waiting import wait_until

USER = "reader"
PASSWORD = "my-pass'w \\ord-canary"
_OWNER = "mysql"  # the user of the package, as which the server runs if the tests run as root
_DATABASE_NUMBERS = count(1)
_SETTINGS = (
    "--no-defaults",
    "--bind-address=127.0.0.1",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--skip-log-bin",
    "--character-set-server=utf8mb4",
    "--performance-schema=OFF",
    "--default-time-zone=+05:45",  # the values must not depend on it
    "--general-log=1",
)


@dataclass(frozen=True)
class MySQLServer:
    """A running server. ``folder`` holds its data and its log."""

    port: int
    folder: Path

    def run(self, sql: str, database: str = "mysql") -> str:
        """Run SQL as the superuser; return the rows as the client prints them, with tabs between columns."""
        command = ["mariadb", "--no-defaults", "-N", "-B", "--raw", "-h", "127.0.0.1", "-P", str(self.port)]
        command += ["-u", "root", "--default-character-set=utf8mb4", database]
        done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create_database(self) -> str:
        """Create an empty database, which USER may change, and return its name."""
        name = f"test_{next(_DATABASE_NUMBERS)}"
        self.run(f"create database {name}; grant all on {name}.* to {USER}")
        return name

    def options(self, database: str) -> dict[str, str]:
        """Return the options of a connection in connections.yaml."""
        return {
            "host": "127.0.0.1",
            "port": str(self.port),
            "database": database,
            "user": USER,
            "password": PASSWORD,
        }

    def statements(self) -> Sequence[str]:
        """Return the lines of the log of statements."""
        return (self.folder / "general.log").read_text(encoding="utf-8", errors="replace").splitlines()


@contextmanager
def run_mysql() -> Iterator[MySQLServer]:
    """Run a server with no databases of users; skip the test if MariaDB is not installed."""
    for program in ("mariadbd", "mariadb-install-db", "mariadb"):
        if shutil.which(program) is None:
            pytest.skip("MariaDB is not installed (Debian: apt install mariadb-server): nothing was tested")
    folder = Path(tempfile.mkdtemp(prefix="unify-my-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _OWNER, _OWNER)
        server = MySQLServer(free_port(), folder)
        with _run_server(server):
            quoted = PASSWORD.replace("\\", "\\\\").replace("'", "''")
            server.run(f"create user {USER} identified by '{quoted}'")
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _run_server(server: MySQLServer) -> Iterator[None]:
    folder, user = server.folder, _OWNER if os.geteuid() == 0 else None
    data = ["--no-defaults", f"--datadir={folder / 'data'}", f"--tmpdir={folder}"]
    create = ["mariadb-install-db", *data, "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(create, user=user, capture_output=True, check=True, cwd="/")
    command = ["mariadbd", *_SETTINGS, *data[1:], f"--port={server.port}", f"--socket={folder / 'socket'}"]
    command += [f"--pid-file={folder / 'pid'}", f"--general-log-file={folder / 'general.log'}"]
    with open(folder / "errors", "wb") as log:
        process = subprocess.Popen(command, user=user, stdout=log, stderr=log, cwd="/")
    try:
        wait_until(lambda: _accepts_connections(server, process))
        yield
    finally:
        process.kill()
        process.wait()


def _accepts_connections(server: MySQLServer, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, (server.folder / "errors").read_text()
    ping = ["mariadb-admin", "--no-defaults", "-h", "127.0.0.1", "-P", str(server.port), "-u", "root", "ping"]
    return subprocess.run(ping, capture_output=True, check=False).returncode == 0
