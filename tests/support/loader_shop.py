"""Loads run in this process, with a spec, a server on loopback and a lake, up to the staged load."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.support.database import open_cursor
from tests.support.fault_server import FaultServer
from unify.config.settings import Settings
from unify.lake.lake import Lake
from unify.load.loader import LoadRunner
from unify.load.protocol import (
    LoadTask,
    TaskResult,
    TaskStatus,
    WorkerMessage,
    make_task,
)
from unify.load.staging import StagedLoad, StagingArea
from unify.load.worker import Reporter
from unify.model import Action, ConfigPaths, JobState, LoaderJob, LoadRecord, TableName
from unify.publish import publish

SPEC = """\
name: shop
base_url: "{base_url}"
options:
  base_url: {required: true}
  token: {secret: true}
auth: {type: bearer, token: "{token}"}
paging: {type: page, page_param: page, size_param: size, size: 2}
tables:
  - name: orders
    description: What was ordered
    request: GET /orders
    key: id
    refresh: {every: 15 minutes}
    columns: {id: {type: bigint, description: Number of the order}}
  - name: changes
    request: GET /changes
    key: id
    incremental: {cursor: updated_at, param: since}
  - name: lines
    request: GET /orders/{order_id}/lines
    for_each: select distinct id as order_id from orders where id < 3
    columns: {order_id: {from: "{order_id}"}}
    key: [order_id, sku]
    incremental: {cursor: at, param: since}
"""


@dataclass
class LoaderHome:
    """A home with a connection ``shop`` in which loads run one by one."""

    settings: Settings
    api: FaultServer
    environment: dict[str, str] = field(default_factory=lambda: {"SHOP_TOKEN": "s3cret-canary"})
    reports: list[WorkerMessage] = field(default_factory=list)
    jobs: int = 0

    def __post_init__(self) -> None:
        self.settings.create_folders()
        self.specs = self.settings.home / "specs"
        self.specs.mkdir()
        (self.specs / "shop.yaml").write_text(SPEC)
        self.settings.connections.write_text(
            f"shop: {{adapter: shop, options: {{base_url: '{self.api.url}', token: '${{SHOP_TOKEN}}'}}}}\n"
        )
        self.settings.connections.chmod(0o600)
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

    def make_job(
        self,
        table: str,
        action: Action = Action.LOAD,
        schema: str = "shop",
        start_at: datetime | None = None,
    ) -> LoaderJob:
        self.jobs += 1
        now = datetime.now(UTC)
        return LoaderJob(
            id=self.jobs,
            uid=f"uid-{self.jobs}",
            tenant="default",
            action=action,
            table=TableName(schema, table),
            origin=ConfigPaths(str(self.settings.connections), (str(self.specs),)),
            priority=0,
            state=JobState.RUNNING,
            attempt=1,
            epoch=1,
            created_at=now,
            start_at=start_at or now,
        )

    def run_load(self, job: LoaderJob) -> TaskResult:
        """Run the job as a worker does."""
        folder = StagingArea(self.settings.staging).create_attempt_folder(job)
        task: LoadTask = make_task(job, self.settings.home, folder, self.environment)
        return self.loading(task, Reporter(task, self.reports.append))

    def sealed_load(self, job: LoaderJob) -> StagedLoad:
        staged = StagingArea(self.settings.staging).find_staged_load(job)
        assert staged is not None
        return staged

    def staged_rows(
        self, job: LoaderJob, sql: str = "select * from rows order by all"
    ) -> list[tuple[object, ...]]:
        """Return the staged rows of a job."""
        with open_cursor() as connection:
            files = [str(path) for path in self.sealed_load(job).file_paths]
            connection.read_parquet(files, union_by_name=True).create_view("rows", replace=True)
            return connection.execute(sql).fetchall()

    def publish(self, table: str, action: Action = Action.LOAD) -> LoadRecord:
        """Load and publish a table, as worker and daemon do."""
        job = self.make_job(table, action)
        assert self.run_load(job).ending is TaskStatus.STAGED
        record = publish.publish(self.lake, job, self.sealed_load(job), is_current_attempt=lambda: True)
        assert record is not None
        return record
