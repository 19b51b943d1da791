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


class CampaignResult(Struct, frozen=True):
    """What became of the rows. ``lost`` are neither there nor unknown; ``reused_keys`` had another body."""

    kills: int
    rows: int
    doubled: int
    lost: int
    unknown: int
    reused_keys: int

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.rows} rows: {self.doubled} doubled, {self.lost} lost, "
            f"{self.unknown} unknown"
        )


def run_campaign(
    unify: UnifyCommand, api: FaultServer, protection: Protection, *, kills: int, rows: int, seed: int
) -> CampaignResult:
    """Send ``rows`` rows through the daemon, and kill the worker that sends them ``kills`` times."""
    rng = random.Random(seed)
    system = WritableApi(api, faults=random_faults(seed, 4 * rows, FAULT_SHARE))
    _connect(unify, api, protection)
    origin = ConfigPaths(str(unify.home / "connections.yaml"), (str(unify.home / "specs"),))
    emails = [f"{number}@x" for number in range(rows)]
    with WriteStore(unify.home / "writes.db") as store:
        planned = [
            PlannedRow(number, "insert", {"email": email}) for number, email in enumerate(emails, start=1)
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
    return CampaignResult(
        killed,
        rows,
        sum(count - 1 for count in counts.values()),
        len(set(emails) - set(counts) - unknown),
        len(unknown),
        system.reused_keys,
    )


def _connect(unify: UnifyCommand, api: FaultServer, protection: Protection) -> None:
    insert = {**_REQUESTS[protection], "body": {"email": "{email}", "name": "{name}"}}
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
