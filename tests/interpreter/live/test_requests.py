"""Requests for live tables that follow from a query."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from unify.adapters.base import ParentRow
from unify.adapters.spec.model import TableSpec
from unify.adapters.spec.table_keys import ColumnDef, ForEach
from unify.interpreter.live.requests import filter_parents
from unify.language.sql import rewrite

CHILD = TableSpec(
    name="parcels",
    requests=("GET /orders/{order}/parcels",),
    for_each=ForEach(query="", columns=("order", "state", "at")),
    columns=(
        ColumnDef("order_id", source="{order}"),
        ColumnDef("order_state", source="{state}"),
        ColumnDef("made_at", source="{at}"),
        ColumnDef("code", source="{order}-{state}"),
    ),
)


PARENTS: list[ParentRow] = [
    {"order": 1, "state": "open", "at": "2026-01-01"},
    {"order": 2, "state": "done", "at": "2026-01-02"},
    {"order": 3, "state": None, "at": None},
]


@pytest.mark.parametrize(
    ("where", "parents"),
    [
        ("order_id = 2", [2]),
        ("order_id in (1, 3)", [1, 3]),
        ("order_id = '2'", [1, 2, 3]),  # compared as numbers, and not by us
        ("order_id = 2.0", [1, 2, 3]),
        ("order_id > 1", [1, 2, 3]),
        ("order_state = 'open'", [1]),
        ("order_state = 'open' or order_state = 'done'", [1, 2]),
        ("order_state = 'open' and order_id = 2", []),
        ("order_state = 'open' or order_id = 2", [1, 2, 3]),
        ("lower(order_state) = 'open'", [1, 2, 3]),
        ("made_at = '2026-01-01 00:00:00'", [1, 2]),  # texts of moments become moments; NULL equals nothing
        ("code = '1-open'", [1, 2, 3]),
    ],
)
def test_parents_are_skipped_only_if_no_row_can_match(where: str, parents: list[int]) -> None:
    statement = rewrite.find_mentions(f"select * from shop.parcels where {where}", lambda _ref: ())
    assert statement is not None
    found = filter_parents(PARENTS, CHILD, statement.mentions[0].conditions)
    assert [parent["order"] for parent in found] == parents


def test_parents_requested_in_batches_are_complete() -> None:
    child = replace(CHILD, for_each=ForEach(query="", columns=("order",), batch=50))
    statement = rewrite.find_mentions("select * from shop.parcels where order_id = 2", lambda _ref: ())
    assert statement is not None
    assert filter_parents(PARENTS, child, statement.mentions[0].conditions) == PARENTS
