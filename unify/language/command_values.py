"""The parts that rules of the grammar share: names, texts, durations, times; each from its tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, time

from lark import Token, Transformer, v_args

from unify.durations import parse_duration
from unify.engine.types import quote_identifier
from unify.language.commands import Command, GoneRows, NotebookOptions, RowMode, is_notebook
from unify.language.table_names import join_table_name
from unify.language.tokenizer import is_select, unquote
from unify.model import TableName

# A parameter of a notebook, and the options of one as the grammar has them: parameters, page.
ParameterValue = tuple[str, str | int | float | bool | None]
NotebookOption = tuple[ParameterValue, ...] | str | None
# The options of an export of rows, as the grammar has them: mode, key, delta, gone, adopt, name, every.
RowOptions = tuple[
    RowMode | None,
    tuple[str, ...] | None,
    bool | None,
    GoneRows | None,
    bool | None,
    str | None,
    float | None,
]
# Those of a sync: key, gone, adopt, cursor, SELECT, trigger, callback.
SyncOptions = tuple[
    tuple[str, ...] | None,
    GoneRows | None,
    bool | None,
    Token | None,
    str,
    tuple[float | None, TableName | None] | None,
    tuple[str, str, str] | None,
]
_WORD_VALUES: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}
_CLOCK_PATTERN = re.compile(r"\d{1,2}:\d{2}")


class BadValue(Exception):
    """A value of the right form that is invalid, such as 25:00. ``start`` is its position in the text."""

    def __init__(self, message: str, start: int) -> None:
        super().__init__(message)
        self.message = message
        self.start = start


@v_args(inline=True)
class ValueBuilder(Transformer[Token, Command]):
    """Builds the values that commands share.

    ``text``  the parsed text; SQL in brackets is taken from it.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def table(self, first: Token, second: Token | None, third: Token | None) -> TableName:
        """Return the name; of three parts, the last two are the table: ``sales.orders``."""
        if second is None:
            return TableName("", unquote(first))
        return TableName(unquote(first), table_part(second, third))

    any_table = table

    def scope(self, connection: Token, schema: Token | None) -> tuple[str, str]:
        return unquote(connection), "" if schema is None else unquote(schema)

    def schema(self, name: Token) -> str:
        return unquote(name)

    def connection(self, name: Token) -> str:
        return unquote(name)

    def option(self, name: Token, value: Token) -> tuple[str, str]:
        return str(name), unquote(value)

    def string(self, text: Token) -> str:
        return unquote(text)

    script = string

    def variable(self, name: Token) -> str:
        return f"SELECT * FROM {name}"

    def query(self, brackets: Token) -> str:
        sql = self._source_text(brackets)[1:-1].strip()
        if not is_select(sql):
            raise BadValue("expected a SELECT in brackets", start_position(brackets))
        return sql

    def duration(self, *parts: Token) -> float:
        return parse_interval(parts)

    def moment(self, *parts: Token) -> tuple[float | None, str | None]:
        return _parse_since(parts)

    def clock(self, text: Token) -> time:
        return _parse_clock(text)

    def at(self, text: Token) -> datetime | time:
        return _parse_start_at(text)

    def scheduled(self, first: Token, second: Token | None, third: Token | None) -> TableName:
        return self.any_table(first, second, third)

    def target(self, connection: Token, table: Token | None, inner: Token | None) -> TableName:
        return TableName(unquote(connection), "" if table is None else table_part(table, inner))

    def value(self, *words: Token) -> str:
        return " ".join(unquote(word) for word in words)

    def parameters(self, *given: ParameterValue) -> tuple[ParameterValue, ...]:
        return given

    def parameter(self, name: Token, value: Token) -> ParameterValue:
        return str(name), _parse_literal(value)

    def page(self, path: str) -> str:
        return path

    def notebook_options(self, path: str, given: Sequence[NotebookOption]) -> NotebookOptions:
        """Return the options after ``run 'FILE'``: parameters and page, which only notebooks have."""
        values, html = given
        assert not isinstance(values, str)
        assert html is None or isinstance(html, str)
        if (values or html) and not is_notebook(path):
            raise BadValue("with and to are for notebooks (.ipynb)", len(self.text))
        if html is not None and not html.lower().endswith((".html", ".htm")):
            raise BadValue("the page of a notebook is a file .html", len(self.text))
        return NotebookOptions(values or (), html)

    def _source_text(self, token: Token) -> str:
        """Return the text of a token, including the content of its brackets."""
        return self.text[start_position(token) : start_position(token) + len(token)]


def table_part(table: Token, inner: Token | None) -> str:
    """Return the name of a table within its connection: ``orders``, or ``sales.orders``."""
    return unquote(table) if inner is None else join_table_name(unquote(table), unquote(inner))


def variable_name(name: Token) -> str:
    return str(name).removeprefix("$")


def select_sql(source: TableName | str) -> str:
    return source if isinstance(source, str) else f"SELECT * FROM {quoted_name(source)}"


def quoted_name(table: TableName) -> str:
    return ".".join(quote_identifier(part) for part in (table.schema, table.table) if part)


def parse_interval(parts: Sequence[Token]) -> float:
    text = " ".join(unquote(part) for part in parts)
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise BadValue(str(error), start_position(parts[0])) from None
    if seconds <= 0:
        raise BadValue(
            f"every {text} is not allowed; write an interval such as every 15 minutes",
            start_position(parts[0]),
        )
    return seconds


def _parse_since(parts: Sequence[Token]) -> tuple[float | None, str | None]:
    """Return seconds ago, or the text of a timestamp, which DuckDB parses later."""
    text = " ".join(unquote(part) for part in parts)
    try:
        return parse_duration(text), None
    except ValueError as error:
        if len(parts) == 1:
            return None, text
        raise BadValue(str(error), start_position(parts[0])) from None


def _parse_clock(text: Token) -> time:
    hours, _, minutes = unquote(text).partition(":")
    try:
        return time(int(hours), int(minutes))
    except ValueError:
        raise BadValue(f"{text} is not a time of day; write it like 08:00", start_position(text)) from None


def _parse_start_at(text: Token) -> datetime | time:
    moment = " ".join(unquote(text).split())
    if text.type == "CLOCK" or _CLOCK_PATTERN.fullmatch(moment):
        return _parse_clock(text)
    try:
        return datetime.fromisoformat(moment)
    except ValueError:
        example = "write it like '2026-03-01 08:00'"
        raise BadValue(f"{text} is not a date and time; {example}", start_position(text)) from None


def _parse_literal(token: Token) -> str | int | float | bool | None:
    """Return the value of a text in quotes, a number, true, false or null."""
    if token.type == "STRING":
        return unquote(token)
    word = token.lower()
    if word in _WORD_VALUES:
        return _WORD_VALUES[word]
    try:
        return int(token) if token.lstrip("+-").isdecimal() else float(token)
    except ValueError:
        raise BadValue(
            f"{token}: must be a number, true, false, null, or a text in 'quotes'", start_position(token)
        ) from None


def parse_job(number: Token) -> int:
    if len(number) > 18:  # larger than any SQLite integer
        raise BadValue(f"there is no job {number[:18]}…", start_position(number))
    return int(number)


def parse_row_count(number: Token) -> int:
    if not 0 < int(number[:19]) <= 10**9:
        raise BadValue("the number of rows must be at least 1", start_position(number))
    return int(number)


def start_position(token: Token) -> int:
    return token.start_pos or 0


def parse_row_bound(number: Token) -> int:
    if len(number) > 18:
        raise BadValue("the number of rows is too large", start_position(number))
    return int(number)
