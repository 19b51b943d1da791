"""Names of catalogs and schemas in the lake."""

from __future__ import annotations

CATALOG = "lake"  # the name under which DuckDB has the lake attached
METADATA = f"__ducklake_metadata_{CATALOG}"  # DuckLake's own tables, described in its specification
SCHEMA = "_unify"  # Unify's own tables in the lake
