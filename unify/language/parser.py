"""From one typed statement to a command: SQL passes untouched, our own language is read by the grammar.

``split``, ``is_complete`` and ``incomplete_reason`` are at home in ``statements``; they are here as well, because
whoever parses has split before.
"""

from __future__ import annotations

from pathlib import Path

from unify.language.commands import Command, RunSql
from unify.language.statements import Statement, is_command
from unify.language.tokenizer import SqlToken, blank_comments, significant_tokens


def parse(statement: str | Statement, cache_folder: Path | None = None) -> Command:
    """The command that ``statement`` is; a ``Query`` if it is SQL.

    Time    the first command of our own imports Lark (50 ms) and builds the grammar (25 ms, or 3 ms from
            ``cache_folder``); a further one takes a fraction of a millisecond. SQL waits for neither.
    Raises  CommandSyntaxError, its place counted within ``statement``.
    """
    text, line = (statement.text, statement.line) if isinstance(statement, Statement) else (statement, 1)
    if not is_command(text):
        return RunSql(text, line)
    return _parse_own_command(text, cache_folder)


def expected_next(text: str, cache_folder: Path | None = None) -> tuple[str, ...]:
    """What may come after ``text``, the start of one of our commands: keywords first, then descriptions."""
    from unify.language import syntax_errors

    return syntax_errors.expected_next(text, cache_folder)


def _parse_own_command(source: str, cache_folder: Path | None) -> Command:
    from lark.exceptions import UnexpectedInput

    from unify.language import grammar, syntax_errors

    text = blank_comments(source)[: _command_end(source)]
    try:
        return grammar.parse_command(text, cache_folder)
    except UnexpectedInput as error:
        raise syntax_errors.unexpected_input_error(source, text, error, cache_folder) from error
    except grammar.BadValue as error:
        raise syntax_errors.invalid_value_error(source, error) from error


def _command_end(source: str) -> int:
    """Where the command ends: before the ``;`` that may close it."""
    tokens: list[SqlToken] = list(significant_tokens(source))
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    return tokens[-1].end if tokens else 0
