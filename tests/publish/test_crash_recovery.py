"""A publisher that fails or is killed leaves the old rows or the new ones."""

from __future__ import annotations

import multiprocessing
import random
import signal
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.support.forked import start_forked
from tests.support.publishing import KEYED, load, publish_load, stored_pulls
from tests.support.stores import make_job, settings_for_home, stage_rows
from unify.config.settings import Settings
from unify.errors import StoreError
from unify.fs.failpoints import FailpointHit
from unify.lake import ledger
from unify.lake.lake import Lake
from unify.load.staging import StagingArea
from unify.model import Action, LoaderJob, TableName
from unify.publish.publish import publish

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


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_an_error_at_any_step_leaves_the_old_or_the_new_rows(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, failpoint: str
) -> None:
    load(lake, KEYED, [(1, "one")], key=("id",))
    job = make_job(action=Action.REFRESH)
    staged = stage_rows(
        lake.settings, job, {**KEYED, "n": "BIGINT"}, [(2, "two", 2)], key=("id",), strategy="merge"
    )

    monkeypatch.setenv("UNIFY_FAILPOINT", f"{failpoint}:raise")
    with pytest.raises(FailpointHit):
        publish_load(lake, job, staged)
    monkeypatch.delenv("UNIFY_FAILPOINT")

    published = ledger.find_load(lake, job.uid) is not None
    assert published == (failpoint == "publish.committed")
    assert len(stored_pulls(lake)) == (2 if published else 1)
    publish_load(lake, job, staged)
    assert stored_pulls(lake) == [(1, "one", None), (2, "two", 2)]


