"""A write whose worker processes are killed again and again while the API loses responses."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import yaml
from msgspec import Struct

from tests.support.command import UnifyCommand
from tests.support.fault_server import FaultServer
from tests.support.quick_write_runner import PID_FILE
from tests.support.waiting import scaled_limit_s, wait_until
from tests.support.writable_api import Protection, WritableApi, random_faults
from unify.model import ConfigPaths, PlannedRow, RowState, TableName, WriteState
from unify.writes.records import NewWrite
from unify.writes.store import WriteStore

PEOPLE = TableName("crm", "people")
FAULT_SHARE = 0.2  # of the requests
LONGEST_DELAY_S = 0.05  # between a request and the kill: some requests, or none
_REQUESTS: Mapping[Protection, Mapping[str, object]] = {
    "key": {"request": "POST /people", "idempotency": {"header": "Idempotency-Key"}},
    "settle": {
        "request": "POST /people",
        "settle": {"find": "GET /people?email={email}", "rows": "items", "same": "email"},
    },
    "put": {"request": "PUT /person"},
    "nothing": {"request": "POST /people"},
}


_BATCH: Mapping[str, object] = {
    "body": {"rows": "{rows}"},
    "each": {"email": "{email}", "name": "{name}", "trace": "{row}"},
    "batch": {"rows": 8},
    "outcomes": {
        "done": "results",
        "failed": "errors",
        "by": "trace",
        "status": "status",
        "message": "message",
    },
}
_REFUSED_NAME, _REFUSED_EVERY = "bad", 13  # in a batch, one row in so many is refused


class CampaignResult(Struct, frozen=True):
    """What became of the rows.

    ``lost``         neither there, nor unknown, nor refused by the API.
    ``mistaken``     refused rows with another outcome than rejected or unknown, and others that are rejected.
    ``reused_keys``  keys that had another body before.
    """

    kills: int
    rows: int
    doubled: int
    lost: int
    unknown: int
    reused_keys: int
    rejected: int = 0
    mistaken: int = 0

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.rows} rows: {self.doubled} doubled, {self.lost} lost, "
            f"{self.unknown} unknown, {self.rejected} rejected, {self.mistaken} mistaken"
        )


def run_campaign(
    unify: UnifyCommand,
    api: FaultServer,
    protection: Protection,
    *,
    kills: int,
    rows: int,
    seed: int,
    batches: bool = False,
) -> CampaignResult:
    """Send ``rows`` rows through the daemon, and kill the worker that sends them ``kills`` times.

    ``batches``  several rows a request, of which some are refused: status 207.
    """
    rng = random.Random(seed)
    refused = frozenset([_REFUSED_NAME] if batches else [])
    faults = random_faults(seed, 4 * rows, FAULT_SHARE)
    system = WritableApi(api, faults=faults, refused_names=refused)
    _connect(unify, api, protection, batches=batches)
    origin = ConfigPaths(str(unify.home / "connections.yaml"), (str(unify.home / "specs"),))
    emails = [f"{number}@x" for number in range(rows)]
    with WriteStore(unify.home / "writes.db") as store:
        planned = [
            PlannedRow(number, "insert", _values(number, email, batches=batches))
            for number, email in enumerate(emails, start=1)
        ]
        write = store.plan(NewWrite("default", PEOPLE, "insert", origin), planned, datetime.now(UTC))
        unify("pause crm")  # starts the daemon
        unify(f"approve write {write.id}", args=("--no-wait",))
        unify("resume crm")
        killed = _kill_workers(store, write.id, api, unify.home / PID_FILE, kills, rng)
        wait_until(lambda: _has_ended(store, write.id), timeout_s=120.0)
        ended = store.find(write.id)
        assert ended is not None
        assert ended.state is WriteState.DONE, ended
        outcomes = store.rows(write.id)
    unknown = {row.planned.values["email"] for row in outcomes if row.state is RowState.UNKNOWN}
    assert all(row.state.is_settled for row in outcomes)
    counts = Counter(system.emails)
    rejected = {row.planned.values["email"] for row in outcomes if row.state is RowState.REJECTED}
    bad = {row.planned.values["email"] for row in outcomes if "name" in row.planned.values}
    return CampaignResult(
        killed,
        rows,
        sum(count - 1 for count in counts.values()),
        len(set(emails) - set(counts) - unknown - rejected),
        len(unknown),
        system.reused_keys,
        len(rejected),
        len((bad - unknown) ^ rejected) + len(bad & set(counts)),
    )


def _values(number: int, email: str, *, batches: bool) -> Mapping[str, object]:
    is_bad = batches and number % _REFUSED_EVERY == 0
    return {"email": email, "name": _REFUSED_NAME} if is_bad else {"email": email}


def _connect(unify: UnifyCommand, api: FaultServer, protection: Protection, *, batches: bool) -> None:
    insert: dict[str, object] = {**_REQUESTS[protection], "body": {"email": "{email}", "name": "{name}"}}
    if batches:
        method = str(insert["request"]).partition(" ")[0]
        insert |= {**_BATCH, "request": f"{method} /people-batch"}
    spec = {
        "name": "crm",
        "base_url": "{base_url}",
        "options": {"base_url": {"required": True}},
        "paging": {"type": "none"},
        "tables": [
            {
                "name": "people",
                "request": "GET /people",
                "key": "email",
                "write": {"columns": {"email": {"required": "insert"}, "name": {}}, "insert": insert},
            }
        ],
    }
    specs = unify.home / "specs"
    specs.mkdir()
    (specs / "crm.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    unify.environment["UNIFY_SPECS"] = str(specs)
    unify.write_connections(f"crm: {{adapter: crm, options: {{base_url: '{api.url}'}}, writes: [people]}}\n")


def _has_ended(store: WriteStore, id: int) -> bool:
    write = store.find(id)
    return write is not None and write.state not in (WriteState.APPROVED, WriteState.RUNNING)


def _kill_workers(
    store: WriteStore, write: int, api: FaultServer, pid_file: Path, kills: int, rng: random.Random
) -> int:
    """Kill the worker a moment after it has sent something, until the write has ended; return how often.

    Every other worker lives until a row has got its outcome: a job whose workers die without is given up.
    """
    killed, last_pid, sent, settled = 0, 0, 0, 0
    deadline = time.monotonic() + scaled_limit_s(60.0 + 5.0 * kills)
    while killed < kills and not _has_ended(store, write):
        assert time.monotonic() < deadline, killed
        pid = int(pid_file.read_text()) if pid_file.exists() else 0
        lives = killed % 2 == 0 and _count_settled(store, write) <= settled
        if pid == last_pid or len(api.requests) == sent or lives:
            time.sleep(0.002)
            continue
        time.sleep(rng.uniform(0, LONGEST_DELAY_S))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed += 1
        last_pid, sent, settled = pid, len(api.requests), _count_settled(store, write)
    return killed


def _count_settled(store: WriteStore, write: int) -> int:
    return sum(count for state, count in store.counts(write).items() if state.is_settled)
