"""``watch``: changes of a result are found, kept and sent, each once and in order."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.command import CommandResult, UnifyCommand
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.waiting import wait_until
from unify.config.settings import Settings
from unify.lake.history import changed_tables
from unify.lake.lake import Lake
from unify.queue.queue import Queue
from unify.queue.watches import DeliveryState

SECRET = "watch-secret-canary"
TENANT = "default"


class Watched:
    """A table ``t`` in a home, and watches of it that only the test runs."""

    def __init__(self, unify: UnifyCommand, folder: Path) -> None:
        self.unify = unify
        self.folder = folder
        self.file = folder / "changes.jsonl"

    def __call__(self, *statements: str) -> CommandResult:
        result = self.unify(*statements)
        assert result.exit_status == 0, result
        return result

    def create(self, statement: str) -> str:
        """Create a watch that the daemon does not look at; return the message."""
        message = self(statement).stderr
        with Queue(self.unify.home / "queue.db") as queue:
            for watch in queue.watches.list(TENANT):
                queue.scripts.delete_script(TENANT, watch.script_name)
        return message

    def sent(self) -> list[tuple[int, str, object]]:
        """The lines of the file: sequence, change, row."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [(line["sequence"], line["change"], line["row"]) for line in map(json.loads, lines)]


@pytest.fixture
def watched(shared_unify: UnifyCommand, tmp_path: Path) -> Iterator[Watched]:
    shared_unify.environment["UNIFY_WEBHOOK_SECRET"] = SECRET
    watched = Watched(shared_unify, tmp_path)
    watched("create or replace table t as select * from (values (1, 'a'), (2, 'b')) v(id, s)")
    yield watched
    with Queue(shared_unify.home / "queue.db") as queue:
        for watch in queue.watches.list(TENANT):
            queue.scripts.delete_script(TENANT, watch.script_name)
            queue.watches.drop(watch)
    with closing(sqlite3.connect(shared_unify.home / "queue.db")) as database, database:
        database.execute("DELETE FROM delivery")  # their numbers go on, and the home is shared


def test_changes_are_appended_to_a_file(watched: Watched) -> None:
    created = watched.create(f"watch select * from t by id to '{watched.file}' as w")
    assert "watch w created: 2 rows now; it looks after changes of main.t" in created
    assert watched("run watch w").stderr.endswith("watch w: no change\n")
    watched("update t set s = 'z' where id = 2; insert into t values (3, null); delete from t where id = 1")

    result = watched("run watch w")

    assert "watch w: 1 row updated; 1 row inserted; 1 row deleted; sent: 1, 2, 3" in result.stderr
    assert watched.sent() == [
        (1, "update", {"id": 2, "s": "z"}),
        (2, "insert", {"id": 3, "s": None}),
        (3, "delete", {"id": 1, "s": "a"}),
    ]
    [listed] = watched("show watches").rows[1:]
    looks = "after changes of main.t (not scheduled: create it again)"  # create() has removed the schedule
    assert (listed[0], listed[2:4], listed[6:9]) == ("w", [looks, "2"], ["3", "0", "0"])
    assert "watch w removed" in watched("unwatch w").stderr
    assert not any((watched.unify.home / "watches").iterdir())


def test_a_row_that_came_and_went_is_not_missed(watched: Watched) -> None:
    watched.create(f"watch select id from t where s = 'x' to '{watched.file}' as w")
    script = "insert into t values ({0}, 'x'); delete from t where s = 'x'"
    watched("; ".join(script.replace("{0}", str(number + 10)) for number in range(5)))

    watched("run watch w")

    assert [(change, row) for _, change, row in watched.sent()] == [
        (change, {"id": number + 10}) for number in range(5) for change in ("insert", "delete")
    ]


def test_a_table_that_was_created_again_is_compared_with_the_old_one(watched: Watched) -> None:
    watched.create(f"watch select * from t by id to '{watched.file}' as w")
    watched(
        "alter table t rename to old; create table t as select * from old; update t set s = 'z' where id = 2"
    )

    watched("run watch w")

    assert watched.sent() == [(1, "update", {"id": 2, "s": "z"})]
    watched("drop table old; drop table t")
    gone = watched.unify("run watch w")
    assert (gone.exit_status, "table t does not exist" in gone.stderr) == (1, True), gone


