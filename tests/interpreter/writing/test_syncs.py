"""``create sync``: rows that are written again and again, by a statement or by the daemon."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from tests.support.crm import Crm
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.waiting import wait_until
from unify.queue.queue import Queue
from unify.queue.scripts import RunStatus
from unify.writes.store import WriteStore

SECRET = "sync-secret-canary"
PEOPLE = (
    "create or replace table source as "
    "select * from (values ('a@x', 'Ada', 1), ('b@x', 'Bob', 2)) t(email, name, n)"
)
CREATE = "create sync people as upsert into crm.people by email select email, name from source"
COUNTS = (
    "select status, read, filtered, formatted, written, failed from unify.sync_runs order by id desc limit 1"
)


@pytest.fixture
def source(crm: Crm) -> Crm:
    crm.unify.environment["UNIFY_WEBHOOK_SECRET"] = SECRET
    crm(PEOPLE)
    with Queue(crm.unify.home / "queue.db") as queue:
        for sync in queue.syncs.list("default"):
            queue.syncs.drop("default", sync.name)
            queue.scripts.delete_script("default", sync.name)
    with WriteStore(crm.unify.home / "writes.db") as store:
        store.written.forget("default", "people")
    return crm


def test_a_run_writes_what_differs_and_is_recorded(source: Crm) -> None:
    source.api.refused_names = frozenset(["Bob"])
    assert "sync people created; it runs by run sync" in source(CREATE).stderr

    first = source("run sync people")
    assert first.exit_status == 1
    assert "sync people: 2 rows read, 0 unchanged, 1 written, 1 failed" in first.stderr
    assert 'row 2: status 422 ("Bob is not a name")' in first.stderr
    assert source(COUNTS).rows[1] == ["success_with_failures", "2", "0", "2", "1", "1"]

    source.api.refused_names = frozenset()
    second = source("run sync people")
    assert "2 rows read, 1 unchanged, 1 written (write" in second.stderr, second
    assert source(COUNTS).rows[1] == ["success", "2", "1", "1", "1", "0"]
    assert source.people == [("a@x", "Ada"), ("b@x", "Bob")]
    assert source("show syncs").rows[1][:5] == ["people", "crm.people", "upsert", "by run sync", "success"]


def test_nothing_is_created_without_approval(source: Crm) -> None:
    result = source(CREATE, args=())

    assert result.exit_status == 2
    assert "sync people, which runs by run sync and asks nothing then:" in result.stderr
    assert "2 rows to insert into crm.people" in result.stderr
    assert "there is no sync people" in source("run sync people").stderr
    assert not source.sent


def test_a_run_that_cannot_write_is_fatal(source: Crm) -> None:
    source(CREATE, "drop table source")

    result = source("run sync people")

    assert result.exit_status == 1
    [fatal] = source("select status, reason from unify.sync_runs order by id desc limit 1").rows[1:]
    assert fatal[0] == "fatal"
    assert "source" in fatal[1]


def test_a_cursor_reads_new_rows_only(source: Crm) -> None:
    source("create sync people as insert into crm.people cursor n select email, name, n from source")
    source("run sync people", "insert into source values ('c@x', 'Cem', 3)")

    result = source("run sync people")

    assert "1 row read, 0 unchanged, 1 written" in result.stderr, result
    assert source.people == [("a@x", "Ada"), ("b@x", "Bob"), ("c@x", "Cem")]
    assert source("select cursor from unify.syncs").single_value == "3"


def test_rows_without_a_cursor_value_end_the_run(source: Crm) -> None:
    source("create sync people as insert into crm.people cursor n select email, name, n from source")
    source("run sync people", "insert into source values ('d@x', 'Dan', null)")

    result = source("run sync people")

    assert "the SELECT returns 1 row without a value in the cursor column n" in result.stderr, result
    assert source.people == [("a@x", "Ada"), ("b@x", "Bob")]


def test_an_address_that_does_not_respond_is_named_without_its_path(source: Crm) -> None:
    source(f"{CREATE} then 'http://127.0.0.1:9/secret-path'")

    source("run sync people")

    callback = source("select callback from unify.sync_runs order by id desc limit 1").single_value
    assert callback.startswith("failed: POST http://127.0.0.1:9: ")
    assert "secret-path" not in callback
    assert source("drop sync people").exit_status == 0


def test_an_address_receives_the_signed_result_of_each_run(source: Crm, api: FaultServer) -> None:
    api.serve("/hook", MockResponse.json({}))
    source(f"{CREATE} then '{api.url}/hook'")

    source("run sync people")

    [request] = [each for each in api.requests if each.path == "/hook"]
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode()
    digest = hmac.new(SECRET.encode(), signed + request.body, hashlib.sha256).digest()
    assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert json.loads(request.body)["data"] | {"run": 0, "write": 0} == {
        "sync": "people",
        "table": "crm.people",
        "run": 0,
        "status": "success",
        "reason": "",
        "write": 0,
        "read": 2,
        "filtered": 0,
        "formatted": 2,
        "written": 2,
        "failed": 0,
    }
    assert source("select callback from unify.sync_runs order by id desc limit 1").single_value == "delivered"


def test_the_daemon_runs_a_sync_after_loads_and_then_the_script(source: Crm) -> None:
    script = source.unify.home / "after.sql"
    script.write_text("create or replace table called as select 1 as a;")
    source.api.server.serve("/notes", MockResponse.json([{"email": "n@x"}]))
    created = source(
        "create sync notes as upsert into crm.contacts by email (select email from crm.notes) "
        f"after load of crm.notes then run '{script}'",
        "show schedules",
        "refresh table crm.notes",
    )
    assert "sync notes created; it runs after each load of crm.notes" in created.stderr, created
    assert created.rows[1][:3] == ["notes", "sync", "after load of crm.notes"]

    with Queue(source.unify.home / "queue.db") as queue:
        wait_until(
            lambda: any(run.name == "notes callback" and run.ended_at for run in queue.scripts.list_runs())
        )
        ended = {run.name: run for run in queue.scripts.list_runs()}
    assert source.people == [("n@x", None)]
    assert (ended["notes callback"].status, ended["notes callback"].error) == (RunStatus.SUCCESS, "")
    source("drop sync notes")
    assert "notes" not in source("show syncs").stdout


def test_export_every_creates_a_sync(source: Crm) -> None:
    created = source("export source to crm.contacts upsert by email every 2 hours")

    assert created.exit_status == 1  # n cannot be written
    result = source(
        "export (select email, name from source) to crm.contacts upsert by email as c every 2 hours"
    )
    assert "sync c created; it runs every 2 hours" in result.stderr
    wait_until(lambda: len(source.api.people) == 2)
    assert source("drop sync c").exit_status == 0


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (f"{CREATE} after load of crm.people", "cannot run after its loads"),
        (
            "create sync m as mirror into crm.people by email cursor n select * from source",
            "a mirror reads all rows",
        ),
        (
            "create sync m as upsert into crm.people by email when gone delete cursor n select * from source",
            "when gone delete compares all rows",
        ),
        (f"{CREATE} then run 'missing.sql'", "there is no such file"),
        (f"{CREATE} then 'https://x.example' secret 'plain'", "is a reference"),
        (f"{CREATE} then 'ftp://x.example'", "expected an address with https://"),
        ("create sync x as upsert into crm.people by emial select email from source", "no column emial"),
        ("run sync nothing", "there is no sync nothing"),
        ("drop sync nothing", "there is no sync nothing"),
        (f"begin; {CREATE}", "inside a transaction"),
    ],
)
def test_what_cannot_be_created_is_refused(source: Crm, statement: str, message: str) -> None:
    result = source(statement)

    assert result.exit_status != 0
    assert message in result.stderr
    assert not source.sent
