"""The lake: opened by anybody at any time, written by one at a time, exact, and clear about trouble."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.stores import emptied, fetched, fresh_home, settings_in
from unify.errors import QueryError, StoreError
from unify.model import Column, LoadRecord, TableName
from unify.settings import Settings
from unify.store import catalog, duck, ledger
from unify.store.lake import PATIENCE_S, Lake
from unify.store.locks import FileLock

ROOT = Path(__file__).parent.parent


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return fresh_home(tmp_path)


@pytest.fixture(scope="module")
def one_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """Opening a lake takes longer than most tests with it."""
    with Lake(fresh_home(tmp_path_factory.mktemp("lake"))) as lake:
        yield lake


@pytest.fixture
def lake(one_lake: Lake) -> Iterator[Lake]:
    with emptied(one_lake):
        yield one_lake


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A Python process of its own in the checkout."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )


# Opening


def test_a_table_made_in_one_shell_is_seen_by_another(settings: Settings) -> None:
    with Lake(settings) as one, Lake(settings) as other:
        one.execute("create table words as select 'lark' as word")
        assert fetched(other, "select * from words") == [("lark",)]
        assert fetched(other, "select * from main.words") == [("lark",)]


def test_twenty_shells_starting_at_once_on_a_fresh_home_all_get_the_same_lake(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "home")
    code = """
import sys
from pathlib import Path
from tests.stores import settings_in
from unify.store.lake import Lake
with Lake(settings_in(Path(sys.argv[1]))) as lake:
    lake.execute(f"create table t{sys.argv[2]} as select 1 as a")
