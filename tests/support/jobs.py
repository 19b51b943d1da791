"""New and claimed jobs for tests of the queue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from unify.model import Action, ConfigPaths, LoaderJob, TableName
from unify.queue.queue import Queue
from unify.queue.rows import NewJob

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


ORIGIN = ConfigPaths("/etc/connections.yaml", ("/specs",))


MINUTE = timedelta(minutes=1)


def new_job(table: str = "github.pulls", action: Action = Action.LOAD, **more: object) -> NewJob:
    schema, name = table.split(".")
    return NewJob("default", action, TableName(schema, name), ORIGIN, **more)  # type: ignore[arg-type]


def claim_job(queue: Queue, now: datetime = NOON, epoch: int = 1) -> LoaderJob:
    job = queue.claim(epoch, now)
    assert job is not None
    return job
