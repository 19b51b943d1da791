"""Messages for tables that a statement names and that cannot be read: unknown, not loaded, behind a view."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from unify.interpreter.results import display_name
from unify.interpreter.state import State
from unify.interpreter.system_columns import SCHEMA, SYSTEM_TABLES
from unify.lake import catalog
from unify.lake.definitions import definitions, find_view
from unify.lake.protocols import Definition
from unify.language.sql.analysis import analyse
from unify.language.sql.refs import TableRef
from unify.model import TableName
from unify.text import closest_match, did_you_mean

_MAX_SUGGESTIONS = 3
# DuckDB's message. Its suggestion includes pg_class and excludes tables that are not loaded.
_DUCKDB_MISSING_TABLE = re.compile(
    r'Table with name "?(?P<name>[^"\n]+?)"? does not exist'
    r'(?:!(?:\nDid you mean "(?P<guess>[^"\n]*)"\?)?|(?P<schema> because schema) "[^"\n]+" does not exist\.)'
)
_NAMING_FUNCTIONS = frozenset({"query", "query_table"})  # their tables may be named by expressions


def unknown_table_message(name: TableName, known: Iterable[TableName], schemas: Iterable[str]) -> str:
    """``table pulls does not exist; did you mean github.pulls? (show tables)``

    ``known``    all tables, stored or not.
    ``schemas``  all connections and schemas.
    """
    known = tuple(known)
    if name.schema not in ("", "main"):
        names = [*map(str, known), *(f"{SCHEMA}.{table}" for table in SYSTEM_TABLES)]
        return f"table {name} does not exist{did_you_mean(str(name), names)} (show tables)"
    word = name.table
    schema = next((schema for schema in schemas if schema.lower() == word.lower()), None)
    if schema is not None:
        return f"{schema} is a schema, not a table{_example_table(schema, known)} (show tables from {schema})"
    names = [display_name(table) for table in known if display_name(table).lower() != word.lower()]
    same_name = [shown for shown in names if shown.lower().endswith(f".{word.lower()}")]
    if same_name:
        suggestions = " or ".join(same_name[:_MAX_SUGGESTIONS])
        return f"table {word} does not exist; did you mean {suggestions}? (show tables)"
    by_name = {table.table: display_name(table) for table in known if display_name(table) in names}
    match = closest_match(word, by_name)
    suggestion = f"; did you mean {by_name[match]}?" if match else ""
    return f"table {word} does not exist{suggestion} (show tables)"


def unreadable_table_message(name: TableName, state: State) -> str:
    """Explain why a table has no columns: it is a view without its table, badly quoted, or unknown."""
    if (view := find_view(state.lake, name)) is not None:
        return unreadable_view_message(name, view, state)
    known = [table.name for table in state.table_states()]
    if name.schema in ("", "main") and (whole := _named_whole(name.table, known)) is not None:
        return _quoted_whole_message(whole)
    return unknown_table_message(name, known, state.schemas())


def unreadable_view_message(name: TableName, view: Definition, state: State) -> str:
    """Name the table that a view lacks: not loaded, or unknown."""
    seen = [view]
    for one in seen:  # grows: views of views
        for ref in analyse(one.sql).tables:
            read = TableName(ref.schema or one.schema, ref.table)
            if ref.is_written or catalog.table_columns(state.lake, read):
                continue
            if state.is_offered(read):
                return (
                    f"the columns of the view {display_name(name)} are known once its tables are loaded: "
                    f"load table {state.connections.canonical_name(read)}"
                )
            inner = find_view(state.lake, read)
            if inner is None:
                return f"{display_name(name)} reads {display_name(read)}, which does not exist"
            if inner not in seen:
                seen.append(inner)
    return f"the columns of the view {display_name(name)} cannot be found"


def explain_missing_table(message: str, state: State, statement: str) -> str:
    """Replace DuckDB's suggestion for an unknown table by Unify's own."""
    found = _DUCKDB_MISSING_TABLE.search(message)
    if found is None:
        return message
    known = [table.name for table in state.table_states()]
    missing = found["name"]
    if found["schema"] is None and (whole := _named_whole(missing, known)) is not None:
        text = _quoted_whole_message(whole)
    elif (computed := _computed_name(missing, known, state, statement)) is not None:
        text = (
            f"{computed} is not loaded, and a table named by an expression is not loaded automatically: "
            f"load table {computed}"
        )
    elif "." in missing:
        return message
    elif reader := _reader_of(missing, state, statement):
        text = f"{reader} reads {missing}, which does not exist"
    else:
        text = unknown_table_message(_qualified(missing, statement), known, state.schemas())
    return message.replace(found[0], text)


def _quoted_whole_message(name: TableName) -> str:
    return f"'{name}' in quotes is one name; write {name} without quotes, or each part in its own"


def _named_whole(missing: str, known: Sequence[TableName]) -> TableName | None:
    """Return the table ``c.t`` if the missing one is called "c.t", with the dot in its name."""
    return next((name for name in known if "." in missing and str(name).lower() == missing.lower()), None)


def _computed_name(
    missing: str, known: Sequence[TableName], state: State, statement: str
) -> TableName | None:
    """Return the table of a connection that an expression of the statement names."""
    offered = [name for name in known if state.connections.has(name.schema)]
    folded = missing.lower()
    whole = next((name for name in offered if str(name).lower() == folded), None)
    if whole is not None or _refs_to(missing, statement):
        return whole
    named = [name for name in offered if name.table.lower() == folded]
    text = statement.lower()
    mentioned = [name for name in named if folded in text and name.schema.lower() in _words(text)]
    return next(iter(mentioned or (named if _names_by_expressions(state, statement) else [])), None)


def _names_by_expressions(state: State, statement: str) -> bool:
    """Whether the statement, or a macro or prepared statement, may name a table by an expression."""
    analysed = analyse(statement)
    if analysed.prepared_name or _NAMING_FUNCTIONS & analysed.functions:
        return True
    return any(
        not one.is_view
        and one.name.lower() in analysed.functions
        and _NAMING_FUNCTIONS & analyse(one.sql).functions
        for one in definitions(state.lake)
    )


def _reader_of(missing: str, state: State, statement: str) -> str:
    """Return the view or macro that reads the missing table, if the statement itself does not."""
    if _refs_to(missing, statement):
        return ""
    readers: Iterator[Definition] = (one for one in definitions(state.lake) if _refs_to(missing, one.sql))
    return next((display_name(TableName(one.schema, one.name)) for one in readers), "")


def _qualified(missing: str, statement: str) -> TableName:
    """Return the missing table with the schema that the statement gives it."""
    schemas = {ref.schema for ref in _refs_to(missing, statement)} - {"", "main", "lake"}
    return TableName(schemas.pop() if len(schemas) == 1 else "", missing)


def _refs_to(table: str, sql: str) -> Sequence[TableRef]:
    return [ref for ref in analyse(sql).tables if ref.table.lower() == table.lower()]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def _example_table(schema: str, known: Iterable[TableName]) -> str:
    first = next((table for table in known if table.schema.lower() == schema.lower()), None)
    return f"; name one of its tables, such as {first}" if first is not None else ""