"""
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda n: run(code, settings.home, n), range(20)))

    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * 20
    with Lake(settings) as lake:
        assert len(catalog.user_tables(lake)) == 20


def test_a_creator_that_died_half_way_is_no_harm(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "home")
    settings.prepare()
    (settings.lake / "catalog.sqlite").touch(0o600)
    with Lake(settings) as lake:
        assert catalog.stored_tables(lake) == {}


def test_the_home_can_be_moved(settings: Settings, tmp_path: Path) -> None:
    with Lake(settings) as lake:
        lake.execute("create table t as select i from range(1000) r(i)")
    settings.home.rename(tmp_path / "moved")
    with Lake(settings_in(tmp_path / "moved")) as lake:
        assert fetched(lake, "select sum(i)::int from t") == [(499500,)]


def test_files_and_folders_are_private_whatever_the_umask(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "home")
    old = os.umask(0)
    try:
        with Lake(settings) as lake:
            lake.execute("create table t as select i from range(1000) r(i)")
            found = {path: path.stat().st_mode & 0o777 for path in settings.home.rglob("*")}
    finally:
        os.umask(old)
    assert settings.lake.stat().st_mode & 0o777 == 0o700
    for path, mode in found.items():
        if path.parent == settings.lake and path.is_file():
            assert mode == 0o600, path


def test_a_lake_of_a_newer_version_is_left_alone(settings: Settings) -> None:
    with Lake(settings):
        pass
    (settings.lake / "ready").write_text("999\n")
    with pytest.raises(StoreError, match="newer version of Unify"):
        Lake(settings)


def test_a_damaged_catalog_is_named_with_what_to_do(settings: Settings) -> None:
    with Lake(settings):
        pass
    catalog_file = settings.lake / "catalog.sqlite"
    catalog_file.write_bytes(b"this is no database at all" * 1000)
    with pytest.raises(StoreError, match="damaged") as caught:
        Lake(settings)
    assert str(settings.lake) in caught.value.message


def test_duckdb_draws_no_progress_into_what_a_program_prints(settings: Settings) -> None:
    """Workers are started as ``python -c``, which DuckDB takes for a person at a terminal."""
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from unify.settings import Settings\nfrom unify.store.lake import Lake\n"
        "home = Path(sys.argv[1])\nwith Lake(Settings(home, home / 'connections.yaml')) as lake:\n"
        "    for connection in (lake.connection, lake.cursor()):\n"
        "        print(connection.execute(\"SELECT current_setting('enable_progress_bar')\").fetchone())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(settings.home)], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("(False,)\n(False,)\n", "")


def test_an_extension_that_is_not_a_wheels_has_to_be_signed(lake: Lake, tmp_path: Path) -> None:
    import duckdb

    ours = duck.extension_path("sqlite_scanner", duckdb.__version__)
    assert ours is not None
    forged = tmp_path / "forged.duckdb_extension"
    forged.write_bytes(ours.read_bytes()[:-1] + b"\0")  # the signature stands at the end
    with pytest.raises(QueryError, match="signature"):
        lake.execute(f"load '{forged}'")
    with pytest.raises(QueryError, match="allow_unsigned_extensions"):
        lake.execute("set allow_unsigned_extensions = true")


def test_an_extension_without_its_wheel_is_named() -> None:
    import duckdb

    said: list[str] = []
    with (
        duckdb.connect(
            config={"custom_extension_repository": "/nowhere", "extension_directory": "/nowhere"}
        ) as c,
        pytest.raises(StoreError, match="install the package duckdb-extension-ducklake=="),
    ):
        duck.load_extension(c, "ducklake", None, said.append)
    assert "no package carries" in said[0]


def test_a_version_from_before_the_first_is_said_to_be_none(lake: Lake) -> None:
    lake.execute("create table t as select 1 as a")
    with pytest.raises(
        QueryError, match=r"no version of 2001-02-03 04:05:06 \(UTC\): nothing had been stored"
    ):
        lake.execute("from t at (timestamp => timestamptz '2001-02-03 04:05:06+00')")


def test_what_the_lake_cannot_do_is_said_without_the_name_of_a_class(lake: Lake) -> None:
    with pytest.raises(QueryError, match=r"^DuckLake does not support sequences"):
        lake.execute("create sequence numbers")


def test_a_select_that_gathers_its_rows_runs_once(lake: Lake) -> None:
    lake.execute("create temp sequence turns")
    moment = "timestamptz '2026-01-31 08:30:00+00'"  # a type whose values have to be fetched as text
    assert len(fetched(lake, f"select nextval('turns'), {moment}")) == 1
    assert fetched(lake, f"select nextval('turns') as turn, max({moment}) is null group by 1") == [(2, False)]
    assert fetched(lake, f"select max({moment}), $1 as given", [7])[0][1] == 7


def test_no_python_variable_is_a_table(lake: Lake) -> None:
    settings_rows = [{"a": 1}]
    with pytest.raises(QueryError, match="settings_rows"):
        lake.execute("select * from settings_rows")
    assert settings_rows


# Reading only


def test_a_lake_opened_for_reading_reads_and_refuses_to_write(settings: Settings) -> None:
    with Lake(settings) as lake:
        lake.execute("create table t as select 1 as a")
    with Lake(settings, read_only=True) as reader:
        assert fetched(reader, "select * from t") == [(1,)]
        with pytest.raises(StoreError, match="nothing can be written, because it was opened for reading"):
            reader.execute("insert into t values (2)")
        reader.execute("begin")
        assert fetched(reader, "select * from t") == [(1,)]
        reader.execute("commit")


def test_stored_tables_stay_readable_in_a_home_nobody_may_write() -> None:
    """In a folder of its own: pytest's are closed to the other user this becomes where it is root."""
    with tempfile.TemporaryDirectory(prefix="unify-read-only-") as name:
        folder = Path(name)
        settings = settings_in(folder / "home")
        with Lake(settings) as lake:
            lake.execute("create table t as select i from range(1000) r(i)")
        _close_to_writers(folder)
        try:
            done = run(_READ_ONLY_SHELL, settings.home)
        finally:
            for path in [folder, *folder.rglob("*")]:
                path.chmod(0o700)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "True [(1000,)]",
        f"{settings.lake}: nothing can be written, because the folder cannot be written to by this user",
    ]


