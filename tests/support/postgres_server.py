"""A PostgreSQL server on loopback, from the packages of the operating system (Debian: postgresql).

A server is started for a process of tests that needs one, and ends with it. Starting takes half a second.
Tests are skipped with the reason where PostgreSQL is not installed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.support.waiting import wait_until

SUPERUSER = "postgres"
PASSWORD = "pg-pass'w \\ord-canary"  # every character that a connection string has to quote
_DATABASE_NUMBERS = count(1)
_SETTINGS = (
    "listen_addresses = '127.0.0.1'",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "max_connections=60",
    "log_statement=all",
    "log_line_prefix = '%a|%d|'",
    "log_min_duration_statement=-1",
)


@dataclass(frozen=True)
class PostgresServer:
    """A running server. ``folder`` holds its data and its log."""

    port: int
    folder: Path

    @property
    def log(self) -> Path:
        """The log, with every statement that the server received."""
        return self.folder / "log"

    def run(self, sql: str, database: str = "postgres") -> str:
        """Run SQL as the superuser; return the rows as psql prints them, with | between columns."""
        return self.psql(["-c", sql], database)

    def rows(self, sql: str, database: str) -> list[tuple[str, ...]]:
        """Run a SELECT; return each cell as psql shows it, NULL as NULL."""
        shown = self.psql(["-F", "\x1f", "-R", "\x1e", "-c", sql], database)
        return [tuple(row.removesuffix("\n").split("\x1f")) for row in shown.split("\x1e")]

    def psql(self, arguments: Sequence[str], database: str = "postgres") -> str:
        """Run psql as the superuser and return what it prints."""
        command = ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-P", "null=NULL", "-h", "127.0.0.1"]
        command += ["-p", str(self.port), "-U", SUPERUSER, "-d", database, *arguments]
        environment = {**os.environ, "PGPASSWORD": PASSWORD, "PGTZ": "UTC", "PGCLIENTENCODING": "UTF8"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create_database(self, prefix: str = "test", options: str = "") -> str:
        """Create an empty database and return its name."""
        name = f"{prefix}_{next(_DATABASE_NUMBERS)}"
        self.run(f'CREATE DATABASE "{name}" {options}')
        return name

    def options(self, database: str, **others: str) -> dict[str, str]:
        """Return the options of a connection in connections.yaml."""
        return {
            "host": "127.0.0.1",
            "port": str(self.port),
            "database": database,
            "user": SUPERUSER,
            "password": PASSWORD,
        } | others

    def statements(self, database: str) -> Sequence[str]:
        """Return the lines of the log about a database."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if f"|{database}|" in line]

    def enable_tls(self) -> Path:
        """Accept encrypted connections to 127.0.0.1 also; return the certificate to trust."""
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        key, certificate = self.folder / "server.key", self.folder / "server.pem"
        if not certificate.exists():
            command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
            command += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=127.0.0.1"]
            _run_as_owner([*command, "-addext", "subjectAltName=IP:127.0.0.1"])
            self.run(f"alter system set ssl_key_file = '{key}'")
            self.run(f"alter system set ssl_cert_file = '{certificate}'")
            self.run("alter system set ssl = on")
            self.run("select pg_reload_conf()")
            wait_until(lambda: self.run("show ssl") == "on\n")
        return certificate

    def stop(self, mode: str = "fast") -> None:
        """Stop the server. ``immediate`` is like a crash."""
        _run_as_owner([_program("pg_ctl"), "-D", str(self.folder / "data"), "-m", mode, "-w", "stop"])

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        _run_as_owner(
            [_program("pg_ctl"), "-D", str(self.folder / "data"), "-l", str(self.log), "-w", "start"]
        )


@contextmanager
def run_postgres() -> Iterator[PostgresServer]:
    """Run a server with an empty cluster; skip the test if PostgreSQL is not installed."""
    if not _program("initdb") or shutil.which("psql") is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql): nothing was tested")
    folder = Path(tempfile.mkdtemp(prefix="unify-pg-"))
    try:
        _give_to_owner(folder)
        password = folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        _give_to_owner(password)
        initdb = [_program("initdb"), "-D", str(folder / "data"), "-U", SUPERUSER, "-E", "UTF8"]
        initdb += ["--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
        _run_as_owner(initdb)
        server = PostgresServer(free_port(), folder)
        settings = [*_SETTINGS, f"port = {server.port}", f"unix_socket_directories = '{folder}'"]
        with open(folder / "data" / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write("\n".join(settings))
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str:
    """Return the path of a program of the newest installed PostgreSQL; "" without one."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    found = next((folder / name for folder in folders if (folder / name).is_file()), None)
    return str(found or shutil.which(name) or "")


def _run_as_owner(command: Sequence[str]) -> None:
    """Run a program of the server, which refuses to run as root."""
    user = SUPERUSER if os.geteuid() == 0 else None
    with tempfile.TemporaryFile("w+") as output:  # the server keeps a pipe open
        done = subprocess.run(command, user=user, stdout=output, stderr=output, check=False, cwd="/")
        output.seek(0)
        assert done.returncode == 0, f"{command[0]}: {output.read()}"


def _give_to_owner(path: Path) -> None:
    if os.geteuid() == 0:
        owner = pwd.getpwnam(SUPERUSER)
        os.chown(path, owner.pw_uid, owner.pw_gid)


def free_port() -> int:
    """Return a port that no process uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
