"""Tables and columns in the statement being typed; SQL functions and local files, for completion."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from msgspec.structs import replace

from unify.errors import FileError
from unify.fs.paths import expand_home
from unify.interpreter.results import CompletionNames
from unify.language.tokenizer import SqlToken, TokenKind, keyword_set, unquote

TABLE_KEYWORDS = keyword_set("from join into update table truncate describe summarize view")
TABLE_END_KEYWORDS = keyword_set(
    "select where group by order having limit offset left right full inner cross on using union all except "
    "intersect distinct as and or not in is null like ilike between case when then else end cast asc desc "
    "nulls first last exists values set qualify window over partition true false"
)


def is_in_table_list(tokens_before: Sequence[SqlToken]) -> bool:
    """Whether the last token is the comma of ``from a, ``."""
    if tokens_before[-1].text != ",":
        return False
    for token in reversed(tokens_before):
        if token.keyword in TABLE_KEYWORDS:
            return True
        if token.keyword in TABLE_END_KEYWORDS or token.text == "(":
            return False
    return False


def find_tables(tokens: Sequence[SqlToken]) -> Sequence[tuple[str, str]]:
    """Return (alias, table) of a statement: ``from github.pulls as p`` has the aliases p and pulls."""
    tables: list[tuple[str, str]] = []
    at = 0
    while at < len(tokens):
        if (
            tokens[at].keyword in TABLE_KEYWORDS
            or _is_export_target(tokens, at)
            or (tokens[at].text == "," and is_in_table_list(tokens[: at + 1]))
        ):
            name, at = _parse_table_name(tokens, at + 1)
            if name:
                tables.append((name.rpartition(".")[2].lower(), name))
                alias = _parse_alias(tokens, at)
                if alias:
                    tables.append((alias.lower(), name))
        else:
            at += 1
    return tables + [(alias.lower(), alias) for alias, _ in _find_subqueries(tokens) if alias]


def _is_export_target(tokens: Sequence[SqlToken], at: int) -> bool:
    """Whether a token is TO of ``export … to shop.orders``."""
    return tokens[at].keyword == "to" and any(token.keyword == "export" for token in tokens[:2])


def add_statement_columns(tokens: Sequence[SqlToken], names: CompletionNames) -> CompletionNames:
    """Add the columns of ``with c as (…)`` and ``from (…) as s`` to ``names``."""
    for alias, subquery in _find_subqueries(tokens):
        if alias:
            names = replace(names, columns={**names.columns, alias: _selected_columns(subquery, names)})
    return names


def common_table_names(tokens: Sequence[SqlToken]) -> Iterator[str]:
    """Yield the names of ``with NAME as (…), NAME as (…)``."""
    if not tokens or tokens[0].keyword != "with":
        return
    for name, word, bracket in zip(tokens[1:], tokens[2:], tokens[3:], strict=False):
        if name.kind in (TokenKind.WORD, TokenKind.QUOTED) and word.keyword == "as" and bracket.text == "(":
            yield unquote(name.text)


def columns_in_scope(table_names: Iterable[str], names: CompletionNames) -> Iterable[str]:
    """Return the columns of all these tables without duplicates."""
    return dict.fromkeys(
        column for table in dict.fromkeys(table_names) for column in find_columns(table, names)
    )


def find_columns(table: str | None, names: CompletionNames) -> Sequence[str]:
    """Return the known columns of ``schema.table``, or of a table of the schema main."""
    if table is None:
        return ()
    for candidate in (table, f"main.{table}"):
        if candidate in names.columns:
            return names.columns[candidate]
    lowered = table.lower()
    return next((columns for name, columns in names.columns.items() if name.lower() == lowered), ())


def _find_subqueries(tokens: Sequence[SqlToken]) -> Iterator[tuple[str, Sequence[SqlToken]]]:
    """Yield the name of each SELECT in brackets, before or after it, and the tokens in the brackets."""
    for at, token in enumerate(tokens[:-1]):
        if token.text != "(" or tokens[at + 1].keyword != "select" or not at:
            continue
        end = _find_closing_bracket(tokens, at)
        named_before = tokens[at - 1].keyword == "as" and at > 1
        yield (
            unquote(tokens[at - 2].text) if named_before else _parse_alias(tokens, end + 1),
            tokens[at + 1 : end],
        )


def _find_closing_bracket(tokens: Sequence[SqlToken], at: int) -> int:
    """Return the index of the bracket that closes the one at ``at``, or the number of tokens."""
    depth = 0
    for index in range(at, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[index].text, 0)
        if not depth:
            return index
    return len(tokens)


def _selected_columns(select: Sequence[SqlToken], names: CompletionNames) -> tuple[str, ...]:
    """Return the columns of a SELECT that have names."""
    columns: dict[str, None] = {}
    depth, last = 0, None
    for token in [*select[1:], None]:
        if token is None or (not depth and (token.text == "," or token.keyword in TABLE_KEYWORDS)):
            if last is not None and last.text == "*":
                tables = (name for _, name in find_tables(select))
                columns.update(dict.fromkeys(columns_in_scope(tables, names)))
            elif last is not None and last.kind in (TokenKind.WORD, TokenKind.QUOTED):
                columns[unquote(last.text)] = None
            if token is None or token.text != ",":
                break
        else:
            depth += {"(": 1, ")": -1}.get(token.text, 0)
        last = token
    return tuple(columns)


def _parse_table_name(tokens: Sequence[SqlToken], at: int) -> tuple[str, int]:
    parts = []
    while at < len(tokens) and tokens[at].kind in (TokenKind.WORD, TokenKind.QUOTED):
        if tokens[at].keyword in TABLE_END_KEYWORDS:
            break
        parts.append(unquote(tokens[at].text))
        at += 1
        if at >= len(tokens) or tokens[at].text != ".":
            break
        at += 1
    return ".".join(parts[-2:]), at


def _parse_alias(tokens: Sequence[SqlToken], at: int) -> str:
    if at < len(tokens) and tokens[at].keyword == "as":
        at += 1
    if at >= len(tokens) or tokens[at].kind not in (TokenKind.WORD, TokenKind.QUOTED):
        return ""
    token = tokens[at]
    return "" if token.keyword in TABLE_END_KEYWORDS | TABLE_KEYWORDS else unquote(token.text)


MAX_FILES = 200


@cache
def list_functions() -> Sequence[str]:
    """Return DuckDB's functions with plain names; the first call takes 30 ms."""
    from unify.engine import duckdb
    from unify.engine.connection import DUCKDB_CONFIG

    with duckdb.connect(config=dict(DUCKDB_CONFIG)) as connection:
        rows = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() "
            "WHERE regexp_full_match(function_name, '[a-z][a-z0-9_]*') ORDER BY ALL"
        ).fetchall()
    return tuple(str(name) for (name,) in rows)


def list_files(prefix: str) -> Sequence[str]:
    """Return paths that start with ``prefix``, as written within single quotes; folders end in a slash.

    Includes hidden files only after a dot. A folder that cannot be read has no files.
    """
    folder, name = os.path.split(prefix.replace("''", "'"))
    try:
        entries = sorted(os.scandir(expand_home(folder or ".")), key=lambda entry: entry.name)
    except (OSError, FileError):
        return ()
    matches = [
        entry
        for entry in entries
        if entry.name.lower().startswith(name.lower())
        and (name.startswith(".") or not entry.name.startswith("."))
        and entry.name.isprintable()
    ]
    return [_entry_path(folder, entry) for entry in matches[:MAX_FILES]]


def _entry_path(folder: str, entry: os.DirEntry[str]) -> str:
    slash = "/" if entry.is_dir() else ""
    return (os.path.join(folder, entry.name) + slash).replace("'", "''")