NOBODY = 65534
_READ_ONLY_SHELL = f"""
import os, sys, tempfile
from pathlib import Path
from tests.stores import emptied, fetched, fresh_home, settings_in
from unify.errors import UnifyError
from unify.store.lake import Lake

with tempfile.TemporaryDirectory() as folder, Lake(settings_in(Path(folder) / "home")) as lake:
    fetched(lake, "select 1")  # everything is imported while we may read it
if os.getuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
with Lake(settings_in(Path(sys.argv[1]))) as lake:
    print(lake.read_only, fetched(lake, "select count(*) from t"))
    try:
        lake.execute("insert into t values (1)")
    except UnifyError as error:
        print(error)
"""


def _close_to_writers(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if os.getuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        path.chmod(0o500 if path.is_dir() else 0o400)


_FULL_DISK_SHELL = """
import sys
from pathlib import Path
from tests.stores import fetched, settings_in
from unify.errors import UnifyError
from unify.model import Action, Origin, TableName
from unify.store.lake import Lake
from unify.store.queue import NewJob, Queue

settings = settings_in(Path(sys.argv[1]) / "home")

def tried(step):
    try:
        step()
    except UnifyError as error:
        print(f"{type(error).__name__}: {error}")

def fill():
    with open(settings.home / "ballast", "wb", buffering=0) as file:
        try:
            while file.write(bytes(10_000)):
                pass
        except OSError:
            pass
    for number in range(100):
        lake.execute(f"create table t{number} as select 1 as a")

def ask():
    with Queue(settings.queue) as queue:
        for number in range(100_000):
            queue.enqueue(NewJob("default", Action.LOAD, TableName("github", f"t{number}"), Origin("/c")))

with Lake(settings) as lake:
    lake.execute("create table small as select i from range(100) r(i)")
    tried(lambda: lake.execute("create table big as select md5(i::varchar) as m from range(200_000) r(i)"))
    lake.execute("create table after_it as select 1 as a")
    tried(fill)
    tried(ask)
    print(fetched(lake, "select count(*) from small"))
    tried(lambda: lake.execute("insert into small values (1)"))
    (settings.home / "ballast").unlink()
    lake.execute("insert into small values (1)")
    print(fetched(lake, "select count(*) from small"))
"""


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None, reason="a disk of one's own takes root and unshare"
)
def test_on_a_full_disk_writers_are_told_where_and_readers_read(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=2m tmpfs "$0" && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, tmp_path, sys.executable, "-c", _FULL_DISK_SHELL, tmp_path],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=100,
    )
    if "mount:" in done.stderr:
        pytest.skip(f"mounting is not allowed here: {done.stderr}")
    lines = [line for line in done.stdout.splitlines() if line.startswith(("StoreError", "["))]
    assert len(lines) == 6, done
    for line, place in zip(lines[:3], ("lake", "lake", "queue.db"), strict=True):
        assert line.startswith(f"StoreError: {tmp_path}/home/{place}: the disk is full or failing; make room")
    nothing = f"StoreError: {tmp_path}/home/lake: nothing can be written, because the disk is full"
    assert lines[3:] == ["[(100,)]", nothing, "[(101,)]"]


# Statements