def test_history_that_has_expired_is_said(watched: Watched) -> None:
    watched.create(f"watch select id from t by id to '{watched.file}' as w")
    watched("insert into t values (8, 'x')", "delete from t where id = 8", "insert into t values (9, 'x')")
    with Lake(Settings(watched.unify.home, watched.unify.home / "connections.yaml")) as lake, lake.lock():
        lake.connection.execute("CALL ducklake_expire_snapshots('lake', older_than => now())")

    watched("run watch w")

    assert watched.sent() == [(1, "insert", {"id": 9})]
    note = watched("select note from unify.deliveries where watch = 'w' order by created_at desc limit 1")
    assert note.single_value == "earlier versions are not kept any more; this is the difference"


def test_without_a_key_an_update_is_a_deletion_and_an_insertion(watched: Watched) -> None:
    watched("insert into t values (1, 'a')")
    watched.create(f"watch (select * from t) to '{watched.file}' as w")
    watched("update t set s = null where id = 2")

    watched("run watch w")

    assert sorted(watched.sent(), key=str) == [
        (1, "delete", {"id": 2, "s": "b"}),
        (1, "insert", {"id": 2, "s": None}),
    ]


def test_joins_groups_and_views_are_watched(watched: Watched) -> None:
    watched("create or replace view big as select * from t where id > 1")
    created = watched.create(
        f"watch select t.s, count(*) as n from t join big as b on b.id >= t.id group by all order by s by s "
        f"to '{watched.file}' as w"
    )
    assert "it looks after changes of any table" in created
    watched("insert into t values (5, 'b')")

    watched("run watch w")

    assert watched.sent() == [(1, "update", {"s": "a", "n": 2}), (1, "update", {"s": "b", "n": 3})]


def test_a_condition_holds_changes_back(watched: Watched) -> None:
    watched.create(f"watch select id from t where id > 5 by id to '{watched.file}' when rows >= 2 as w")
    watched("insert into t values (6, 'x')", "run watch w")
    assert watched.sent() == []
    watched("insert into t values (7, 'x')", "run watch w")

    assert watched.sent() == [(1, "insert", {"id": 7})]


def test_changed_columns_send_all_rows(watched: Watched) -> None:
    watched.create(f"watch select * from t by id to '{watched.file}' as w")
    watched("alter table t add column n int", "run watch w")

    assert [row for _, _, row in watched.sent()] == [
        {"id": 1, "s": "a", "n": None},
        {"id": 2, "s": "b", "n": None},
    ]
    assert "the columns have changed" in watched("select note from unify.deliveries").stdout


def test_an_address_receives_signed_changes(watched: Watched, api: FaultServer) -> None:
    api.serve("/hook", MockResponse.json({}))
    watched.create(f"watch select * from t by id to '{api.url}/hook' as w")
    watched("update t set s = 'y' where id = 1", "run watch w")

    [request] = [each for each in api.requests if each.path == "/hook"]
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode()
    digest = hmac.new(SECRET.encode(), signed + request.body, hashlib.sha256).digest()
    assert request.headers["webhook-id"] == "w/1"
    assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    body = json.loads(request.body)
    assert body["type"] == "watch.changed"
    assert body["data"] == {
        "watch": "w",
        "sequence": 1,
        "inserted": 0,
        "updated": 1,
        "deleted": 0,
        "part": 1,
        "changes": [{"change": "update", "row": {"id": 1, "s": "y"}}],
    }


def test_a_large_change_is_sent_in_parts(watched: Watched, api: FaultServer) -> None:
    api.serve("/hook", MockResponse.json({}))
    watched.create(f"watch select id from t by id to '{api.url}/hook' as w")
    watched("insert into t select i, 'x' from range(100, 2200) r(i)", "run watch w")

    posted = [each for each in api.requests if each.path == "/hook"]
    assert [each.headers["webhook-id"] for each in posted] == ["w/1", "w/1.2", "w/1.3"]
    rows = [change["row"]["id"] for each in posted for change in json.loads(each.body)["data"]["changes"]]
    assert sorted(rows) == list(range(100, 2200))


