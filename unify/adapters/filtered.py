"""A table of which a query wants some values only: its filters, filled in as parameters of its request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from msgspec.structs import replace

from unify.adapters import template
from unify.adapters.cursors import moment_of, written
from unify.adapters.spec import AdapterSpec, Filter, TableSpec

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LOWER = frozenset({">", ">="})
_UPPER = frozenset({"<", "<="})
# A moment without a zone is somebody's local time: no zone is further than this from UTC.
_ANY_ZONE = timedelta(days=1)


def with_filters(spec: AdapterSpec, table: TableSpec, values: Mapping[str, object]) -> AdapterSpec:
    """``spec`` with ``table`` asked for the rows where each filter of ``values``, by name, has its value.

    A value goes where the request has ``{column}``, else into the filter's parameter. What the table has
    no filter for is left out: the API cannot be asked for it.
    """
    taken = {each: values[each.name] for each in table.filters if each.name in values}
    mentioned = variables_of(table) - {option.name for option in spec.options}
    asked = {
        each.param: _plain(value)
        for each, value in taken.items()
        if each.shared or each.column not in mentioned
    }
    given: dict[str, object] = {each.column: None for each in table.filters} | dict(table.given)
    given |= {each.column: _text(value) for each, value in taken.items() if not each.shared}
    narrowed = replace(table, params={**table.params, **asked}, given=given)
    return replace(spec, tables=tuple(narrowed if each.name == table.name else each for each in spec.tables))


def missing_filters(table: TableSpec, values: Mapping[str, object]) -> tuple[str, ...]:
    """The filters the table cannot be asked without."""
    return tuple(each.name for each in table.filters if each.required and each.name not in values)


def variables_of(table: TableSpec) -> frozenset[str]:
    """The variables in the table's request."""
    texts = [*table.paths, dict(table.params), dict(table.headers), table.body, dict(table.form or {})]
    return frozenset(name for text in texts for name in template.names_in(text))


def accepted(each: Filter, operator: str) -> bool:
    """Whether the API can be asked so, or for more: ``>`` by a parameter that means ``>=``."""
    both = _LOWER & set(each.ops) and _UPPER & set(each.ops)
    if operator in _LOWER | _UPPER and both:
        return False  # one parameter cannot say which of the two is meant
    if operator == "=":
        return "=" in each.ops or "in" in each.ops
    return operator in each.ops or f"{operator}=" in each.ops


def asked_value(each: Filter, operator: str, text: str, *, is_moment: bool) -> str | None:
    """The value that asks for all rows where the column compares so with ``text``.

    None where no value does so for certain.
    """
    if operator == "like":
        return _searched(text)
    form = each.format or ("iso8601" if is_moment else None)
    if form is None:
        return text
    moment = moment_of(text)
    if moment is None:
        return None
    if operator in _LOWER | _UPPER:
        margin = _ANY_ZONE if moment.tzinfo is None else timedelta()
        lower = operator in _LOWER
        edge = moment - margin if lower else moment + margin + _step(form)
        return str(written(edge, form))
    value = str(written(moment, form))
    again = moment_of(value)
    exact = again is not None and again.replace(tzinfo=None) == moment.replace(tzinfo=None)
    return value if exact or form not in ("iso8601", "date") else None


def _step(form: str) -> timedelta:
    """What writing a moment in this form may cut off."""
    return {"iso8601": timedelta(), "unix_ms": timedelta(milliseconds=1)}.get(form, timedelta(days=1))


def _searched(pattern: str) -> str | None:
    """What an API that finds texts holding its parameter is asked for a LIKE pattern."""
    text = pattern.strip("%")
    return text if text and not set("%_") & set(text) else None


def _plain(value: object) -> str:
    """``value`` as a text that is no template."""
    return _VARIABLE.sub(r"{{\1}}", _text(value))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