@pytest.mark.parametrize(
    ("sql", "writes"),
    [
        ("select 1", False),
        ("with a as (select 1 as x) select * from a", False),
        ("from t", False),
        ("pivot t on a using sum(a)", False),
        ("describe t", False),
        ("show tables", False),
        ("explain insert into t values (1)", False),
        ("explain analyze insert into t values (1)", True),
        ("explain analyze select 1", False),
        ("copy t to 'x.csv'", False),
        ("copy (select a from t) to 'x.csv'", False),
        ("copy t (a) from 'x.csv'", True),
        ("set threads = 1", False),
        ("use lake", False),
        ("insert into t values (1)", True),
        ("/* hi */ with x as (select 1) insert into t from x", True),
        ("update t set a = 1", True),
        ("merge into t using t as s on true when matched then delete", True),
        ("truncate t", True),
        ("create view v as select 1", True),
        ("alter table t add column b int", True),
        ("comment on table t is 'x'", True),
        ("drop table t", True),
        ("call lake.merge_adjacent_files()", True),
        ("execute p", True),
    ],
)
def test_statements_that_write_are_known_before_they_run(lake: Lake, sql: str, writes: bool) -> None:
    lake.execute("create table t as select 1 as a")
    assert lake.statement_writes(sql) is writes


def test_what_a_statement_did_is_said(lake: Lake) -> None:
    said = [
        lake.execute(sql).summary
        for sql in (
            "create schema s",
            "create table s.t as select i from range(3) r(i)",
            "insert into s.t values (7)",
            "update s.t set i = 8 where i < 2",
            "delete from s.t where i = 8",
            "drop table s.t",
        )
    ]
    assert said == [
        "created",
        "3 rows written",
        "1 row inserted",
        "2 rows updated",
        "2 rows deleted",
        "dropped",
    ]


def test_values_python_cannot_hold_come_as_duckdbs_text(lake: Lake) -> None:
    outcome = lake.execute(
        "select timestamp_ns '2026-01-01 00:00:00.123456789' as t, interval '1 month' as i, 1 as a, 2 as a"
    )
    assert outcome.columns == (("t", "TIMESTAMP_NS"), ("i", "INTERVAL"), ("a", "INTEGER"), ("a", "INTEGER"))
    assert list(outcome.batches()) == [[("2026-01-01 00:00:00.123456789", "1 month", 1, 2)]]


def test_rows_come_in_batches_while_the_query_runs(lake: Lake) -> None:
    batches = lake.execute("select i from range(10_000_000_000) r(i)").batches()
    assert len(next(iter(batches))) == 2048


def test_a_mistake_is_explained_with_its_place(lake: Lake) -> None:
    lake.execute("create table t as select 1 as number")
    with pytest.raises(QueryError) as caught:
        lake.execute("select numbr from t")
    assert caught.value.message == (
        'Referenced column "numbr" not found in FROM clause!\n'
        'Candidate bindings: "number"\n\n'
        "LINE 1: select numbr from t\n"
        "               ^"
    )


def test_a_transaction_holds_the_lock_until_it_ends(lake: Lake) -> None:
    other = FileLock(lake.settings.lake_lock)
    lake.execute("create table t as select 1 as a")
    lake.execute("begin")
    lake.execute("insert into t values (2)")
    assert lake.in_transaction
    assert not other.try_acquire()
    with pytest.raises(QueryError):
        lake.execute("select no_such_column from t")
    lake.execute("rollback")
    assert other.try_acquire()
    other.release()
    assert fetched(lake, "select * from t") == [(1,)]


def test_whoever_waits_long_for_a_transaction_of_another_is_told_whose(settings: Settings) -> None:
    said: list[str] = []
    with Lake(settings, purpose="one shell") as one, Lake(settings, notice=said.append) as another:
        one.execute("begin")
        with pytest.raises(StoreError, match="still held by"):
            another.take_lock(PATIENCE_S + 0.01)
        assert said == [f"waiting for process {os.getpid()} (one shell), which is writing (Ctrl-C gives up)"]
        one.execute("rollback")
        another.execute("create table t as select 1 as a")
        assert len(said) == 1


def test_a_shell_that_closes_inside_a_transaction_leaves_no_lock(settings: Settings) -> None:
    with Lake(settings) as lake:
        lake.execute("create table t as select 1 as a")
        lake.execute("begin")
        lake.execute("insert into t values (2)")
    with Lake(settings) as lake:
        lake.execute("insert into t values (3)")
        assert fetched(lake, "select * from t order by 1") == [(1,), (3,)]


