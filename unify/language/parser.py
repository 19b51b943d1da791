"""Parse one statement into a command: SQL passes unchanged, commands are parsed with grammar.lark."""

from __future__ import annotations

from pathlib import Path

from unify.language.commands import Command, RunSql
from unify.language.statements import Statement, is_command
from unify.language.tokenizer import SqlToken, blank_comments, significant_tokens


def parse(statement: str | Statement, cache_folder: Path | None = None) -> Command:
    """Return the command; ``RunSql`` for SQL.

    The first command imports Lark (50 ms) and builds the grammar (25 ms, or 3 ms from ``cache_folder``);
    SQL needs neither.

    Raises:
        CommandSyntaxError: its position counts within ``statement``.
    """
    text, line = (statement.text, statement.line) if isinstance(statement, Statement) else (statement, 1)
    if not is_command(text):
        return RunSql(text, line)
    return _parse_own_command(text, cache_folder)


def expected_next(text: str, cache_folder: Path | None = None) -> tuple[str, ...]:
    """Return what may follow ``text``, the start of a command: keywords, then descriptions of values."""
    from unify.language import syntax_errors

    return syntax_errors.expected_next(text, cache_folder)


def _parse_own_command(source: str, cache_folder: Path | None) -> Command:
    from lark.exceptions import UnexpectedInput

    from unify.language import command_values, grammar, syntax_errors

    text = blank_comments(source)[: _command_end(source)]
    try:
        return grammar.parse_command(text, cache_folder)
    except UnexpectedInput as error:
        raise syntax_errors.unexpected_input_error(source, text, error, cache_folder) from error
    except command_values.BadValue as error:
        raise syntax_errors.invalid_value_error(source, error) from error


def _command_end(source: str) -> int:
    """Return the end of the command, without a closing ``;``."""
    tokens: list[SqlToken] = list(significant_tokens(source))
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    return tokens[-1].end if tokens else 0
