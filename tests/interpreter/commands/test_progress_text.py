"""The progress text of a load."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from tests.support.stores import make_job
from unify.interpreter.commands.system import progress_text, rate_text, task_lines
from unify.interpreter.query import load_client
from unify.model import Action, JobState, LoaderStatus, TableName

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HALF = LoaderStatus(
    1,
    TableName("github", "pulls"),
    Action.LOAD,
    JobState.RUNNING,
    rows=1300,
    pages=10,
    pages_total=40,
    elapsed_s=9.0,
)


def test_the_remaining_time_is_shown_if_the_pages_are_known() -> None:
    assert rate_text(HALF, NOW) == "144 rows/s  0:00:27 left"
    assert rate_text(replace(HALF, pages_total=None), NOW) == "144 rows/s"


def test_the_share_of_the_expected_rows_and_the_remaining_time_are_shown() -> None:
    load = replace(HALF, rows=250_000, pages=0, pages_total=None, elapsed_s=10.0, rows_total=1_000_000)
    assert progress_text(load, NOW) == "250,000 rows of about 1,000,000 (25%)  0:00:10"
    assert rate_text(load, NOW) == "25,000 rows/s  0:00:30 left"
    more = replace(load, rows=1_200_000)  # the database estimates
    assert progress_text(more, NOW) == "1,200,000 rows of about 1,000,000 (99%)  0:00:10"
    assert rate_text(more, NOW) == "120,000 rows/s"


@pytest.mark.parametrize(
    "status",
    [
        replace(HALF, elapsed_s=0.4),
        replace(HALF, rows=0),
        replace(HALF, state=JobState.PUBLISHING),
        replace(HALF, state=JobState.QUEUED),
        replace(HALF, waiting_until=NOW + timedelta(seconds=41)),
    ],
)
def test_no_remaining_time_is_shown_without_a_basis(status: LoaderStatus) -> None:
    assert rate_text(status, NOW) == ""


def test_a_rate_limit_shows_when_the_load_continues() -> None:
    [line] = task_lines([replace(HALF, waiting_until=NOW + timedelta(seconds=41))], NOW)

    assert line.endswith("0:00:09  rate limited, resumes in 41 s")


def test_a_retried_load_shows_time_and_reason() -> None:
    failed = replace(HALF, state=JobState.QUEUED, error="github.pulls: GET http://a returned 503\nmore")
    later = replace(failed, waiting_until=NOW + timedelta(seconds=4))

    why = "GET http://a returned 503"
    assert task_lines([later], NOW)[0].endswith(f"queued  again in 4 s: {why}")
    assert task_lines([later], NOW + timedelta(seconds=5))[0].endswith(f"queued  again: {why}")
    assert task_lines([replace(later, error="")], NOW)[0].endswith("queued")


def test_the_message_of_a_failed_load_names_its_table_once() -> None:
    job = replace(make_job(), state=JobState.FAILED)
    for error, message in (
        ("github.pulls: no way on", "github.pulls: no way on"),
        (
            "github.pulls for repo lake: GET /x returned 404",
            "github.pulls for repo lake: GET /x returned 404",
        ),
        ("the disk is full", "github.pulls: the disk is full"),
    ):
        assert load_client._failure_message(replace(job, error=error)) == message
