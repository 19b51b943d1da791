"""Which predicates of a query are pushed down to a read of ``RESTAdapter``."""

from __future__ import annotations

import pytest

from unify.adapters.rest.pushdown import filter_value
from unify.adapters.spec.table_keys import Filter


@pytest.mark.parametrize(
    ("operator", "text", "form", "value"),
    [
        ("=", "2026-01-31", "date", "2026-01-31"),
        ("=", "2026-01-31 10:00:00Z", "date", None),
        ("=", "now-1h", "date", None),
        ("=", "now-1h", None, "now-1h"),
        (">=", "2026-01-31T10:00:00Z", "date", "2026-01-31"),
        ("<=", "2026-01-31T10:00:00Z", "date", "2026-02-01"),
        (">=", "2026-01-31T10:00:00", "iso8601", "2026-01-30T10:00:00"),
        ("<", "2026-01-31T10:00:00+02:00", "iso8601", "2026-01-31T10:00:00+02:00"),
        ("like", "%lark%", None, "lark"),
        ("like", "l_rk", None, None),
        ("like", "%", None, None),
    ],
)
def test_a_pushed_down_value_selects_at_least_the_matching_rows(
    operator: str, text: str, form: str | None, value: str | None
) -> None:
    assert filter_value(Filter("c", "c", format=form), operator, text, is_moment=False) == value
