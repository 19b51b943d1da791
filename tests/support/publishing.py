"""Stage rows and publish them."""

from __future__ import annotations

from tests.support.stores import NOON, fetch_rows, make_job, stage_rows
from unify.lake.lake import Lake
from unify.load.staging import StagedLoad
from unify.model import Action, LoaderJob, LoadRecord
from unify.publish.publish import publish

KEYED = {"id": "BIGINT", "title": "VARCHAR"}


def publish_load(lake: Lake, job: LoaderJob, staged: StagedLoad) -> LoadRecord:
    record = publish(lake, job, staged, is_current_attempt=lambda: True, now=NOON)
    assert record is not None
    return record


def load(
    lake: Lake, columns: dict[str, str], rows: list[tuple[object, ...]], **manifest: object
) -> LoadRecord:
    job = make_job(action=Action.LOAD)
    return publish_load(lake, job, stage_rows(lake.settings, job, columns, rows, **manifest))


def refresh(
    lake: Lake, columns: dict[str, str], rows: list[tuple[object, ...]], **manifest: object
) -> LoadRecord:
    job = make_job(action=Action.REFRESH)
    return publish_load(lake, job, stage_rows(lake.settings, job, columns, rows, **manifest))


def stored_pulls(lake: Lake) -> list[tuple[object, ...]]:
    return fetch_rows(lake, "select * from github.pulls order by all")