@pytest.mark.parametrize("begin", ["select 1", "begin"])
def test_after_a_fault_inside_duckdb_the_lake_goes_on(settings: Settings, begin: str) -> None:
    with Lake(settings) as lake:
        _meet_a_fault(lake, begin)


def _meet_a_fault(lake: Lake, begin: str) -> None:
    lake.execute("create table t as select 1 as a")
    lake.connection.execute("create table faulty (a time_ns)")  # behind the guard's back
    lake.execute(begin)
    with pytest.raises(StoreError, match=r"DuckDB failed inside itself.*opened anew"):
        lake.execute("insert into faulty select '10:00:00'::time_ns from range(50)")
    assert not lake.in_transaction
    assert fetched(lake, "select * from t") == [(1,)]
    lake.execute("insert into t values (2)")


def test_after_a_fault_while_unify_writes_the_next_transaction_works(settings: Settings) -> None:
    with Lake(settings) as lake:
        lake.connection.execute("create table faulty (a time_ns)")
        with pytest.raises(StoreError, match="TIME_NS"), lake.lock(), lake.writing() as connection:
            connection.execute("insert into faulty select '10:00:00'::time_ns from range(50)")
        with lake.writing() as connection:
            connection.execute("create table t as select 1 as a")
        assert fetched(lake, "select * from t") == [(1,)]


def test_the_ledger_is_not_written_by_hand(lake: Lake) -> None:
    with pytest.raises(QueryError, match="read it as unify"):
        lake.execute("delete from _unify.loads")


# Exactness


def test_sums_of_integers_are_stored_exactly(lake: Lake) -> None:
    lake.execute("create table n as select 9223372036854775807 as i from range(3)")
    lake.execute("create table total as select sum(i) as s, [sum(i)] as l, count(*) as n from n -- three")
    assert fetched(lake, "select * from total") == [(27670116110564327421, [27670116110564327421], 3)]
    assert catalog.columns(lake, TableName("main", "total"))[0] == Column("s", "DECIMAL(38,0)")


def test_more_digits_than_can_be_held_are_an_error(lake: Lake) -> None:
    with pytest.raises(QueryError, match="DECIMAL"):
        lake.execute("create table big as select 170141183460469231731687303715884105727 as i")


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("create table x (a hugeint)", "column a: the lake cannot hold HUGEINT exactly"),
        ("create table x (a uhugeint[])", "UHUGEINT"),
        ("create table x as select interval '1 microsecond' as a", "INTERVAL"),
        ("create table x as select '12:00:00+02'::timetz as a", "TIME WITH TIME ZONE"),
        ("create table x as select {'b': '10:00:00'::time_ns} as a", "TIME_NS"),
        ("alter table t add column b hugeint", "HUGEINT"),
        ("alter table lake.main.t alter column a type hugeint", "HUGEINT"),
    ],
)
def test_types_the_lake_cannot_hold_are_refused_and_nothing_changes(
    lake: Lake, sql: str, reason: str
) -> None:
    lake.execute("create table t as select 1::integer as a")
    with pytest.raises(QueryError, match=reason):
        lake.execute(sql)
    assert catalog.columns(lake, TableName("main", "t")) == (Column("a", "INTEGER"),)
    assert catalog.columns(lake, TableName("main", "x")) == ()
    lake.execute("create table y as select 1 as a")


def test_inside_a_transaction_such_a_table_ends_it(lake: Lake) -> None:
    lake.execute("begin")
    lake.execute("create table kept as select sum(1) as s")
    with pytest.raises(QueryError, match="the transaction was rolled back"):
        lake.execute("create table x (a hugeint)")
    assert not lake.in_transaction
    assert catalog.user_tables(lake) == ()