def test_what_cannot_be_sent_is_sent_later_in_order(
    watched: Watched, api: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unify.adapters.http.webhook.RETRY_WAITS_S", ())
    api.serve("/hook/secret-path", MockResponse(500))
    watched.create(f"watch select id from t by id to '{api.url}/hook/secret-path' as w")
    watched("insert into t values (3, 'c')")
    failed = watched.unify("run watch w")
    assert failed.exit_status == 1
    assert "status 500" in failed.stderr
    assert "secret-path" not in failed.stderr
    newest = "select state, attempts, error from unify.deliveries order by created_at desc limit 1"
    waiting = watched(newest).rows[1]
    assert waiting[:2] == ["pending", "1"]
    assert "secret-path" not in waiting[2]
    watched("insert into t values (4, 'd')")
    assert "2 pending" in watched.unify("run watch w").stderr  # the second waits for the first

    api.serve("/hook/secret-path", MockResponse.json({}))
    with Queue(watched.unify.home / "queue.db") as queue:
        watch = queue.watches.find(TENANT, "w")
        assert watch is not None
        now = datetime.now(UTC)
        first, _ = queue.watches.pending(watch)
        queue.watches.end_delivery(watch, first, DeliveryState.PENDING, now, next_at=now)
    watched("run watch w")

    posted = [json.loads(each.body)["data"] for each in api.requests if each.path.startswith("/hook")]
    assert [data["sequence"] for data in posted] == [1, 1, 2]
    assert [data["changes"][0]["row"]["id"] for data in posted] == [3, 3, 4]


def test_a_delivery_that_fails_for_a_day_is_given_up(
    watched: Watched, api: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unify.adapters.http.webhook.RETRY_WAITS_S", ())
    monkeypatch.setattr("unify.interpreter.watching.deliveries.GIVE_UP_AFTER", timedelta())
    api.serve("/hook", MockResponse(500))
    watched.create(f"watch select id from t by id to '{api.url}/hook' as w")

    watched("insert into t values (3, 'c')")
    assert watched.unify("run watch w").exit_status == 1  # a first attempt after a day without network
    with Queue(watched.unify.home / "queue.db") as queue:
        watch = queue.watches.find(TENANT, "w")
        assert watch is not None
        [delivery] = queue.watches.pending(watch)
        now = datetime.now(UTC)
        for _ in range(3):
            queue.watches.end_delivery(watch, delivery, DeliveryState.PENDING, now, next_at=now)
    watched("run watch w")

    newest = "select state, attempts from unify.deliveries order by created_at desc limit 1"
    assert watched(newest).rows[1] == ["dead", "5"]


@pytest.mark.parametrize("failpoint", ["watch.compared", "watch.recorded", "watch.sent"])
def test_nothing_is_missed_when_the_process_is_killed(watched: Watched, failpoint: str) -> None:
    """What was sent before the end of the process may be sent again, with the same number."""
    watched.create(f"watch select id from t by id to '{watched.file}' as w")
    watched("insert into t values (3, 'c')")
    killed = UnifyCommand(watched.unify.home)
    killed.environment["UNIFY_FAILPOINT"] = f"{failpoint}:kill"
    assert killed("run watch w").exit_status == -signal.SIGKILL
    watched("insert into t values (4, 'd')", "run watch w")

    assert set(map(str, watched.sent())) == {"(1, 'insert', {'id': 3})", "(2, 'insert', {'id': 4})"}
    assert len(watched.sent()) == (3 if failpoint == "watch.sent" else 2)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("watch select * from t by no to 'a.jsonl' as w", "the SELECT has no column no"),
        (
            "watch select 1 as id from t by id to 'a.jsonl' as w",
            "2 rows of the SELECT have the same key: id =",
        ),
        ("watch select 1 as _change to 'a.jsonl' as w", "the SELECT has a column _change"),
        ("watch select * from nowhere to 'a.jsonl' as w", "nowhere"),
        ("watch select 1 as a to 'a.csv' as w", "appended to a file of JSON lines"),
        ("watch (select 1 as a) as w", "a watch with a name needs a target"),
        ("watch select 1 as a to 'https://x.example/h' secret 'plain' as w", "is a reference"),
        ("watch select 1 as a to 'a.jsonl' secret '${S}' as w", "only an address has a secret"),
        ("watch select 1 as a to nowhere.t as w", "nowhere"),
        ("run watch nothing", "there is no watch nothing"),
        ("unwatch nothing", "there is no watch nothing"),
        ("begin; watch select 1 as a to 'a.jsonl' as w", "cannot watch rows inside a transaction"),
    ],
)
def test_what_cannot_be_watched_is_refused(watched: Watched, statement: str, message: str) -> None:
    result = watched.unify(statement)

    assert result.exit_status != 0
    assert message in result.stderr
    assert watched("show watches").rows[1:] == []


