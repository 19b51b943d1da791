"""The lake: created once, opened by many processes, written by one at a time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.paths import CHECKOUT
from tests.support.stores import fetch_rows, settings_for_home
from unify.config.settings import Settings
from unify.engine import connection as engine_connection
from unify.errors import QueryError, StoreError
from unify.lake import catalog
from unify.lake.lake import Lake
from unify.lake.protocols import METADATA


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python code as a process in the checkout."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=CHECKOUT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )


# Opening


def test_a_table_created_in_one_shell_is_visible_in_another(settings: Settings) -> None:
    with Lake(settings) as one, Lake(settings) as other:
        one.execute("create table words as select 'lark' as word")
        assert fetch_rows(other, "select * from words") == [("lark",)]
        assert fetch_rows(other, "select * from main.words") == [("lark",)]


@pytest.mark.process
@pytest.mark.parametrize("shells", [8, pytest.param(20, marks=pytest.mark.slow)])
def test_shells_started_concurrently_in_a_new_home_share_one_lake(tmp_path: Path, shells: int) -> None:
    settings = settings_for_home(tmp_path / "home")
    code = """
import sys
from pathlib import Path
from tests.support.stores import settings_for_home
from unify.lake.lake import Lake
with Lake(settings_for_home(Path(sys.argv[1]))) as lake:
    lake.execute(f"create table t{sys.argv[2]} as select 1 as a")
