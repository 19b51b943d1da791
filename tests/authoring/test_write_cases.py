"""Recorded cases with ``write``: requests and the outcome of each row are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.spec_cases import case_of
from unify.adapters.spec.loader import load_spec
from unify.adapters.spec.model import AdapterSpec
from unify.authoring.case_runner import run_case
from unify.errors import SpecError

WRITE = """\
    write:
      columns:
        name: {required: insert}
        board: {only: insert}
      insert:
        request: POST /boards/{board}/cards
        body: {name: "{name}"}
        created: {id: id}
        settle: {find: GET /cards, params: {name: "{name}"}, same: name}
      update:
        request: PATCH /boards/{board}/cards/{id}
        body: {name: "{name}"}
        idempotency: {header: Idempotency-Key}
      delete: {request: "DELETE /cards/{id}"}
"""
INSERTED = """\
table: cards
write: insert
rows: [{board: b1, name: Lamps}, {board: b1, name: Oil}]
exchanges:
  - request: POST /boards/b1/cards
    headers: {Authorization: Bearer dummy-token}
    body: {name: Lamps}
    answer: {status: 201, body: {id: 7, name: Lamps}}
  - request: POST /boards/b1/cards
    body: {name: Oil}
    answer: {status: 422, body: {message: name is taken}}
outcomes: [{state: created, status: 201, created: {id: 7}}, {state: rejected, message: name is taken}]
"""


@pytest.fixture
def cards(tracker: AdapterSpec) -> AdapterSpec:
    """The spec of the tracker, whose cards can be written."""
    with open(tracker.path, "a", encoding="utf-8") as file:
        file.write(f"    key: id\n{WRITE}")
    return load_spec(Path(tracker.path))


def test_a_case_passes_if_requests_and_outcomes_are_equal(cards: AdapterSpec) -> None:
    assert run_case(cards, case_of(cards, INSERTED)).differences == ()


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("body: {name: Lamps}\n", "body: {name: x}\n", 'expected the body {"name": "x"}, found {"name": "L'),
        ("state: created", "state: unknown", "row 1: expected the state unknown, found created"),
        ("status: 201, created", "status: 200, created", "row 1: expected the status 200, found 201"),
        ("created: {id: 7}", "created: {id: 8}", "row 1: expected created to be {'id': 8}, found {'id': 7}"),
        ("message: name is taken}]", "message: gone}]", "row 2: expected a message with 'gone', found"),
        ("status: 422", "status: 401", "the write failed: POST https://api.tracker.example/v2/boards"),
    ],
)
def test_a_failed_case_shows_the_difference(cards: AdapterSpec, right: str, wrong: str, message: str) -> None:
    assert right in INSERTED
    found = run_case(cards, case_of(cards, INSERTED.replace(right, wrong, 1))).differences

    assert any(message in difference for difference in found), found


def test_a_lost_response_is_settled_as_in_a_write(cards: AdapterSpec) -> None:
    case = """\
table: cards
write: insert
rows: [{board: b1, name: Lamps}]
exchanges:
  - {request: POST /boards/b1/cards, body: {name: Lamps}, answer: {lost: true}}
  - {request: GET /cards, params: {name: Lamps}, answer: {body: [{id: 9, name: Lamps}]}}
outcomes: [{state: created, created: {id: 9}}]
"""
    assert run_case(cards, case_of(cards, case)).differences == ()


def test_an_update_has_stored_rows_and_a_key_that_is_always_the_same(cards: AdapterSpec) -> None:
    case = """\
table: cards
write: update
stored: [{id: 7, board: b1, name: Old}]
rows: [{name: New}]
exchanges:
  - request: PATCH /boards/b1/cards/7
    headers: {Idempotency-Key: dummy-1-0}
    body: {name: New}
    answer: {status: 503}
  - request: PATCH /boards/b1/cards/7
    headers: {Idempotency-Key: dummy-1-0}
    body: {name: New}
    answer: {body: {id: 7, name: New}}
outcomes: [{state: updated, status: 200}]
"""
    assert run_case(cards, case_of(cards, case)).differences == ()


def test_a_deletion_has_stored_rows_only(cards: AdapterSpec) -> None:
    case = """\
table: cards
write: delete
stored: [{id: 7}, {id: 8}]
exchanges:
  - {request: DELETE /cards/7, answer: {status: 204}}
  - {request: DELETE /cards/8, answer: {status: 404}}
outcomes: [{state: deleted}, {state: unchanged, status: 404}]
"""
    assert run_case(cards, case_of(cards, case)).differences == ()


def test_a_deleted_row_is_restored_as_it_was_stored(tracker: AdapterSpec) -> None:
    written = WRITE.replace(
        '"DELETE /cards/{id}"', '"PATCH /cards/{id}", body: {open: false}, undo: {open: true, by: "{by}"}'
    )
    with open(tracker.path, "a", encoding="utf-8") as file:
        file.write(f"    key: id\n{written}")
    cards = load_spec(Path(tracker.path))
    case = """\
table: cards
write: restore
stored: [{id: 7, by: Ada}]
exchanges: [{request: PATCH /cards/7, body: {open: true, by: Ada}, answer: {}}]
outcomes: [{state: updated, status: 200}]
"""
    assert run_case(cards, case_of(cards, case)).differences == ()
    with pytest.raises(SpecError, match="rows: restore sets no columns"):
        case_of(cards, case.replace("stored:", "rows: [{name: x}]\nstored:"))


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ("[{board: b1, name: null}]", "row 1: name is NULL and required"),
        ("[{board: b1}]", "insert requires name"),
        ("[{board: b1, nmae: x}]", "cards.nmae cannot be written; did you mean name?"),
    ],
)
def test_rows_are_checked_before_the_first_request(cards: AdapterSpec, rows: str, error: str) -> None:
    case = f"table: cards\nwrite: insert\nrows: {rows}\nerror: '{error}'\n"

    assert run_case(cards, case_of(cards, case)).differences == ()


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("write: insert", "write: upsert", "2:8: write: cards has no write.upsert"),
        ("write: insert", "write: restore", "2:8: write: cards has no write.delete.undo"),
        ("write: insert", "write: instert", "2:8: write: expected one of insert, update, delete, upsert"),
        ("write: insert\n", "write: insert\nsince: a\n", "3:8: since: not allowed with write"),
        ("write: insert\n", "", "outcomes: requires write"),
        ("write: insert", "write: update", "stored is missing: the rows that it chooses"),
        ("write: insert\n", "write: insert\nstored: [{id: 1}]\n", "3:9: stored: insert chooses no rows"),
        ("{state: created, status", "{state: creatd, status", "expected one of created, updated"),
        ("outcomes: [", "outcomes: [{state: created}, ", "expected one outcome for each row"),
        ("request: POST", "request: PUTT", "method 'PUTT' is not supported; did you mean PUT?"),
    ],
)
def test_a_mistake_in_a_case_is_explained_with_its_position(
    cards: AdapterSpec, right: str, wrong: str, message: str
) -> None:
    assert right in INSERTED
    with pytest.raises(SpecError) as caught:
        case_of(cards, INSERTED.replace(right, wrong, 1))

    assert message in caught.value.message
