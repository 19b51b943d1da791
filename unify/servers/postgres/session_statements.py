"""Statements about the session, which the server itself runs: SET, SHOW, BEGIN, DECLARE, FETCH, COPY.

Everything else is ``RunStatement``: SQL and commands of Unify.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from unify.language.tokenizer import SqlToken, TokenKind, significant_tokens, unquote
from unify.servers.postgres.sqlstates import (
    FEATURE_NOT_SUPPORTED,
    SYNTAX_ERROR,
    ClientError,
)

_AFTER_BEGIN = ("", "transaction", "work", "isolation", "read", "not", "deferrable")
_END = {"commit": "COMMIT", "end": "COMMIT", "rollback": "ROLLBACK", "abort": "ROLLBACK"}
_DISCARDED = ("all", "plans", "sequences", "temp", "temporary")
_DECLARE = re.compile(
    r"(?is)declare\s+(?P<name>\"(?:[^\"]|\"\")+\"|\w+)\s+"
    r"(?P<options>(?:(?:binary|asensitive|insensitive|no\s+scroll|scroll)\s+)*)"
    r"cursor\s+(?P<hold>with(?:out)?\s+hold\s+)?for\s+(?P<sql>.*)"
)
_FETCH = re.compile(
    r"(?is)(?P<verb>fetch|move)\s+(?:(?P<word>next|forward\s+all|forward|all)\s+)?(?:(?P<count>\d+)\s+)?"
    r"(?:(?:from|in)\s+)?(?P<name>\"(?:[^\"]|\"\")+\"|\w+)\s*"
)


class NoStatement(Struct, frozen=True):
    """A text without a statement."""


class RunStatement(Struct, frozen=True):
    """SQL, or a command of Unify."""

    sql: str


class SetSetting(Struct, frozen=True):
    """SET and RESET; ``value`` None: the default. ``name`` "all": all settings."""

    name: str
    value: str | None
    tag: str = "SET"


class ShowSetting(Struct, frozen=True):
    """SHOW of a setting."""

    name: str


class BeginTransaction(Struct, frozen=True):
    """BEGIN and START TRANSACTION."""


class EndTransaction(Struct, frozen=True):
    """COMMIT and ROLLBACK, by ``tag``; ROLLBACK TO a savepoint leaves the transaction open."""

    tag: str
    to_savepoint: bool = False


class AcceptStatement(Struct, frozen=True):
    """A statement without an effect here: SAVEPOINT, LISTEN, DEALLOCATE …"""

    tag: str


class DiscardState(Struct, frozen=True):
    """DISCARD ALL, which resets settings and drops statements, or a part of it."""

    part: str


class DeclareCursor(Struct, frozen=True):
    """DECLARE … CURSOR FOR a query; ``is_held``: WITH HOLD."""

    name: str
    sql: str
    is_held: bool = False


class FetchCursor(Struct, frozen=True):
    """FETCH and MOVE forward; ``count`` None: all rows."""

    name: str
    count: int | None
    is_move: bool = False


class CloseCursor(Struct, frozen=True):
    """CLOSE; ``name`` None: all."""

    name: str | None


class DeallocateStatement(Struct, frozen=True):
    """DEALLOCATE; ``name`` None: all."""

    name: str | None


class CopyRows(Struct, frozen=True):
    """COPY … TO STDOUT. ``format``: text, csv or binary."""

    sql: str
    format: str = "text"
    header: bool = False
    delimiter: str = "\t"
    null: str = "\\N"
    quote: str = '"'


SessionStatement = (
    NoStatement
    | RunStatement
    | SetSetting
    | ShowSetting
    | BeginTransaction
    | EndTransaction
    | AcceptStatement
    | DiscardState
    | DeclareCursor
    | FetchCursor
    | CloseCursor
    | DeallocateStatement
    | CopyRows
)


def parse_session_statement(sql: str) -> SessionStatement:
    """Return what a statement is. Raises ClientError."""
    tokens = list(significant_tokens(sql))
    if not tokens:
        return NoStatement()
    words = [token.keyword for token in tokens]
    text = sql[tokens[0].start : tokens[-1].end]
    match words[0]:
        case "set" | "reset":
            return _parse_set(tokens, words)
        case "show":
            return _parse_show(tokens, words, sql)
        case "declare":
            return _parse_declare(text)
        case "fetch" | "move":
            return _parse_fetch(text)
        case "copy":
            return _parse_copy(tokens, words, sql)
        case _:
            return _parse_control(tokens, words) or RunStatement(sql)


def _parse_control(tokens: Sequence[SqlToken], words: Sequence[str]) -> SessionStatement | None:
    """Parse statements about transactions, cursors and prepared statements; None: it is another one."""
    first, second = words[0], words[1] if len(words) > 1 else ""
    match first:
        case "begin" | "start" if second in _AFTER_BEGIN:
            return BeginTransaction()
        case "commit" | "end" | "rollback" | "abort":
            return _parse_end(first, words)
        case "savepoint" | "release" | "listen" | "unlisten" | "notify":
            return AcceptStatement(first.upper())
        case "discard" if second in _DISCARDED:
            return DiscardState(second)
        case "close" if len(tokens) == 2:
            return CloseCursor(None if second == "all" else _name(tokens[1]))
        case "deallocate" if len(tokens) in (2, 3):
            return DeallocateStatement(None if words[-1] == "all" else _name(tokens[-1]))
        case _:
            return None


def _parse_end(first: str, words: Sequence[str]) -> SessionStatement:
    if first == "rollback" and "to" in words[1:3]:
        return EndTransaction("ROLLBACK", to_savepoint=True)
    if "prepared" in words:
        raise ClientError("prepared transactions are not supported", FEATURE_NOT_SUPPORTED)
    return EndTransaction(_END[first])


def _parse_set(tokens: Sequence[SqlToken], words: Sequence[str]) -> SessionStatement:
    if words[0] == "reset":
        if len(tokens) != 2:
            raise ClientError("RESET takes the name of a setting, or ALL")
        return SetSetting(_name(tokens[1]), None, "RESET")
    start = 2 if len(words) > 1 and words[1] in ("session", "local") else 1
    rest, names = tokens[start:], words[start:]
    if names[:1] == ["transaction"] or names[:2] == ["characteristics", "as"]:
        return AcceptStatement("SET")
    if names[:2] == ["time", "zone"]:
        return SetSetting("TimeZone", _value(rest[2:]))
    if names[:1] == ["names"]:
        return SetSetting("client_encoding", _value(rest[1:]))
    at = next((n for n, token in enumerate(rest) if token.text == "=" or token.keyword == "to"), None)
    if at is None or at < 1 or len(rest) == at + 1:
        raise ClientError("SET is written as SET name = value")
    return SetSetting("".join(_name(token) for token in rest[:at]), _value(rest[at + 1 :]))


def _value(tokens: Sequence[SqlToken]) -> str | None:
    """Return the value of SET: a constant, or several with commas; None for DEFAULT."""
    if len(tokens) == 1 and tokens[0].keyword in ("default", "local"):
        return None
    parts = [unquote(token.text) if token.kind is TokenKind.STRING else token.text for token in tokens]
    return "".join(", " if part == "," else part for part in parts)


def _parse_show(tokens: Sequence[SqlToken], words: Sequence[str], sql: str) -> SessionStatement:
    if words[1:] == ["transaction", "isolation", "level"]:
        return ShowSetting("transaction_isolation")
    if words[1:] == ["time", "zone"]:
        return ShowSetting("TimeZone")
    if len(tokens) == 2 and words[1] not in ("tables", "schemas", "connections", "jobs", "columns"):
        return ShowSetting(_name(tokens[1]))
    return RunStatement(sql)


def _parse_declare(text: str) -> SessionStatement:
    match = _DECLARE.fullmatch(text)
    if match is None:
        raise ClientError("a cursor is declared as DECLARE name CURSOR FOR SELECT …")
    words = match["options"].lower().split()
    if "scroll" in words and "no" not in words:
        raise ClientError("cursors can move forward only", FEATURE_NOT_SUPPORTED)
    is_held = (match["hold"] or "").lower().split() == ["with", "hold"]
    return DeclareCursor(_unquoted(match["name"]), match["sql"], is_held)


def _parse_fetch(text: str) -> SessionStatement:
    match = _FETCH.fullmatch(text)
    if match is None:
        raise ClientError("cursors can move forward only: FETCH n FROM name", FEATURE_NOT_SUPPORTED)
    word = (match["word"] or "").lower().split()
    count = int(match["count"]) if match["count"] else None if "all" in word else 1
    return FetchCursor(_unquoted(match["name"]), count, is_move=match["verb"].lower() == "move")


def _parse_copy(tokens: Sequence[SqlToken], words: Sequence[str], sql: str) -> SessionStatement:
    """``COPY (SELECT …) TO STDOUT``, ``COPY s.t [(a, b)] TO STDOUT``, with the options of PostgreSQL."""
    end = _target(tokens, words)
    if end is None:
        raise ClientError(
            "COPY is possible TO STDOUT only: nothing can be written here, and no file read",
            FEATURE_NOT_SUPPORTED,
        )
    source = sql[tokens[1].start : tokens[end].start].strip()
    if tokens[1].text == "(":
        query = sql[tokens[1].end : tokens[end - 1].start]
    else:
        table, _, columns = source.partition("(")
        query = f"SELECT {columns.strip().removesuffix(')') or '*'} FROM {table}"
    return _copy_options(query, tokens[end + 2 :], words[end + 2 :])


def _target(tokens: Sequence[SqlToken], words: Sequence[str]) -> int | None:
    """Return the index of TO before STDOUT, outside of brackets."""
    depth = 0
    for number, token in enumerate(tokens):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and words[number : number + 2] == ["to", "stdout"] and number > 1:
            return number
    return None


def _copy_options(query: str, tokens: Sequence[SqlToken], words: Sequence[str]) -> CopyRows:
    options: dict[str, str] = {}
    name = ""
    for token, word in zip(tokens, words, strict=True):
        if token.kind is TokenKind.STRING:
            options[name] = _string(token.text)
        elif word in ("csv", "binary", "text"):
            options["format"] = word
        elif word in ("true", "on", "false", "off"):
            options[name] = word
        elif word in ("format", "delimiter", "null", "header", "quote", "encoding", "escape"):
            name = word
            options.setdefault(name, "true" if name == "header" else "")
        elif word not in ("with", "as") and token.text not in ("(", ")", ","):
            raise ClientError(f"COPY option {token.text[:40]} is not supported", FEATURE_NOT_SUPPORTED)
    format = options.get("format", "text")
    return CopyRows(
        query,
        format,
        options.get("header", "false") in ("true", "on"),
        options.get("delimiter") or ("," if format == "csv" else "\t"),
        options.get("null", "" if format == "csv" else "\\N"),
        options.get("quote") or '"',
    )


def _string(text: str) -> str:
    if text[:1] in "eE":
        return unquote(text[1:]).replace("\\t", "\t").replace("\\n", "\n").replace("\\\\", "\\")
    return unquote(text)


def _name(token: SqlToken) -> str:
    if token.kind is TokenKind.STRING:
        raise ClientError(f"syntax error at or near {token.text[:40]}", SYNTAX_ERROR)
    return _unquoted(token.text)


def _unquoted(text: str) -> str:
    return unquote(text) if text.startswith('"') else text.lower()
