"""The key ``write`` of a table is checked: operations, batches, variables."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.spec_text import SPEC_HEAD, load_problems
from unify.adapters.spec.model import AdapterSpec
from unify.adapters.spec.write import Batch, Outcomes, WriteColumn

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
        each: {id: "{row}", name: "{name}"}
        body: {inputs: "{rows}"}
        outcomes: {done: results, failed: errors, by: id}
      update: {request: "PATCH /orders/{id}", body: {state: "{state}"}}
      delete: {request: "DELETE /orders/{id}"}
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
        ("      upsert: {request: PUT /orders, body: {a: 1}, form: {a: b}}\n", "expected body or form"),
    ],
)
def test_a_mistake_in_write_is_explained(load_spec_text: Load, added: str, problem: str) -> None:
    problems = load_problems(load_spec_text, SPEC_HEAD + WRITE + added)

    assert any(problem in each for each in problems), problems


def test_rows_that_are_chosen_need_a_key(load_spec_text: Load) -> None:
    text = SPEC_HEAD + WRITE.replace("    key: id\n", "") + "      delete: {request: DELETE /orders}\n"

    assert any("delete requires a key" in each for each in load_problems(load_spec_text, text))


def test_a_column_is_not_called_as_an_option(load_spec_text: Load) -> None:
    text = SPEC_HEAD + WRITE.replace("name:", "org:") + "      insert: {request: POST /orders}\n"

    assert any("is also the name of an option" in each for each in load_problems(load_spec_text, text))
