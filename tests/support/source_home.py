"""A home with a connection to a database, whose loads run in this process, one by one."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from unify.config.settings import Settings
from unify.lake.lake import Lake
from unify.load.loader import LoadRunner
from unify.load.protocol import LoadProgress, TaskResult, TaskStatus, WorkerMessage, make_task
from unify.load.staging import StagedLoad, StagingArea
from unify.load.worker import Reporter
from unify.model import Action, ConfigPaths, JobState, LoaderJob, LoadRecord, TableName
from unify.publish import publish


@dataclass
class SourceHome:
    """A home with a connection ``shop``. ``configure`` writes it."""

    settings: Settings
    environment: dict[str, str] = field(default_factory=dict)
    reports: list[WorkerMessage] = field(default_factory=list)
    jobs: int = 0

    def __post_init__(self) -> None:
        self.settings.create_folders()
        self.loading = LoadRunner(self.settings.home, self.settings.tenant)
        self._lake: Lake | None = None

    def close(self) -> None:
        self.loading.close()
        if self._lake is not None:
            self._lake.close()

    @property
    def lake(self) -> Lake:
        """The lake for publications, which stays open, as in the daemon."""
        if self._lake is None:
            self._lake = Lake(self.settings)
        return self._lake

    def configure(self, connection: str) -> None:
        """Write connections.yaml with ``shop: CONNECTION``."""
        self.settings.connections.write_text(f"shop: {connection}\n")
        self.settings.connections.chmod(0o600)

    def make_job(self, table: str, action: Action = Action.LOAD) -> LoaderJob:
        self.jobs += 1
        now = datetime.now(UTC)
        return LoaderJob(
            id=self.jobs,
            uid=f"uid-{self.jobs}",
            tenant="default",
            action=action,
            table=TableName("shop", table),
            origin=ConfigPaths(str(self.settings.connections), ()),
            priority=0,
            state=JobState.RUNNING,
            attempt=1,
            epoch=1,
            created_at=now,
            start_at=now,
        )

    def run_load(self, job: LoaderJob) -> TaskResult:
        """Run the job as a worker does."""
        folder = StagingArea(self.settings.staging).create_attempt_folder(job)
        task = make_task(job, self.settings.home, folder, self.environment)
        return self.loading(task, Reporter(task, self.reports.append))

    def staged_load(self, job: LoaderJob) -> StagedLoad:
        staged = StagingArea(self.settings.staging).find_staged_load(job)
        assert staged is not None
        return staged

    def publish(self, table: str, action: Action = Action.LOAD) -> LoadRecord:
        """Load and publish a table, as worker and daemon do."""
        job = self.make_job(table, action)
        assert self.run_load(job).ending is TaskStatus.STAGED
        return self.publish_staged(job)

    def publish_staged(self, job: LoaderJob) -> LoadRecord:
        record = publish.publish(self.lake, job, self.staged_load(job), is_current_attempt=lambda: True)
        assert record is not None
        return record

    def refresh(self, table: str) -> LoadRecord:
        return self.publish(table, Action.REFRESH)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Return the rows of a query of the lake."""
        with closing(self.lake.cursor()) as cursor:
            return cursor.execute(sql).fetchall()

    @property
    def progress(self) -> list[LoadProgress]:
        return [report for report in self.reports if isinstance(report, LoadProgress)]
