"""The checks after the campaign, from queue, ledger and lake: what was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.chaos.reader import row_problem
from unify.config.settings import Settings
from unify.lake import catalog
from unify.lake.lake import Lake
from unify.model import JobState, LoaderJob
from unify.queue.queue import Queue
from unify.queue.scripts import RunStatus, ScriptRun

# Ends caused by the campaign: the load or its parent was cancelled; its worker was killed three times, as by
# a load that crashes workers; or the disk was full.
_EXPECTED_ERRORS = ("was cancelled", "was given up", "3 times", "the disk is full", "No space left")


@dataclass(frozen=True, slots=True)
class ReportLine:
    """One row of the final table."""

    label: str
    checked: int
    lost: int
    example: str = ""


def check_jobs(queue: Queue, accepted: Iterable[int]) -> Sequence[ReportLine]:
    """Check that every accepted job has ended as expected."""
    found = {id: queue.find(id) for id in accepted}
    gone = [f"job {id} is gone" for id, job in found.items() if job is None]
    jobs = [job for job in found.values() if job is not None]
    stuck = [_describe_job(job) for job in jobs if job.state.active]
    wrong = [_describe_job(job) for job in jobs if _failed_unexpectedly(job)]
    return [
        _report_line("load requests accepted", len(found), gone + stuck),
        _report_line("loads that ended for no good reason", len(jobs), wrong),
    ]


def check_ledger(settings: Settings, jobs: Iterable[LoaderJob]) -> ReportLine:
    """Check that a job is done if and only if the ledger has its load, once."""
    with Lake(settings, read_only=True) as lake:
        rows = lake.read(
            "SELECT uid, count(*) FROM lake._unify.loads WHERE status IN ('success', 'partial') GROUP BY uid"
        )
    published: dict[str, int] = {str(uid): int(count) for uid, count in rows}
    done = {job.uid for job in jobs if job.state is JobState.DONE}
    missing = [f"{uid} is done and not in the ledger" for uid in done - published.keys()]
    twice = [f"{uid} was published {count} times" for uid, count in published.items() if count > 1]
    return _report_line("loads published", len(published), missing + twice)


def check_tables(settings: Settings, expected_rows: Mapping[str, int]) -> ReportLine:
    """Check that every stored table has each row of its source once."""
    with Lake(settings, read_only=True) as lake:
        stored = list(catalog.stored_tables(lake))
        wrong = [row_problem(lake, name, expected_rows[name.table]) for name in stored]
    return _report_line("tables at the end", len(stored), [one for one in wrong if one])


def check_script_runs(queue: Queue) -> ReportLine:
    """Check that no script ran twice for one due time, failed or is still running."""
    runs = queue.scripts.list_runs()
    times = Counter((run.name, run.due_at) for run in runs)
    wrong = [f"{name} ran {count} times for {due_at}" for (name, due_at), count in times.items() if count > 1]
    wrong += [f"run {run.id} is {run.status}: {run.error}" for run in runs if _run_failed_unexpectedly(run)]
    return _report_line("runs of a script", len(runs), wrong)


def _run_failed_unexpectedly(run: ScriptRun) -> bool:
    if run.status is RunStatus.FAILED:
        return not any(words in run.error for words in _EXPECTED_ERRORS)
    return run.status is RunStatus.RUNNING


def check_folders(settings: Settings) -> ReportLine:
    """Check that no staged load is left and no queue was damaged."""
    left = [str(folder) for folder in settings.staging.glob("*/*")]
    damaged = [str(path) for path in settings.home.glob("queue.db.damaged*")]
    return _report_line("staging and queue at the end", 2, left + damaged)


def _failed_unexpectedly(job: LoaderJob) -> bool:
    if job.state in (JobState.FAILED, JobState.DEAD):
        return not any(words in job.error for words in _EXPECTED_ERRORS)
    return False


def _describe_job(job: LoaderJob) -> str:
    return f"job {job.id} ({job.action} {job.table}) is {job.state}: {job.error}"


def _report_line(what: str, tried: int, lost: Sequence[str]) -> ReportLine:
    return ReportLine(what, tried, len(lost), lost[0] if lost else "")
