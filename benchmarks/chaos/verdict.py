"""What was tried, what was lost: decided when everything is quiet again, from queue, ledger and lake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.chaos.reader import wrong_rows
from unify.model import JobState, LoaderJob
from unify.settings import Settings
from unify.store import catalog
from unify.store.lake import Lake
from unify.store.queue import Queue
from unify.store.scripts import RunStatus, ScriptRun

# Ends that somebody brought about: a person cancelled the load, or one it waits for; or its worker was
# killed three times, which is what a poisonous load looks like; or there was no room on the disk.
_ASKED_FOR = ("was cancelled", "was given up", "3 times", "the disk is full", "No space left")


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table at the end."""

    what: str
    tried: int
    lost: int
    example: str = ""


def of_jobs(queue: Queue, accepted: Iterable[int]) -> Sequence[Line]:
    """Every job that was accepted has ended, and as it should."""
    found = {id: queue.find(id) for id in accepted}
    gone = [f"job {id} is gone" for id, job in found.items() if job is None]
    jobs = [job for job in found.values() if job is not None]
    stuck = [_said(job) for job in jobs if job.state.active]
    wrong = [_said(job) for job in jobs if _went_wrong(job)]
    return [
        _line("load requests accepted", len(found), gone + stuck),
        _line("loads that ended for no good reason", len(jobs), wrong),
    ]


def of_ledger(settings: Settings, jobs: Iterable[LoaderJob]) -> Line:
    """A job is done if and only if the ledger has its load, once."""
    with Lake(settings, read_only=True) as lake:
        rows = lake.read(
            "SELECT uid, count(*) FROM lake._unify.loads WHERE status IN ('success', 'partial') GROUP BY uid"
        )
    published: dict[str, int] = {str(uid): int(count) for uid, count in rows}
    done = {job.uid for job in jobs if job.state is JobState.DONE}
    missing = [f"{uid} is done and not in the ledger" for uid in done - published.keys()]
    twice = [f"{uid} was published {count} times" for uid, count in published.items() if count > 1]
    return _line("loads published", len(published), missing + twice)


def of_tables(settings: Settings, whole: Mapping[str, int]) -> Line:
    """Every stored table has each of its source's rows once."""
    with Lake(settings, read_only=True) as lake:
        stored = list(catalog.stored_tables(lake))
        wrong = [wrong_rows(lake, name, whole[name.table]) for name in stored]
    return _line("tables at the end", len(stored), [one for one in wrong if one])


def of_runs(queue: Queue) -> Line:
    """No script ran twice for one due time, none failed, and none is under way any more."""
    runs = queue.scripts.runs()
    times = Counter((run.name, run.due_at) for run in runs)
    wrong = [f"{name} ran {count} times for {due_at}" for (name, due_at), count in times.items() if count > 1]
    wrong += [f"run {run.id} is {run.status}: {run.error}" for run in runs if _run_went_wrong(run)]
    return _line("runs of a script", len(runs), wrong)


def _run_went_wrong(run: ScriptRun) -> bool:
    if run.status is RunStatus.FAILED:
        return not any(words in run.error for words in _ASKED_FOR)
    return run.status is RunStatus.RUNNING


def of_folders(settings: Settings) -> Line:
    """Nothing staged is left over, and no queue was damaged."""
    left = [str(folder) for folder in settings.staging.glob("*/*")]
    damaged = [str(path) for path in settings.home.glob("queue.db.damaged*")]
    return _line("staging and queue at the end", 2, left + damaged)


def _went_wrong(job: LoaderJob) -> bool:
    if job.state in (JobState.FAILED, JobState.DEAD):
        return not any(words in job.error for words in _ASKED_FOR)
    return False


def _said(job: LoaderJob) -> str:
    return f"job {job.id} ({job.action} {job.table}) is {job.state}: {job.error}"


def _line(what: str, tried: int, lost: Sequence[str]) -> Line:
    return Line(what, tried, len(lost), lost[0] if lost else "")
