"""Publishing: rows, cursor and ledger in one transaction, once, whatever dies on the way."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pytest

from tests.stores import NOON, PULLS, emptied, fetched, fresh_home, job_for, stage
from unify.errors import ConfigError, LoadFailed, StoreError
from unify.loading.evolution import common
from unify.loading.publish import publish
from unify.model import Action, Column, LoaderJob, LoadRecord, TableName
from unify.settings import Settings
from unify.store import catalog, ledger, staging
from unify.store.failpoints import FailpointHit
from unify.store.lake import Lake
from unify.store.staging import Manifest, Staged, Staging

KEYED = {"id": "BIGINT", "title": "VARCHAR"}
FAILPOINTS = (
    "publish.locked",
    "publish.fenced",
    "publish.schema",
    "publish.rows",
    "publish.described",
    "publish.recorded",
    "publish.before_commit",
    "publish.committed",
)


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


def put(lake: Lake, job: LoaderJob, staged: Staged) -> LoadRecord:
    record = publish(lake, job, staged, still_ours=lambda: True, now=NOON)
    assert record is not None
    return record


def load(
    lake: Lake, columns: dict[str, str], rows: list[tuple[object, ...]], **manifest: object
) -> LoadRecord:
    job = job_for(action=Action.LOAD)
    return put(lake, job, stage(lake.settings, job, columns, rows, **manifest))


def refresh(
    lake: Lake, columns: dict[str, str], rows: list[tuple[object, ...]], **manifest: object
) -> LoadRecord:
    job = job_for(action=Action.REFRESH)
    return put(lake, job, stage(lake.settings, job, columns, rows, **manifest))


def pulls(lake: Lake) -> list[tuple[object, ...]]:
    return fetched(lake, "select * from github.pulls order by all")


def test_a_published_load_is_a_table_with_its_cursor_in_the_ledger(lake: Lake) -> None:
    record = load(lake, KEYED, [(1, "one"), (2, "two")], key=("id",), cursors={"": "2026-02-01"}, requests=3)

    assert pulls(lake) == [(1, "one"), (2, "two")]
    assert (record.rows_inserted, record.rows_total, record.status) == (2, 2, "success")
    stored = catalog.stored_tables(lake)[PULLS]
    assert (stored.rows_total, stored.cursor, stored.loaded_at) == (2, {"": "2026-02-01"}, NOON)
    assert fetched(lake, 'select connection, "table", requests, cursor from unify.loads') == [
        ("github", "pulls", 3, '{"":"2026-02-01"}')
    ]


@pytest.mark.parametrize("name", ["csv", "parquet", "json"])
def test_a_table_may_be_named_like_a_kind_of_file(lake: Lake, name: str) -> None:
    table = TableName("github", name)
    for _ in range(2):
        job = job_for(table)
        put(lake, job, stage(lake.settings, job, KEYED, [(1, "one")], key=("id",)))
    assert fetched(lake, f"select * from github.{name}") == [(1, "one")]
    assert [column.name for column in catalog.columns(lake, table)] == ["id", "title"]


def test_a_load_is_published_once_however_often_it_is_tried(lake: Lake) -> None:
    job = job_for(action=Action.REFRESH)
    load(lake, KEYED, [(1, "one")])
    staged = stage(lake.settings, job, KEYED, [(2, "two")], strategy="append")

    first = put(lake, job, staged)
    again = put(lake, job, staged)

    assert again == first
    assert pulls(lake) == [(1, "one"), (2, "two")]


def test_an_attempt_that_is_not_the_jobs_any_more_writes_nothing(lake: Lake) -> None:
    job = job_for()
    staged = stage(lake.settings, job, KEYED, [(1, "one")])

    assert publish(lake, job, staged, still_ours=lambda: False) is None
    assert catalog.stored_tables(lake) == {}


def test_an_attempt_overtaken_while_it_publishes_is_rolled_back(lake: Lake) -> None:
    job = job_for()
    staged = stage(lake.settings, job, KEYED, [(1, "one")])
    answers = iter([True, False])

    with pytest.raises(StoreError, match="taken over"):
        publish(lake, job, staged, still_ours=lambda: next(answers))

    assert catalog.stored_tables(lake) == {}
    assert catalog.columns(lake, PULLS) == ()


def test_reload_swaps_the_rows_and_counts_them(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one"), (2, "two")], cursors={"a": "1", "b": "2"})
    job = job_for(action=Action.RELOAD)

    record = put(lake, job, stage(lake.settings, job, KEYED, [(3, "three")], cursors={"a": "9"}))

    assert pulls(lake) == [(3, "three")]
    assert (record.rows_inserted, record.rows_deleted, record.rows_total) == (1, 2, 1)
    assert record.cursor == {"a": "9"}


def test_a_reload_with_the_same_columns_leaves_the_tables_place_in_the_catalog(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one"), (2, "two")], description="requests to pull")
    first = schema_version(lake)

    load(lake, KEYED, [(3, "three")], description="requests to pull")

    assert pulls(lake) == [(3, "three")]
    assert schema_version(lake) == first
    assert catalog.comment_within(lake.connection, PULLS) == "requests to pull"
    load(lake, {**KEYED, "state": "VARCHAR"}, [(4, "four", "open")])
    assert pulls(lake) == [(4, "four", "open")]
    assert schema_version(lake) > first


def test_a_reload_of_very_many_rows_makes_the_table_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unify.loading.publish.EMPTIED_ROWS", 1)
    load(lake, KEYED, [(1, "one"), (2, "two")])
    first = schema_version(lake)

    load(lake, KEYED, [(3, "three")])

    assert pulls(lake) == [(3, "three")]
    assert schema_version(lake) > first


def schema_version(lake: Lake) -> int:
    ((version,),) = lake.read("SELECT max(schema_version) FROM ducklake_snapshots('lake')")
    return int(version)


def test_merge_updates_what_differs_inserts_what_is_new_and_keeps_the_rest(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one"), (2, "two"), (3, "three")], key=("id",), cursors={"a": "1", "b": "2"})

    record = refresh(
        lake,
        KEYED,
        [(2, "zwei"), (3, "three"), (4, "four")],
        key=("id",),
        strategy="merge",
        cursors={"b": "3"},
    )

    assert pulls(lake) == [(1, "one"), (2, "zwei"), (3, "three"), (4, "four")]
    assert (record.rows_inserted, record.rows_updated, record.rows_deleted) == (1, 1, 0)
    assert (record.rows_written, record.rows_total) == (2, 4)
    assert record.cursor == {"a": "1", "b": "3"}


def test_merge_delete_drops_keys_no_longer_seen_unless_the_load_is_incomplete(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one"), (2, "two")], key=("id",))

    incomplete = refresh(lake, KEYED, [(2, "two")], key=("id",), strategy="merge_delete", complete=False)
    assert (incomplete.rows_deleted, incomplete.rows_total) == (0, 2)

    complete = refresh(lake, KEYED, [(2, "two")], key=("id",), strategy="merge_delete")
    assert (complete.rows_deleted, complete.rows_total) == (1, 1)
    assert pulls(lake) == [(2, "two")]


def test_append_adds_rows_and_with_a_key_only_those_not_stored(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one")], key=("id",))

    record = refresh(lake, KEYED, [(1, "one"), (2, "two")], key=("id",), strategy="append")
    assert (record.rows_inserted, record.rows_total) == (1, 2)

    refresh(lake, KEYED, [(2, "two")], strategy="append")
    assert pulls(lake) == [(1, "one"), (2, "two"), (2, "two")]


def test_of_rows_that_come_twice_the_youngest_by_cursor_is_kept(lake: Lake) -> None:
    columns = {"id": "BIGINT", "at": "VARCHAR"}
    job = job_for()
    staged = stage(
        lake.settings,
        job,
        columns,
        [(1, "2026-01-03"), (2, "2026-01-01")],
        [(1, "2026-01-02"), (3, "2026-01-01")],
        key=("id",),
        cursor_column="at",
    )

    record = put(lake, job, staged)

    assert pulls(lake) == [(1, "2026-01-03"), (2, "2026-01-01"), (3, "2026-01-01")]
    assert record.rows_total == 3
    assert "1 row came twice" in record.reason


def test_without_a_cursor_the_row_that_came_last_is_kept(lake: Lake) -> None:
    job = job_for()
    staged = stage(lake.settings, job, KEYED, [(1, "old"), (1, "newer")], [(1, "newest")], key=("id",))

    record = put(lake, job, staged)

    assert pulls(lake) == [(1, "newest")]
    assert "2 rows came twice" in record.reason


def test_rows_without_a_key_are_kept_and_not_doubled_by_a_refresh(lake: Lake) -> None:
    load(lake, KEYED, [(None, "a"), (None, "b"), (1, "one")], key=("id",))
    assert len(pulls(lake)) == 3

    record = refresh(lake, KEYED, [(None, "a"), (None, "c")], key=("id",), strategy="merge")

    assert record.rows_total == 4
    assert pulls(lake) == [(1, "one"), (None, "a"), (None, "b"), (None, "c")]


def test_parts_of_a_key_may_be_null(lake: Lake) -> None:
    columns = {"repo": "VARCHAR", "id": "BIGINT", "title": "VARCHAR"}
    load(lake, columns, [("a", None, "x"), ("a", 1, "y")], key=("repo", "id"))

    refresh(lake, columns, [("a", None, "z")], key=("repo", "id"), strategy="merge")

    assert pulls(lake) == [("a", 1, "y"), ("a", None, "z")]


def test_a_refresh_of_a_table_never_stored_stores_it(lake: Lake) -> None:
    record = refresh(lake, KEYED, [(1, "one")], key=("id",), strategy="merge")
    assert record.rows_inserted == 1
    assert pulls(lake) == [(1, "one")]


def test_merge_without_a_key_is_an_error_that_leaves_the_table(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one")])
    with pytest.raises(ConfigError, match="needs a key"):
        refresh(lake, KEYED, [(2, "two")], strategy="merge")
    assert pulls(lake) == [(1, "one")]


def test_a_key_the_rows_do_not_have_is_an_error_naming_it(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="its key number is no column of the rows"):
        load(lake, KEYED, [(1, "one")], key=("number",))


def test_new_columns_appear_and_vanished_ones_stay_with_null(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one")], key=("id",))

    record = refresh(
        lake, {"ID": "BIGINT", "labels": "VARCHAR[]"}, [(2, ["a"])], key=("ID",), strategy="merge"
    )

    assert pulls(lake) == [(1, "one", None), (2, None, ["a"])]
    assert record.reason == "new: labels"


def test_a_merge_leaves_columns_alone_that_the_load_does_not_have(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one")], key=("id",))
    refresh(lake, {"id": "BIGINT", "state": "VARCHAR"}, [(1, "open")], key=("id",), strategy="merge")
    assert pulls(lake) == [(1, "one", "open")]


def test_a_reload_keeps_vanished_columns_too(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one")])
    job = job_for(action=Action.RELOAD)
    put(lake, job, stage(lake.settings, job, {"id": "BIGINT"}, [(2,)]))
    assert pulls(lake) == [(2, None)]


@pytest.mark.parametrize(
    ("stored", "value", "found", "new", "kind", "kept"),
    [
        ("BIGINT", 9007199254740993, "VARCHAR", "x", "VARCHAR", "9007199254740993"),
        ("BIGINT", 9007199254740993, "DOUBLE", 1.5, "VARCHAR", "9007199254740993"),
        ("BIGINT", 3, "DOUBLE", 1.5, "DOUBLE", 3.0),
        ("DOUBLE", 0.1, "BIGINT", 2**53 + 1, "VARCHAR", "0.1"),
        ("BIGINT", 7, "DECIMAL(38,0)", 10**30, "DECIMAL(38,0)", 7),
        ("BOOLEAN", True, "VARCHAR", "x", "VARCHAR", "true"),
        ("BIGINT", 7, "JSON", '{"a":1}', "JSON", "7"),
        ("VARCHAR", 'a"b', "JSON", '{"a":1}', "JSON", '"a\\"b"'),
        ("VARCHAR", None, "BIGINT", 5, "BIGINT", None),
        ("DATE", "2026-01-02", "TIMESTAMP", "2026-01-02 03:04:05", "VARCHAR", "2026-01-02"),
        ("TIMESTAMP WITH TIME ZONE", "2026-01-02 03:04:05.25+02", "VARCHAR", "x",
         "VARCHAR", "2026-01-02T01:04:05.25Z"),
        ("TIMESTAMP", "2026-01-02 03:04:05", "VARCHAR", "x", "VARCHAR", "2026-01-02T03:04:05"),
        ("BIGINT[]", [1, 2], "VARCHAR[]", ["x"], "VARCHAR[]", ["1", "2"]),
        ("STRUCT(a BIGINT)", {"a": 1}, "STRUCT(a BIGINT, b VARCHAR)", {"a": 2, "b": "x"},
         'STRUCT(a BIGINT, b VARCHAR)', {"a": 1, "b": None}),
        ("STRUCT(a BIGINT)", {"a": 1}, "VARCHAR", "x", "JSON", '{"a":1}'),
        ("STRUCT(a BIGINT)[]", [{"a": 1}], "STRUCT(a VARCHAR)[]", [{"a": "x"}],
         "STRUCT(a VARCHAR)[]", [{"a": "1"}]),
    ],
)  # fmt: skip
def test_a_column_of_another_type_is_widened_with_every_value_kept(
    lake: Lake, stored: str, value: object, found: str, new: object, kind: str, kept: object
) -> None:
    load(lake, {"id": "BIGINT", "v": stored}, [(1, value)], key=("id",))

    refresh(lake, {"id": "BIGINT", "v": found}, [(2, new)], key=("id",), strategy="merge")

    [_, column] = catalog.columns(lake, PULLS)
    assert column.type.replace('"', "") == kind
    assert fetched(lake, "select v from github.pulls where id = 1") == [(kept,)]
    assert fetched(lake, "select count(*), count(distinct id) from github.pulls") == [(2, 2)]


def test_widening_is_told_in_the_ledger(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one")], key=("id",))
    record = refresh(lake, {"id": "VARCHAR"}, [("x",)], key=("id",), strategy="merge")
    assert record.reason == "id is VARCHAR now (was BIGINT)"
    assert pulls(lake) == [("1", "one"), ("x", None)]


def test_a_type_the_spec_declares_wins_on_a_reload(lake: Lake) -> None:
    load(lake, {"v": "VARCHAR"}, [("1.50",)])
    job = job_for(action=Action.RELOAD)
    put(lake, job, stage(lake.settings, job, {"v": "DECIMAL(5,2)"}, [(1.5,)], declared=("v",)))
    assert catalog.columns(lake, PULLS) == (Column("v", "DECIMAL(5,2)"),)


def test_a_load_without_rows_is_an_empty_table_that_takes_any_columns_later(lake: Lake) -> None:
    job = job_for()
    empty = staging.seal(Staging(lake.settings.staging).begin(job), Manifest(files=(), columns=(), rows=0))
    record = put(lake, job, empty)
    assert (record.rows_total, record.status) == (0, "success")
    assert pulls(lake) == []

    refresh(lake, KEYED, [(1, "one")], key=("id",), strategy="merge")
    assert [column.name for column in catalog.columns(lake, PULLS)] == ["id", "title"]


def test_descriptions_become_comments(lake: Lake) -> None:
    described = (Column("id", "BIGINT", "who it is"), Column("title", "VARCHAR"))
    job = job_for()
    whole = Manifest(files=(), columns=described, rows=0, description="It's the pulls")
    put(lake, job, staging.seal(Staging(lake.settings.staging).begin(job), whole))

    assert catalog.columns(lake, PULLS) == described
    assert fetched(lake, "select comment from duckdb_tables() where table_name = 'pulls'") == [
        ("It's the pulls",)
    ]


def test_a_load_never_replaces_a_table_that_somebody_made(lake: Lake) -> None:
    lake.execute("create schema github")
    lake.execute("create table github.pulls as select 'mine' as a")
    with pytest.raises(StoreError, match="there is a table of this name that no load made"):
        load(lake, KEYED, [(1, "one")])
    assert pulls(lake) == [("mine",)]


def test_a_refresh_of_a_table_cleared_meanwhile_does_not_pass_for_the_whole(lake: Lake) -> None:
    first = load(lake, KEYED, [(1, "one")], key=("id",), cursors={"": "1"})
    catalog.clear(lake, PULLS, NOON)
    with pytest.raises(LoadFailed, match="cleared while"):
        refresh(lake, KEYED, [(2, "two")], key=("id",), strategy="merge", based_on=first.uid)
    assert catalog.stored_tables(lake) == {}


def test_a_load_that_dropped_rows_says_partial(lake: Lake) -> None:
    record = load(lake, KEYED, [(1, "one")], discarded=2)
    assert record.status == "partial"
    assert "2 rows with values that do not fit" in record.reason


def test_rows_that_could_not_be_stored_are_kept_until_the_table_is_made_anew(lake: Lake) -> None:
    job = job_for()
    folder = Staging(lake.settings.staging).begin(job)
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT '' AS scope, 'price' AS \"column\", 'dear' AS \"value\", 'no DECIMAL' AS reason, "
            f"'{{}}' AS \"row\") TO '{folder / 'discarded.parquet'}' (FORMAT parquet)"
        )
    columns = (Column("id", "BIGINT"),)
    manifest = Manifest(files=(), columns=columns, rows=0, discarded=1, discarded_file="discarded.parquet")
    put(lake, job, staging.seal(folder, manifest))
    sql = 'select connection, "table", "column", "value", reason, "row" from unify.discarded'
    assert fetched(lake, sql) == [("github", "pulls", "price", "dear", "no DECIMAL", "{}")]

    load(lake, KEYED, [(1, "one")])
    assert fetched(lake, sql) == []


def test_merge_delete_never_drops_rows_after_a_load_that_could_not_store_some(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one"), (2, "two")], key=("id",))
    record = refresh(lake, KEYED, [(2, "two")], key=("id",), strategy="merge_delete", discarded=1)
    assert record.rows_total == 2


def test_names_that_need_quotes_are_names(lake: Lake) -> None:
    odd = TableName('my "odd" connection', "select")
    job = job_for(odd)
    put(
        lake,
        job,
        stage(lake.settings, job, {'a "b"': "BIGINT", "from": "VARCHAR"}, [(1, "x")], key=('a "b"',)),
    )
    assert fetched(lake, 'select * from "my ""odd"" connection"."select"') == [(1, "x")]


def test_history_is_there_after_a_reload(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one")])
    [(version,)] = fetched(lake, "select max(snapshot_id) from lake.snapshots()")
    job = job_for(action=Action.RELOAD)
    put(lake, job, stage(lake.settings, job, KEYED, [(2, "two")]))
    assert fetched(lake, f"select id from github.pulls at (version => {version})") == [(1,)]


@pytest.mark.parametrize("place", FAILPOINTS)
def test_an_error_at_any_step_leaves_the_old_rows_or_the_new(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    load(lake, KEYED, [(1, "one")], key=("id",))
    job = job_for(action=Action.REFRESH)
    staged = stage(
        lake.settings, job, {**KEYED, "n": "BIGINT"}, [(2, "two", 2)], key=("id",), strategy="merge"
    )

    monkeypatch.setenv("UNIFY_FAILPOINT", f"{place}:raise")
    with pytest.raises(FailpointHit):
        put(lake, job, staged)
    monkeypatch.delenv("UNIFY_FAILPOINT")

    published = ledger.find(lake, job.uid) is not None
    assert published == (place == "publish.committed")
    assert len(pulls(lake)) == (2 if published else 1)
    put(lake, job, staged)
    assert pulls(lake) == [(1, "one", None), (2, "two", 2)]


def test_an_error_in_the_middle_of_a_reload_leaves_the_old_rows(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(lake, KEYED, [(1, "one")], key=("id",))
    job = job_for(action=Action.RELOAD)
    staged = stage(lake.settings, job, KEYED, [(2, "two")], key=("id",))

    for place in ("publish.emptied", "publish.linked"):
        monkeypatch.setenv("UNIFY_FAILPOINT", f"{place}:raise")
        with pytest.raises(FailpointHit):
            put(lake, job, staged)
        assert pulls(lake) == [(1, "one")]
    monkeypatch.delenv("UNIFY_FAILPOINT")

    put(lake, job, staged)
    assert pulls(lake) == [(2, "two")]


# Processes that die

_PUBLISHER = """
import sys
from pathlib import Path
from tests.stores import job_for, settings_in
from unify.loading.publish import publish
from unify.model import Action
from unify.store.lake import Lake
from unify.store.staging import Staging

