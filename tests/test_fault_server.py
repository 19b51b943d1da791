"""The fault server records requests."""

from __future__ import annotations

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from unify.adapters.http.client import HttpClient
from unify.adapters.http.messages import ClientOptions, Request


def test_the_fault_server_records_each_request(api: FaultServer) -> None:
    seen: list[RecordedRequest] = []

    def respond(request: RecordedRequest) -> MockResponse:
        seen.append(request)
        return MockResponse.json({"q": request.query})

    api.serve("/x", respond)
    transport = HttpClient(ClientOptions(api.url))
    assert transport.fetch(Request("GET", f"{api.url}/x", (("a", "1"),))).body == b'{"q": {"a": "1"}}'
    transport.close()
    assert [request.path for request in seen] == ["/x"]
