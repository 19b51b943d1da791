"""A table of which a query wants some values only: its filters, filled in as parameters of its request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from msgspec.structs import replace

from unify.adapters.rest.incremental import format_timestamp, parse_timestamp
from unify.adapters.spec import template
from unify.adapters.spec.model import AdapterSpec, Filter, TableSpec

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LOWER_BOUND_OPS = frozenset({">", ">="})
_UPPER_BOUND_OPS = frozenset({"<", "<="})
# A moment without a zone is somebody's local time: no zone is further than this from UTC.
_MAX_ZONE_OFFSET = timedelta(days=1)


def apply_filters(spec: AdapterSpec, table: TableSpec, values: Mapping[str, object]) -> AdapterSpec:
    """``spec`` with ``table`` asked for the rows where each filter of ``values``, by name, has its value.

    A value goes where the request has ``{column}``, else into the filter's parameter. What the table has
    no filter for is left out: the API cannot be asked for it.
    """
    taken = {each: values[each.name] for each in table.filters if each.name in values}
    mentioned = request_variables(table) - {option.name for option in spec.options}
    asked = {
        each.param: _escape_variables(value)
        for each, value in taken.items()
        if each.shared or each.column not in mentioned
    }
    given: dict[str, object] = {each.column: None for each in table.filters} | dict(table.filter_values)
    given |= {each.column: _value_text(value) for each, value in taken.items() if not each.shared}
    narrowed = replace(table, params={**table.params, **asked}, filter_values=given)
    return replace(spec, tables=tuple(narrowed if each.name == table.name else each for each in spec.tables))


def missing_filters(table: TableSpec, values: Mapping[str, object]) -> tuple[str, ...]:
    """The filters the table cannot be asked without."""
    return tuple(each.name for each in table.filters if each.required and each.name not in values)


def request_variables(table: TableSpec) -> frozenset[str]:
    """The variables in the table's request."""
    texts = [
        *table.request_paths,
        dict(table.params),
        dict(table.headers),
        table.body,
        dict(table.form or {}),
    ]
    return frozenset(name for text in texts for name in template.variable_names_in(text))


def supports_operator(column_filter: Filter, operator: str) -> bool:
    """Whether the API can be asked so, or for more: ``>`` by a parameter that means ``>=``."""
    both = _LOWER_BOUND_OPS & set(column_filter.ops) and _UPPER_BOUND_OPS & set(column_filter.ops)
    if operator in _LOWER_BOUND_OPS | _UPPER_BOUND_OPS and both:
        return False  # one parameter cannot say which of the two is meant
    if operator == "=":
        return "=" in column_filter.ops or "in" in column_filter.ops
    return operator in column_filter.ops or f"{operator}=" in column_filter.ops


def filter_value(column_filter: Filter, operator: str, text: str, *, is_moment: bool) -> str | None:
    """The value that asks for all rows where the column compares so with ``text``.

    None where no value does so for certain.
    """
    if operator == "like":
        return _search_text(text)
    form = column_filter.format or ("iso8601" if is_moment else None)
    if form is None:
        return text
    moment = parse_timestamp(text)
    if moment is None:
        return None
    if operator in _LOWER_BOUND_OPS | _UPPER_BOUND_OPS:
        margin = _MAX_ZONE_OFFSET if moment.tzinfo is None else timedelta()
        lower = operator in _LOWER_BOUND_OPS
        edge = moment - margin if lower else moment + margin + _format_precision(form)
        return str(format_timestamp(edge, form))
    value = str(format_timestamp(moment, form))
    again = parse_timestamp(value)
    exact = again is not None and again.replace(tzinfo=None) == moment.replace(tzinfo=None)
    return value if exact or form not in ("iso8601", "date") else None


def _format_precision(time_format: str) -> timedelta:
    """What writing a moment in this form may cut off."""
    return {"iso8601": timedelta(), "unix_ms": timedelta(milliseconds=1)}.get(time_format, timedelta(days=1))


def _search_text(pattern: str) -> str | None:
    """What an API that finds texts holding its parameter is asked for a LIKE pattern."""
    text = pattern.strip("%")
    return text if text and not set("%_") & set(text) else None


def _escape_variables(value: object) -> str:
    """``value`` as a text that is no template."""
    return _VARIABLE.sub(r"{{\1}}", _value_text(value))


def _value_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
