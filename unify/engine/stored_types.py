"""The type in which the lake stores the values of a DuckDB type exactly."""

from __future__ import annotations

from unify.engine.exact import INTEGER_DECIMAL
from unify.engine.types import DuckDBType, nested_type_text

_STORED_AS = {"HUGEINT": INTEGER_DECIMAL, "UHUGEINT": INTEGER_DECIMAL}
_STORED_AS_TEXT = frozenset(
    ["INTERVAL", "TIME WITH TIME ZONE", "TIME_NS", "ENUM", "UNION", "BIT", "BIGNUM", "VARIANT", "GEOMETRY"]
)


def stored_type(type: DuckDBType) -> str:
    """Return ``type``, or what stands for it; VARCHAR, with DuckDB's text of the value, if nothing does."""
    if type.name in _STORED_AS:
        return _STORED_AS[type.name]
    if type.name in _STORED_AS_TEXT:
        return "VARCHAR"
    if type.name == "ARRAY":
        return f"{stored_type(type.children[0])}[]"
    parts = [stored_type(part) for part in type.children]
    if parts == [part.text for part in type.children]:
        return type.text
    return nested_type_text(type, parts) or "VARCHAR"
