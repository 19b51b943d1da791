"""Error positions: ``LINE n: …`` with a caret, as DuckDB prints them, and misspelled keywords.

Where DuckDB reports a syntax error, a similar keyword is suggested: ``from`` for ``form``.
"""

from __future__ import annotations

import re

from unify.language.tokenizer import TokenKind, keyword_set, significant_tokens
from unify.text import escape_text

_POINTER_LINES = re.compile(r"\n*^LINE \d+: (?P<line>.*)\n(?P<before> *)\^", re.MULTILINE)  # DuckDB's

_MAX_CHARS_BEFORE = 60  # characters kept left of the caret
_MAX_CHARS_AFTER = 40  # characters kept right of it; with the label both fit 110 columns


def render_pointer(source: str, line: int, column: int) -> str:
    """Return two lines: ``LINE 2: …`` and a caret under ``column``; both count from 1.

    Long lines are cut around the column; control characters are escaped.
    """
    text = (source.split("\n")[line - 1 : line] or [""])[0].rstrip("\r")
    before, after = text[: column - 1], text[column - 1 :]
    shown = escape_text(before if len(before) <= _MAX_CHARS_BEFORE else "…" + before[1 - _MAX_CHARS_BEFORE :])
    rest = escape_text(after if len(after) <= _MAX_CHARS_AFTER else after[: _MAX_CHARS_AFTER - 1] + "…")
    label = f"LINE {line}: "
    return f"{label}{shown}{rest}\n{' ' * (len(label) + _display_width(shown))}^"


def remap_pointer(message: str, source: str) -> str:
    """Make the pointer of a DuckDB message about rewritten SQL point into ``source``, or remove it."""
    place = _POINTER_LINES.search(message)
    if place is None:
        return message
    line = place["line"]
    at = len(place["before"]) - (place.start("line") - message.rfind("\n", 0, place.start("line")) - 1)
    cut = 3 if line.startswith("...") else 0  # DuckDB shows part of a long line
    piece = line[cut : len(line) - 3 if line.endswith("...") else None]
    begin = source.find(piece)
    rest = message[: place.start()] + message[place.end() :]
    if not piece.strip() or begin < 0 or source.find(piece, begin + 1) >= 0:
        return rest
    before = source[: begin + at - cut]
    number, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return f"{rest}\n{render_pointer(source, number, column)}"


def add_end_pointer(message: str, source: str) -> str:
    """Add a pointer to the end of ``source`` where DuckDB reports an unexpected end without a position."""
    if not message.endswith("syntax error at end of input"):
        return message
    text = source.rstrip()
    return f"{message}\n{render_pointer(text, text.count(chr(10)) + 1, len(text) - text.rfind(chr(10)))}"


def _display_width(text: str) -> int:
    from wcwidth import wcswidth

    return max(wcswidth(text), 0) if not text.isascii() else len(text)


_SQL_KEYWORDS = keyword_set(
    "select from where group by order having limit offset join left right full inner outer cross on using "
    "union all except intersect distinct as and or not in is null like between case when then else end asc "
    "desc exists values set into insert update delete create table view drop with recursive qualify window "
    "over partition alter explain"
)
_SYNTAX_ERROR = re.compile(r'syntax error at or near "(?P<near>[^"\n]+)"')
_LINE_AND_CARET = re.compile(r"^(?P<label>LINE \d+: )(?P<line>.*)\n(?P<caret> *)\^", re.MULTILINE)
_MIN_SIMILARITY = 0.75  # difflib ratio: form/from and wehre/where reach 0.75


def suggest_keyword(message: str) -> str:
    """Return `` (did you mean from instead of form?)`` for a DuckDB syntax error, or "".

    The word before the reported one is checked too: DuckDB may have parsed a misspelling as an alias.
    """
    import difflib

    syntax, place = _SYNTAX_ERROR.search(message), _LINE_AND_CARET.search(message)
    if syntax is None:
        return ""
    suspects = [syntax["near"]]
    if place is not None:
        before = place["line"][: len(place["caret"]) - len(place["label"])]
        suspects += [token.text for token in significant_tokens(before) if token.kind is TokenKind.WORD][-1:]
    for word in suspects:
        near = difflib.get_close_matches(word.lower(), sorted(_SQL_KEYWORDS), n=1, cutoff=_MIN_SIMILARITY)
        if near and word.lower() not in _SQL_KEYWORDS:
            return f" (did you mean {near[0]} instead of {word}?)"
    return ""