@pytest.mark.parametrize(
    "sql",
    [
        "create temp table x as select sum(1) as s",
        "create or replace temporary table x (a interval)",
        "create table memory.main.x (a hugeint)",
        "create table memory.x (a hugeint)",
    ],
)
def test_tables_outside_the_lake_may_have_any_type(lake: Lake, sql: str) -> None:
    assert lake.execute(sql).summary in ("created", "1 row written")
    lake.execute("create table x as select 1 as a")  # the lake's own of the same name is another one
    assert catalog.columns(lake, TableName("main", "x")) == (Column("a", "INTEGER"),)
    lake.execute(f"drop table {'memory.main' if 'memory' in sql else 'temp'}.x")


@pytest.mark.parametrize(
    "query",
    [
        "pivot (select 1 as a, 2 as b) on a using sum(b)",
        "(with q as (select 1 as x) select sum(x) as s from q)",
        "from (select sum(1) as s)",
        "select sum(1) as s, sum(2) as s",
        'select sum(1) as "a ""b""" with no data',
    ],
)
def test_every_form_of_create_table_as_is_exact(lake: Lake, query: str) -> None:
    lake.execute(f"create or replace table x as {query};")
    assert {column.type for column in catalog.columns(lake, TableName("main", "x"))} == {"DECIMAL(38,0)"}


def test_small_inserts_keep_every_character(lake: Lake) -> None:
    lake.execute("create table t (s struct(a varchar), l varchar[])")
    lake.execute("insert into t values ({'a': 'it''s \"so\", {x: 1}'}, ['a,b', '', NULL, '[x]'])")
    assert fetched(lake, "select * from t") == [({"a": 'it\'s "so", {x: 1}'}, ["a,b", "", None, "[x]"])]


# Listings


def test_listings_show_what_people_made_and_nothing_of_ours(lake: Lake) -> None:
    lake.execute("create schema notes")
    lake.execute("create table notes.words as select i from range(12) r(i)")
    lake.execute("delete from notes.words where i < 2")
    lake.execute("comment on table notes.words is 'what was said'")
    lake.execute("comment on column notes.words.i is 'its number'")
    lake.execute("create view notes.few as select * from notes.words limit 1")

    assert catalog.schemas(lake) == ("main", "notes")
    assert catalog.user_tables(lake) == (
        catalog.UserTable(TableName("notes", "few"), "view", None, ""),
        catalog.UserTable(TableName("notes", "words"), "table", 10, "what was said"),
    )
    words = (Column("i", "BIGINT", "its number"),)
    assert catalog.columns(lake, TableName("NOTES", "Words")) == words
    assert catalog.all_columns(lake)[TableName("notes", "words")] == words
    assert catalog.columns(lake, TableName("notes", "nothing")) == ()
    assert catalog.columns(lake, TableName("nowhere", "nothing")) == ()


def test_what_is_remembered_is_never_older_than_the_lake(lake: Lake) -> None:
    table = TableName("github", "pulls")
    with Lake(lake.settings) as other:
        for number in range(1, 8):
            record = LoadRecord(number, f"u{number}", "load", table, "success", rows_total=number,
                                finished_at=datetime(2026, 1, 8 - number, tzinfo=UTC))  # fmt: skip
            with other.writing() as connection:
                ledger.record(connection, record)
            assert catalog.stored_tables(lake)[table].rows_total == number
        assert ledger.find(lake, "u3") == LoadRecord(
            3, "u3", "load", table, "success", rows_total=3, finished_at=datetime(2026, 1, 5, tzinfo=UTC)
        )


def test_clearing_forgets_the_rows_and_keeps_the_history(lake: Lake) -> None:
    table = TableName("github", "pulls")
    with lake.writing() as connection:
        connection.execute("create schema lake.github")
        connection.execute("create table lake.github.pulls as select 1 as id")
        ledger.record(connection, LoadRecord(1, "u1", "load", table, "success", rows_total=1))

    assert catalog.clear(lake, table) is True
    assert catalog.clear(lake, table) is False
    assert catalog.stored_tables(lake) == {}
    assert fetched(lake, "select action, rows_deleted from unify.loads") == [("load", 0), ("clear", 1)]


