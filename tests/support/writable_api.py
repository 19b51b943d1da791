"""An API on loopback that creates, changes and deletes people, and loses responses in several ways."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from unify.adapters.spec.write import (
    Idempotency,
    Settle,
    WriteColumn,
    WriteOperation,
    WriteRequest,
    WriteSpec,
)

Fault = Literal["none", "lost before", "lost after", "500 before", "500 after", "429"]
Protection = Literal["key", "settle", "put", "nothing"]
PEOPLE = (WriteColumn("email"), WriteColumn("name"))
_LOST = MockResponse.json({"id": "x"}, cut_at=2, reset=True)


@dataclass
class WritableApi:
    """``people`` by email; an email that stands twice was doubled. Faults come in turn, then none."""

    server: FaultServer
    people: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    refused_names: frozenset[str] = frozenset()
    reused_keys: int = 0  # requests whose key was used with another body before
    _by_key: dict[str, tuple[bytes, MockResponse]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server.serve("/people", self._respond)
        self.server.serve("/person", self._put)
        self.server.serve("/people-batch", self._respond_to_batch)

    @property
    def emails(self) -> list[str]:
        return sorted(person["email"] for person in self.people)

    def _respond(self, request: RecordedRequest) -> MockResponse:
        if request.method == "GET" and (email := request.query.get("email")) is not None:
            return MockResponse.json({"items": [each for each in self.people if each["email"] == email]})
        if request.method == "GET":
            return MockResponse.json(self.people)
        return self._with_fault(request, self._create)

    def _put(self, request: RecordedRequest) -> MockResponse:
        match request.method:
            case "PATCH":
                return self._with_fault(request, self._change)
            case "DELETE":
                return self._with_fault(request, self._delete)
            case _:
                return self._with_fault(request, self._replace)

    def _with_fault(self, request: RecordedRequest, carry_out: Any) -> MockResponse:
        fault = self.faults.pop(0) if self.faults else "none"
        match fault:
            case "lost before":
                return _LOST
            case "500 before":
                return MockResponse.error(500)
            case "429":
                return MockResponse.error(429, Retry_After="0")
        response: MockResponse = carry_out(request)
        match fault:
            case "lost after":
                return _LOST
            case "500 after":
                return MockResponse.error(500)
        return response

    def _create(self, request: RecordedRequest) -> MockResponse:
        key = request.headers.get("idempotency-key", "")
        if key and key in self._by_key:
            body, response = self._by_key[key]
            self.reused_keys += body != request.body
            return response if body == request.body else MockResponse.error(409, "key with another body")
        person = request.json()
        if person.get("name") in self.refused_names:
            response = MockResponse.error(422, f"{person['name']} is not a name")
        else:
            self.people.append({**person, "id": len(self.people) + 1})
            response = MockResponse.json(self.people[-1], status=201)
        if key:
            self._by_key[key] = (request.body, response)
        return response

    def _respond_to_batch(self, request: RecordedRequest) -> MockResponse:
        return self._with_fault(request, self._create_batch)

    def _create_batch(self, request: RecordedRequest) -> MockResponse:
        """Create the rows that are not refused: status 207, with an item for each row, in another order."""
        key = request.headers.get("idempotency-key", "")
        if key and key in self._by_key:
            body, response = self._by_key[key]
            self.reused_keys += body != request.body
            return response if body == request.body else MockResponse.error(409, "key with another body")
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for row in reversed(request.json()["rows"]):
            if row.get("name") in self.refused_names:
                errors.append({"trace": row["trace"], "message": f"{row['name']} is not a name"})
                continue
            if request.method == "PUT":
                self.people = [each for each in self.people if each["email"] != row["email"]]
            self.people.append({"email": row["email"], "id": len(self.people) + 1})
            results.append({"trace": row["trace"], "status": 201, "id": self.people[-1]["id"]})
        response = MockResponse.json({"results": results, "errors": errors}, status=207)
        if key:
            self._by_key[key] = (request.body, response)
        return response

    def _change(self, request: RecordedRequest) -> MockResponse:
        for person in self.people:
            if str(person["id"]) == request.query["id"]:
                person.update(request.json())
                return MockResponse.json(person)
        return MockResponse.error(404)

    def _delete(self, request: RecordedRequest) -> MockResponse:
        [(name, value)] = request.query.items()
        kept = [each for each in self.people if str(each[name]) != value]
        status = 404 if len(kept) == len(self.people) else 204
        self.people = kept
        return MockResponse(status=status)

    def _replace(self, request: RecordedRequest) -> MockResponse:
        person = request.json()
        self.people = [each for each in self.people if each["email"] != person["email"]]
        self.people.append({**person, "id": len(self.people) + 1})
        return MockResponse.json(self.people[-1])


def people_spec(protection: Protection, operation: WriteOperation = "insert", **keys: Any) -> WriteSpec:
    """How people are written: with an idempotency key, a search, a PUT, or nothing against doubled rows."""
    body = {"email": "{email}", "name": "{name}"}
    match protection:
        case "key":
            request = WriteRequest(
                "POST /people", body=body, idempotency=Idempotency("Idempotency-Key"), created={"id": "id"}
            )
        case "settle":
            settle = Settle("GET /people?email={email}", rows="items", same=("email",))
            request = WriteRequest("POST /people", body=body, settle=settle, created={"id": "id"})
        case "put":
            request = WriteRequest("PUT /person", body=body)
        case "nothing":
            request = WriteRequest("POST /people", body=body, created={"id": "id"})
    return WriteSpec(PEOPLE, ("email",), **{operation: request, **keys})


def random_faults(seed: int, count: int, share: float = 0.6) -> list[Fault]:
    """Return what happens to requests, in a random order; ``share`` of them have a fault."""
    kinds: list[Fault] = ["lost before", "lost after", "500 before", "500 after", "429"]
    rng = random.Random(seed)
    return [rng.choice(kinds) if rng.random() < share else "none" for _ in range(count)]


CRM_SPEC = """\
name: crm
base_url: "{base_url}"
options:
  base_url: {required: true}
  token: {secret: true}
