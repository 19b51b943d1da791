"""Columns from the request, and filters on records."""

from __future__ import annotations

import pytest

from tests.support.fault_server import FaultServer, MockResponse
from tests.support.rest_tables import MakeAdapter, table
from unify.adapters.base import Read
from unify.adapters.rest.rows.record_filter import RecordFilter
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.table_keys import ColumnDef
from unify.config.secrets import Secret
from unify.errors import (
    ConfigError,
)

ROWS = [b'{"o":{"l":"DuckDB"},"n":1}', b'{"o":{"l":"me"},"n":2}', b'{"o":null,"n":3}', b"[]"]


@pytest.mark.parametrize(
    ("variables", "kept"),
    [
        ({"org": "duckdb", "user": None}, ROWS[:1]),
        ({"org": "duckdb", "user": "ME"}, ROWS[:2]),
        ({"org": "other", "user": None}, []),
        ({"org": None, "user": None}, ROWS),
        ({"org": "", "user": None}, ROWS),
    ],
)
def test_where_keeps_the_rows_that_match_an_option(
    variables: dict[str, str | None], kept: list[bytes]
) -> None:
    assert RecordFilter({"o.l": ("{org}", "{user}")}, variables).filter_rows(ROWS) == kept


def test_where_compares_numbers_and_booleans_as_json_text() -> None:
    rows = [b'{"n":1,"t":true}', b'{"n":10,"t":false}']

    assert RecordFilter({"n": ("1",)}, {}).filter_rows(rows) == rows[:1]
    assert RecordFilter({"t": ("true",)}, {}).filter_rows(rows) == rows[:1]


class TestColumns:
    def test_values_outside_the_rows_become_columns(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        body = {"total": 5, "meta": {"currency": "EUR"}, "items": [{"id": 1}]}
        api.serve("/things", MockResponse.json(body))
        columns = (
            ColumnDef("total", source="$.total"),
            ColumnDef("money", source="$.meta.currency"),
            ColumnDef("none", source="$.x"),
        )
        (page,) = make_adapter(table(columns=columns, paging=Paging("none"), rows="items")).pages(
            "things", Read()
        )
        assert dict(page.variables) == {"total": 5, "money": "EUR", "none": None}

    def test_a_secret_never_becomes_a_column(self, make_adapter: MakeAdapter) -> None:
        spec = table(columns=(ColumnDef("leak", source="{token}"),))
        with pytest.raises(ConfigError, match="would store the secret"):
            list(make_adapter(spec, options={"token": Secret("s3cret")}).pages("things", Read()))
