"""From one typed statement to a command: SQL passes untouched, our own language is read by the grammar.

``split``, ``is_complete`` and ``waiting_for`` are at home in ``statements``; they are here as well, because
whoever parses has split before.
"""

from __future__ import annotations

from pathlib import Path

from unify.language.commands import Command, Query
from unify.language.recognition import is_command
from unify.language.scanner import Token, significant, without_comments
from unify.language.statements import Statement, is_complete, split, waiting_for

__all__ = ["Statement", "following", "is_complete", "parse", "split", "waiting_for"]


def parse(statement: str | Statement, cache_folder: Path | None = None) -> Command:
    """The command that ``statement`` is; a ``Query`` if it is SQL.

    Time    the first command of our own imports Lark (50 ms) and builds the grammar (25 ms, or 3 ms from
            ``cache_folder``); a further one takes a fraction of a millisecond. SQL waits for neither.
    Raises  CommandSyntaxError, its place counted within ``statement``.
    """
    text, line = (statement.text, statement.line) if isinstance(statement, Statement) else (statement, 1)
    if not is_command(text):
        return Query(text, line)
    return _own(text, cache_folder)


def following(text: str, cache_folder: Path | None = None) -> tuple[str, ...]:
    """What may come after ``text``, the start of one of our commands: keywords first, then descriptions."""
    from unify.language import mistakes

    return mistakes.following(text, cache_folder)


def _own(source: str, cache_folder: Path | None) -> Command:
    from lark.exceptions import UnexpectedInput

    from unify.language import grammar, mistakes

    text = without_comments(source)[: _end(source)]
    try:
        return grammar.command(text, cache_folder)
    except UnexpectedInput as error:
        raise mistakes.misfit(source, text, error, cache_folder) from error
    except grammar.BadValue as error:
        raise mistakes.misvalue(source, error) from error


def _end(source: str) -> int:
    """Where the command ends: before the ``;`` that may close it."""
    tokens: list[Token] = list(significant(source))
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    return tokens[-1].end if tokens else 0
