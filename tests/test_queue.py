"""The queue: nothing accepted is lost, nothing runs twice, people before schedules."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from unify.errors import StoreError
from unify.model import Action, JobState, LoaderJob, Origin, Priority, TableName
from unify.store.queue import NewJob, Queue, Schedule

ROOT = Path(__file__).parent.parent
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORIGIN = Origin("/etc/connections.yaml", ("/specs",))
MINUTE = timedelta(minutes=1)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue(tmp_path / "queue.db") as queue:
        yield queue


def wish(table: str = "github.pulls", action: Action = Action.LOAD, **more: object) -> NewJob:
    schema, name = table.split(".")
    return NewJob("default", action, TableName(schema, name), ORIGIN, **more)  # type: ignore[arg-type]


def claimed(queue: Queue, now: datetime = NOON, epoch: int = 1) -> LoaderJob:
    job = queue.claim(epoch, now)
    assert job is not None
    return job


# Asking


def test_a_job_is_what_was_asked_for(queue: Queue) -> None:
    job = queue.enqueue(wish(action=Action.RELOAD), NOON)
    assert (job.table, job.action, job.origin) == (TableName("github", "pulls"), Action.RELOAD, ORIGIN)
    assert (job.state, job.attempt, job.created_at, job.start_at) == (JobState.QUEUED, 0, NOON, NOON)
    assert queue.get(job.id) == job


def test_the_same_load_asked_twice_is_one_job(queue: Queue) -> None:
    first = queue.enqueue(wish(priority=Priority.SCHEDULE), NOON)
    again = queue.enqueue(wish(priority=Priority.PERSON), NOON + MINUTE)
    assert (again.id, again.uid) == (first.id, first.uid)
    assert again.priority == Priority.PERSON
    assert queue.enqueue(wish(action=Action.REFRESH), NOON).id != first.id
    assert queue.enqueue(wish("jira.pulls"), NOON).id != first.id


def test_joining_does_not_hasten_a_job_put_off_after_a_failure(queue: Queue) -> None:
    queue.enqueue(wish(), NOON)
    queue.requeue(claimed(queue), NOON + 10 * MINUTE, "429")
    assert queue.enqueue(wish(), NOON).start_at == NOON + 10 * MINUTE


def test_joining_hastens_a_job_that_was_only_planned_for_later(queue: Queue) -> None:
    queue.enqueue(wish(start_at=NOON + 10 * MINUTE), NOON)
    assert queue.claim(1, NOON) is None
    assert queue.enqueue(wish(), NOON).start_at == NOON
    assert claimed(queue).attempt == 1


def test_after_its_end_the_same_load_is_a_new_job(queue: Queue) -> None:
    first = queue.enqueue(wish(), NOON)
    queue.finish(claimed(queue), JobState.DONE, now=NOON)
    second = queue.enqueue(wish(), NOON)
    assert second.id != first.id
    assert second.uid != first.uid
    assert [job.id for job in queue.recent(10)] == [second.id, first.id]
    assert [job.id for job in queue.active()] == [second.id]


# Claiming


def test_claiming_counts_the_attempt_and_says_whose_it_is(queue: Queue) -> None:
    queue.enqueue(wish(), NOON)
    job = claimed(queue, NOON + MINUTE, epoch=7)
    assert (job.state, job.attempt, job.epoch, job.started_at) == (JobState.RUNNING, 1, 7, NOON + MINUTE)
    assert queue.claim(7, NOON + MINUTE) is None


def test_people_come_before_schedules(queue: Queue) -> None:
    for number in range(20):
        queue.enqueue(wish(f"jira.t{number}", Action.REFRESH, priority=Priority.SCHEDULE), NOON)
    person = queue.enqueue(wish(), NOON + MINUTE)
    assert claimed(queue, NOON + MINUTE).id == person.id


def test_what_somebody_saw_missing_is_not_loaded_again_after_it_came(queue: Queue) -> None:
    queue.enqueue(wish(), NOON)
    first = claimed(queue)
    queue.finish(first, JobState.DONE, now=NOON + MINUTE)
    late = NOON + 2 * MINUTE
    assert queue.enqueue(wish(seen_at=NOON + MINUTE), late).id == first.id, "it came in the same moment"
    assert queue.enqueue(wish("github.repos", seen_at=NOON), late).id != first.id
    assert queue.enqueue(wish(seen_at=NOON + MINUTE * 1.5), late).id != first.id, "it was gone again"


def test_a_load_that_failed_since_somebody_looked_is_tried_again(queue: Queue) -> None:
    queue.enqueue(wish(), NOON)
    first = claimed(queue)
    queue.finish(first, JobState.FAILED, "404", now=NOON + MINUTE)
    assert queue.enqueue(wish(seen_at=NOON), NOON + MINUTE).id != first.id


def test_connections_take_turns(queue: Queue) -> None:
    for number in range(4):
        queue.enqueue(wish(f"busy.t{number}"), NOON)
    queue.enqueue(wish("quiet.t"), NOON + MINUTE)
    order = [claimed(queue, NOON + MINUTE).table.schema for _ in range(5)]
    assert order == ["busy", "quiet", "busy", "busy", "busy"]


def test_the_older_of_equals_comes_first(queue: Queue) -> None:
    ids = [queue.enqueue(wish(f"github.t{number}"), NOON).id for number in range(5)]
    assert [claimed(queue).id for _ in ids] == ids


def test_two_jobs_of_one_table_never_run_at_once(queue: Queue) -> None:
    queue.enqueue(wish(action=Action.LOAD), NOON)
    queue.enqueue(wish(action=Action.RELOAD), NOON)
    first = claimed(queue)
    assert queue.claim(1, NOON) is None
    assert queue.publishing(first)
    assert queue.claim(1, NOON) is None
    queue.finish(first, JobState.DONE)
    assert claimed(queue).action is Action.RELOAD


def test_a_job_put_off_waits_for_its_time(queue: Queue) -> None:
    queue.enqueue(wish(), NOON)
    queue.requeue(claimed(queue), NOON + MINUTE, "429")
    assert queue.claim(1, NOON) is None
    assert queue.next_start(NOON) == NOON + MINUTE
    again = claimed(queue, NOON + MINUTE)
    assert (again.attempt, again.failures) == (2, 1)
    assert queue.next_start(NOON) is None


def test_an_interruption_is_no_failure(queue: Queue) -> None:
    queue.enqueue(wish(), NOON)
    back = queue.requeue(claimed(queue), NOON, failed=False)
    assert back is not None
    assert (back.state, back.failures) == (JobState.QUEUED, 0)


# Waiting for parents


def test_a_job_waits_until_the_other_has_ended(queue: Queue) -> None:
    queue.enqueue(wish("github.pulls"), NOON)
    child = claimed(queue)
    parent = queue.enqueue(wish("github.repos"), NOON)
    waiting = queue.wait_for(child, parent.id)
    assert waiting is not None
    assert (waiting.state, waiting.waits_for) == (JobState.QUEUED, parent.id)

    running = claimed(queue)
    assert running.id == parent.id
    assert queue.claim(1, NOON) is None
    queue.finish(running, JobState.DONE)
    assert claimed(queue).id == child.id


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (JobState.FAILED, "it needs github.repos, whose load failed: 401"),
        (JobState.DEAD, "it needs github.repos, whose load was given up: 401"),
        (JobState.CANCELLED, "it needs github.repos, whose load was cancelled: 401"),
    ],
)
def test_what_waits_for_a_failed_job_fails_naming_it(queue: Queue, end: JobState, said: str) -> None:
    queue.enqueue(wish("github.comments"), NOON)
    grandchild = claimed(queue)
    queue.enqueue(wish("github.pulls"), NOON)
    child = claimed(queue)
    queue.wait_for(grandchild, child.id)
    parent = queue.enqueue(wish("github.repos"), NOON)
    queue.wait_for(child, parent.id)

    running = claimed(queue)
    if end is JobState.CANCELLED:
        queue.cancel(running.id, NOON)
    queue.finish(running, end, "401", NOON)

    assert (queue.get(child.id).state, queue.get(child.id).error) == (JobState.FAILED, said)
    assert queue.get(grandchild.id).error == f"it needs github.pulls, whose load failed: {said}"
    assert queue.active() == []


def test_waiting_for_a_job_that_has_failed_already_ends_at_the_next_claim(queue: Queue) -> None:
    parent = queue.enqueue(wish("github.repos"), NOON)
    queue.finish(claimed(queue), JobState.FAILED, "403")
    queue.enqueue(wish("github.pulls"), NOON)
    child = claimed(queue)
    queue.wait_for(child, parent.id)
    assert queue.claim(1, NOON) is None
    assert queue.get(child.id).state is JobState.FAILED


# Fencing


def test_whoever_was_declared_dead_changes_nothing(queue: Queue) -> None:
    queue.enqueue(wish(), NOON)
    dead = claimed(queue)
    queue.requeue(dead, NOON)
    current = claimed(queue)

    assert not queue.holds(dead)
    assert not queue.publishing(dead)
    assert queue.finish(dead, JobState.DONE) is None
    assert queue.requeue(dead, NOON) is None
    assert queue.wait_for(dead, 1) is None
    assert queue.get(current.id) == current
    assert queue.holds(current)


def test_fifty_rounds_of_a_worker_back_from_the_dead_publish_nothing_twice(queue: Queue) -> None:
    published = 0
    for number in range(50):
        queue.enqueue(wish(f"github.t{number}"), NOON)
        stopped = claimed(queue)
        queue.requeue(stopped, NOON)
        successor = claimed(queue)
        published += sum(queue.publishing(job) for job in (stopped, successor, stopped))
        assert queue.finish(successor, JobState.DONE) is not None
    assert published == 50


def test_every_start_of_the_daemon_is_a_new_epoch_that_finds_its_orphans(
    queue: Queue, tmp_path: Path
) -> None:
    first = queue.new_epoch()
    queue.enqueue(wish(), NOON)
    job = claimed(queue, epoch=first)
    with Queue(tmp_path / "queue.db") as other:
        second = other.new_epoch()
        assert second > first
        assert [orphan.id for orphan in other.orphans(second)] == [job.id]
    assert queue.orphans(first) == []


# Cancelling and trying again


def test_a_queued_job_is_cancelled_at_once_a_running_one_is_asked_to_stop(queue: Queue) -> None:
    waiting = queue.enqueue(wish("github.a"), NOON)
    cancelled = queue.cancel(waiting.id, NOON)
    assert cancelled is not None
    assert (cancelled.state, cancelled.finished_at) == (JobState.CANCELLED, NOON)

    queue.enqueue(wish("github.b"), NOON)
    running = claimed(queue)
    asked = queue.cancel(running.id, NOON)
    assert asked is not None
    assert (asked.state, asked.cancel_asked) == (JobState.RUNNING, True)
    assert not queue.publishing(running)
    ended = queue.finish(running, JobState.CANCELLED)
    assert ended is not None
    assert ended.state is JobState.CANCELLED
    assert queue.cancel(999) is None


def test_a_load_asked_for_again_while_it_is_being_cancelled_is_not_lost(queue: Queue) -> None:
    queue.enqueue(wish(), NOON)
    running = claimed(queue)
    queue.cancel(running.id, NOON)
    again = queue.enqueue(wish(), NOON)
    assert (again.id, again.cancel_asked) == (running.id, False)
    back = queue.finish(running, JobState.CANCELLED, now=NOON)
    assert back is not None
    assert back.state is JobState.QUEUED


def test_a_job_put_back_while_it_is_being_cancelled_is_cancelled(queue: Queue) -> None:
    queue.enqueue(wish(), NOON)
    running = claimed(queue)
    queue.cancel(running.id, NOON)
    back = queue.requeue(running, NOON)
    assert back is not None
    assert back.state is JobState.CANCELLED


def test_retry_queues_an_ended_job_as_a_new_load(queue: Queue) -> None:
    queue.enqueue(wish(priority=Priority.SCHEDULE), NOON)
    job = claimed(queue)
    queue.finish(job, JobState.DEAD, "killed by SIGSEGV", NOON)

    again = queue.retry(job.id, NOON + MINUTE)
    assert again is not None
    assert (again.id, again.state, again.failures, again.error) == (job.id, JobState.QUEUED, 0, "")
    assert again.uid != job.uid
    assert claimed(queue, NOON + MINUTE).attempt == 2


def test_retry_joins_the_same_load_asked_for_meanwhile(queue: Queue) -> None:
    queue.enqueue(wish(), NOON)
    failed = claimed(queue)
    queue.finish(failed, JobState.FAILED, "500", NOON)
    newer = queue.enqueue(wish(), NOON)
    again = queue.retry(failed.id, NOON)
    assert again is not None
    assert again.id == newer.id
    assert queue.retry(999) is None


# Schedules


def every(minutes: float, next_at: datetime, table: str = "github.pulls") -> Schedule:
    schema, name = table.split(".")
    return Schedule("default", TableName(schema, name), ORIGIN, minutes * 60, next_at)


def test_a_due_schedule_queues_a_refresh_and_moves_on(queue: Queue) -> None:
    queue.schedule(every(15, NOON))
    assert queue.enqueue_due(NOON - MINUTE) == []
    [job] = queue.enqueue_due(NOON)
    assert (job.action, job.priority, job.origin) == (Action.REFRESH, Priority.SCHEDULE, ORIGIN)
    [schedule] = queue.schedules()
    assert (schedule.next_at, schedule.last_at) == (NOON + 15 * MINUTE, NOON)
    assert queue.enqueue_due(NOON) == []
    assert queue.next_due() == NOON + 15 * MINUTE


def test_after_three_days_asleep_each_table_is_refreshed_once_and_stays_in_step(queue: Queue) -> None:
    for number in range(10):
        queue.schedule(every(15, NOON, f"github.t{number}"))
    woken = NOON + timedelta(days=3, minutes=7)
    assert len(queue.enqueue_due(woken)) == 10
    assert queue.enqueue_due(woken) == []
    assert {schedule.next_at for schedule in queue.schedules()} == {woken + 8 * MINUTE}


def test_a_clock_a_day_ahead_and_back_again_neither_skips_nor_doubles(queue: Queue) -> None:
    queue.schedule(every(15, NOON))
    ahead = NOON + timedelta(days=1)
    [first] = queue.enqueue_due(ahead)
    queue.finish(claimed(queue, ahead), JobState.DONE, now=ahead)

    assert queue.enqueue_due(NOON) == []
    [schedule] = queue.schedules()
    assert (schedule.next_at, schedule.last_at) == (NOON + 15 * MINUTE, NOON)
    [second] = queue.enqueue_due(NOON + 15 * MINUTE)
    assert second.id != first.id


def test_a_first_run_far_ahead_is_waited_for(queue: Queue) -> None:
    queue.schedule(replace(every(15, NOON + timedelta(hours=12)), starting="00:00"))
    assert queue.enqueue_due(NOON) == []
    assert queue.next_due() == NOON + timedelta(hours=12)


def test_a_schedule_set_by_a_clock_that_was_ahead_is_set_anew(queue: Queue) -> None:
    queue.schedule(every(15, NOON + timedelta(days=1)))
    assert queue.enqueue_due(NOON) == []
    [schedule] = queue.schedules()
    assert (schedule.next_at, schedule.last_at) == (NOON + 15 * MINUTE, None)


def test_a_refresh_still_under_way_is_not_asked_for_twice(queue: Queue) -> None:
    queue.schedule(every(15, NOON))
    [first] = queue.enqueue_due(NOON)
    [same] = queue.enqueue_due(NOON + 15 * MINUTE)
    assert same.id == first.id


def test_never_is_a_schedule_too(queue: Queue) -> None:
    queue.schedule(Schedule("default", TableName("github", "pulls"), ORIGIN, None, None, starting="never"))
    assert queue.enqueue_due(NOON) == []
    assert queue.next_due() is None
    assert queue.unschedule("default", TableName("github", "pulls"))
    assert queue.schedules() == []
    assert not queue.unschedule("default", TableName("github", "pulls"))


# The file


def test_it_keeps_what_it_holds_and_is_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with Queue(tmp_path / "queue.db") as queue:
            job = queue.enqueue(wish(), NOON)
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(old)
    assert set(modes.values()) == {0o600}, modes
    with Queue(tmp_path / "queue.db") as queue:
        assert queue.get(job.id) == job


def test_old_jobs_are_forgotten_active_ones_and_the_last_are_kept(queue: Queue) -> None:
    for number in range(6):
        queue.enqueue(wish(f"github.t{number}"), NOON)
        queue.finish(claimed(queue), JobState.DONE, now=NOON + number * MINUTE)
    waiting = queue.enqueue(wish(), NOON)
    queue.forget(NOON + 10 * MINUTE, keep=3)
    assert [job.id for job in queue.recent(100)] == [waiting.id, waiting.id - 1, waiting.id - 2]


@pytest.mark.parametrize("damage", ["not a database", "a page of zeros"])
def test_a_damaged_file_is_set_aside_and_a_new_queue_made(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "queue.db"
    with Queue(path) as queue:
        for number in range(300):
            queue.enqueue(wish(f"github.t{number}"), NOON)
    content = bytearray(path.read_bytes())
    if damage == "not a database":
        content[:100] = b"\x07" * 100
    else:
        content[8192:20480] = bytes(12288)
    path.write_bytes(content)

    said: list[str] = []
    with Queue(path, said.append) as queue:
        assert queue.enqueue(wish(), NOON).attempt == 0
    [aside] = [found for found in tmp_path.iterdir() if ".damaged-" in found.name]
    assert aside.read_bytes() == content
    assert str(path) in said[0]
    assert aside.name in said[0]


def test_a_file_damaged_under_an_open_queue_is_set_aside_at_the_next_use(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    said: list[str] = []
    with Queue(path, said.append) as queue:
        for number in range(300):
            queue.enqueue(wish(f"github.t{number}"), NOON)
        with sqlite3.connect(path) as other:
            other.execute("pragma wal_checkpoint(truncate)")
        other.close()
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\x07" * (size - 4096))
        with sqlite3.connect(path) as other, pytest.raises(sqlite3.DatabaseError):
            other.execute("select count(*) from job").fetchall()
        other.close()
        with Queue(path, said.append) as fresh:
            job = fresh.enqueue(wish(), NOON)
        assert queue.find(job.id) == job  # the first one sees that the file is another
    assert len(said) == 1


def test_a_queue_that_somebody_removed_is_made_anew(tmp_path: Path) -> None:
    with Queue(tmp_path / "queue.db") as queue:
        queue.enqueue(wish(), NOON)
        for path in tmp_path.glob("queue.db*"):
            path.unlink()
        assert queue.active() == []
        assert queue.enqueue(wish(), NOON).id == 1


def test_a_queue_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with sqlite3.connect(path) as connection:
        connection.execute("pragma user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match=r"newer version of Unify \(schema 99"):
        Queue(path)
    assert path.exists()


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        Queue(tmp_path / "nowhere" / "queue.db")


def test_threads_may_share_a_queue(queue: Queue) -> None:
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda n: queue.enqueue(wish(f"github.t{n % 40}"), NOON), range(200)))
    assert len({job.id for job in jobs}) == 40
    with ThreadPoolExecutor(8) as pool:
        taken = [job for job in pool.map(lambda _: queue.claim(1, NOON), range(60)) if job is not None]
    assert len(taken) == len({job.id for job in taken}) == 40


def test_a_claim_behind_ten_thousand_jobs_is_quick(queue: Queue) -> None:
    with queue._file.transaction():  # one fsync instead of ten thousand
        for number in range(10_000):
            queue.enqueue(wish(f"c{number % 50}.t{number}", Action.REFRESH, priority=Priority.SCHEDULE), NOON)
    person = queue.enqueue(wish(), NOON)
    began = time.perf_counter()
    job = claimed(queue)
    claim_s = time.perf_counter() - began
    print(f"claim among 10,000: {claim_s * 1000:.1f} ms")
    assert job.id == person.id
    assert claim_s < 0.5


# Processes

_ENQUEUER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from unify.model import Action, Origin, TableName
from unify.store.queue import NewJob, Queue

path, who, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with Queue(path) as queue:
    for number in range(count):
        table = TableName(who, f"t{number}")
        job = queue.enqueue(NewJob("default", Action.LOAD, table, Origin("/c")), datetime.now(UTC))
        print(job.uid, flush=True)
"""


