"""Tables whose rows are the result of a job: created, polled, downloaded in one or several files."""

from __future__ import annotations

import gzip
import json
from typing import Any

import msgspec
import pytest

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.rest_tables import ImpatientClock, MakeAdapter, decode_rows, table
from unify.adapters.base import Read
from unify.adapters.http.rate_limit import Clock
from unify.adapters.spec.job import JobPoll, JobRequest, JobSpec
from unify.adapters.spec.model import ErrorRule, TableSpec
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.table_keys import ForEach, Incremental
from unify.errors import BadResponse, Interrupted, SourceError

CREATE = JobRequest("POST /reports", body={"type": "sales"}, values={"report": "data.id"})
POLL = JobPoll(
    "GET /reports/{report}", status="state", done=("DONE",), failed=("FAILED",), values={"url": "files.url"}
)


def report_table(poll: JobPoll | None = POLL, create: JobRequest = CREATE, **settings: Any) -> TableSpec:
    settings.setdefault("paging", Paging("none"))
    return table("sales", "{url}", job=JobSpec(create, poll), **settings)


def states(api: FaultServer, *values: Any) -> None:
    """Serve the creation of a job, and these bodies to its polls, the last one again and again."""
    api.serve("POST /reports", MockResponse.json({"data": {"id": 7}}))
    api.serve("/reports/7", *map(MockResponse.json, values))


def read(make_adapter: MakeAdapter, spec: TableSpec, given: Read | None = None, **settings: Any) -> list[Any]:
    adapter = make_adapter(spec, clock=settings.pop("clock", ImpatientClock()), **settings)
    return decode_rows(adapter.pages("sales", given or Read()))


def test_a_job_is_created_polled_and_its_file_downloaded(api: FaultServer, make_adapter: MakeAdapter) -> None:
    states(api, {"state": "queued"}, {"state": "running"}, {"state": "Done", "files": [{"url": "/file"}]})
    api.serve("/file", MockResponse(200, gzip.compress(b"id,n\n1,a\n2,b\n"), {"Content-Type": "text/csv"}))

    assert read(make_adapter, report_table(format="csv")) == [{"id": "1", "n": "a"}, {"id": "2", "n": "b"}]
    assert [f"{each.method} {each.target}" for each in api.requests] == [
        "POST /reports",
        *["GET /reports/7"] * 3,
        "GET /file",
    ]
    assert json.loads(api.requests[0].body) == {"type": "sales"}


def test_each_file_of_the_result_is_downloaded(api: FaultServer, make_adapter: MakeAdapter) -> None:
    files = [{"url": f"{api.url}/files/{number}"} for number in range(3)]
    states(api, {"state": "DONE", "files": files})
    for number in range(3):
        api.serve(
            f"/files/{number}", MockResponse(200, f'{{"id": {number}}}\n{{"id": 1{number}}}\n'.encode())
        )

    rows = read(make_adapter, report_table(format="jsonl"))
    assert [row["id"] for row in rows] == [0, 10, 1, 11, 2, 12]


def test_files_of_another_host_get_no_credentials(api: FaultServer, make_adapter: MakeAdapter) -> None:
    with FaultServer() as store:
        store.serve("/f", MockResponse.json([{"id": 1}]))
        states(api, {"state": "DONE", "files": {"url": f"{store.url}/f"}})
        spec = report_table(headers={"X-Key": "k"})
        with pytest.raises(SourceError, match="outside this connection's host"):
            read(make_adapter, spec)
        assert read(make_adapter, spec, allowed_origins=(store.url,)) == [{"id": 1}]
        assert all("x-key" not in request.headers for request in store.requests)


def test_the_pages_of_the_only_download_are_read(api: FaultServer, make_adapter: MakeAdapter) -> None:
    states(api, {"state": "DONE"})
    api.serve("/reports/7/rows", pages=[[{"id": 1}], [{"id": 2}]], style="cursor")

    spec = table(
        "sales",
        "/reports/{report}/rows",
        job=JobSpec(CREATE, JobPoll("GET /reports/{report}", status="state", done=("done",))),
        paging=Paging("auto"),
    )
    assert read(make_adapter, spec) == [{"id": 1}, {"id": 2}]
    assert api.request_targets.count("/reports") == 1


