"""Statements: splitting scripts, knowing when typed text is complete, and telling commands from SQL.

A statement is a command or SQL by its first words, without the grammar, so that SQL does not wait for a
parser. Text that DuckDB could run is SQL. Other text that resembles a command is parsed as one, because
the grammar then explains the mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal

from msgspec import Struct

from unify.language.tokenizer import SqlToken, TokenKind, keyword_set, significant_tokens, tokenize

IncompleteReason = Literal["quote", "comment", "bracket", ";"]
# What is open if a line break falls into such a token.
_TOKEN_REASONS: Mapping[TokenKind, IncompleteReason] = {
    TokenKind.STRING: "quote",
    TokenKind.QUOTED: "quote",
    TokenKind.UNTERMINATED_QUOTE: "quote",
    TokenKind.COMMENT: "comment",
    TokenKind.UNTERMINATED_COMMENT: "comment",
}


class Statement(Struct, frozen=True):
    """One statement of a script, without its ``;`` and the comments around it. ``line`` counts from 1."""

    text: str
    line: int = 1


def split_statements(text: str) -> list[Statement]:
    """Split ``text`` into statements; a ``;`` in quotes, comments or brackets does not separate.

    Empty statements are dropped. The last one needs no ``;`` and may have an unterminated quote or comment.
    """
    found = [tokens for tokens, _ended in _split_tokens(text) if tokens]
    lines = _LineCounter(text)
    return [
        Statement(text[tokens[0].start : tokens[-1].end], lines.line_at(tokens[0].start)) for tokens in found
    ]


def incomplete_reason(text: str) -> IncompleteReason | None:
    """Return what ``text`` needs before Enter runs it, or None.

    SQL needs a ``;``. A command only needs open quotes, comments and brackets to be closed.
    """
    tokens, ended = _last_statement(text)
    if ended or not tokens:
        return None
    if tokens[-1].kind in (TokenKind.UNTERMINATED_QUOTE, TokenKind.UNTERMINATED_COMMENT):
        return _TOKEN_REASONS[tokens[-1].kind]
    return _statement_reason(tokens, _bracket_depth(tokens), text)


def incomplete_reasons_by_line(text: str) -> list[IncompleteReason | None]:
    """Return, for each line after the first, what the text above it needs.

    One pass over the text: the prompt calls this at every key, also after a paste of a thousand lines.
    """
    found: list[IncompleteReason | None] = []
    tokens: list[SqlToken] = []
    depth = 0
    for token in tokenize(text):
        if lines := token.text.count("\n"):
            inside = _TOKEN_REASONS.get(token.kind)
            found += [inside or _statement_reason(tokens, depth, text[: token.start])] * lines
        if token.kind in (TokenKind.BLANK, TokenKind.COMMENT):
            continue
        depth = max(0, depth + _depth_change(token))
        ends = depth == 0 and token.kind is TokenKind.SYMBOL and token.text == ";"
        tokens = [] if ends else [*tokens[:1], token]
    return found


def is_complete(text: str) -> bool:
    """Return whether Enter runs ``text``. Text without a statement is complete."""
    return incomplete_reason(text) is None


def _statement_reason(tokens: Sequence[SqlToken], depth: int, text: str) -> IncompleteReason | None:
    """Return what the statement at the end of ``text`` needs, given that no quote or comment is open."""
    if depth > 0:
        return "bracket"
    return None if not tokens or is_command(text[tokens[0].start :]) else ";"


def _split_tokens(text: str) -> Iterator[tuple[list[SqlToken], bool]]:
    """Yield the tokens of each statement and whether a ``;`` ended it; the last may be empty."""
    tokens: list[SqlToken] = []
    depth = 0
    for token in significant_tokens(text):
        depth = max(0, depth + _depth_change(token))
        if depth == 0 and token.kind is TokenKind.SYMBOL and token.text == ";":
            yield tokens, True
            tokens = []
        else:
            tokens.append(token)
    yield tokens, False


def _last_statement(text: str) -> tuple[list[SqlToken], bool]:
    """Return the last non-empty statement and whether a ``;`` ended it."""
    last: tuple[list[SqlToken], bool] = ([], True)
    for tokens, ended in _split_tokens(text):
        if tokens:
            last = (tokens, ended)
    return last


def _bracket_depth(tokens: Sequence[SqlToken]) -> int:
    depth = 0
    for token in tokens:
        depth = max(0, depth + _depth_change(token))
    return depth


def _depth_change(token: SqlToken) -> int:
    """Return how a token changes the bracket depth."""
    if token.kind is not TokenKind.SYMBOL:
        return 0
    return 1 if token.text in "([{" else -1 if token.text in ")]}" else 0


class _LineCounter:
    """Line numbers of ascending positions, counted in one pass."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.line = 1
        self.position = 0

    def line_at(self, position: int) -> int:
        self.line += self.text.count("\n", self.position, position)
        self.position = position
        return self.line


UNIFY_SETTINGS = frozenset({"max_age", "keys"})  # any other name in SET belongs to DuckDB