home, uid, action = sys.argv[1:]
settings = settings_in(Path(home))
job = job_for(action=Action(action), uid=uid)
with Lake(settings) as lake:
    print("ready", flush=True)
    publish(lake, job, Staging(settings.staging).sealed(job), still_ours=lambda: True)
"""


def start_publisher(settings: Settings, job: LoaderJob, failpoint: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _PUBLISHER, str(settings.home), job.uid, job.action.value],
        cwd=Path(__file__).parent.parent,
        env={"PATH": "/usr/bin:/bin", "UNIFY_FAILPOINT": failpoint},
        stdout=subprocess.PIPE,
        text=True,
    )


class Reader:
    """Looks at the table all the time on a lake of its own; keeps every (count, distinct, versions) seen."""

    def __init__(self, settings: Settings) -> None:
        self.seen: set[tuple[object, ...]] = set()
        self.errors: list[Exception] = []
        self._stop = threading.Event()
        self._settings = settings
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        sql = "select count(*), count(distinct id), min(version), max(version) from github.pulls"
        with Lake(self._settings, read_only=True) as lake:
            while not self._stop.wait(0.02):
                try:
                    self.seen.update(lake.read(sql))
                except StoreError as error:
                    self.errors.append(error)


STRATEGIES = ("reload", "append", "merge")


def kill_rounds(settings: Settings, rounds: int, seed: int, places: tuple[str, ...]) -> None:
    """Kill a publisher at a failpoint or a random moment, publish again, and look at what readers saw."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    columns = {"id": "BIGINT", "version": "BIGINT"}
    size = 2000
    with Lake(settings) as lake:
        load(lake, columns, [(i, 0) for i in range(size)], key=("id",))
        allowed: set[tuple[object, ...]] = {(size, size, 0, 0)}
        total, low = size, 0
        with Reader(settings) as reader:
            for version in range(1, rounds + 1):
                strategy = STRATEGIES[version % 3]
                action = Action.RELOAD if strategy == "reload" else Action.REFRESH
                job = job_for(action=action)
                if strategy == "append":
                    rows: list[tuple[object, ...]] = [(total + i, version) for i in range(100)]
                    total += 100
                else:
                    rows = [(i, version) for i in range(total)]
                    low = version
                stage(settings, job, columns, rows, key=("id",), strategy=strategy)
                allowed.add((total, total, low, version))
                place = f"{rng.choice(places)}:kill" if places else ""
                _kill(start_publisher(settings, job, place), None if places else rng.uniform(0, 0.25))
                survivor = start_publisher(settings, job)
                survivor.communicate(timeout=60)
                assert survivor.returncode == 0
                assert lake.read(
                    "select count(*), count(distinct id), min(version), max(version) from github.pulls"
                ) == [(total, total, low, version)]
                assert not reader.errors
                assert reader.seen <= allowed
        [(loads, distinct)] = lake.read("select count(*), count(distinct uid) from unify.loads")
        assert loads == distinct == rounds + 1


