"""The metrics of a home, by the naming conventions of Prometheus: base units, and ``_total`` for counters.

Labels are names of connections, tables and scripts, and words of fixed lists; never an address, an error or a
value of a row. docs/serving.md describes each metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from unify.errors import escape_surrogates
from unify.model import TableName
from unify.queue.scripts import RunStatus
from unify.queue.summary import QueueSummary, ScriptResult
from unify.servers.monitoring.daemon_monitor import NOTIFICATION_RESULTS, STATUS_CLASSES, WaitReason
from unify.servers.monitoring.exposition import HistogramFamily, HistogramSample, MetricFamily, MetricType
from unify.servers.monitoring.lake_monitor import LakeSummary
from unify.servers.monitoring.ledger_totals import DURATION_BUCKETS_S, STATUSES, LoadTotals
from unify.servers.monitoring.monitor import HomeSummary, MonitoredTable
from unify.version import VERSION

MAX_TABLES = 5_000  # with 14 series each
MAX_CONNECTIONS = 1_000

Family = MetricFamily | HistogramFamily
_TABLE = ("connection", "table")


def home_metrics(home: HomeSummary) -> Iterator[Family]:
    """Yield the families of a home. What cannot be read has no samples, and a gauge says so."""
    tables = list(home.tables())
    shown = tables[:MAX_TABLES]
    connections = sorted({table.name.schema for table in tables} | {name for name, _ in home.requests})
    yield _single("unify_build_info", "The version of Unify that serves the metrics.", 1, version=VERSION)
    yield from _daemon_metrics(home, connections[:MAX_CONNECTIONS])
    yield from _queue_metrics(home, connections[:MAX_CONNECTIONS])
    yield from _table_metrics(shown)
    yield _single(
        "unify_tables_omitted", "Tables beyond the limit that have no metrics.", len(tables) - len(shown)
    )
    yield _single("unify_lake_readable", "Whether the lake can be read.", home.lake is not None)
    if home.lake is not None:
        yield from _load_metrics(home.lake, [table.name for table in shown], connections[:MAX_CONNECTIONS])
        yield from _lake_metrics(home.lake)
    yield from _request_metrics(home, connections[:MAX_CONNECTIONS])
    if home.disk is not None:
        free, total = home.disk.free_bytes, home.disk.total_bytes
        yield _single("unify_disk_free_bytes", "Free space of the file system with the home folder.", free)
        yield _single("unify_disk_size_bytes", "Size of the file system with the home folder.", total)


def _single(name: str, help: str, value: float, **labels: str) -> MetricFamily:
    """Return a gauge with one sample."""
    return MetricFamily(name, help, tuple(labels), [(tuple(labels.values()), value)])


def _daemon_metrics(home: HomeSummary, connections: Sequence[str]) -> Iterator[Family]:
    daemon = home.daemon
    yield _single("unify_daemon_up", "Whether the daemon runs.", daemon.is_running)
    yield _single("unify_daemon_responding", "Whether the daemon responds.", daemon.info is not None)
    if daemon.info is None:
        return
    started_s = daemon.info.started_at.timestamp()
    yield _single("unify_daemon_start_time_seconds", "When the daemon started, since 1970.", started_s)
    yield _single("unify_daemon_busy_tasks", "Loads and scripts in progress.", daemon.info.busy)
    yield _single(
        "unify_daemon_work_paused",
        "Whether the daemon starts no work, because the disk is full or a lock is held.",
        bool(daemon.info.waiting),
    )
    yield MetricFamily(
        "unify_loads_waiting",
        "Loads that wait: for a rate limit of the API, for a retry, or for another process.",
        ("connection", "reason"),
        [
            ((name, reason.value), daemon.waiting.get((name, reason), 0))
            for name in connections
            for reason in WaitReason
        ],
    )


def _queue_metrics(home: HomeSummary, connections: Sequence[str]) -> Iterator[Family]:
    yield _single("unify_queue_readable", "Whether the queue of jobs can be read.", home.queue is not None)
    if home.queue is None:
        return
    yield MetricFamily(
        "unify_queue_jobs",
        "Jobs that have not ended, by state.",
        ("state",),
        [((state.value,), count) for state, count in home.queue.jobs.items()],
    )
    oldest = home.queue.oldest_ready_at
    yield _single(
        "unify_queue_wait_seconds",
        "How long the oldest queued job that could start has waited.",
        0.0 if oldest is None else max(0.0, (home.at - oldest).total_seconds()),
    )
    paused = {pause.connection for pause in home.queue.pauses if not pause.table}
    yield MetricFamily(
        "unify_connection_paused",
        "Whether the loads of a connection are paused.",
        ("connection",),
        [((name,), name in paused) for name in connections],
    )
    yield from _script_metrics(home.queue)


def _script_metrics(queue: QueueSummary) -> Iterator[Family]:
    def gauge(name: str, help: str, values: Mapping[str, float | None]) -> MetricFamily:
        samples = [((script,), value) for script, value in values.items() if value is not None]
        return MetricFamily(name, help, ("script",), samples)

    scripts = {escape_surrogates(script.name): script for script in queue.scripts}
    yield gauge(
        "unify_script_interval_seconds",
        "Interval of a scheduled script; none for one that runs once.",
        {name: script.every_s for name, script in scripts.items()},
    )
    yield gauge(
        "unify_script_next_run_timestamp_seconds",
        "When a script runs next, since 1970.",
        {name: _timestamp(script.next_at) for name, script in scripts.items()},
    )
    yield gauge(
        "unify_script_running",
        "Whether a scheduled script runs now.",
        {name: float(script.is_running) for name, script in scripts.items()},
    )
    ended = {name: script for name, script in scripts.items() if script.status is not None}
    yield gauge(
        "unify_script_last_run_success",
        "Whether the last run of a script that ended was successful.",
        {name: float(script.status is RunStatus.SUCCESS) for name, script in ended.items()},
    )
    yield gauge(
        "unify_script_last_run_timestamp_seconds",
        "When the last run of a script that ended had started, since 1970.",
        {name: _timestamp(script.started_at) for name, script in ended.items()},
    )
    yield gauge(
        "unify_script_last_run_duration_seconds",
        "Duration of the last run of a script that ended.",
        {name: _duration_s(script) for name, script in ended.items()},
    )


def _table_metrics(tables: Sequence[MonitoredTable]) -> Iterator[Family]:
    def gauge(name: str, help: str, values: Sequence[float | None]) -> MetricFamily:
        samples = [(label, value) for label, value in zip(labels, values, strict=True) if value is not None]
        return MetricFamily(name, help, _TABLE, samples)

    labels = [(table.name.schema, table.name.table) for table in tables]
    stored = [table.stored for table in tables]
    yield gauge(
        "unify_table_age_seconds",
        "Time since the stored rows of a table were loaded.",
        [None if table.age_s is None else round(table.age_s, 3) for table in tables],
    )
    yield gauge(
        "unify_table_refresh_interval_seconds",
        "Interval of the scheduled refreshes of a table.",
        [table.every_s for table in tables],
    )
    yield gauge(
        "unify_table_overdue",
        "Whether a table is older than two intervals of its schedule and a minute, and not paused.",
        [None if table.every_s is None else float(table.is_overdue) for table in tables],
    )
    yield gauge(
        "unify_table_failed",
        "Whether the last load of a table failed.",
        [float(table.failed) for table in tables],
    )
    yield gauge(
        "unify_table_held",
        "Whether a new version of a table was held back and waits for accept table.",
        [float(table.held) for table in tables],
    )
    yield gauge(
        "unify_table_paused",
        "Whether the loads of a table, or of its connection, are paused.",
        [float(table.paused) for table in tables],
    )
    yield gauge(
        "unify_table_rows", "Stored rows of a table.", [None if one is None else one.rows for one in stored]
    )
    yield gauge(
        "unify_table_load_duration_seconds",
        "Duration of the load that stored the rows of a table.",
        [None if one is None else one.seconds for one in stored],
    )


def _load_metrics(
    lake: LakeSummary, names: Sequence[TableName], connections: Sequence[str]
) -> Iterator[Family]:
    loaded = [(name, lake.tables[name]) for name in names if name in lake.tables]
    yield MetricFamily(
        "unify_loads",
        "Loads that ended, by status: success, partial (some rows were discarded) or failed.",
        (*_TABLE, "status"),
        [
            ((name.schema, name.table, status), count)
            for name, totals in loaded
            for status, count in zip(STATUSES, totals.loads, strict=True)
        ],
        MetricType.COUNTER,
    )
    yield MetricFamily(
        "unify_load_rows_written",
        "Rows that loads inserted or updated.",
        _TABLE,
        [((name.schema, name.table), totals.rows_written) for name, totals in loaded],
        MetricType.COUNTER,
    )
    yield MetricFamily(
        "unify_load_rows_discarded",
        "Rows that loads could not store, because a value did not fit its declared type.",
        _TABLE,
        [((name.schema, name.table), totals.rows_discarded) for name, totals in loaded],
        MetricType.COUNTER,
    )
    yield from _connection_metrics(lake, connections)


def _connection_metrics(lake: LakeSummary, connections: Sequence[str]) -> Iterator[Family]:
    by_connection = _sum_by_connection(lake)
    loaded = [(name, by_connection[name]) for name in connections if name in by_connection]
    yield MetricFamily(
        "unify_load_requests",
        "Requests that loads sent.",
        ("connection",),
        [((name,), totals.requests) for name, totals in loaded],
        MetricType.COUNTER,
    )
    yield MetricFamily(
        "unify_load_received_bytes",
        "Bytes of responses that loads received.",
        ("connection",),
        [((name,), totals.bytes) for name, totals in loaded],
        MetricType.COUNTER,
    )
    yield HistogramFamily(
        "unify_load_duration_seconds",
        "Duration of loads.",
        ("connection",),
        DURATION_BUCKETS_S,
        [
            HistogramSample((name,), tuple(totals.buckets), sum(totals.loads), totals.seconds)
            for name, totals in loaded
        ],
    )


def _sum_by_connection(lake: LakeSummary) -> Mapping[str, LoadTotals]:
    """Return the totals of each connection, those of tables beyond the limit included."""
    totals: dict[str, LoadTotals] = {}
    for name, of_table in lake.tables.items():
        totals.setdefault(name.schema, LoadTotals()).add(of_table)
    return totals


def _lake_metrics(lake: LakeSummary) -> Iterator[Family]:
    size = lake.size
    yield MetricFamily(
        "unify_lake_data_files",
        "Data files of the lake: of the current versions of tables, and of older ones that are kept.",
        ("version",),
        [(("current",), size.current_files), (("history",), size.history_files)],
    )
    yield MetricFamily(
        "unify_lake_data_bytes",
        "Size of the data files of the lake.",
        ("version",),
        [(("current",), size.current_bytes), (("history",), size.history_bytes)],
    )


def _request_metrics(home: HomeSummary, connections: Sequence[str]) -> Iterator[Family]:
    yield MetricFamily(
        "unify_requests",
        "Requests to APIs since the server started, by class of the status code; none: no response.",
        ("connection", "code"),
        [
            ((name, code), home.requests.get((name, code), 0))
            for name in connections
            for code in STATUS_CLASSES
        ],
        MetricType.COUNTER,
    )
    yield MetricFamily(
        "unify_notifications",
        "Notifications of notify.yaml since the server started, by result.",
        ("result",),
        [((result,), home.notifications.get(result, 0)) for result in NOTIFICATION_RESULTS],
        MetricType.COUNTER,
    )


def _timestamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _duration_s(script: ScriptResult) -> float | None:
    if script.started_at is None or script.ended_at is None:
        return None
    return (script.ended_at - script.started_at).total_seconds()
