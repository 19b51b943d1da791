"""Statements that DuckDB runs and a DuckLake does not: the messages of both name what works instead."""

from __future__ import annotations

import re

_TEMP_TABLE = "a temporary table can have it: create temp table …"
_TYPE_ADVICE = {
    "ENUM": "use VARCHAR",
    "UNION": "use a STRUCT or JSON",
    "BIT": "use VARCHAR or BLOB",
    "BIGNUM": "use DECIMAL(38,0) or VARCHAR",
}
_MERGE = "use merge into TABLE using … on … when matched then update … when not matched then insert …"
_COPY_TABLE = "create or replace table TABLE as select * replace (COLUMN::TYPE as COLUMN) from TABLE"
# Parts of the messages of DuckLake and DuckDB 1.5, and what to do.
_ADVICE: tuple[tuple[str, str], ...] = (
    ("user-defined types", "create temp type … works in this session; use VARCHAR in a table"),
    (
        "support sequences",
        "create temp sequence … works in this session; or number rows with row_number() over ()",
    ),
    ("support indexes", "sort the table instead: alter table TABLE set sorted by (COLUMN); " + _TEMP_TABLE),
    ("PRIMARY KEY/UNIQUE constraints are not", f"{_TEMP_TABLE}; to keep rows unique by a key, {_MERGE}"),
    ("Adding indexes or constraints", f"{_TEMP_TABLE}; to keep rows unique by a key, {_MERGE}"),
    ("Failed to create foreign key", "the lake has no keys; create the column without the reference"),
    ("CHECK constraints", f"{_TEMP_TABLE}; or create it without the constraint, and NOT NULL where it fits"),
    ("Adding columns with constraints", "add the column without the constraint"),
    ("option yet!", _TEMP_TABLE),
    ("generated columns", "use a view: create view NAME as select *, EXPRESSION as COLUMN from TABLE"),
    ("Collations are not supported", "collate in the query instead: order by COLUMN collate nocase"),
    ("RETURNING", "run it without RETURNING; changes TABLE since 1 minute shows the rows that it changed"),
    ("There are no UNIQUE/PRIMARY KEY constraints", f"the lake has no keys; {_MERGE}"),
    ("specified columns as conflict target", f"the lake has no keys; {_MERGE}"),
    ("only widening type promotions", f"create the table anew: {_COPY_TABLE}"),
    ("T_AlterObjectSchemaStmt", "create table SCHEMA.TABLE as from TABLE, then drop the old table"),
    ("Altering schemas is not", "create the new schema, and in it create table NEW.TABLE as from OLD.TABLE"),
    ("ColumnDef type not handled", "create table NEW as from OLD limit 0"),
    ("Vacuum is only implemented", "there is nothing to do: the daemon compacts the files of the lake"),
)
_PLAIN_WORDS = {"T_AlterObjectSchemaStmt": "a table cannot be moved to another schema"}
_UNSUPPORTED_TYPE = re.compile(r"Failed to convert DuckDB type to DuckLake - unsupported type (?P<type>.+)")


# DuckDB advises to download an extension. What is read by a connection instead, by extension.
_MISSING_EXTENSION = re.compile(
    r"exists in the (?P<function>\w{1,64}) extension|(?P<file>\w{1,64})\.duckdb_extension\" not found"
    r"|requires the extension (?P<address>\w{1,64}) to be loaded"
)
_CONNECTION = "read it through a connection: connect {adapter}, then select … from NAME.TABLE"
_CONNECTED_INSTEAD = {
    "postgres_scanner": ("PostgreSQL", "postgres", "postgres"),
    "mysql_scanner": ("MySQL", "mysql", "mysql"),
    "httpfs": ("an object store or web server", "s3, gcs or http", "s3"),
    "azure": ("Azure storage", "azure", "azure"),
    "odbc_scanner": ("ODBC", "odbc", "odbc"),
}


def _connection_advice(message: str) -> str | None:
    """Return what to do in place of DuckDB's INSTALL; None for other messages."""
    found = _MISSING_EXTENSION.search(message) if "extension" in message else None
    name = next((text for text in found.groups() if text), "") if found is not None else ""
    if name not in _CONNECTED_INSTEAD:
        return None
    system, adapter, extra = _CONNECTED_INSTEAD[name]
    return (
        f"DuckDB's own way to {system} is not installed here; {_CONNECTION.format(adapter=adapter)} "
        f"(pip install 'unify-sql[{extra}]')"
    )


def add_advice(message: str) -> str:
    """Return the message of a failed statement with what works instead, if it is known."""
    if (connected := _connection_advice(message)) is not None:
        return connected
    first, line_break, rest = message.partition("\n")
    if found := _UNSUPPORTED_TYPE.fullmatch(first):
        return (
            f"the lake cannot store the type {found['type']}; {_type_advice(found['type'])}{line_break}{rest}"
        )
    advice = next((advice for part, advice in _ADVICE if part in first), None)
    if advice is None:
        return message
    return f"{_PLAIN_WORDS.get(first, first.rstrip('!.'))}; {advice}{line_break}{rest}"


def _type_advice(type: str) -> str:
    if type.endswith("]"):
        return f"use a list: {type[: type.rindex('[')]}[]"
    return _TYPE_ADVICE.get(type.partition("(")[0], "cast it to VARCHAR")
