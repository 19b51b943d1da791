"""Syntax errors of commands: the position, the offending word and what was expected there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from lark import Lark
from lark.exceptions import UnexpectedInput, UnexpectedToken
from lark.lexer import PatternStr

from unify.errors import CommandSyntaxError
from unify.language.command_values import BadValue
from unify.language.grammar import load_parser
from unify.language.select_bounds import mask_sql
from unify.language.tokenizer import SqlToken, TokenKind, blank_comments, significant_tokens
from unify.text import did_you_mean

_END = "$END"
_TERMINAL_TEXTS = {
    "CONNECTION": "a table, written connection.table",
    "NAME": "a table, written connection.table",
    "CHART": "a title",
    "COLUMN": "a column",
    "TABLE": "a table's name",
    "SCHEMA": "a schema's name",
    "STORE": "a file written 'PATH' or CONNECTION.'PATH'",
    "DESTINATION": "a file written 'PATH' or CONNECTION.'PATH', a table written connection.table, or mail",
    "KEY": "a column",
    "SYNC": "the name of a sync",
    "WATCH": "the name of a watch",
    "COMPARISON": "> or another comparison",
    "BOUND": "a number of rows",
    "SELECT": "a SELECT",
    "SCRIPT": "the file of a script in 'quotes'",
    "ADDRESS": "an address such as 'https://example.org/hook'",
    "WRITE": "the number of a write",
    "STRING": "a text in 'quotes'",
    "JOB": "a job's number",
    "ROWS": "a number of rows",
    "AMOUNT": "a duration such as 15 minutes",
    "AGO": "a duration such as 2 hours, or a moment such as '2026-03-01 08:00'",
    "MORE": "a number",
    "UNIT": "a unit such as minutes",
    "CLOCK": "a time of day such as 08:00",
    "STAMP": "a moment such as '2026-03-01 08:00'",
    "SCHEDULED": "a schedule's name",
    "TARGET": "a connection, or a table written connection.table",
    "ACCOUNT": "a connection's name",
    "ADAPTER": "an adapter's name",
    "OPTION": "an option's name",
    "PARAMETER": "a parameter's name",
    "SETTING": "a setting's name",
    "TOPIC": "a topic",
    "PLAIN": "a value",
    "_DOT": '"." and a table\'s name',
    "_LAST_USED": "??",
    "VARIABLE": "$name",
    "QUERY": "a SELECT in (brackets)",
    "SQL": "an expression or a SELECT",
    _END: "the end of the command",
}
_MAX_LISTED = 14  # expected words; a longer list is omitted if one of them is similar
_MAX_SHOWN_CHARS = 40  # characters of the user's text in a message


def unexpected_input_error(
    source: str, text: str, error: UnexpectedInput, cache_folder: Path | None
) -> CommandSyntaxError:
    """Translate Lark's error. ``text`` is ``source`` with comments replaced by blanks."""
    ended = isinstance(error, UnexpectedToken) and error.token.type == _END
    start = len(text.rstrip()) if ended else error.pos_in_stream or 0
    expected = expected_next(text[:start], cache_folder)
    offending = next((token for token in significant_tokens(source) if token.end > start), None)
    return _syntax_error(_error_message(offending, expected), source, start, expected)


def invalid_value_error(source: str, error: BadValue) -> CommandSyntaxError:
    """Translate an invalid value, such as 25:00."""
    return _syntax_error(error.message, source, error.start, ())


def expected_next(text: str, cache_folder: Path | None) -> tuple[str, ...]:
    """Return what may follow ``text``: keywords in alphabetical order, then descriptions of values.

    If ``text`` itself has a syntax error, return what may stand at the position of the error.
    """
    parser = load_parser(cache_folder)
    steps = parser.parse_interactive(mask_sql(blank_comments(text)))
    with suppress(UnexpectedInput):  # the position of the error is the one to complete
        steps.exhaust_lexer()
    accepted: set[str] = steps.accepts()  # type: ignore[no-untyped-call]  # untyped in Lark
    return _describe_terminals(parser, accepted)


def _error_message(offending: SqlToken | None, expected: tuple[str, ...]) -> str:
    wanted = f"expected {_join_words(expected)}"
    if offending is None:
        return f"unexpected end of command, {wanted}"
    if offending.kind is TokenKind.UNTERMINATED_QUOTE:
        return f"unterminated quote: {offending.text[0]} is never closed"
    if offending.kind is TokenKind.UNTERMINATED_COMMENT:
        return "unterminated comment"
    if offending.text == "-":
        return f'unexpected "-", {wanted}; a name that contains - must be in double quotes'
    found = (
        offending.text if len(offending.text) <= _MAX_SHOWN_CHARS else offending.text[:_MAX_SHOWN_CHARS] + "…"
    )
    meant = did_you_mean(found, expected)
    return f'unexpected "{found}"' + (
        meant if meant and len(expected) > _MAX_LISTED else f", {wanted}{meant}"
    )


def _join_words(words: tuple[str, ...]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _describe_terminals(parser: Lark, accepted: set[str]) -> tuple[str, ...]:
    """Describe terminals in words; a quoted string only if nothing else is accepted.

    Never the dot before the third part of a name: few connections have schemas.
    """
    if len(accepted) > 1:
        accepted = accepted - {"STRING", "_INNER_DOT"}
    literals = {
        term.name: term.pattern.value for term in parser.terminals if isinstance(term.pattern, PatternStr)
    }
    keywords = {name[1:].lower() for name in accepted if name.startswith("_") and name not in _TERMINAL_TEXTS}
    signs = {literals[name] for name in accepted if name in literals and name not in _TERMINAL_TEXTS}
    values = [text for name, text in _TERMINAL_TEXTS.items() if name in accepted]
    return (*sorted(keywords), *sorted(signs), *dict.fromkeys(values))


def _syntax_error(message: str, source: str, start: int, expected: tuple[str, ...]) -> CommandSyntaxError:
    line = source.count("\n", 0, start) + 1
    column = start - source.rfind("\n", 0, start)
    return CommandSyntaxError(message, source=source, line=line, column=column, expected=expected)