def test_snapshots_of_state_are_tables_of_the_schema_unify(lake: Lake) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    columns = [
        ("job", "BIGINT"),
        ("table", "VARCHAR"),
        ("moment", "TIMESTAMP WITH TIME ZONE"),
        ("share", "DOUBLE"),
        ("live", "BOOLEAN"),
    ]
    lake.execute("begin")
    lake.execute("create table t as select 1 as a")
    lake.snapshot_table("jobs", columns, [(2**53 + 1, 'a "b"\n', moment, 0.1, True), (None,) * 5])
    lake.snapshot_table("jobs", columns, [(2**53 + 1, 'a "b"\n', moment, 0.1, True), (None,) * 5])
    rows = fetched(lake, 'select job, "table", epoch_us(moment), share, live from unify.jobs')
    lake.execute("commit")
    assert rows == [(2**53 + 1, 'a "b"\n', int(moment.timestamp() * 1_000_000), 0.1, True), (None,) * 5]


# Writers beside readers


def test_writers_in_several_processes_lose_nothing_while_readers_read(settings: Settings) -> None:
    code = """
import sys
from pathlib import Path
from tests.stores import settings_in
from unify.store.lake import Lake
with Lake(settings_in(Path(sys.argv[1]))) as lake:
    for i in range(8):
        lake.execute(f"insert into t select {sys.argv[2]}, i from range(100) r(i)")
"""
    torn = []
    with Lake(settings) as lake:
        lake.execute("create table t (who integer, i integer)")
        stop = threading.Event()

        def read() -> None:
            with Lake(settings, read_only=True) as reader:
                while not stop.wait(0.005):
                    [(count,)] = reader.read("select count(*) from t")
                    if count % 100:
                        torn.append(count)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            with ThreadPoolExecutor(4) as pool:
                done = list(pool.map(lambda n: run(code, settings.home, n), range(4)))
        finally:
            stop.set()
            reader.join()
        assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * 4
        assert fetched(lake, "select who, count(*) from t group by who order by who") == [
            (who, 800) for who in range(4)
        ]
    assert torn == []


# Locks


def test_a_lock_names_its_holder_when_the_wait_is_over(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "lock", "a test"), FileLock(tmp_path / "lock")
    with one.holding():
        assert other.holder() == f"process {os.getpid()} (a test)"
        with pytest.raises(StoreError, match=rf"still held by process {os.getpid()} \(a test\) after 0.05 s"):
            other.acquire(timeout_s=0.05)


def test_a_free_lock_has_no_holder(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "lock", "a test"), FileLock(tmp_path / "lock")
    assert other.holder() == ""
    with one.holding():
        pass
    assert other.holder() == ""


def test_a_waiter_gets_the_lock_as_soon_as_it_is_free(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    one.acquire()
    got = threading.Event()

    def wait() -> None:
        with other.holding(timeout_s=30):
            got.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert not got.wait(0.05)
    one.release()
    waiter.join(5)
    assert got.is_set()


def test_a_waiter_that_gave_up_does_not_keep_the_lock(tmp_path: Path) -> None:
    one, other, third = (FileLock(tmp_path / "lock") for _ in range(3))
    with one.holding(), pytest.raises(StoreError):
        other.acquire(timeout_s=0.02)
    with third.holding(timeout_s=5):
        assert third.held


def test_a_lock_is_reentrant_and_not_inherited_by_children(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    with lock.holding():
        with lock.holding():
            child = subprocess.Popen(
                [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, close_fds=False
            )
        assert lock.held
    try:
        with other.holding(timeout_s=5):  # the kernel closes the child's copy a moment after exec
            assert child.poll() is None
    finally:
        child.communicate()
