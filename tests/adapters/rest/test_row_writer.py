"""Rows become requests, and a response tells what became of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest, unused_port
from tests.support.rest_tables import ImpatientClock, MakeAdapter, table
from unify.adapters.base import LostResponse
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.model import AdapterSpec, ErrorRule
from unify.adapters.spec.write import (
    AlreadyDone,
    Batch,
    Idempotency,
    Outcomes,
    Settle,
    WriteColumn,
    WriteOperation,
    WriteRequest,
    WriteSpec,
)
from unify.errors import BatchRefused, ResponseLost, Unauthorized, Unreachable
from unify.model import PlannedRow, RowOutcome, RowState

COLUMNS = tuple(map(WriteColumn, ("email", "name", "labels")))


def insert_row(number: int = 1, **values: object) -> PlannedRow:
    return PlannedRow(number, "insert", values or {"email": f"{number}@x.example", "name": f"n{number}"})


def send(
    make_adapter: MakeAdapter,
    request: WriteRequest,
    rows: Sequence[PlannedRow],
    operation: WriteOperation = "insert",
    key: str = "w1-1",
) -> Sequence[RowOutcome]:
    write = replace(WriteSpec(COLUMNS, ("email",)), **{operation: request})
    with make_adapter(table("people", write=write)).open_writer("people") as writer:
        return writer.send(operation, rows, key)


def states(outcomes: Sequence[RowOutcome]) -> list[str]:
    return [outcome.state.value for outcome in outcomes]


POST = WriteRequest("POST /people", body={"email": "{email}", "name": "{name}", "labels": "{labels}"})


def test_a_column_that_is_not_set_is_left_out_and_null_is_null(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    api.serve("/people", MockResponse.json({"id": 1}, status=201))

    send(make_adapter, POST, [insert_row(email="a@x", name=None)])
    send(make_adapter, POST, [insert_row(email="b@x", labels=["x", {"y": 1}])])

    assert [request.json() for request in api.requests] == [
        {"email": "a@x", "name": None},
        {"email": "b@x", "labels": ["x", {"y": 1}]},
    ]


def test_null_is_an_empty_text_if_the_api_clears_values_by_it(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    api.serve("/people", MockResponse.json({"id": 1}, status=201))
    columns = (*COLUMNS[:2], WriteColumn("labels", type="json"))
    write = WriteSpec(columns, ("email",), insert=POST, null_as_empty=True)

    with make_adapter(table("people", write=write)).open_writer("people") as writer:
        writer.send("insert", [insert_row(email="a@x", name=None, labels=None)], "w1-1")

    assert [request.json() for request in api.requests] == [{"email": "a@x", "name": "", "labels": None}]


def test_an_object_whose_columns_are_all_unset_is_left_out(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    api.serve("/people", MockResponse.json({}))
    body = {"who": {"email": "{email}"}, "deep": {"name": {"is": "{name}"}}, "labels": "{labels}", "no": {}}
    request = WriteRequest("POST /people", body=body)

    send(make_adapter, request, [PlannedRow(1, "insert", {"email": None})])
    send(make_adapter, request, [PlannedRow(1, "insert", {"name": "x", "labels": {}})])

    assert [each.json() for each in api.requests] == [
        {"who": {"email": None}, "no": {}},
        {"deep": {"name": {"is": "x"}}, "labels": {}, "no": {}},
    ]


def test_values_in_an_address_are_encoded(api: FaultServer, make_adapter: MakeAdapter) -> None:
    api.serve("/people/a%2Fb%20c", MockResponse(status=204))
    request = WriteRequest("PATCH /people/{email}", body={"name": "{name}"})
    row = PlannedRow(1, "update", {"name": "x"}, {"email": "a/b c"}, {"email": "a/b c", "name": "old"})

    assert states(send(make_adapter, request, [row], "update")) == ["updated"]
    assert api.requests[0].json() == {"name": "x"}


def test_a_created_row_has_the_ids_of_the_response(api: FaultServer, make_adapter: MakeAdapter) -> None:
    api.serve("/people", MockResponse.json({"data": {"id": 7, "links": {"self": "/people/7"}}}, status=201))
    request = WriteRequest(
        "POST /people", body={"name": "{name}"}, returned="data", created={"id": "id", "url": "links.self"}
    )

    [outcome] = send(make_adapter, request, [insert_row()])

    assert (outcome.state, outcome.created) == (RowState.CREATED, {"id": 7, "url": "/people/7"})


@pytest.mark.parametrize(
    ("request_keys", "response", "expected", "message"),
    [
        ({}, MockResponse.json({"id": 1}, status=201), "created", ""),
        ({}, MockResponse(status=204), "created", ""),
        ({}, MockResponse.json({"message": "no"}, status=422), "rejected", 'status 422 ("no")'),
        ({}, MockResponse.error(403), "rejected", "status 403"),
        ({"created": {"id": "id"}}, MockResponse.json({}, status=201), "unknown", "has no id"),
        ({"already": (AlreadyDone(422, "exists"),)}, MockResponse.error(422, "exists"), "unchanged", ""),
        ({"already": (AlreadyDone(422, "exists"),)}, MockResponse.error(422, "else"), "rejected", "else"),
        ({"outcomes": Outcomes(ok="ok", message="error")}, MockResponse.json({"ok": True}), "created", ""),
        (
            {"outcomes": Outcomes(ok="$.ok", message="error")},
            MockResponse.json({"ok": False, "error": "channel_not_found"}),
            "rejected",
            "channel_not_found",
        ),
        (
            {"outcomes": Outcomes(ok="$.data.add.success", message="errors.0.message")},
            MockResponse.json({"data": None, "errors": [{"message": "no such team"}]}),
            "rejected",
            "no such team",
        ),
        ({"outcomes": Outcomes(ok="$.ok", message="error")}, MockResponse.json({}), "unknown", "has no $.ok"),
        (
            {"outcomes": Outcomes(ok="$.ok"), "already": (AlreadyDone(200, "already_sent"),)},
            MockResponse.json({"ok": False, "error": "already_sent"}),
            "unchanged",
            "",
        ),
        (
            {"body": {"data": {"id": "k", "name": "{name}", "email": "{email}"}}, "returned": "data"},
            MockResponse.json({"data": {"id": "k", "name": "old", "email": "old@x"}}),
            "rejected",
            "has this row already",
        ),
        (
            {"body": {"data": {"id": "k", "name": "{name}", "email": "{email}"}}, "returned": "data"},
            MockResponse.json({"data": {"id": "k", "name": "n1", "email": "NORMALIZED"}}),
            "created",
            "",
        ),
        (
            {"body": {"name": "{name}", "email": "{email}"}},
            MockResponse.json({"name": "N1", "email": "NORMALIZED"}),
            "created",
            "",
        ),
    ],
)
def test_a_status_alone_is_no_outcome(
    api: FaultServer,
    make_adapter: MakeAdapter,
    request_keys: Mapping[str, Any],
    response: MockResponse,
    expected: str,
    message: str,
) -> None:
    api.serve("/people", response)
    request = WriteRequest("POST /people", **{"body": {"name": "{name}"}, **request_keys})

    [outcome] = send(make_adapter, request, [insert_row()])

    assert outcome.state.value == expected
    assert message in outcome.message


def test_a_form_has_the_members_of_an_object_and_an_empty_field_for_null(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    api.serve("/people", MockResponse.json({}))
    form = {"email": "{email}", "name": "{name}", "metadata": "{labels}"}
    values = {"email": None, "labels": {"a b": 1, "on": True, "list": ["x", "y"]}}

    send(make_adapter, WriteRequest("POST /people", form=form), [PlannedRow(1, "insert", values)])

    assert api.requests[0].body == (
        b"email=&metadata%5Ba+b%5D=1&metadata%5Bon%5D=true"
        b"&metadata%5Blist%5D%5B%5D=x&metadata%5Blist%5D%5B%5D=y"
    )


def test_a_rate_limit_that_only_the_body_tells_is_waited_for(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    limited = MockResponse.json({"errors": [{"extensions": {"code": "RATELIMITED"}}]}, status=400)
    api.serve("/people", limited.with_headers(Retry_After="0"), MockResponse.json({}, status=201))
    rule = ErrorRule(action="wait", where={"errors.0.extensions.code": "RATELIMITED"})
    write = WriteSpec(COLUMNS, insert=POST)
    with make_adapter(table("people", write=write, errors=(rule,))).open_writer("people") as writer:
        assert states(writer.send("insert", [insert_row()], "k")) == ["created"]

    assert len(api.requests) == 2


def test_deleting_what_is_gone_is_done(api: FaultServer, make_adapter: MakeAdapter) -> None:
    api.serve("/people/1", MockResponse.error(404))
    row = PlannedRow(1, "delete", {}, {"email": "1"})

    assert states(send(make_adapter, WriteRequest("DELETE /people/{email}"), [row], "delete")) == [
        "unchanged"
    ]


BATCH = WriteRequest(
    "POST /batch",
    body={"inputs": "{rows}"},
    each={"trace": "{row}", "properties": {"name": "{name}"}},
    batch=Batch(100),
    outcomes=Outcomes(done="results", failed="errors", by="trace", id="id", message="message"),
)


def test_each_row_of_a_batch_has_its_own_outcome(api: FaultServer, make_adapter: MakeAdapter) -> None:
    def answer(request: RecordedRequest) -> MockResponse:
        inputs = request.json()["inputs"]
        results = [
            {"id": f"i{one['trace']}", "trace": one["trace"]} for one in inputs if one["trace"] != "57"
        ]
        return MockResponse.json(
            {"results": results, "errors": [{"trace": ["57"], "message": "bad name"}]}, status=207
        )

    api.serve("/batch", answer)

    outcomes = send(make_adapter, BATCH, [insert_row(number) for number in range(1, 101)])

    assert [outcome.number for outcome in outcomes if outcome.state is RowState.REJECTED] == [57]
    assert outcomes[56].message == "bad name"
    assert outcomes[0].created == {"id": "i1"}
    assert len(api.requests) == 1


def test_a_refused_row_is_named_at_another_path_and_a_flag_tells_what_an_upsert_created(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    results = [{"trace": "1", "new": True, "id": "a"}, {"trace": "2", "new": False, "id": "b"}]
    errors = [{"context": {"trace": ["3", "4"]}, "message": "bad"}]
    api.serve("/batch", MockResponse.json({"results": results, "errors": errors}, status=207))
    outcomes = Outcomes("results", "errors", "trace", "context.trace", "new", message="message")
    request = replace(BATCH, outcomes=outcomes)
    rows = [replace(insert_row(number), action="upsert") for number in range(1, 5)]

    assert states(send(make_adapter, request, rows, "upsert")) == [
        "created",
        "updated",
        "rejected",
        "rejected",
    ]


def test_a_batch_has_rows_of_one_address(api: FaultServer, make_adapter: MakeAdapter) -> None:
    request = replace(BATCH, request="POST /lists/{email}", each={"n": "{name}"})
    write = WriteSpec(COLUMNS, insert=request)
    rows = [insert_row(number, email=f"list{number // 3}", name="x") for number in range(1, 8)]
    with make_adapter(table("people", write=write)).open_writer("people") as writer:
        assert [len(writer.fit("insert", rows[at:])) for at in (0, 2, 5)] == [2, 3, 2]
        described = writer.describe("insert", rows[2:5])

    assert described == f'POST {api.url}/lists/list1 {{"inputs":[{{"n":"x"}},{{"n":"x"}},{{"n":"x"}}]}}'


def test_outcomes_by_position_have_a_status_of_their_own(api: FaultServer, make_adapter: MakeAdapter) -> None:
    api.serve(
        "/batch",
        MockResponse.json(
            {"responses": [{"status": 201, "body": {"id": 1}}, {"status": 412, "body": {"error": "older"}}]}
        ),
    )
    outcomes = Outcomes(done="responses", status="status", id="body.id", message="body.error")
    request = WriteRequest(
        "POST /batch", body="{rows}", each={"n": "{name}"}, batch=Batch(2), outcomes=outcomes
    )

    first, second = send(make_adapter, request, [insert_row(1), insert_row(2)])

    assert (first.state, first.created) == (RowState.CREATED, {"id": 1})
    assert (second.state, second.status, second.message) == (RowState.REJECTED, 412, "older")


def test_a_row_that_a_batch_response_does_not_mention_is_unknown(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    api.serve("/batch", MockResponse.json({"results": [{"trace": "1", "id": 1}]}))

    assert states(send(make_adapter, BATCH, [insert_row(1), insert_row(2)])) == ["created", "unknown"]


def test_a_batch_that_is_refused_as_a_whole_is_to_be_divided(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    api.serve("/batch", MockResponse.error(400, "bad row"))
    request = WriteRequest(
        "POST /batch", body={"rows": "{rows}"}, each={"n": "{name}"}, batch=Batch(8), divide=(400,)
    )

    with pytest.raises(BatchRefused):
        send(make_adapter, request, [insert_row(1), insert_row(2)])

    assert states(send(make_adapter, request, [insert_row(1)])) == ["rejected"]


def test_a_lost_response_and_a_server_failure_tell_nothing(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    for response in (
        MockResponse.json({"id": 1}, cut_at=3, reset=True),
        MockResponse.error(500),
        MockResponse.error(503),
    ):
        api.serve("/people", response)
        before = len(api.requests)

        with pytest.raises(ResponseLost):
            send(make_adapter, POST, [insert_row()])
        assert len(api.requests) == before + 1, "it is not sent again blindly"


def test_what_was_not_carried_out_is_sent_again(api: FaultServer, make_adapter: MakeAdapter) -> None:
    limited = MockResponse.error(429, Retry_After="0")
    api.serve("/people", limited, limited, MockResponse.json({"id": 1}, status=201))

    assert states(send(make_adapter, POST, [insert_row()])) == ["created"]
    assert len(api.requests) == 3


def test_refused_credentials_end_the_write(api: FaultServer, make_adapter: MakeAdapter) -> None:
    api.serve("/people", MockResponse.error(401))

    with pytest.raises(Unauthorized):
        send(make_adapter, POST, [insert_row()])


def test_a_redirect_does_not_turn_a_write_into_a_read(api: FaultServer, make_adapter: MakeAdapter) -> None:
    api.serve("/people", MockResponse(status=301, headers={"Location": "/other"}))

    [outcome] = send(make_adapter, POST, [insert_row()])

    assert (outcome.state, outcome.status) == (RowState.REJECTED, 301)
    assert [request.method for request in api.requests] == ["POST"]


@pytest.mark.parametrize(
    "response",
    [
        MockResponse(status=303, headers={"Location": "/people/1"}),
        MockResponse(body=b"<html>Sign in", headers={"Content-Type": "text/html; charset=utf-8"}),
    ],
    ids=["after a form", "of a proxy"],
)
def test_a_response_that_tells_of_no_row_is_neither_a_success_nor_a_refusal(
    api: FaultServer, make_adapter: MakeAdapter, response: MockResponse
) -> None:
    api.serve("/people", response)

    with pytest.raises(ResponseLost):
        send(make_adapter, WriteRequest("POST /people", body={"email": "{email}"}), [insert_row()])


def test_fewer_items_than_rows_have_no_position(api: FaultServer, make_adapter: MakeAdapter) -> None:
    """An API that leaves the refused row out would have its successes taken for those of other rows."""
    api.serve("/people", MockResponse.json({"items": [{"id": 1}, {"id": 3}]}))
    request = WriteRequest(
        "POST /people",
        body={"rows": "{rows}"},
        each={"email": "{email}"},
        batch=Batch(10),
        outcomes=Outcomes(done="items"),
    )

    outcomes = send(make_adapter, request, [insert_row(number) for number in (1, 2, 3)])

    assert [outcome.state for outcome in outcomes] == [RowState.UNKNOWN] * 3


@pytest.mark.socket
def test_without_a_server_nothing_was_sent() -> None:
    spec = AdapterSpec(
        "api",
        "api.yaml",
        f"http://127.0.0.1:{unused_port()}",
        tables=(table("people", write=WriteSpec(COLUMNS, insert=POST)),),
    )

    with (
        closing(RESTAdapter(spec, {}, clock=ImpatientClock())) as adapter,
        adapter.open_writer("people") as writer,
        pytest.raises(Unreachable),
    ):
        writer.send("insert", [insert_row()], "k")


@pytest.mark.parametrize(
    ("operation", "request_keys", "age_s", "expected"),
    [
        ("insert", {}, 1, LostResponse.UNKNOWN),
        ("insert", {"idempotency": Idempotency("Idempotency-Key", 60)}, 59, LostResponse.SEND_AGAIN),
        ("insert", {"idempotency": Idempotency("Idempotency-Key", 60)}, 61, LostResponse.UNKNOWN),
        ("insert", {"settle": Settle("GET /people", same=("email",))}, 1, LostResponse.LOOK),
        ("insert", {"request": "PUT /people/{email}"}, 1, LostResponse.SEND_AGAIN),
        ("update", {"request": "PATCH /people/{email}"}, 1, LostResponse.SEND_AGAIN),
        ("update", {"request": "PATCH /people/{email}", "adds": ("name",)}, 1, LostResponse.UNKNOWN),
        ("update", {"request": "PATCH /people/{email}", "adds": ("other",)}, 1, LostResponse.SEND_AGAIN),
        ("upsert", {}, 1, LostResponse.SEND_AGAIN),
        ("delete", {"request": "DELETE /people/{email}"}, 1, LostResponse.SEND_AGAIN),
    ],
)
def test_a_row_whose_response_was_lost_is_sent_again_only_if_that_cannot_double_it(
    make_adapter: MakeAdapter,
    operation: WriteOperation,
    request_keys: Mapping[str, Any],
    age_s: float,
    expected: LostResponse,
) -> None:
    request = WriteRequest(**{"request": "POST /people", **request_keys})
    write = replace(WriteSpec(COLUMNS, ("email",)), **{operation: request})
    with make_adapter(table("people", write=write)).open_writer("people") as writer:
        assert writer.lost_response(operation, [insert_row()], age_s) is expected


def test_a_row_is_found_by_the_values_that_identify_it(api: FaultServer, make_adapter: MakeAdapter) -> None:
    api.serve(
        "/search",
        MockResponse.json({"items": [{"id": 1, "email": "o@x"}, {"id": 2, "email": "1@x.example"}]}),
    )
    settle = Settle("GET /search?q={email}&kind=person", rows="items", same=("email",))
    request = WriteRequest("POST /people", body={"email": "{email}"}, settle=settle, created={"id": "id"})
    write = WriteSpec(COLUMNS, insert=request)
    with make_adapter(table("people", write=write)).open_writer("people") as writer:
        found = writer.find("insert", insert_row(1))
        missing = writer.find("insert", insert_row(3))

    assert found == [RowOutcome(1, RowState.CREATED, 200, {"id": 2})]
    assert not missing
    assert api.requests[0].query == {"q": "1@x.example", "kind": "person"}


def test_a_row_is_checked_and_described_without_a_request(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    request = WriteRequest("PUT /people/{email}", body={"name": "{name}"})
    write = WriteSpec(COLUMNS, ("email",), upsert=request)
    with make_adapter(table("people", write=write)).open_writer("people") as writer:
        problem = writer.check("upsert", PlannedRow(1, "upsert", {"email": None, "name": "x"}))
        described = writer.describe("upsert", [PlannedRow(1, "upsert", {"email": "a", "name": "x"})])

    assert "{email} is null" in problem
    assert described == f'PUT {api.url}/people/a {{"name":"x"}}'
    assert not api.requests


def test_a_batch_holds_as_many_rows_as_fit(make_adapter: MakeAdapter) -> None:
    request = WriteRequest("POST /b", body="{rows}", each={"n": "{name}"}, batch=Batch(10, 100))
    write = WriteSpec(COLUMNS, insert=request)
    rows = [insert_row(number, name="x" * 30) for number in range(1, 21)]
    with make_adapter(table("people", write=write)).open_writer("people") as writer:
        assert len(writer.fit("insert", rows)) == 2