def test_each_parent_and_window_has_a_job_of_its_own(api: FaultServer, make_adapter: MakeAdapter) -> None:
    def create(request: RecordedRequest) -> MockResponse:
        return MockResponse(201, b"", {"Location": f"/jobs/{json.loads(request.body)['site']}"})

    api.serve("POST /reports", create)
    for site in ("de", "fr"):
        api.serve(f"/jobs/{site}", MockResponse.error(202), MockResponse.json([{"id": site}]))
    spec = report_table(
        JobPoll("GET {url}"),
        JobRequest("POST /reports", body={"site": "{site}"}, values={"url": "headers.Location"}),
        for_each=ForEach(rows=({"site": "de"}, {"site": "fr"}), columns=("site",)),
    )
    assert sorted(row["id"] for row in read(make_adapter, spec)) == ["de", "fr"]


def test_the_job_has_the_cursor_of_the_load(api: FaultServer, make_adapter: MakeAdapter) -> None:
    states(api, {"state": "DONE", "files": [{"url": "/file"}]})
    api.serve("/file", MockResponse.json([{"id": 1, "at": "2026-02-02"}]))
    create = JobRequest("POST /reports", form={"from": "{cursor}"}, values={"report": "data.id"})
    spec = report_table(create=create, incremental=Incremental("at"), key=("id",))

    read(make_adapter, spec, Read(since={"": "2026-02-01"}))
    assert api.requests[0].body == b"from=2026-02-01"


@pytest.mark.parametrize(
    "result", [{"state": "DONE", "files": []}, {"state": "DONE", "files": {"url": None}}]
)
def test_a_result_without_files_is_empty(api: FaultServer, make_adapter: MakeAdapter, result: Any) -> None:
    states(api, result)
    assert read(make_adapter, report_table()) == []


def test_a_rule_of_errors_can_say_that_there_is_no_job(api: FaultServer, make_adapter: MakeAdapter) -> None:
    api.serve("POST /reports", MockResponse.error(404))
    assert read(make_adapter, report_table(errors=(ErrorRule(404, "skip"),))) == []


def test_a_job_that_fails_fails_the_load(api: FaultServer, make_adapter: MakeAdapter) -> None:
    states(api, {"state": "failed"})
    with pytest.raises(SourceError, match=r"GET .*/reports/7: the job has failed: its state is failed"):
        read(make_adapter, report_table())


def test_a_job_that_takes_too_long_fails_the_load(api: FaultServer, make_adapter: MakeAdapter) -> None:
    states(api, {"state": "running"})
    with pytest.raises(SourceError, match="the job is not done after 2 hours; its state is running; see job"):
        read(make_adapter, report_table())
    assert 700 < len(api.requests) < 740  # every ten seconds


def test_a_response_without_state_or_value_is_an_error(api: FaultServer, make_adapter: MakeAdapter) -> None:
    states(api, {"status": "DONE"})
    with pytest.raises(BadResponse, match=r"no value at state, job\.poll\.status"):
        read(make_adapter, report_table())
    api.serve("POST /reports", MockResponse.json({}))
    with pytest.raises(BadResponse, match=r"no value at data\.id, job\.create\.values\.report"):
        read(make_adapter, report_table())


def test_lists_of_different_lengths_are_an_error(api: FaultServer, make_adapter: MakeAdapter) -> None:
    states(api, {"state": "DONE", "files": [{"url": "/a", "name": "a"}, {"url": "/b"}]})
    values = {"url": "files.url", "name": "files.name"}
    with pytest.raises(BadResponse, match="the lists of the job differ in length: url, name"):
        read(make_adapter, report_table(msgspec.structs.replace(POLL, values=values)))


def test_a_wait_ends_when_the_read_is_cancelled(api: FaultServer, make_adapter: MakeAdapter) -> None:
    class CancellingClock(Clock):
        def wait(self, stop: Any, seconds: float) -> bool:
            adapter.cancel()
            return super().wait(stop, seconds)

    states(api, {"state": "running"})
    adapter = make_adapter(report_table(), clock=CancellingClock())
    with pytest.raises(Interrupted):
        list(adapter.pages("sales", Read()))


def test_describe_shows_the_request_that_creates_the_job(api: FaultServer, make_adapter: MakeAdapter) -> None:
    adapter = make_adapter(report_table())
    assert adapter.first_request("sales", Read()) == f"POST {api.url}/reports"
    assert api.requests == []
