"""Values of parameters as DuckDB takes them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from unify.errors import UsageError
from unify.interpreter.parameters import to_duckdb


@pytest.mark.parametrize("text", ["1e39", "1e999999999999", "1e-999999999999", "-1e999999999999"])
def test_a_decimal_with_too_many_digits_is_refused_before_it_is_written_out(text: str) -> None:
    with pytest.raises(UsageError, match="more than 38 digits"):
        to_duckdb(Decimal(text))
