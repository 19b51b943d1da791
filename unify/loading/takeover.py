"""Taking over what the queue says is under way and nobody works on.

An older daemon left it, or this one had no room on the disk to write down what became of it. The publisher
asks the ledger, then the staging folder; what is in neither is fetched again. Can be done any number of
times: all orders about a job go through the one publisher, and what was decided first counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from unify.loading.outcomes import Outcomes, about
from unify.loading.publisher import Orphan
from unify.loading.workers import Crew
from unify.model import JobState, LoaderJob
from unify.store.staging import Staging


def take_over(epoch: int, outcomes: Outcomes, crew: Crew, staging: Staging) -> None:
    """Find an owner for every job under way, of this epoch too, that no worker has. Raises StoreError."""
    under_way = outcomes.queue.orphans(epoch + 1)
    orphans = [job for job in under_way if not _is_worked_on(job, crew)]
    outcomes.keep_only({job.id for job in under_way} - {job.id for job in orphans})
    for folder in staging.sweep([(job.uid, job.attempt) for job in under_way]):
        outcomes.log.fact("staging swept", folder=folder)
    _adopt(orphans, outcomes)


def _adopt(orphans: Sequence[LoaderJob], outcomes: Outcomes) -> None:
    for job in orphans:
        outcomes.log.fact("orphan found", **about(job), state=job.state.value, attempt=job.attempt)
        run = outcomes.begin(job)
        if job.cancel_asked and job.state is JobState.RUNNING:
            outcomes.finish(run, JobState.CANCELLED, "cancelled")
        else:
            outcomes.publisher.submit(Orphan(job))


def _is_worked_on(job: LoaderJob, crew: Crew) -> bool:
    worker = crew.working_on(job.id)
    return worker is not None and worker.task is not None and worker.task.attempt == job.attempt
