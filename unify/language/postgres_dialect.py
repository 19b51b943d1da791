"""SELECTs in PostgreSQL's words for DuckDB: functions such as to_char, operators such as !~*."""

from __future__ import annotations

import logging

from unify.language.tokenizer import is_select


def translate_postgres(sql: str) -> str | None:
    """Return a SELECT with DuckDB's functions and operators; None if it cannot be read as one."""
    if not is_select(sql):
        return None
    import sqlglot

    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # its warnings are about what DuckDB then refuses
    try:
        found = sqlglot.transpile(sql, read="postgres", write="duckdb")
    except Exception:  # noqa: BLE001 - sqlglot raises more than its own errors on arbitrary text
        return None
    return found[0] if len(found) == 1 else None