def _kill(process: subprocess.Popen[str], after_s: float | None) -> None:
    """Kill it so long after it opened the lake; None: its failpoint does."""
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(60 if after_s is None else after_s)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait(60)


@pytest.mark.parametrize("place", FAILPOINTS)
def test_a_publisher_killed_at_any_step_leaves_old_or_new_and_the_next_one_ends_it(
    settings: Settings, place: str
) -> None:
    with Lake(settings) as lake:
        load(lake, KEYED, [(1, "one"), (2, "two")], key=("id",))
        job = job_for(action=Action.REFRESH)
        stage(settings, job, KEYED, [(2, "zwei"), (3, "three")], key=("id",), strategy="merge")

        with start_publisher(settings, job, f"{place}:kill") as victim:
            victim.communicate(timeout=60)
        assert victim.returncode == -signal.SIGKILL

        old, new = [(1, "one"), (2, "two")], [(1, "one"), (2, "zwei"), (3, "three")]
        assert pulls(lake) == (new if place == "publish.committed" else old)
        with start_publisher(settings, job) as survivor:
            survivor.communicate(timeout=60)
        assert survivor.returncode == 0
        assert pulls(lake) == new


def test_readers_see_the_old_or_the_new_while_publishers_are_killed(settings: Settings) -> None:
    kill_rounds(settings, rounds=3, seed=20260301, places=())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_publishers_killed_at_random_points(settings: Settings) -> None:
    kill_rounds(settings, rounds=200, seed=random.randrange(2**32), places=())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_publishers_killed_ten_times_at_each_step(settings: Settings) -> None:
    kill_rounds(settings, rounds=10 * len(FAILPOINTS), seed=random.randrange(2**32), places=FAILPOINTS)