"""
    with ThreadPoolExecutor(shells) as pool:
        done = list(pool.map(lambda n: run(code, settings.home, n), range(shells)))

    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * shells
    with Lake(settings) as lake:
        assert len(catalog.user_tables(lake)) == shells


def test_an_incomplete_lake_of_a_killed_process_is_completed(tmp_path: Path) -> None:
    settings = settings_for_home(tmp_path / "home")
    settings.create_folders()
    (settings.lake / "catalog.sqlite").touch(0o600)
    with Lake(settings) as lake:
        assert catalog.stored_tables(lake) == {}


def test_the_home_can_be_moved(settings: Settings, tmp_path: Path) -> None:
    with Lake(settings) as lake:
        lake.execute("create table t as select i from range(1000) r(i)")
    settings.home.rename(tmp_path / "moved")
    with Lake(settings_for_home(tmp_path / "moved")) as lake:
        assert fetch_rows(lake, "select sum(i)::int from t") == [(499500,)]


def test_files_and_folders_are_private_under_any_umask(tmp_path: Path) -> None:
    settings = settings_for_home(tmp_path / "home")
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


def test_the_commit_of_a_load_creates_no_tables_of_inlined_rows(lake: Lake) -> None:
    rows = lake.read(
        f"select t.table_name from {METADATA}.ducklake_inlined_data_tables "
        f"join {METADATA}.ducklake_table as t using (table_id)"
    )
    assert {"loads", "table_layouts"} <= {row[0] for row in rows}


def test_tables_of_a_new_lake_are_empty_and_have_statistics(lake: Lake) -> None:
    """Without statistics each query of a table reads them twice for each column."""
    names = ["discarded", "loads", "table_layouts", "widened"]
    with_statistics = lake.read(
        f"select t.table_name from {METADATA}.ducklake_table_stats "
        f"join {METADATA}.ducklake_table as t using (table_id) order by all"
    )
    assert [name for (name,) in with_statistics] == names
    for name in names:
        assert lake.read(f"select count(*) from lake._unify.{name}") == [(0,)]


def test_a_lake_that_is_completed_again_keeps_its_rows(settings: Settings) -> None:
    with Lake(settings) as lake, lake.write_transaction() as connection:
        connection.execute("insert into lake._unify.loads (position, uid, connection) values (1, 'u', 'c')")
    (settings.lake / "ready").unlink()
    with Lake(settings) as lake:
        assert lake.read("select uid from lake._unify.loads") == [("u",)]


def test_a_lake_of_a_newer_version_is_refused(settings: Settings) -> None:
    with Lake(settings):
        pass
    (settings.lake / "ready").write_text("999\n")
    with pytest.raises(StoreError, match="newer version of Unify"):
        Lake(settings)


def test_a_damaged_catalog_is_named_with_a_remedy(settings: Settings) -> None:
    with Lake(settings):
        pass
    catalog_file = settings.lake / "catalog.sqlite"
    catalog_file.write_bytes(b"this is no database at all" * 1000)
    with pytest.raises(StoreError, match="damaged") as caught:
        Lake(settings)
    assert str(settings.lake) in caught.value.message


@pytest.mark.process
def test_duckdb_prints_no_progress_bar_in_a_program(settings: Settings) -> None:
    """Workers are started as ``python -c``, which DuckDB takes for an interactive session."""
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from unify.config.settings import Settings\nfrom unify.lake.lake import Lake\n"
        "home = Path(sys.argv[1])\nwith Lake(Settings(home, home / 'connections.yaml')) as lake:\n"
        "    for connection in (lake.connection, lake.cursor()):\n"
        "        print(connection.execute(\"SELECT current_setting('enable_progress_bar')\").fetchone())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(settings.home)], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("(False,)\n(False,)\n", "")


def test_an_extension_from_outside_a_wheel_has_to_be_signed(lake: Lake, tmp_path: Path) -> None:
    import duckdb

    ours = engine_connection.extension_path("sqlite_scanner", duckdb.__version__)
    assert ours is not None
    forged = tmp_path / "forged.duckdb_extension"
    forged.write_bytes(ours.read_bytes()[:-1] + b"\0")  # the signature is at the end
    with pytest.raises(QueryError, match="signature"):
        lake.execute(f"load '{forged}'")
    with pytest.raises(QueryError, match="allow_unsigned_extensions"):
        lake.execute("set allow_unsigned_extensions = true")


def test_an_extension_without_its_wheel_is_named() -> None:
    import duckdb

    messages: list[str] = []
    with (
        duckdb.connect(
            config={"custom_extension_repository": "/nowhere", "extension_directory": "/nowhere"}
        ) as c,
        pytest.raises(StoreError, match="install the package duckdb-extension-ducklake=="),
    ):
        engine_connection.load_extension(c, "ducklake", None, messages.append)
    assert "no package has" in messages[0]


def test_reading_at_a_time_before_the_first_version_is_an_error(lake: Lake) -> None:
    lake.execute("create table t as select 1 as a")
    with pytest.raises(QueryError, match=r"no version of 2001-02-03 04:05:06 \(UTC\): nothing was stored"):
        lake.execute("from t at (timestamp => timestamptz '2001-02-03 04:05:06+00')")


def test_errors_of_unsupported_features_contain_no_class_names(lake: Lake) -> None:
    with pytest.raises(QueryError, match=r"^DuckLake does not support sequences"):
        lake.execute("create sequence numbers")


def test_a_select_fetched_as_text_runs_once(lake: Lake) -> None:
    lake.execute("create temp sequence turns")
    moment = "timestamptz '2026-01-31 08:30:00+00'"  # a type whose values have to be fetched as text
    assert len(fetch_rows(lake, f"select nextval('turns'), {moment}")) == 1
    assert fetch_rows(lake, f"select nextval('turns') as turn, max({moment}) is null group by 1") == [
        (2, False)
    ]
    assert fetch_rows(lake, f"select max({moment}), $1 as given", [7])[0][1] == 7


def test_python_variables_are_not_tables(lake: Lake) -> None:
    settings_rows = [{"a": 1}]
    with pytest.raises(QueryError, match="settings_rows"):
        lake.execute("select * from settings_rows")
    assert settings_rows


# Reading only


def test_a_lake_opened_for_reading_reads_and_refuses_to_write(settings: Settings) -> None:
    with Lake(settings) as lake:
        lake.execute("create table t as select 1 as a")
    with Lake(settings, read_only=True) as reader:
        assert fetch_rows(reader, "select * from t") == [(1,)]
        with pytest.raises(StoreError, match="cannot be written: it is open read-only"):
            reader.execute("insert into t values (2)")
        reader.execute("begin")
        assert fetch_rows(reader, "select * from t") == [(1,)]
        reader.execute("commit")


@pytest.mark.process
def test_stored_tables_stay_readable_in_a_read_only_home() -> None:
    """In a folder outside of pytest's, which the other user cannot enter if the test runs as root."""
    with tempfile.TemporaryDirectory(prefix="unify-read-only-") as name:
        folder = Path(name)
        settings = settings_for_home(folder / "home")
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
        f"{settings.lake}: cannot be written: this user has no permission to write to the folder",
    ]


