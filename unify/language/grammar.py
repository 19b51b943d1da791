"""The Lark parser of commands, and its cache.

Imported by the first command of a session, so that SQL alone does not import Lark.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from lark import Lark
from lark.exceptions import VisitError

from unify.language.command_builder import CommandBuilder
from unify.language.commands import Command
from unify.language.select_bounds import mask_sql

GRAMMAR_FILE = "grammar.lark"
CACHE_FILE = "grammar.cache"
_build_lock = threading.Lock()
_built_parsers: list[Lark] = []  # the one of this process, for sessions of any home


class _CachePath(str):
    """The path of the cache, left out of what Lark compares: the cache of a copied or moved home is valid."""

    __slots__ = ()

    def __str__(self) -> str:
        return CACHE_FILE


def grammar_text() -> str:
    """Return grammar.lark: from the package if installed, from the top of the repository in a checkout."""
    packaged = files("unify") / GRAMMAR_FILE
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / GRAMMAR_FILE).read_text(encoding="utf-8")


def load_parser(cache_folder: Path | None = None) -> Lark:
    """Return the parser, built once per process and cached in ``cache_folder`` for the next one.

    A cache that cannot be read or written only costs the time to build the parser.
    """
    with _build_lock:
        if not _built_parsers:
            _built_parsers.append(build_parser(cache_folder))
        return _built_parsers[0]


def build_parser(cache_folder: Path | None) -> Lark:
    stored: str | bool = False
    if cache_folder is not None:
        path = cache_folder / CACHE_FILE
        with suppress(OSError):  # Lark keeps the mode of an existing file: created here as 0600
            path.touch(mode=0o600)
        if path.is_file():  # a pipe would block for ever
            stored = _CachePath(path)
    return Lark(grammar_text(), parser="lalr", lexer="contextual", cache=stored)


def parse_command(text: str, cache_folder: Path | None = None) -> Command:
    """Parse ``text``, whose comments are replaced by blanks, into a command.

    Raises:
        lark.exceptions.UnexpectedInput: a syntax error.
        command_values.BadValue: an invalid value.
    """
    tree = load_parser(cache_folder).parse(mask_sql(text))
    try:
        return CommandBuilder(text).transform(tree)
    except VisitError as error:
        raise error.orig_exc from None