def test_an_error_in_the_middle_of_a_reload_leaves_the_old_rows(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(lake, KEYED, [(1, "one")], key=("id",))
    job = make_job(action=Action.RELOAD)
    staged = stage_rows(lake.settings, job, KEYED, [(2, "two")], key=("id",))

    for failpoint in ("publish.emptied", "publish.linked"):
        monkeypatch.setenv("UNIFY_FAILPOINT", f"{failpoint}:raise")
        with pytest.raises(FailpointHit):
            publish_load(lake, job, staged)
        assert stored_pulls(lake) == [(1, "one")]
    monkeypatch.delenv("UNIFY_FAILPOINT")

    publish_load(lake, job, staged)
    assert stored_pulls(lake) == [(2, "two")]


def publish_staged(home: Path, uid: str, action: Action, ready: Connection) -> None:
    """Publish the staged load of a job, in a process of its own."""
    settings = settings_for_home(home)
    job = make_job(action=action, uid=uid)
    staged = StagingArea(settings.staging).find_staged_load(job)
    assert staged is not None
    with Lake(settings) as lake:
        ready.send("ready")
        publish(lake, job, staged, is_current_attempt=lambda: True)


class Publisher:
    """A process that publishes the staged load of a job."""

    def __init__(self, settings: Settings, job: LoaderJob, failpoint: str = "") -> None:
        self._ready, theirs = multiprocessing.Pipe(duplex=False)
        self._process = start_forked(
            publish_staged, settings.home, job.uid, job.action, theirs, failpoint=failpoint
        )
        theirs.close()

    def wait(self) -> int | None:
        """Wait until it ends; return its exit code."""
        self._process.join(60)
        self._ready.close()
        return self._process.exitcode

    def kill(self, after_s: float | None) -> None:
        """Kill it some time after it opened the lake; None: its failpoint ends it."""
        with suppress(EOFError):  # it has failed
            self._ready.recv()
        self._process.join(60 if after_s is None else after_s)
        self._process.kill()
        self.wait()


class Reader:
    """Reads the table repeatedly and records every (count, distinct ids, lowest and highest version)."""

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
        sql = "select count(*), count(distinct id), min(version), max(version) from lake.github.pulls"
        with Lake(self._settings, read_only=True) as lake:
            while not self._stop.wait(0.02):
                try:
                    self.seen.update(lake.read(sql))
                except StoreError as error:
                    self.errors.append(error)


STRATEGIES = ("reload", "append", "merge")


def assert_killed_publishers_lose_nothing(
    settings: Settings, rounds: int, seed: int, failpoints: tuple[str, ...]
) -> None:
    """Kill a publisher at a failpoint or a random moment, publish again, and check what readers read."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    columns = {"id": "BIGINT", "version": "BIGINT"}
    size = 500
    with Lake(settings) as lake:
        load(lake, columns, [(i, 0) for i in range(size)], key=("id",))
        allowed: set[tuple[object, ...]] = {(size, size, 0, 0)}
        total, low = size, 0
        with Reader(settings) as reader:
            for version in range(1, rounds + 1):
                strategy = STRATEGIES[version % 3]
                action = Action.RELOAD if strategy == "reload" else Action.REFRESH
                job = make_job(action=action)
                if strategy == "append":
                    rows: list[tuple[object, ...]] = [(total + i, version) for i in range(100)]
                    total += 100
                else:
                    rows = [(i, version) for i in range(total)]
                    low = version
                stage_rows(settings, job, columns, rows, key=("id",), strategy=strategy)
                allowed.add((total, total, low, version))
                failpoint = f"{rng.choice(failpoints)}:kill" if failpoints else ""
                Publisher(settings, job, failpoint).kill(None if failpoints else rng.uniform(0, 0.25))
                assert Publisher(settings, job).wait() == 0
                assert lake.read(
                    "select count(*), count(distinct id), min(version), max(version) from lake.github.pulls"
                ) == [(total, total, low, version)]
                assert not reader.errors
                assert reader.seen <= allowed
        [(loads, distinct)] = lake.read("select count(*), count(distinct uid) from lake._unify.loads")
        assert loads == distinct == rounds + 1


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_a_publisher_killed_at_any_step_leaves_old_or_new_rows_and_the_next_one_finishes(
    settings: Settings, failpoint: str
) -> None:
    with Lake(settings) as lake:
        load(lake, KEYED, [(1, "one"), (2, "two")], key=("id",))
        job = make_job(action=Action.REFRESH)
        staged = stage_rows(settings, job, KEYED, [(2, "zwei"), (3, "three")], key=("id",), strategy="merge")

        assert Publisher(settings, job, f"{failpoint}:kill").wait() == -signal.SIGKILL

        old, new = [(1, "one"), (2, "two")], [(1, "one"), (2, "zwei"), (3, "three")]
        assert stored_pulls(lake) == (new if failpoint == "publish.committed" else old)
        publish_load(lake, job, staged)
        assert stored_pulls(lake) == new


def test_readers_see_old_or_new_rows_while_publishers_are_killed(settings: Settings) -> None:
    assert_killed_publishers_lose_nothing(settings, rounds=3, seed=20260301, failpoints=())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_publishers_killed_at_random_moments_lose_nothing(settings: Settings) -> None:
    assert_killed_publishers_lose_nothing(settings, rounds=200, seed=random.randrange(2**32), failpoints=())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_publishers_killed_ten_times_at_each_step_lose_nothing(settings: Settings) -> None:
    assert_killed_publishers_lose_nothing(
        settings, rounds=10 * len(FAILPOINTS), seed=random.randrange(2**32), failpoints=FAILPOINTS
    )


def read_until_stopped(home: Path, tables: int, pipe: Connection) -> None:
    """Read every table repeatedly, in a process of its own; send how many reads there were, and torn ones."""
    reads = torn = 0
    with Lake(settings_for_home(home), read_only=True) as lake:
        pipe.send("ready")
        while not pipe.poll(0.01):
            for number in range(tables):
                [(rows, ids, low, high)] = lake.read(
                    "select count(*), count(distinct id), min(version), max(version) "
                    f"from lake.test.t{number}"
                )
                reads += 1
                torn += (rows, ids) != (1000, 1000) or low != high
    pipe.send((reads, torn))


def assert_readers_see_whole_versions(settings: Settings, shells: int, tables: int, seconds: float) -> None:
    """Read in several processes while loads replace every table repeatedly."""
    names = [TableName("test", f"t{number}") for number in range(tables)]
    columns = {"id": "BIGINT", "version": "BIGINT"}

    def publish_all(lake: Lake, version: int) -> None:
        for number, name in enumerate(names):
            strategy = "merge" if (version + number) % 2 else "reload"
            action = Action.REFRESH if strategy == "merge" else Action.RELOAD
            job = make_job(name, action)
            rows = [(i, version) for i in range(1000)]
            publish_load(lake, job, stage_rows(settings, job, columns, rows, key=("id",), strategy=strategy))
            StagingArea(settings.staging).remove_attempts(job)

    pairs = [multiprocessing.Pipe() for _ in range(shells)]
    with Lake(settings) as lake:
        publish_all(lake, 0)
        readers = [start_forked(read_until_stopped, settings.home, tables, theirs) for _, theirs in pairs]
        for ours, theirs in pairs:
            theirs.close()
            assert ours.recv() == "ready"
        until, version = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            version += 1
            publish_all(lake, version)
        for ours, _ in pairs:
            ours.send("stop")
        counts = [ours.recv() for ours, _ in pairs]
    for reader, (ours, _) in zip(readers, pairs, strict=True):
        reader.join(60)
        ours.close()
    assert [reader.exitcode for reader in readers] == [0] * shells
    reads = sum(count for count, _ in counts)
    print(f"{version * tables} loads published, {reads} reads by {shells} shells, 0 errors")
    assert [partial for _, partial in counts] == [0] * shells
    assert reads > 0


def test_readers_never_wait_for_loads_and_never_see_part_of_one(settings: Settings) -> None:
    assert_readers_see_whole_versions(settings, shells=2, tables=2, seconds=1.5)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_shells_read_for_ten_minutes_during_loads_of_eight_tables(settings: Settings) -> None:
    assert_readers_see_whole_versions(settings, shells=20, tables=8, seconds=600)