def test_a_second_creation_replaces_the_watch(watched: Watched) -> None:
    watched.create(f"watch select id from t by id to '{watched.file}' as w")
    watched("insert into t values (3, 'c')")

    assert "watch w replaced: 3 rows now" in watched.create(
        f"watch select id from t by id to '{watched.file}' as W"
    )

    watched("run watch w")
    assert watched.sent() == []


def test_the_numbers_of_a_replaced_watch_go_on(watched: Watched) -> None:
    """A receiver discards a number that it has seen."""
    watched.create(f"watch select id from t by id to '{watched.file}' as w")
    watched("insert into t values (3, 'c')", "run watch w")
    watched.create(f"watch select id from t by id to '{watched.file}' as w")
    watched("insert into t values (4, 'd')", "run watch w", "unwatch w")
    watched.create(f"watch select id from t by id to '{watched.file}' as W")
    watched("insert into t values (5, 'e')", "run watch w")

    assert [sequence for sequence, *_ in watched.sent()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        ('{"watch":"w","sequence":1,"change":"ins', ""),
        ('{"watch":"w","seq', ""),
        ('{"mine": 1}\n{"watch":"w","sequence":1,', '{"mine": 1}\n'),
        ('{"mine": 1}', '{"mine": 1}\n'),
        ("x" * 70_000, "x" * 70_000 + "\n"),
    ],
)
def test_a_line_that_was_left_incomplete_damages_no_other(watched: Watched, left: str, kept: str) -> None:
    watched.create(f"watch select id from t by id to '{watched.file}' as w")
    watched("insert into t values (3, 'c')")
    watched.file.write_text(left)

    watched("run watch w")

    line = '{"watch":"w","sequence":1,"change":"insert","row":{"id":3}}\n'
    assert watched.file.read_text() == kept + line


def test_what_is_published_during_a_look_is_not_taken_back(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look compares with the versions since the snapshot of this one."""
    watched.create(f"watch select id from t by id to '{watched.file}' as w")
    watched("insert into t values (3, 'c')")
    others = iter(["insert into t values (4, 'd'); insert into t values (5, 'e')"])

    def newest_snapshot(lake: Lake) -> int:
        found = changed_tables.newest_snapshot(lake)
        for statement in others:
            assert UnifyCommand(watched.unify.home)(statement).exit_status == 0
        return found

    monkeypatch.setattr("unify.interpreter.watching.watch_runner.newest_snapshot", newest_snapshot)
    watched("run watch w", "run watch w")

    assert [(change, row) for _, change, row in watched.sent()] == [
        ("insert", {"id": id}) for id in (3, 4, 5)
    ]


def test_the_daemon_looks_after_a_change(watched: Watched) -> None:
    """Of a table made by statements, which no load tells the daemon about."""
    watched(f"watch select id from t by id to '{watched.file}' as w")
    watched("insert into t values (3, 'c')")
    wait_until(lambda: watched.sent() == [(1, "insert", {"id": 3})])
    assert watched("show watches").rows[1][2] == "after changes of main.t"


def test_changes_are_shown_until_the_user_ends_it(watched: Watched) -> None:
    process = UnifyCommand(watched.unify.home)
    with process.start("-c", "watch select * from t by id") as shown:
        assert shown.stderr is not None
        assert shown.stdout is not None
        assert "2 rows now; changes are shown as they come" in shown.stderr.readline()
        watched("update t set s = 'y' where id = 1")
        assert shown.stdout.readline() == '~ {"id":1,"s":"y"}\n'
        watched("delete from t where id = 2")
        assert shown.stdout.readline() == '- {"id":2,"s":"b"}\n'
        shown.send_signal(2)
        assert shown.wait(30) in (0, 130)
        assert "Traceback" not in shown.stderr.read()