# Words that start a command and no SQL statement.
_COMMAND_KEYWORDS = frozenset(
    {
        "count",
        "peek",
        "changes",
        "refresh",
        "reload",
        "clear",
        "system",
        "accept",
        "approve",
        "retry",
        "cancel",
        "undo",
        "pause",
        "resume",
        "unset",
        "run",
        "unschedule",
        "watch",
        "unwatch",
        "remove",
        "url",
        "connect",
        "disconnect",
        "query",
        "help",
        "exit",
        "quit",
    }
)
# Words that start commands and SQL statements; the next words decide.
_SHARED_KEYWORDS = frozenset({"show", "describe", "desc", "load", "set", "import", "export", "copy"})
# Words that start SQL statements, never treated as misspelled commands.
_SQL_KEYWORDS = keyword_set(
    "abort alter analyse analyze attach begin call checkpoint comment commit copy create deallocate delete "
    "detach drop end execute explain export force from import insert install merge pivot pivot_longer "
    "pivot_wider pragma prepare reset rollback select start summarize table truncate unpivot update use "
    "vacuum values with"
)
_SHOW_LISTINGS = frozenset(
    {
        *("connections", "schemas", "tables", "columns", "jobs", "files", "variables", "settings"),
        *("schedules", "writes", "syncs", "clients", "watches"),
    }
)
_SQL_SHOW_LISTINGS = frozenset({"all", "databases", "schemas", "tables"})  # listings of DuckDB's SHOW
_SQL_CREATE_KEYWORDS = keyword_set(
    "function index macro or persistent recursive role schema secret sequence table temp temporary type "
    "unique view"
)
_MIN_SIMILARITY = 0.75  # difflib ratio: tabels/tables 0.83, shwo/show 0.75; job_runs/jobs (a table) 0.67
_LOOK_AHEAD = 8  # tokens of the longest form examined, `describe connection.schema.table;`


def is_command(text: str) -> bool:
    """Return whether ``text``, one statement, is a command rather than SQL. Never raises."""
    tokens = [token for token in islice(significant_tokens(text), _LOOK_AHEAD) if token.text != ";"]
    if not tokens:
        return False
    first, rest = tokens[0].keyword, tokens[1:]
    match first:
        case "show":
            return _is_show_command(rest)
        case "describe" | "desc":
            return _is_describe_command(rest)
        case "import" | "export":
            return not rest or rest[0].keyword != "database"  # SQL: export database 'folder'
        case "copy":
            return _is_copy_command(rest)
        case "create":
            return bool(rest) and (rest[0].keyword == "sync" or _is_chart(rest[0].keyword))
        case "drop":
            return bool(rest) and rest[0].keyword == "sync"
        case "explain":
            return bool(rest) and rest[0].keyword == "export"
        case "load":
            return _is_load_command(rest)
        case "set":
            return bool(rest) and _is_setting(rest[0].keyword)
        case "":
            return text[tokens[0].start :].startswith("??") or _is_variable(tokens)
        case _:
            return first in _COMMAND_KEYWORDS or (
                first not in _SQL_KEYWORDS
                and _is_misspelling(first, _COMMAND_KEYWORDS | _SHARED_KEYWORDS, _SQL_KEYWORDS)
            )


def _is_show_command(rest: Sequence[SqlToken]) -> bool:
    """`show` and its listings, misspellings included. `show all tables`, `show t` and `show s.t` are SQL."""
    if not rest:
        return True
    if _is_symbol(rest[1:2], "."):
        return False
    word = rest[0].keyword
    return word in _SHOW_LISTINGS or _is_misspelling(word, _SHOW_LISTINGS, _SQL_SHOW_LISTINGS)


def _is_chart(word: str) -> bool:
    """`create chart`, misspellings included. Any other CREATE is SQL."""
    return word == "chart" or _is_misspelling(word, {"chart"}, _SQL_CREATE_KEYWORDS)


def _is_setting(word: str) -> bool:
    """One of Unify's settings, misspellings included. DuckDB has none of these names."""
    return word in UNIFY_SETTINGS or _is_misspelling(word, UNIFY_SETTINGS, ())


def _is_describe_command(rest: Sequence[SqlToken]) -> bool:
    """`describe`, `describe t`, `describe s.t`, `describe c.s.t` and an incomplete `describe s.`."""
    names, dots = rest[0::2], rest[1::2]
    if len(rest) > 5 or not all(_is_symbol([dot], ".") for dot in dots):
        return False
    if not all(name.kind in (TokenKind.WORD, TokenKind.QUOTED) for name in names):
        return False
    return len(rest) != 1 or rest[0].keyword not in _SQL_KEYWORDS | _SQL_SHOW_LISTINGS


def _is_load_command(rest: Sequence[SqlToken]) -> bool:
    """`load table …`, misspellings included. `load httpfs` and `load 'file'` are SQL."""
    if len(rest) == 1 and rest[0].keyword != "table":
        return False
    return not (rest and rest[0].kind is TokenKind.STRING)


def _is_copy_command(rest: Sequence[SqlToken]) -> bool:
    """`copy 'file' …` and `copy connection.'path' …`. With a table or a SELECT, COPY is SQL."""
    if not rest or rest[0].kind is TokenKind.STRING:
        return True
    return _is_symbol(rest[1:2], ".") and len(rest) > 2 and rest[2].kind is TokenKind.STRING


def _is_variable(tokens: Sequence[SqlToken]) -> bool:
    """`$name`. `$$text$$` is a string and `$1` a parameter."""
    sign, name = tokens[0], tokens[1:2]
    return sign.text == "$" and bool(name) and name[0].kind is TokenKind.WORD and name[0].start == sign.end


def _is_misspelling(word: str, commands: Iterable[str], sql: Iterable[str]) -> bool:
    """Return whether ``word`` is a misspelling of one of ``ours`` rather than a word of SQL."""
    import difflib

    if not word or word in sql:
        return False
    close = difflib.get_close_matches(word, [*commands, *sql], n=1, cutoff=_MIN_SIMILARITY)
    return bool(close) and close[0] in commands


def _is_symbol(tokens: Sequence[SqlToken], symbol: str) -> bool:
    return bool(tokens) and tokens[0].kind is TokenKind.SYMBOL and tokens[0].text == symbol
