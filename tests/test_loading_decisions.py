"""What the daemon decides without asking anybody: when again, how to load, when due, what to log."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from unify.adapters.spec import Incremental, Refresh, Strategy, TableSpec
from unify.connections import Connection
from unify.errors import ConfigError, RateLimited, Unauthorized, UnknownName, Unreachable
from unify.loading import policy, schedule
from unify.loading.environment import Environment, connection_of
from unify.loading.log import FILE_BYTES, FILES, Log
from unify.loading.plan import Plan, make_plan
from unify.loading.task import Failure, failure_of
from unify.model import Action, JobState, LoaderJob, LoadRecord, Origin, Priority, TableName
from unify.store.queue import NewJob, Queue, Schedule

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TABLE = TableName("github", "pulls")


def job(failures: int = 0, priority: int = Priority.PERSON, table: TableName = TABLE) -> LoaderJob:
    return LoaderJob(
        id=1,
        uid="u",
        tenant="default",
        action=Action.LOAD,
        table=table,
        origin=Origin("/c.yaml"),
        priority=priority,
        state=JobState.RUNNING,
        attempt=failures + 1,
        epoch=1,
        created_at=NOW,
        start_at=NOW,
        failures=failures,
    )


def decided(
    failure: Failure, failures: int = 0, priority: int = Priority.PERSON
) -> policy.Later | policy.End:
    return policy.after_failure(job(failures, priority), failure, NOW, random.Random(7))


class TestAfterAFailure:
    def test_what_cannot_get_better_ends_at_once(self) -> None:
        assert decided(failure_of(Unauthorized("401"))) == policy.End(JobState.FAILED, "401")

    def test_waits_grow_and_end(self) -> None:
        failure = failure_of(Unreachable("no connection"))
        waits = []
        for failures in range(policy.TRIES_SCHEDULE - 1):
            again = decided(failure, failures, Priority.SCHEDULE)
            assert isinstance(again, policy.Later)
            waits.append((again.start_at - NOW).total_seconds())
        assert waits == sorted(waits)
        assert 1 < waits[0] < 3
        assert waits[-1] <= 1.25 * policy.LONGEST_BACKOFF_S
        last = decided(failure, policy.TRIES_SCHEDULE - 1, Priority.SCHEDULE)
        assert last == policy.End(JobState.DEAD, "no connection")

    def test_a_person_is_not_kept_waiting_as_long(self) -> None:
        failure = failure_of(Unreachable("no connection"))
        assert isinstance(decided(failure, 1), policy.Later)
        assert isinstance(decided(failure, 2), policy.End)

    @pytest.mark.parametrize("asked_s", [0.0, 2.0, 3600.0])
    def test_never_earlier_than_the_source_asked(self, asked_s: float) -> None:
        again = decided(failure_of(RateLimited("429", retry_after_s=asked_s)), failures=10)
        assert isinstance(again, policy.Later)
        wait_s = (again.start_at - NOW).total_seconds()
        assert max(asked_s, policy.SHORTEST_WAIT_S) <= wait_s <= max(1.1 * asked_s, 0.3)

    def test_a_third_crash_is_the_last(self) -> None:
        outcomes = [policy.after_crash(crashes, "killed by SIGSEGV", NOW) for crashes in (1, 2, 3)]
        assert [type(outcome) for outcome in outcomes] == [policy.Later, policy.Later, policy.End]
        assert outcomes[2] == policy.End(JobState.DEAD, "killed by SIGSEGV, 3 times")
        soonest = outcomes[1]
        assert isinstance(soonest, policy.Later)
        assert soonest.start_at - NOW < timedelta(seconds=2)


def table(
    strategy: Strategy | None = None, *, incremental: bool = True, key: tuple[str, ...] = ("id",)
) -> TableSpec:
    state = Incremental("updated_at") if incremental else None
    return TableSpec("pulls", "GET", "/pulls", key=key, incremental=state, refresh=Refresh(strategy=strategy))


LAST = LoadRecord(1, "u-1", "load", TABLE, "success", cursor={"": "2026-01-01T00:00:00Z"})


class TestThePlan:
    @pytest.mark.parametrize("action", [Action.LOAD, Action.RELOAD])
    def test_a_load_and_a_reload_read_everything(self, action: Action) -> None:
        plan = make_plan(action, table(), LAST, ())
        assert (plan.strategy, plan.read.since, plan.based_on) == ("reload", {}, "")
        assert plan.cursor == "updated_at"

    def test_a_refresh_reads_what_changed_and_merges_it(self) -> None:
        plan = make_plan(Action.REFRESH, table(), LAST, ())
        assert (plan.strategy, plan.read.since, plan.based_on) == ("merge", LAST.cursor, "u-1")

    def test_a_refresh_of_what_was_never_loaded_reads_everything(self) -> None:
        assert make_plan(Action.REFRESH, table(), None, ()) == make_plan(Action.LOAD, table(), None, ())

    def test_without_key_or_cursor_a_refresh_replaces(self) -> None:
        for spec in (table(key=()), table(incremental=False)):
            plan = make_plan(Action.REFRESH, spec, LAST, ())
            assert (plan.strategy, plan.read.since, plan.based_on) == ("reload", {}, "")

    @pytest.mark.parametrize(
        ("strategy", "builds_on"),
        [("append", True), ("merge", True), ("merge_delete", False), ("reload", False)],
    )
    def test_only_what_adds_to_the_stored_rows_starts_from_the_cursor(
        self, strategy: Strategy, builds_on: bool
    ) -> None:
        plan = make_plan(Action.REFRESH, table(strategy), LAST, ())
        assert plan.strategy == strategy
        assert (plan.read.since == LAST.cursor, bool(plan.based_on)) == (builds_on, builds_on)

    def test_cursors_never_go_back_and_quiet_scopes_keep_theirs(self) -> None:
        plan = Plan("merge", make_plan(Action.LOAD, table(), None, ()).read, stored={"a": "10", "b": "10"})
        assert plan.next_cursors({"a": "9", "c": "1"}) == {"a": "10", "b": "10", "c": "1"}
        assert plan.next_cursors({"b": "11"}) == {"a": "10", "b": "11"}

    @pytest.mark.parametrize("text", ["nan", "Infinity", "-inf", "never", ""])
    def test_a_text_that_says_nothing_never_takes_a_cursors_place(self, text: str) -> None:
        plan = Plan("merge", make_plan(Action.LOAD, table(), None, ()).read, stored={"": "10"})
        assert plan.next_cursors({"": text}) == {"": "10"}


class TestTheSchedule:
    @pytest.fixture
    def queue(self, tmp_path: Path) -> Queue:
        return Queue(tmp_path / "queue.db")

    def test_a_load_sets_when_its_table_is_due_and_the_next_moves_it(self, queue: Queue) -> None:
        with queue:
            schedule.after_load(queue, job(), 900, NOW)
            [first] = queue.schedules()
            schedule.after_load(queue, job(), 900, NOW + timedelta(minutes=5))
            [second] = queue.schedules()
            assert first.next_at
            assert second.next_at
            assert second.next_at - first.next_at == timedelta(minutes=5)
            schedule.after_load(queue, job(), None, NOW)
            assert list(queue.schedules()) == []

    def test_what_a_person_has_said_stays(self, queue: Queue) -> None:
        for every_s, next_at in ((60.0, NOW), (None, None)):
            own = Schedule("default", TABLE, Origin("/c.yaml"), every_s, next_at)
            queue.schedule(own)
            schedule.after_load(queue, job(), 900, NOW)
            assert list(queue.schedules()) == [own]
        queue.close()

    def test_a_hundred_tables_are_not_due_in_one_second_and_none_is_late(self) -> None:
        tables = [TableName("github", f"table_{number}") for number in range(100)]
        due = sorted(schedule.next_time(job(table=name), 900, NOW) for name in tables)
        assert NOW + timedelta(seconds=800) < due[0]
        assert due[-1] <= NOW + timedelta(seconds=900)
        busiest = max(sum(abs((other - moment).total_seconds()) < 0.5 for other in due) for moment in due)
        assert busiest < 10

    def test_three_days_asleep_one_refresh_each(self, queue: Queue) -> None:
        with queue:
            schedule.after_load(queue, job(), 900, NOW)
            later = NOW + timedelta(days=3)
            assert len(queue.enqueue_due(later)) == 1
            assert len(queue.enqueue_due(later)) == 0

    def test_a_table_that_is_gone_is_forgotten(self, queue: Queue) -> None:
        with queue:
            schedule.after_load(queue, job(), 900, NOW)
            schedule.forget(queue, job())
            assert list(queue.schedules()) == []
            assert queue.enqueue(NewJob("default", Action.LOAD, TABLE, Origin("/c.yaml"))).id == 1


class TestTheLog:
    def test_a_fact_is_a_line(self, tmp_path: Path) -> None:
        log = Log(tmp_path, 7, now=lambda: NOW)
        log.fact("load started", job=12, table=TABLE, error="", note="two words", nothing=None)
        log.close()
        assert (tmp_path / "daemon.log").read_text() == (
            '2026-03-01T12:00:00.000Z 7 load started job=12 table=github.pulls note="two words"\n'
        )

    def test_nothing_from_outside_breaks_a_line_or_steers_a_terminal(self, tmp_path: Path) -> None:
        log = Log(tmp_path, 7, now=lambda: NOW)
        log.fact("load failed", error="a\nb\x1b[2Jc\u202e")
        log.close()
        assert log.path.read_text().count("\n") == 1
        assert log.path.read_text().isascii()

    def test_secrets_are_hidden_in_every_spelling(self, tmp_path: Path) -> None:
        log = Log(tmp_path, 7)
        log.hide(["canary/5f+2c", "short"])
        log.fact("x", a="canary/5f+2c", b="q=canary%2F5f%2B2c", c="Y2FuYXJ5LzVmKzJj", d="short")
        log.close()
        text = log.path.read_text()
        assert text.count("***") == 3
        assert "d=short" in text

    def test_it_rotates_and_is_private(self, tmp_path: Path) -> None:
        log = Log(tmp_path, 7)
        for _ in range(FILES + 2):
            log.fact("x" * (FILE_BYTES + 1))
        log.fact("the last")
        log.close()
        files = sorted(path.name for path in tmp_path.iterdir())
        assert files == ["daemon.log", *(f"daemon.log.{number}" for number in range(1, FILES))]
        assert "the last" in log.path.read_text()
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


class TestTheEnvironment:
    def test_what_is_offered_counts_above_our_own_and_only_what_is_named_is_given(self) -> None:
        environment = Environment({"TOKEN": "old-value", "PATH": "/bin"})
        environment.offer({"TOKEN": "new-value", "OTHER": "x"})
        connection = Connection("github", "github", {"token": "${TOKEN}", "org": "${MISSING}"})
        assert environment.named_by(connection) == {"TOKEN": "new-value"}
        assert "new-value" not in repr(environment)

    def test_a_connection_is_read_as_its_file_has_it_now(self, tmp_path: Path) -> None:
        path = tmp_path / "connections.yaml"
        origin = Origin(str(path))
        path.write_text("github: {adapter: github}\nbad: {adaptr: x}\n")
        path.chmod(0o600)
        assert connection_of(origin, TABLE).adapter == "github"
        with pytest.raises(ConfigError, match="adapter"):
            connection_of(origin, TableName("bad", "x"))
        with pytest.raises(UnknownName, match="did you mean github"):
            connection_of(origin, TableName("githib", "x"))
        path.unlink()
        with pytest.raises(UnknownName, match="no connection github"):
            connection_of(origin, TABLE)
