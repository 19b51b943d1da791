"""The request log: two files of bounded size."""

from __future__ import annotations

import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from unify.adapters.http import request_log
from unify.adapters.http.request_log import MAX_ROWS, RequestLog
from unify.errors import StoreError
from unify.model import RequestRecord

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def make_record(number: int, at: datetime = NOW) -> RequestRecord:
    return RequestRecord("GET", f"https://api.example/rows?page={number}", 200, 12.5, 4096, number, at)


@pytest.fixture
def log(tmp_path: Path) -> RequestLog:
    return RequestLog(tmp_path / "requests.jsonl")


def test_an_empty_log_has_no_requests(log: RequestLog) -> None:
    log.append([])
    assert log.read_recent(NOW) == []
    assert not log.path.exists()


def test_requests_are_read_in_order(log: RequestLog) -> None:
    failed = RequestRecord("POST", "https://api.example/search", None, 30000.0, 0, None, NOW, "no answer")
    log.append([make_record(1), make_record(2)])
    log.append([failed])
    assert log.read_recent(NOW) == [make_record(1), make_record(2), failed]


def test_the_file_is_private(log: RequestLog) -> None:
    log.append([make_record(1)])
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


def test_the_last_ten_thousand_requests_are_kept_in_files_of_bounded_size(
    log: RequestLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for start in range(0, 60_000, 500):
        log.append([make_record(number) for number in range(start, start + 500)])
    kept = log.read_recent(NOW)
    assert [record.job for record in kept] == list(range(60_000 - MAX_ROWS, 60_000))
    assert (
        log.path.stat().st_size + log.rotated_path.stat().st_size < 2 * request_log.MAX_FILE_BYTES + 200_000
    )


def test_requests_older_than_a_week_are_not_shown(log: RequestLog) -> None:
    log.append([make_record(1, NOW - timedelta(days=8)), make_record(2, NOW - timedelta(days=6))])
    assert [record.job for record in log.read_recent(NOW)] == [2]


def test_an_incomplete_line_is_skipped(log: RequestLog) -> None:
    log.append([make_record(1)])
    with log.path.open("ab") as file:
        file.write(b'{"method":"GET","addr')
    log.append([make_record(2)])
    assert [record.job for record in log.read_recent(NOW)] == [1, 2]


def test_concurrent_writers_lose_no_request(log: RequestLog) -> None:
    def write(writer: int) -> None:
        own = RequestLog(log.path)
        for number in range(50):
            own.append([make_record(writer * 1000 + number)])

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = [record.job for record in log.read_recent(NOW)]
    assert sorted(seen, key=lambda job: job or 0) == [w * 1000 + n for w in range(4) for n in range(50)]


def test_an_unwritable_folder_is_named(log: RequestLog) -> None:
    log.path.mkdir()
    with pytest.raises(StoreError, match=r"requests\.jsonl"):
        log.append([make_record(1)])