def start_enqueuer(path: Path, who: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _ENQUEUER, str(path), who, str(count)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_twenty_processes_asking_for_one_load_get_one_job(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    processes = [start_enqueuer(path, "github", 1) for _ in range(20)]
    uids = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 20
    assert len({uid for [uid] in uids}) == 1


def test_a_second_queue_in_a_process_leaves_the_first_its_file(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with Queue(path) as first, Queue(path) as second:  # as a shell has them: one asks, one looks on
        assert (first.recent(1), second.recent(1)) == ([], [])
        with start_enqueuer(path, "github", 1) as other:  # opens the file, and closes it
            other.communicate(timeout=60)
        job = first.enqueue(wish("jira.issues"), NOON)
        with start_enqueuer(path, "shop", 1) as later:
            later.communicate(timeout=60)
        assert {seen.table.schema for seen in second.active()} == {"github", "jira", "shop"}
        assert second.get(job.id) == job
        assert path.with_name("queue.db-wal").exists()


def kill_enqueuers(path: Path, rounds: int, seed: int) -> None:
    """Kill processes while they enqueue: what they were told is there, and the file is sound."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    accepted: set[str] = set()
    for number in range(rounds):
        with start_enqueuer(path, f"c{number}", 100_000) as process:
            assert process.stdout is not None
            accepted.add(process.stdout.readline().strip())
            killer = threading.Timer(rng.uniform(0, 0.2), process.kill)
            killer.start()
            lines = process.stdout.read().split("\n")
            killer.join()
            accepted |= {line for line in lines[:-1] if line}
        assert process.returncode == -signal.SIGKILL
    with Queue(path) as queue:
        kept = {job.uid for job in queue.active()}
    assert accepted <= kept
    assert len(kept) <= len(accepted) + rounds  # at most one each that was stored and not yet said
    print(f"{len(accepted)} accepted in {rounds} kills, {len(accepted - kept)} lost")


def test_a_killed_process_loses_nothing_it_was_told_is_accepted(tmp_path: Path) -> None:
    kill_enqueuers(tmp_path / "queue.db", rounds=8, seed=20260301)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_killed_processes_lose_nothing(tmp_path: Path) -> None:
    kill_enqueuers(tmp_path / "queue.db", rounds=200, seed=random.randrange(2**32))


def test_every_acknowledgement_follows_an_fsync(tmp_path: Path) -> None:
    import shutil

    if shutil.which("strace") is None:
        pytest.skip("strace is not installed here")
    trace = tmp_path / "trace"
    tracer = ["strace", "-f", "-e", "trace=fsync,fdatasync,write", "-o", str(trace)]
    done = subprocess.run(
        [*tracer, sys.executable, "-c", _ENQUEUER, str(tmp_path / "queue.db"), "github", "5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    uids = done.stdout.split()
    if done.returncode != 0 or not trace.exists():
        pytest.skip(f"strace cannot trace here: {done.stderr[:200]}")
    synced = False
    said = 0
    for line in trace.read_text().splitlines():
        if "sync(" in line:
            synced = True
        elif any(uid in line for uid in uids):
            assert synced, line
            said, synced = said + 1, False
    assert said == 5
