"""Filters of a query as parameters of the request of a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from msgspec.structs import replace

from unify.adapters.spec import template
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.moments import format_timestamp, parse_timestamp
from unify.adapters.spec.table_keys import Filter

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LOWER_BOUND_OPS = frozenset({">", ">="})
_UPPER_BOUND_OPS = frozenset({"<", "<="})
_MAX_ZONE_OFFSET = timedelta(days=1)  # of a time without a zone from UTC


def apply_filters(spec: AdapterSpec, table: TableSpec, values: Mapping[str, object]) -> AdapterSpec:
    """Return ``spec`` with ``table`` restricted to the values of its filters, by name.

    A value is sent where the request has ``{column}``, else in the filter's parameter. Values without a
    filter are ignored.
    """
    used = {each: values[each.name] for each in table.filters if each.name in values}
    mentioned = request_variables(table) - {option.name for option in spec.options}
    params = {
        each.param: _escape_variables(value)
        for each, value in used.items()
        if each.shared or each.column not in mentioned
    }
    filter_values: dict[str, object] = {each.column: None for each in table.filters}
    filter_values |= dict(table.filter_values)
    filter_values |= {each.column: _value_text(value) for each, value in used.items() if not each.shared}
    narrowed = replace(table, params={**table.params, **params}, filter_values=filter_values)
    return replace(spec, tables=tuple(narrowed if each.name == table.name else each for each in spec.tables))


def missing_filters(table: TableSpec, values: Mapping[str, object]) -> tuple[str, ...]:
    """The names of required filters without a value."""
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
    """Whether the filter can express ``operator``, or a wider one: ``>=`` for ``>``."""
    both = _LOWER_BOUND_OPS & set(column_filter.ops) and _UPPER_BOUND_OPS & set(column_filter.ops)
    if operator in _LOWER_BOUND_OPS | _UPPER_BOUND_OPS and both:
        return False  # one parameter cannot express both
    if operator == "=":
        return "=" in column_filter.ops or "in" in column_filter.ops
    return operator in column_filter.ops or f"{operator}=" in column_filter.ops


def filter_value(column_filter: Filter, operator: str, text: str, *, is_moment: bool) -> str | None:
    """The value that requests all rows for which the comparison with ``text`` is true; None if none does."""
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
    parsed = parse_timestamp(value)
    exact = parsed is not None and parsed.replace(tzinfo=None) == moment.replace(tzinfo=None)
    return value if exact or form not in ("iso8601", "date") else None


def _format_precision(time_format: str) -> timedelta:
    """The part of a time that this format may cut off."""
    return {"iso8601": timedelta(), "unix_ms": timedelta(milliseconds=1)}.get(time_format, timedelta(days=1))


def _search_text(pattern: str) -> str | None:
    """The text of a LIKE pattern for an API that searches for contained texts; None for other patterns."""
    text = pattern.strip("%")
    return text if text and not set("%_") & set(text) else None


def _escape_variables(value: object) -> str:
    """Return ``value`` as text without template variables."""
    return _VARIABLE.sub(r"{{\1}}", _value_text(value))


def _value_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