NOBODY = 65534
_READ_ONLY_SHELL = f"""
import os, sys, tempfile
from pathlib import Path
from tests.support.stores import fetch_rows, settings_for_home
from unify.errors import UnifyError
from unify.lake.lake import Lake

with tempfile.TemporaryDirectory() as folder, Lake(settings_for_home(Path(folder) / "home")) as lake:
    fetch_rows(lake, "select 1")  # imports happen while the files are readable
if os.getuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
with Lake(settings_for_home(Path(sys.argv[1]))) as lake:
    print(lake.read_only, fetch_rows(lake, "select count(*) from t"))
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
from tests.support.stores import fetch_rows, settings_for_home
from unify.errors import UnifyError
from unify.model import Action, ConfigPaths, TableName
from unify.lake.lake import Lake
from unify.queue.rows import NewJob
from unify.queue.queue import Queue

settings = settings_for_home(Path(sys.argv[1]) / "home")

def print_error(step):
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

def enqueue_jobs():
    with Queue(settings.queue) as queue:
        for number in range(100_000):
            table = TableName("github", f"t{number}")
            queue.enqueue(NewJob("default", Action.LOAD, table, ConfigPaths("/c")))

with Lake(settings) as lake:
    lake.execute("create table small as select i from range(100) r(i)")
    big = "create table big as select md5(i::varchar) as m from range(200_000) r(i)"
    print_error(lambda: lake.execute(big))
    lake.execute("create table after_it as select 1 as a")
    print_error(fill)
    print_error(enqueue_jobs)
    print(fetch_rows(lake, "select count(*) from small"))
    print_error(lambda: lake.execute("insert into small values (1)"))
    (settings.home / "ballast").unlink()
    lake.execute("insert into small values (1)")
    print(fetch_rows(lake, "select count(*) from small"))
"""


@pytest.mark.process
@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None, reason="mounting a disk needs root and unshare"
)
def test_on_a_full_disk_writers_get_an_error_with_the_path_and_readers_read(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=2m tmpfs "$0" && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, tmp_path, sys.executable, "-c", _FULL_DISK_SHELL, tmp_path],
        cwd=CHECKOUT,
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
        assert line.startswith(
            f"StoreError: {tmp_path}/home/{place}: the disk is full or failing; free space"
        )
    nothing = f"StoreError: {tmp_path}/home/lake: cannot be written: the disk is full"
    assert lines[3:] == ["[(100,)]", nothing, "[(101,)]"]


# Statements


# Exactness


# Listings


# Writers beside readers


def test_writers_in_several_processes_lose_nothing_while_readers_read(settings: Settings) -> None:
    code = """
import sys
from pathlib import Path
from tests.support.stores import settings_for_home
from unify.lake.lake import Lake
with Lake(settings_for_home(Path(sys.argv[1]))) as lake:
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
                    [(count,)] = reader.read("select count(*) from lake.main.t")
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
        assert fetch_rows(lake, "select who, count(*) from t group by who order by who") == [
            (who, 800) for who in range(4)
        ]
    assert torn == []


# Locks
