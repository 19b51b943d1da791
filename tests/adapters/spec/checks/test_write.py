"""The key ``write`` of a table is checked: operations, batches, variables."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.spec_text import SPEC_HEAD, load_problems
from unify.adapters.spec.model import AdapterSpec
from unify.adapters.spec.write import AlreadyDone, Batch, Outcomes, WriteColumn

Load = Callable[[str], AdapterSpec]
WRITE = """\
    key: id
    write:
      columns:
        email: {required: insert}
        name:
        state: {only: [update]}
"""


def test_write_keys_are_read(load_spec_text: Load) -> None:
    spec = load_spec_text(
        SPEC_HEAD
        + WRITE
        + """\
      insert:
        request: POST /orders/batch
        batch: {rows: 100, bytes: 1 MB}
        each: {id: "{row}", email: "{email}", name: "{name}"}
        body: {inputs: "{rows}"}
        outcomes: {done: results, failed: errors, by: id}
      update: {request: "PATCH /orders/{id}", body: {email: "{email}", name: "{name}", state: "{state}"}}
      delete: {request: "DELETE /orders/{id}", already: {status: 409, body: gone}}
      limits: {requests_per_minute: 60}
"""
    )

    write = spec.tables[0].write
    assert write is not None
    assert write.operations == ("insert", "update", "delete")
    assert write.column("STATE") == WriteColumn("state", only=("update",))
    assert write.insert is not None
    assert write.insert.batch == Batch(100, 1024 * 1024)
    assert write.insert.outcomes == Outcomes(done="results", failed="errors", by="id")
    assert write.delete is not None
    assert write.delete.already == (AlreadyDone(409, "gone"),)
    assert write.limits.requests_per_minute == 60


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        ("", "expected insert, update, delete or upsert"),
        ("      insert: {request: GET /orders}\n", "method 'GET' is not supported; use POST or PUT"),
        (
            '      insert: {request: POST /orders, body: {n: "{nmae}"}}\n',
            "unknown variable {nmae}; did you mean name?",
        ),
        ('      insert: {request: POST /orders, body: {n: "{state}"}}\n', "unknown variable {state}"),
        ("      insert: {request: POST /orders, batch: {rows: 5}}\n", "a batch requires each"),
        ("      insert: {request: POST /orders, each: {a: 1}}\n", "requires batch"),
        ("      insert: {request: POST /orders, outcomes: {done: results}}\n", "requires batch"),
        (
            '      insert: {request: POST /b, batch: {rows: 5}, each: {a: 1}, body: {r: "{rows}"}}\n',
            "which rows were refused?",
        ),
        (
            "      insert: {request: POST /orders, settle: {find: GET /orders, same: [ema]}}\n",
            "ema is not a column of write",
        ),
        ("      upsert: {request: PUT /orders, created: {id: id}}\n", "only an insert creates rows"),
        ("      upsert: {request: PUT /orders, undo: {a: 1}}\n", "only for delete: updates are taken back"),
        ("      upsert: {request: PUT /orders, body: {a: 1}, form: {a: b}}\n", "expected body or form"),
    ],
)
def test_a_mistake_in_write_is_explained(load_spec_text: Load, added: str, problem: str) -> None:
    problems = load_problems(load_spec_text, SPEC_HEAD + WRITE + added)

    assert any(problem in each for each in problems), problems


ORDERS = """\
    key: id
    write:
      columns:
        email: {required: insert, only: insert}
        name:
      insert: {request: POST /orders, body: {email: "{email}", name: "{name}"}}
      update: {request: "PATCH /orders/{id}", body: {name: "{name}"}}
"""


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ('body: {name: "{name}"}', 'body: {name: "{name}"}, undo: {a: 1}', "update.undo: only for delete"),
        (
            "      update:",
            '      delete: {request: "DELETE /orders/{id}", undo: {a: 1}}\n      update:',
            "15:54: tables.orders.write.delete.undo: the same request with this body would delete the row",
        ),
        (
            "      update:",
            '      delete: {request: "PATCH /orders/{id}", form: {a: 1}, undo: {a: 1}}\n      update:',
            "delete.undo: it is a body, and delete sends a form",
        ),
        (
            "      update:",
            "      updaet:",
            "15:7: tables.orders.write.updaet: unknown key; did you mean update?",
        ),
        ("required: insert", "required: delete", "columns.email.required: expected one of true, false"),
        (
            "required: insert",
            "required: upsert",
            "12:27: tables.orders.write.columns.email.required: there is no upsert here",
        ),
        ("required: insert", "required: update", "update requires it, but only insert may set it"),
        ("only: insert", "only: delete", "columns.email.only: there is no delete here"),
        (
            "        name:\n",
            "        name:\n        town:\n",
            "14:9: tables.orders.write.columns.town: insert does not send it",
        ),
        (
            "        name:\n",
            "        name:\n        id: {only: update}\n",
            "columns.id: update must not set it, because it identifies the row",
        ),
        ('body: {name: "{name}"}', 'body: {name: "{nmae}"}', "unknown variable {nmae}; did you mean name?"),
        ('body: {name: "{name}"}', 'body: {name: "{name}"}, divide: 400', "update.divide: requires batch"),
        (
            "POST /orders, body",
            'POST /orders, settle: {find: GET /orders, body: {a: "{email}"}, same: email}, body',
            "insert.settle.body: a GET has no body; use params",
        ),
        (
            "POST /orders, body",
            'POST /orders, settle: {find: GET /orders, params: {q: "{emial}"}, same: email}, body',
            "insert.settle.params.q: unknown variable {emial}; did you mean email?",
        ),
        (
            'body: {email: "{email}", name: "{name}"}',
            'batch: {rows: 9}, body: "{rows}", each: {e: "{email}", n: "{name}"}, outcomes: {done: a, by: b}',
            "insert.outcomes.by: b is not sent by each",
        ),
        (
            'body: {email: "{email}", name: "{name}"}',
            'batch: {rows: 9}, each: {e: "{email}", n: "{name}"}, body: "{rows}", returned: d, divide: 400',
            "insert.returned: not allowed with batch",
        ),
    ],
)
def test_a_wrong_key_below_write_has_its_position(
    load_spec_text: Load, right: str, wrong: str, problem: str
) -> None:
    assert right in ORDERS
    assert load_spec_text(SPEC_HEAD + ORDERS).tables[0].write is not None
    problems = load_problems(load_spec_text, SPEC_HEAD + ORDERS.replace(right, wrong, 1))

    assert any(problem in each for each in problems), problems


def test_rows_that_are_chosen_need_a_key(load_spec_text: Load) -> None:
    text = SPEC_HEAD + WRITE.replace("    key: id\n", "") + "      delete: {request: DELETE /orders}\n"

    assert any("delete requires a key" in each for each in load_problems(load_spec_text, text))


def test_a_column_is_not_called_as_an_option(load_spec_text: Load) -> None:
    text = SPEC_HEAD + WRITE.replace("name:", "org:") + "      insert: {request: POST /orders}\n"

    assert any("is also the name of an option" in each for each in load_problems(load_spec_text, text))
