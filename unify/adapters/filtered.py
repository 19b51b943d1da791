"""A table of which a query wants some values only: its filters, filled in as parameters of its request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from unify.adapters.spec import AdapterSpec, TableSpec

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def with_filters(spec: AdapterSpec, table: TableSpec, values: Mapping[str, object]) -> AdapterSpec:
    """``spec`` with ``table`` asked for the rows where each column of ``values`` has its value.

    What the table has no filter for is left out: the API cannot be asked for it.
    """
    params = {each.column: each.param for each in table.filters}
    asked = {params[column]: _plain(value) for column, value in values.items() if column in params}
    narrowed = replace(table, params={**table.params, **asked})
    return replace(spec, tables=tuple(narrowed if each.name == table.name else each for each in spec.tables))


def missing_filters(table: TableSpec, values: Mapping[str, object]) -> tuple[str, ...]:
    """The columns the table cannot be asked without."""
    return tuple(each.column for each in table.filters if each.required and each.column not in values)


def _plain(value: object) -> str:
    """``value`` as a text that is no template."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return _VARIABLE.sub(r"{{\1}}", text)
