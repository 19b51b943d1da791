"""The metrics of homes in various states, parsed with Prometheus' own parser."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.jobs import ORIGIN
from tests.support.monitored_home import NOW, end_jobs, load_record, record_loads, record_many_loads
from tests.support.served_home import Labels, labels, parse_metrics
from tests.support.stores import settings_for_home
from unify.adapters.http.request_log import RequestLog
from unify.config.settings import Settings
from unify.daemon.log import DaemonLog
from unify.model import JobState, RequestRecord, TableName
from unify.queue.queue import Queue
from unify.queue.rows import Schedule
from unify.queue.scripts import RunStatus, ScriptRunResult
from unify.queue.timing import Timing
from unify.servers.monitoring.exposition import MetricFamily, MetricsRenderer
from unify.servers.monitoring.metrics import MAX_TABLES, home_metrics
from unify.servers.monitoring.monitor import HomeMonitor

MINUTE = timedelta(minutes=1)
PULLS = labels(connection="github", table="pulls")


class Scraper:
    """Reads the metrics of a home as a server does."""

    def __init__(self, settings: Settings) -> None:
        self.monitor = HomeMonitor(settings)
        self.renderer = MetricsRenderer()

    def text(self) -> str:
        return self.renderer.render(home_metrics(self.monitor.read(NOW))).decode()

    def read(self) -> dict[str, dict[Labels, float]]:
        return parse_metrics(self.text())


@pytest.fixture
def scraper(settings: Settings) -> Iterator[Scraper]:
    opened = Scraper(settings)
    yield opened
    opened.monitor.close()


@pytest.fixture
def queue(settings: Settings) -> Iterator[Queue]:
    with Queue(settings.queue) as opened:
        yield opened


def of_tables(values: dict[Labels, float]) -> dict[str, float]:
    return {dict(key)["table"]: value for key, value in values.items()}


def test_loads_are_counted_by_connection_table_and_status(settings: Settings, scraper: Scraper) -> None:
    record_loads(
        settings,
        load_record("github.pulls", rows_written=10, rows_total=10, requests=3, bytes=500, seconds=2.5),
        load_record("github.pulls", "partial", rows_written=5, rows_discarded=2, rows_total=15, seconds=70.0),
        load_record("github.pulls", "failed", error="refused: token=s3cret-canary", requests=1),
        load_record("github.issues", rows_written=1, rows_total=1),
    )

    found = scraper.read()

    counts = {
        status: found["unify_loads_total"][PULLS | labels(status=status)]
        for status in ("success", "partial", "failed")
    }
    assert counts == {"success": 1, "partial": 1, "failed": 1}
    assert found["unify_load_rows_written_total"][PULLS] == 15
    assert found["unify_load_rows_discarded_total"][PULLS] == 2
    assert found["unify_table_rows"][PULLS] == 15
    assert found["unify_table_load_duration_seconds"][PULLS] == 70
    github = labels(connection="github")
    assert found["unify_load_requests_total"][github] == 4
    assert found["unify_load_received_bytes_total"][github] == 500
    assert found["unify_load_duration_seconds_sum"][github] == 72.5
    assert found["unify_load_duration_seconds_count"][github] == 4
    buckets = found["unify_load_duration_seconds_bucket"]
    assert [buckets[github | labels(le=le)] for le in ("1.0", "5.0", "60.0", "300.0", "+Inf")] == [
        2,
        3,
        3,
        4,
        4,
    ]


def test_counters_grow_with_later_loads_and_survive_a_restart(settings: Settings, scraper: Scraper) -> None:
    record_loads(settings, load_record("github.pulls", rows_written=10))
    assert scraper.read()["unify_load_rows_written_total"][PULLS] == 10
    record_loads(settings, load_record("github.pulls", rows_written=7), load_record("shop.a", rows_written=1))
    found = scraper.read()
    assert found["unify_load_rows_written_total"][PULLS] == 17
    restarted = Scraper(settings)
    assert restarted.read()["unify_loads_total"] == found["unify_loads_total"]
    restarted.monitor.close()


def test_a_cleared_table_has_totals_and_no_age(settings: Settings, scraper: Scraper) -> None:
    record_loads(settings, load_record("github.pulls", rows_written=10, rows_total=10))
    assert scraper.read()["unify_table_age_seconds"][PULLS] == 0
    record_loads(settings, load_record("github.pulls", action="clear"))
    found = scraper.read()
    assert found["unify_load_rows_written_total"][PULLS] == 10
    assert found["unify_loads_total"][PULLS | labels(status="success")] == 1
    assert "unify_table_age_seconds" not in found


def test_age_interval_and_overdue_of_each_table(settings: Settings, queue: Queue, scraper: Scraper) -> None:
    tables = {"fresh": 10 * MINUTE, "late": 40 * MINUTE, "paused": 40 * MINUTE, "unscheduled": 400 * MINUTE}
    record_loads(settings, *(load_record(f"github.{name}", age=age) for name, age in tables.items()))
    for name in ("fresh", "late", "paused", "never"):
        queue.set_schedule(Schedule("default", TableName("github", name), ORIGIN, 900.0, NOW))
    queue.pauses.pause("default", "github", "paused", NOW)

    found = scraper.read()

    assert of_tables(found["unify_table_age_seconds"]) == {
        name: age.total_seconds() for name, age in tables.items()
    }
    assert of_tables(found["unify_table_overdue"]) == {"fresh": 0, "late": 1, "paused": 0, "never": 0}
    assert set(of_tables(found["unify_table_refresh_interval_seconds"]).values()) == {900.0}
    assert of_tables(found["unify_table_paused"])["paused"] == 1


def test_failed_held_and_paused_tables(settings: Settings, queue: Queue, scraper: Scraper) -> None:
    record_loads(settings, load_record("github.pulls", age=MINUTE), load_record("github.old", age=-MINUTE))
    end_jobs(queue, JobState.FAILED, ["github.pulls", "github.old", "github.never"])
    end_jobs(queue, JobState.FAILED, ["github.held"], held=True)
    queue.pauses.pause("default", "shop", "", NOW)
    queue.set_schedule(Schedule("default", TableName("shop", "orders"), ORIGIN, 900.0, NOW))

    found = scraper.read()

    assert of_tables(found["unify_table_failed"]) == {
        "pulls": 1,
        "old": 0,  # a later load has succeeded
        "never": 1,
        "held": 1,
        "orders": 0,
    }
    assert [name for name, held in of_tables(found["unify_table_held"]).items() if held] == ["held"]
    assert of_tables(found["unify_table_paused"])["orders"] == 1
    assert found["unify_connection_paused"] == {
        labels(connection="github"): 0,
        labels(connection="shop"): 1,
    }


def test_scripts_have_interval_last_result_and_next_run(queue: Queue, scraper: Scraper) -> None:
    queue.scripts.set_script(
        "default", Path("/daily.sql"), Path("/"), ORIGIN, Timing(60.0, NOW, None, "", "", "")
    )
    [(_, run)] = queue.scripts.start_due_runs(1, NOW, 9)
    assert scraper.read()["unify_script_running"] == {labels(script="daily"): 1}
    queue.scripts.finish_run(run, ScriptRunResult(RunStatus.FAILED, 1, error="s3cret-canary"), NOW + MINUTE)

    found = scraper.read()

    daily = labels(script="daily")
    assert found["unify_script_interval_seconds"] == {daily: 60}
    assert found["unify_script_last_run_success"] == {daily: 0}
    assert found["unify_script_last_run_duration_seconds"] == {daily: 60}
    assert found["unify_script_last_run_timestamp_seconds"] == {daily: NOW.timestamp()}
    assert found["unify_script_next_run_timestamp_seconds"][daily] > NOW.timestamp()


def test_requests_and_notifications_since_the_start_are_counted(settings: Settings) -> None:
    settings.logs.mkdir(exist_ok=True)
    requests, log = RequestLog(settings.request_log), DaemonLog(settings.logs, 1, now=lambda: NOW)

    def request(status: int | None) -> RequestRecord:
        return RequestRecord(
            "GET", "https://api.example/?key=***", status, 1.0, 1, 1, NOW, connection="github"
        )

    requests.append([request(200)])
    log.write_event("notify.failed", target="mail")
    scraper = Scraper(settings)
    requests.append([request(200), request(204), request(429), request(503), request(None), request(999)])
    for event in (
        "notify.failed",
        "notify.failed",
        "notify.sent",
        "load.failed",
        "notify.x",
        "notify.sent.more",
    ):
        log.write_event(event, error="notify.failed")
    log.close()

    found = scraper.read()

    by_code = {dict(key)["code"]: value for key, value in found["unify_requests_total"].items()}
    assert by_code == {"1xx": 0, "2xx": 2, "3xx": 0, "4xx": 1, "5xx": 1, "none": 2}
    assert found["unify_notifications_total"] == {
        labels(result="sent"): 1,
        labels(result="failed"): 2,
        labels(result="dropped"): 0,
        labels(result="invalid"): 0,
    }
    scraper.monitor.close()


def test_the_size_of_the_lake_counts_current_and_older_files(settings: Settings, scraper: Scraper) -> None:
    from unify.lake.lake import Lake

    with Lake(settings) as lake:
        lake.execute("create table t as select range as a from range(1000)")
        lake.execute("create or replace table t as select range as a from range(2000)")

    found = scraper.read()

    files = {dict(key)["version"]: value for key, value in found["unify_lake_data_files"].items()}
    assert files == {"current": 1, "history": 1}
    size = sum(path.stat().st_size for path in settings.data_path.rglob("*.parquet"))
    assert sum(found["unify_lake_data_bytes"].values()) == size
    space = os.statvfs(settings.home)
    assert found["unify_disk_size_bytes"][frozenset()] == space.f_blocks * space.f_frsize


def test_a_home_in_which_nothing_was_loaded_has_metrics(empty_home: Path) -> None:
    scraper = Scraper(settings_for_home(empty_home))
    found = scraper.read()
    assert {name: found[name][frozenset()] for name in _SOURCES} == dict(
        zip(_SOURCES, (0, 1, 1), strict=True)
    )
    assert list(empty_home.iterdir()) == []  # nothing was created


_SOURCES = ("unify_daemon_up", "unify_queue_readable", "unify_lake_readable")


def test_a_damaged_queue_is_a_metric_and_the_tables_stay(settings: Settings, queue: Queue) -> None:
    record_loads(settings, load_record("github.pulls"))
    queue.schedules()
    queue.close()
    settings.queue.write_bytes(b"no database" * 1000)
    scraper = Scraper(settings)

    found = scraper.read()

    assert found["unify_queue_readable"][frozenset()] == 0
    assert "unify_queue_jobs" not in found
    assert found["unify_table_age_seconds"][PULLS] == 0
    assert settings.queue.read_bytes().startswith(b"no database")
    with Queue(settings.queue) as replaced:  # as the daemon does
        replaced.schedules()
    assert scraper.read()["unify_queue_readable"][frozenset()] == 1
    scraper.monitor.close()


def test_a_lost_catalog_is_a_metric_until_it_is_restored(settings: Settings, scraper: Scraper) -> None:
    record_loads(settings, load_record("github.pulls"))
    assert scraper.read()["unify_lake_readable"][frozenset()] == 1
    catalog, aside = settings.lake / "catalog.sqlite", settings.lake / "aside.sqlite"
    shutil.copyfile(catalog, aside)
    catalog.unlink()
    found = scraper.read()
    assert found["unify_lake_readable"][frozenset()] == 0
    assert "unify_table_age_seconds" not in found
    aside.rename(catalog)
    assert scraper.read()["unify_table_age_seconds"][PULLS] == 0


def test_a_home_that_is_read_only_is_read_and_followed(
    settings: Settings, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_loads(settings, load_record("github.pulls"))
    end_jobs(queue, JobState.FAILED, ["github.pulls"])
    writable = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    scraper = Scraper(settings)
    assert scraper.read()["unify_loads_total"][PULLS | labels(status="success")] == 1
    monkeypatch.setattr(os, "access", writable)
    record_loads(settings, load_record("github.pulls"))
    end_jobs(queue, JobState.FAILED, ["github.issues"])
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    found = scraper.read()
    assert found["unify_loads_total"][PULLS | labels(status="success")] == 2
    assert of_tables(found["unify_table_failed"])["issues"] == 1
    scraper.monitor.close()


def test_names_cannot_break_the_format(settings: Settings, scraper: Scraper) -> None:
    name = TableName('a"b\\', "x\ny{}\u2028ö")
    record_loads(settings, replace(load_record("a.b"), table=name))
    text = scraper.text()
    assert parse_metrics(text)["unify_table_age_seconds"] == {
        labels(connection=name.schema, table=name.table): 0
    }
    assert len(text.split("\n")) == text.count("\n") + 1


def test_no_error_or_address_is_in_a_label(settings: Settings, queue: Queue, scraper: Scraper) -> None:
    record_loads(
        settings, load_record("github.pulls", "failed", error="token=s3cret-canary", reason="s3cret-canary")
    )
    end_jobs(queue, JobState.FAILED, ["github.pulls"])
    text = scraper.text()
    assert "pulls" in text
    assert "canary" not in text
    assert str(settings.home) not in text


def test_the_number_of_tables_is_limited(
    settings: Settings, scraper: Scraper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unify.servers.monitoring.metrics.MAX_TABLES", 3)
    record_loads(
        settings, *(load_record(f"github.t{number}", rows_written=1, requests=1) for number in range(5))
    )
    found = scraper.read()
    assert set(of_tables(found["unify_table_rows"])) == {"t0", "t1", "t2"}
    assert found["unify_tables_omitted"][frozenset()] == 2
    assert found["unify_load_requests_total"] == {labels(connection="github"): 5}
    assert MAX_TABLES == 5_000


def test_a_scrape_of_a_thousand_tables_takes_a_few_hundredths_of_a_second(
    settings: Settings, queue: Queue, scraper: Scraper
) -> None:
    """CPU of this thread, relative to the rendering of as many samples without the cache."""
    record_many_loads(settings, 1000)
    text = scraper.text()
    samples = text.count("\n")
    assert samples > 10_000
    cold, warm = (
        min(_cpu_s(lambda: _render_anew(samples)) for _ in range(3)),
        min(_cpu_s(scraper.text) for _ in range(5)),
    )
    assert warm < 0.75 * cold, (warm, cold)


def test_scrapes_keep_memory_and_files_constant(settings: Settings, scraper: Scraper) -> None:
    record_many_loads(settings, 200)
    for _ in range(5):
        scraper.text()
    before, descriptors = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, len(os.listdir("/proc/self/fd"))
    for _ in range(60):
        scraper.text()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 1


@pytest.mark.process
def test_promtool_accepts_the_metrics(settings: Settings, queue: Queue, scraper: Scraper) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    record_loads(settings, load_record("github.pulls", seconds=3.0))
    end_jobs(queue, JobState.FAILED, ["github.pulls"])
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=scraper.text(), text=True, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def _render_anew(samples: int) -> bytes:
    values = [((f"c{number}", f"t{number}"), 1.5) for number in range(samples)]
    return MetricsRenderer().render([MetricFamily("x", "x", ("connection", "table"), values)])


def _cpu_s(function: object) -> float:
    assert callable(function)
    before = resource.getrusage(resource.RUSAGE_THREAD)
    function()
    after = resource.getrusage(resource.RUSAGE_THREAD)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
