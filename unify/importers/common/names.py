"""Names in specs: of tables, options and columns, from the names and texts of a source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from unify.engine.types import quote_identifier
from unify.importers.model import Json
from unify.language.tokenizer import keyword_set

MAX_NAME = 63
RESERVED = frozenset(["cursor", "until", "session", "now", "rows", "row"])  # variables that loads set
_MARKUP = re.compile(r"<[^<>]{0,200}>|\[([^\]]{0,200})\]\([^)]{0,500}\)|[`*]{1,3}|^#+ ", re.MULTILINE)
_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*(?::(?:[A-Za-z_][A-Za-z0-9_]*|%[^{}]*))?)\}")


def to_name(text: str, default: str = "table") -> str:
    """A valid name that keeps the letters, digits and case of ``text``."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_") or default
    return (f"_{name}" if name[0].isdigit() else name)[:MAX_NAME]


def snake_case(text: str, default: str = "table") -> str:
    """``listUserRepos`` and ``list-user-repos`` as ``list_user_repos``."""
    return to_name(re.sub("_+", "_", to_name(_WORD_BREAK.sub("_", text), default)).lower(), default)


def option_name(text: str) -> str:
    """A name for an option; those that loads set get a prefix."""
    name = snake_case(text, "value")
    return f"opt_{name}" if name in RESERVED else name


def unique_name(name: str, taken: Iterable[str]) -> str:
    """The name, with ``_2``, ``_3`` … if it is taken in any case."""
    folded = {each.lower() for each in taken}
    candidate, number = name, 1
    while candidate.lower() in folded:
        number += 1
        candidate = f"{name[: MAX_NAME - 4]}_{number}"
    return candidate


def describe(text: object, max_chars: int = 120) -> str:
    """A description in one line, without markup."""
    if not isinstance(text, str):
        return ""
    line = " ".join(_MARKUP.sub(r"\1", text).split())
    line = "".join(char for char in line if char.isprintable())
    if len(line) <= max_chars:
        return line
    sentence = line[:max_chars].rpartition(". ")[0]
    return f"{sentence}." if len(sentence) > max_chars // 3 else line[: max_chars - 1].rstrip() + "…"


def literal(text: str) -> str:
    """A text that is no template: ``{name}`` in it is written ``{{name}}``."""
    return _VARIABLE.sub(r"{{\1}}", text)


def literal_value(value: Json) -> Json:
    """The same for every text in a JSON value."""
    match value:
        case str():
            return literal(value)
        case list():
            return [literal_value(item) for item in value]
        case Mapping():
            return {key: literal_value(item) for key, item in value.items()}
        case _:
            return value


def variables_in(value: object) -> set[str]:
    """The variables of every text in a value of the model."""
    match value:
        case str():
            return {found.partition(":")[0] for found in _VARIABLE.findall(value.replace("{{", "\0"))}
        case Mapping():
            return {name for item in value.values() for name in variables_in(item)}
        case list() | tuple() | set():
            return {name for item in value for name in variables_in(item)}
        case _:
            return set()


_SQL_WORDS = keyword_set(  # reserved, or read as functions
    "all alter analyse analyze and anti any array as asc asof asymmetric at authorization between binary "
    "both by case cast check collate collation column comment concurrently constraint create cross "
    "current_catalog current_date current_role current_schema current_time current_timestamp current_user "
    "date default deferrable delete desc describe distinct do drop else end except exists false fetch for "
    "foreign freeze from full glob group having if ilike in initially inner insert intersect interval "
    "into is isnull join lambda lateral leading left like limit localtime map merge natural not notnull "
    "null offset on only or order outer overlaps pivot pivot_longer pivot_wider placing positional "
    "primary qualify references returning right row select semi session_user set show similar some struct "
    "summarize symmetric table tablesample then time timestamp to trailing true union unique unpack "
    "unpivot update use user using values variadic verbose when where window with"
)


def sql_name(name: str) -> str:
    """A name in SQL, in quotes if it is not a plain word in lower case."""
    is_plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in _SQL_WORDS
    return name if is_plain else quote_identifier(name)


def join_path(*parts: str) -> str:
    """Parts of a path with one slash between them, and one at the start."""
    joined = "/".join(part.strip("/") for part in parts if part.strip("/"))
    ends = "/" if parts and parts[-1].endswith("/") and joined else ""
    return f"/{joined}{ends}"
