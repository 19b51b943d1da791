"""The fault server records requests."""

from __future__ import annotations

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from unify.adapters.http.client import HttpClient
from unify.adapters.http.messages import ClientOptions, Request


def test_the_fault_server_logs_what_it_is_asked(api: FaultServer) -> None:
    seen: list[RecordedRequest] = []

    def answer(asked: RecordedRequest) -> MockResponse:
        seen.append(asked)
        return MockResponse.json({"q": asked.query})

    api.serve("/x", answer)
    transport = HttpClient(ClientOptions(api.url))
    assert transport.fetch(Request("GET", f"{api.url}/x", (("a", "1"),))).body == b'{"q": {"a": "1"}}'
    transport.close()
    assert [asked.path for asked in seen] == ["/x"]
