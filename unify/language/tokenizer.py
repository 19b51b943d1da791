"""SQL tokenizer by DuckDB's lexical rules, and the ``$name`` variables of a statement.

Splitting, the prompt and the search for tables all use these tokens, so that a ``;`` in a string is part
of the string everywhere. Rules seen in DuckDB 1.5: comments nest; ``--`` ends at a line feed or carriage
return; a backslash escapes only in E'' strings; a name may contain ``$``, so a dollar quote cannot start
inside one.

``$$text$$`` and ``$tag$text$tag$`` are strings; ``$1``, and every ``$name`` in a PREPARE, is a parameter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple

from msgspec import Struct

from unify.engine.constant_runs import PATTERN, FromLists, called_functions, may_have_run


class TokenKind(StrEnum):
    """Kind of token. The last two are unterminated and run to the end of the text."""

    BLANK = "blank"
    COMMENT = "comment"
    STRING = "string"  # 'a', E'a', $$a$$
    QUOTED = "quoted"  # "a"
    WORD = "word"
    NUMBER = "number"
    SYMBOL = "symbol"  # one character
    CONSTANTS = "constants"  # a long run of constants: `, 1, 2`, `, (1, 'a'), (2, 'b')`
    UNTERMINATED_QUOTE = "quote"
    UNTERMINATED_COMMENT = "open comment"


class SqlToken(NamedTuple):
    """A token. ``start`` counts characters from 0."""

    kind: TokenKind
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def keyword(self) -> str:
        """The text in lower case if it can be a keyword, else ""."""
        return self.text.lower() if self.kind is TokenKind.WORD else ""


# The blanks of DuckDB 1.5. U+0085 and U+2028 may be part of a name.
_BLANK = r"\t\n\f\r\x20\xa0\u2000-\u200b\u202f\u205f\u2060\u3000\ufeff"
_NAME_START = rf"[^\x00-@\[-^`{{-\x7f{_BLANK}]"  # a letter, an underscore, any non-ASCII character
_NAME_PART = rf"[^\x00-#%-/:-@\[-^`{{-\x7f{_BLANK}]"  # or a digit or dollar sign
_DOLLAR_TAG = rf"\$(?:{_NAME_START}[^\x00-/:-@\[-^`{{-\x7f{_BLANK}]*)?\$"
_TOKEN = re.compile(
    rf"""
      (?P<blank>[{_BLANK}]++)
    | (?P<comment>--[^\r\n]*+)
    | (?P<block>/\*)
    | (?P<string>'[^']*+(?:''[^']*+)*+' | [eE]'(?:[^'\\]|\\.|'')*+' | (?P<tag>{_DOLLAR_TAG}).*?(?P=tag))
    | (?P<quoted>"[^"]*+(?:""[^"]*+)*+")
    | (?P<open>(?:[eE]?'|"|{_DOLLAR_TAG}).*)
    | (?P<word>{_NAME_START}{_NAME_PART}*+)
    | (?P<number>\.?[0-9][0-9A-Za-z_.]*+)
    | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_KINDS = {kind.value: kind for kind in TokenKind} | {"open": TokenKind.UNTERMINATED_QUOTE}
_INSIGNIFICANT = frozenset({TokenKind.BLANK, TokenKind.COMMENT})
_SKIPPED = _INSIGNIFICANT | {TokenKind.CONSTANTS}


def tokenize(text: str) -> Iterator[SqlToken]:
    """Yield every token of ``text`` in order; joined, their texts are ``text``."""
    return _scan(_TOKEN, text, frozenset())


def significant_tokens(text: str, *, constants: bool = False) -> Iterator[SqlToken]:
    """Yield tokens that are neither blank nor comment. An unterminated comment is included.

    ``constants``  include those in long runs of constants, too.
    """
    return _scan(_TOKEN if constants else _token_or_run(text), text, _SKIPPED)


@lru_cache(maxsize=4)  # a statement passes several stages, some of them with its variables replaced
def statement_tokens(sql: str) -> Sequence[SqlToken]:
    """Return ``significant_tokens`` of one statement, scanned once."""
    return tuple(significant_tokens(sql))


def without_constant_runs(sql: str) -> str:
    """Return a statement without its long runs of constants; it names the same tables."""
    kept = _scan(_token_or_run(sql), sql, frozenset({TokenKind.CONSTANTS}))
    return "".join(token.text for token in kept)


def _token_or_run(text: str) -> re.Pattern[str]:
    """Return the pattern for ``text``: that of runs, too, if it may have one."""
    return _compile_token_or_run() if may_have_run(text) else _TOKEN


@cache
def _compile_token_or_run() -> re.Pattern[str]:
    """Return the pattern of a token or a run of constants; compiling it takes 10 ms."""
    return re.compile(rf"(?P<constants>(?i:{PATTERN})) | {_TOKEN.pattern}", re.VERBOSE | re.DOTALL)


def blank_comments(text: str) -> str:
    """Replace comments and unusual blanks with spaces; positions do not change."""
    return "".join(
        _blank_text(token.text) if token.kind in _INSIGNIFICANT else token.text for token in tokenize(text)
    )


def mask_brackets(text: str) -> str:
    """Replace the content of round brackets with NUL characters, so that a grammar need not know SQL.

    Positions do not change. An unclosed bracket masks nothing.
    """
    pieces = list(text)
    opened: list[int] = []
    for token in tokenize(text):
        if token.kind is TokenKind.SYMBOL and token.text == "(":
            opened.append(token.end)
        elif token.kind is TokenKind.SYMBOL and token.text == ")" and opened:
            start = opened.pop()
            if not opened:
                pieces[start : token.start] = "\0" * (token.start - start)
    return "".join(pieces)


def keyword_set(text: str) -> frozenset[str]:
    """Return the set of the words in ``words``."""
    return frozenset(text.split())


def unquote(text: str) -> str:
    """Return the content of a ``"name"`` or ``'string'``, anything else unchanged, as a plain ``str``."""
    quote = text[:1]
    if quote in ('"', "'"):
        return text[1:-1].replace(quote * 2, quote)
    return str(text)  # Lark tokens are a subclass of str


def _scan(pattern: re.Pattern[str], text: str, skipped: frozenset[TokenKind]) -> Iterator[SqlToken]:
    """Yield the tokens of ``text`` of all kinds but ``skipped``."""
    position, end = 0, len(text)
    from_lists = None if pattern is _TOKEN else FromLists()
    match_at = pattern.match
    while position < end:
        match = match_at(text, position)
        assert match is not None  # the last alternative matches any character
        assert match.lastgroup is not None
        if match.lastgroup == "block":
            token = _match_block_comment(text, position)
            if token.kind not in skipped:
                yield token
            position = token.end
            continue
        kind = _KINDS[match.lastgroup]
        if from_lists is not None and kind not in _SKIPPED:
            from_lists.add(match.group().lower())
            match_at = _TOKEN.match if from_lists.is_open else pattern.match
        if kind not in skipped:
            yield SqlToken(kind, match.group(), position)
        elif kind is TokenKind.CONSTANTS and skipped == _SKIPPED:
            yield from _call_tokens(match.group(), position)
        position = match.end()


def _call_tokens(run: str, start: int) -> Iterator[SqlToken]:
    """Yield name and brackets of the functions that a run of constants calls, each once."""
    for begin, end in called_functions(run):
        bracket = run.index("(", begin)
        yield SqlToken(TokenKind.WORD, run[begin:bracket], start + begin)
        yield SqlToken(TokenKind.SYMBOL, "(", start + bracket)
        yield SqlToken(TokenKind.SYMBOL, ")", start + end - 1)


def _match_block_comment(text: str, position: int) -> SqlToken:
    depth = 0
    for edge in _BLOCK_EDGE.finditer(text, position):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return SqlToken(TokenKind.COMMENT, text[position : edge.end()], position)
    return SqlToken(TokenKind.UNTERMINATED_COMMENT, text[position:], position)


def _blank_text(text: str) -> str:
    return re.sub(r"[^\r\n]", " ", text)


_SELECT_KEYWORDS = keyword_set("select from with values table pivot unpivot pivot_wider pivot_longer")
_DEFINITION_KEYWORDS = keyword_set("view macro function")


class VariableUse(Struct, frozen=True):
    """A variable reference. ``start`` and ``end`` count characters from 0 and include the ``$``."""

    name: str
    start: int
    end: int


def find_variables(sql: str) -> Sequence[VariableUse]:
    """Yield the variable references in ``sql`` in order."""
    if "$" not in sql:
        return ()
    tokens = list(significant_tokens(sql))
    if tokens and tokens[0].keyword == "prepare":
        return ()
    return [
        VariableUse(word.text, sign.start, word.end)
        for sign, word in pairwise(tokens)
        if _is_variable_use(sign, word)
    ]


def substitute_variables(sql: str, uses: Sequence[VariableUse], replacements: Mapping[str, str]) -> str:
    """Replace references to the variables in ``names`` with their values."""
    parts, position = [], 0
    for use in uses:
        if use.name in replacements:
            parts += [sql[position : use.start], replacements[use.name]]
            position = use.end
    return "".join([*parts, sql[position:]])


def is_select(sql: str) -> bool:
    """Return whether ``sql`` returns rows. A SELECT in brackets is an expression."""
    first = next(iter(significant_tokens(sql)), None)
    return first is not None and first.keyword in _SELECT_KEYWORDS


def is_definition(sql: str) -> bool:
    """Return whether ``sql`` creates a view or macro, which DuckDB stores as text."""
    first = [token.keyword for _, token in zip(range(5), significant_tokens(sql), strict=False)]
    return first[:1] == ["create"] and bool(_DEFINITION_KEYWORDS & set(first))


def _is_variable_use(sign: SqlToken, word: SqlToken) -> bool:
    adjacent = sign.kind is TokenKind.SYMBOL and sign.text == "$" and sign.end == word.start
    return adjacent and word.kind is TokenKind.WORD