_READER = """
import select, sys
from pathlib import Path
from tests.stores import settings_in
from unify.errors import UnifyError
from unify.store.lake import Lake

reads = torn = 0
with Lake(settings_in(Path(sys.argv[1])), read_only=True) as lake:
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0.01)[0]:
        for number in range(int(sys.argv[2])):
            sql = f"select count(*), count(distinct id), min(version), max(version) from test.t{number}"
            [(rows, ids, low, high)] = lake.read(sql)
            reads += 1
            torn += (rows, ids) != (1000, 1000) or low != high
print(reads, torn)
"""


def read_while_loads_publish(settings: Settings, shells: int, tables: int, seconds: float) -> None:
    """Shells read in processes of their own while loads replace every table over and over."""
    names = [TableName("test", f"t{number}") for number in range(tables)]
    columns = {"id": "BIGINT", "version": "BIGINT"}

    def publish_all(lake: Lake, version: int) -> None:
        for number, name in enumerate(names):
            strategy = "merge" if (version + number) % 2 else "reload"
            action = Action.REFRESH if strategy == "merge" else Action.RELOAD
            job = job_for(name, action)
            rows = [(i, version) for i in range(1000)]
            put(lake, job, stage(settings, job, columns, rows, key=("id",), strategy=strategy))
            Staging(settings.staging).discard(job)

    with Lake(settings) as lake, ExitStack() as stack:
        publish_all(lake, 0)
        readers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _READER, str(settings.home), str(tables)],
                    cwd=Path(__file__).parent.parent,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(shells)
        ]
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "ready\n"
        until, version = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            version += 1
            publish_all(lake, version)
        said = [reader.communicate("stop", timeout=60)[0].split() for reader in readers]
    assert [reader.returncode for reader in readers] == [0] * shells
    reads = sum(int(count) for count, _ in said)
    print(f"{version * tables} loads published, {reads} reads by {shells} shells, 0 errors")
    assert [torn for _, torn in said] == ["0"] * shells
    assert reads > 0