auth: {type: bearer, token: "{token}"}
paging: {type: none}
tables:
  - name: people
    request: GET /people
    key: id
    columns: {id: bigint}
    write:
      columns:
        email: {required: insert}
        name:
        tags: {only: insert}
        age: {type: utinyint}
        born: {type: date}
      insert:
        request: POST /people
        body: {email: "{email}", name: "{name}", tags: "{tags}", age: "{age}", born: "{born}"}
        created: {id: id}
        idempotency: {header: Idempotency-Key}
      update:
        request: PATCH /person
        params: {id: "{id}"}
        body: {email: "{email}", name: "{name}", age: "{age}", born: "{born}"}
      delete: {request: DELETE /person, params: {id: "{id}"}}
  - name: contacts
    request: GET /people
    key: email
    write:
      columns: {email: {required: true}, name: }
      upsert: {request: PUT /person, body: {email: "{email}", name: "{name}"}}
      delete: {request: DELETE /person, params: {email: "{email}"}}
  - name: members
    request: GET /people
    key: id
    columns: {id: bigint}
    write:
      columns: {email: {required: upsert}, name: }
      update: {request: PATCH /person, params: {id: "{id}"}, body: {email: "{email}", name: "{name}"}}
      upsert: {request: PUT /person, body: {email: "{email}", name: "{name}"}}
  - name: tickets
    request: GET /people
    key: id
    columns: {id: bigint}
    write:
      columns: {email: , name: }
      delete: {request: PATCH /person, params: {id: "{id}"}, body: {name: closed}, undo: {name: "{name}"}}
  - {name: notes, request: GET /notes}
"""
