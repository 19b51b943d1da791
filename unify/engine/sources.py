"""Sources that can be read only once: pipes, devices and addresses that a statement names.

DuckDB reads the start of a file when it binds a statement and again when it runs it. A pipe cannot be read
twice, so a statement over one is neither described nor run twice.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence

from unify.engine.tokens import DuckDBToken, tokenize

# Table functions whose first argument is a file, an address, another database or SQL.
_FILE_FUNCTION = re.compile(
    r"(?:read|parquet|sniff|st_read|iceberg|delta)_?\w*|\w+_(?:scan|query|execute)|query"
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_REMOTE = re.compile(r"(?:https?|s3[an]?|gc?s|r2|hf|az|azure|abfss?)://", re.IGNORECASE)
_FUNCTIONS_WITH_FROM = frozenset({"extract", "overlay", "substring", "trim"})
_STRING = re.compile(r"[eE]?'(?P<plain>(?:[^']|'')*)'|(?P<tag>\$\w*\$)(?P<dollar>.*?)(?P=tag)", re.DOTALL)
_NAME = re.compile(r'[\w"]')
OPEN_FILES = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
_QUOTES = ("'", '"', "$", "e")  # the first characters of strings and quoted names


def reads_once(sql: str, definitions: Iterable[str] = ()) -> bool:
    """Whether ``sql``, or a view or macro that it uses, has a source that may be read only once.

    ``definitions``  the SQL of those views and macros. In doubt the answer is True.
    """
    return any(map(_has_single_read_source, [sql, *definitions]))


def stream_names(
    sql: str, definitions: Iterable[str] = (), parameters: Iterable[object] = ()
) -> Sequence[str]:
    """The pipes, sockets and open files that ``sql``, or a view or macro that it uses, names.

    ``parameters``  the values of the statement's parameters, which may name them, too.
    """
    named = [name for text in (sql, *definitions) for name in _constant_names(text)]
    named += [value for value in parameters if isinstance(value, str)]
    return tuple(dict.fromkeys(name for name in named if open_stream_id(name) or is_pipe(name)))


def open_stream_id(name: str) -> tuple[int, int] | None:
    """What identifies an open file of this process, such as /dev/stdin; None for any other file."""
    if not name.startswith(OPEN_FILES):
        return None
    try:
        status = os.stat(name)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def is_pipe(name: str) -> bool:
    """Whether ``name`` is a pipe or a socket."""
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def is_named_pipe(name: str) -> bool:
    """Whether ``name`` is a pipe of a file system, which another program opens for writing."""
    return not name.startswith(OPEN_FILES) and is_pipe(name)


def remote_names(sql: str, definitions: Iterable[str] = ()) -> Sequence[str]:
    """The addresses of other machines that ``sql``, or a view or macro that it uses, reads or writes.

    An address that is a value, as in a comparison, is none of them.
    """
    texts = [text for text in (sql, *definitions) if "://" in text]
    return tuple(dict.fromkeys(name for text in texts for name in _remote_names(text)))


def _remote_names(sql: str) -> Iterator[str]:
    tokens = tokenize(sql, all_constants=True)
    functions: list[str] = []  # the words before the open brackets
    words = ["", ""]
    for position, token in enumerate(tokens):
        word = token.word
        if word in ("(", "["):
            functions.append(words[-1] if word == "(" else functions[-1] if functions else "")
        elif word in (")", "]") and functions:
            functions.pop()
        elif (
            word[:1] in _QUOTES
            and _REMOTE.match(name := _file_name(sql, tokens, position))
            and _is_source(words, functions, tokens[0].word)
        ):
            yield name
        words = [words[-1], word]


def _is_source(words: Sequence[str], functions: Sequence[str], statement: str) -> bool:
    """Whether a string is what a statement reads or writes, by the two words before it."""
    function = functions[-1].strip('"') if functions else ""
    if words[-1] in ("(", "[", ",") and (_FILE_FUNCTION.fullmatch(function) or function == "glob"):
        return True
    if words[-1] in ("from", "join"):
        return words[-2] != "distinct" and function not in _FUNCTIONS_WITH_FROM
    return (words[-1] == "to" and statement in ("copy", "export")) or statement == "attach"


def _constant_names(sql: str) -> Iterator[str]:
    """Yield the texts of a statement that may name a source: strings, and names after FROM and JOIN."""
    tokens = tokenize(sql)
    for position, token in enumerate(tokens):
        if (value := _string_value(sql, token)) is not None:
            yield value
        elif position and tokens[position - 1].word in ("from", "join"):
            yield _file_name(sql, tokens, position)


def _has_single_read_source(sql: str) -> bool:
    tokens = tokenize(sql)
    if any(_FILE_FUNCTION.fullmatch(token.word.strip('"')) for token in tokens):
        tokens = tokenize(sql, all_constants=True)  # a list of files
    before = ""
    for position, token in enumerate(tokens):
        word = token.word
        if before in ("from", "join") or (before in (",", "(") and word[:1] in _QUOTES):
            if _is_single_read_name(_file_name(sql, tokens, position)):
                return True
        elif (
            word == "("
            and _FILE_FUNCTION.fullmatch(before.strip('"'))
            and _argument_reads_once(sql, tokens, position + 1)
        ):
            return True
        before = word
    return False


def _argument_reads_once(sql: str, tokens: Sequence[DuckDBToken], start: int) -> bool:
    """Return whether the first argument, from token ``start``, is not a constant name of a regular file."""
    names = []
    depth = 0
    for position in range(start, len(tokens)):
        word = tokens[position].word
        if depth == 0 and word in (",", ")"):
            break
        depth += (word in ("[", "(")) - (word in ("]", ")"))
        if (name := _string_value(sql, tokens[position])) is not None:
            names.append(name)
        elif word not in ("[", "]", ","):
            return True  # an expression, a parameter or a subquery
    if tokens[start - 2].word == "query":
        return not names or reads_once(names[0])
    return not names or not all(map(_is_repeatable_path, names))


def _is_repeatable_path(name: str) -> bool:
    paths = glob.glob(name, recursive=True) if glob.has_magic(name) else [name]
    return all(map(os.path.isfile, paths))


def _is_single_read_name(name: str) -> bool:
    """Whether ``name`` in place of a table is an address, or a file that is neither regular nor a folder."""
    if not name:
        return False
    if _ADDRESS.match(name):
        return True
    paths = glob.glob(name, recursive=True) if glob.has_magic(name) else [name]
    return any(map(_is_special_file, paths))


def _is_special_file(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _file_name(sql: str, tokens: Sequence[DuckDBToken], position: int) -> str:
    """The name that begins at a token: a string, a quoted name, or words joined by dots."""
    if (value := _string_value(sql, tokens[position])) is not None:
        return value
    if not _NAME.match(tokens[position].word):
        return ""
    parts = [tokens[position].word.strip('"')]
    while position + 2 < len(tokens) and tokens[position + 1].word == ".":
        position += 2
        parts.append(tokens[position].word.strip('"'))
    return ".".join(parts)


def _string_value(sql: str, token: DuckDBToken) -> str | None:
    match = _STRING.match(sql, token.start)
    if match is None:
        return None
    return match["plain"].replace("''", "'") if match["plain"] is not None else match["dollar"]