def test_readers_never_wait_for_loads_and_never_see_half_of_one(settings: Settings) -> None:
    read_while_loads_publish(settings, shells=3, tables=2, seconds=3)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_shells_read_for_ten_minutes_while_eight_tables_are_loaded(settings: Settings) -> None:
    read_while_loads_publish(settings, shells=20, tables=8, seconds=600)


# Types


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("INTEGER", "BIGINT", "BIGINT"),
        ("UINTEGER", "INTEGER", "BIGINT"),
        ("UBIGINT", "BIGINT", "DECIMAL(38,0)"),
        ("BIGINT", "DECIMAL(10,2)", "DECIMAL(21,2)"),
        ("DECIMAL(38,0)", "DECIMAL(10,2)", "VARCHAR"),
        ("DECIMAL(10,2)", "DOUBLE", "VARCHAR"),
        ("FLOAT", "DOUBLE", "DOUBLE"),
        ("DATE", "TIMESTAMP WITH TIME ZONE", "VARCHAR"),
        ("BOOLEAN", "BIGINT", "VARCHAR"),
        ("BIGINT", "BIGINT[]", "JSON"),
        ("STRUCT(a BIGINT)", "STRUCT(A BIGINT)", "JSON"),
        ("MAP(VARCHAR, BIGINT)", "STRUCT(a BIGINT)", "JSON"),
    ],
)
def test_two_types_meet_in_one_that_holds_both(one: str, other: str, both: str) -> None:
    assert common(one, other) == both
    assert common(other, one) == both
