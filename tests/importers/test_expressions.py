"""Expressions of manifests as SQL: the columns and conditions of a case, computed for rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.importers.golden import golden_cases
from unify.adapters.rest.rows.row_expressions import RowExpressions
from unify.adapters.spec.loader import load_spec
from unify.adapters.spec.model import AdapterSpec


@pytest.fixture
def spec(tmp_path: Path) -> AdapterSpec:
    case = next(each for each in golden_cases() if each.path.stem == "airbyte_expressions")
    path = tmp_path / "api.yaml"
    path.write_text(case.run()[0])
    return load_spec(path)


def rows_of(spec: AdapterSpec, table: str, *rows: Mapping[str, object]) -> list[dict[str, object]]:
    found = spec.table(table)
    assert found is not None
    texts = [json.dumps(row).encode() for row in rows]
    return [json.loads(row) for row in RowExpressions(found).apply(texts, {}, {"org": "acme"})]


def test_columns_have_the_values_that_the_manifest_computes(spec: AdapterSpec) -> None:
    (row,) = rows_of(
        spec,
        "computed",
        {
            "id": 7,
            "first": "Ann",
            "last": "B",
            "changed_at": "",
            "made_at": "2026-03-01T00:00:00Z",
            "attributes": {"note": ""},
            "state": None,
            "email": "a@b.example",
            "at": "2026-03-01T10:00",
            "path": "x/y/z",
            "uri": "/a/42",
            "a": 1,
            "b": "two",
            "made": "05 Mar 2026",
            "list": "l",
            "n": "11",
            "name": None,
            "title": "sir",
        },
    )
    assert {name: row[name] for name in ("kind", "rank", "label", "changed", "note", "state")} == {
        "kind": "card",
        "rank": 3,
        "label": "Ann-B",
        "changed": "2026-03-01T00:00:00Z",
        "note": None,
        "state": "open",
    }
    assert {name: row[name] for name in ("day", "second", "number", "joined", "made", "epoch")} == {
        "day": "2026-03-01",
        "second": "y",
        "number": "42",
        "joined": "1::two",
        "made": "2026-03-05",
        "epoch": 1772323200,
    }
    assert (row["ids"], row["size"], row["org"], row["name"]) == (
        {"list": "l", "item": 7},
        "big",
        "acme/7",
        "SIR",
    )


def test_conditions_keep_the_rows_that_the_manifest_keeps(spec: AdapterSpec) -> None:
    good = {"amount": 1, "status": None, "owner": "x"}
    rows = rows_of(
        spec, "more_than_equal", good, {**good, "amount": "0"}, {**good, "status": "test"}, {"amount": 5}
    )
    assert rows == [good]
    kept = rows_of(
        spec, "not_closed", {"closed": True, "kind": "b"}, {"closed": False, "kind": "b"}, {"kind": None}
    )
    assert kept == [{"closed": False, "kind": "b"}, {"kind": None}]
