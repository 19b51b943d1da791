"""The keyword somebody meant where DuckDB found a syntax error: ``form`` before a table is ``from``."""

from __future__ import annotations

import difflib
import re

from unify.language.scanner import Kind, significant, words

_CLAUSES = words(
    "select from where group by order having limit offset join left right full inner outer cross on using "
    "union all except intersect distinct as and or not in is null like between case when then else end asc "
    "desc exists values set into insert update delete create table view drop with recursive qualify window "
    "over partition alter explain"
)
_SYNTAX = re.compile(r'syntax error at or near "(?P<near>[^"\n]+)"')
_PLACE = re.compile(r"^(?P<label>LINE \d+: )(?P<line>.*)\n(?P<caret> *)\^", re.MULTILINE)
_ALIKE = 0.75  # of difflib's ratio: form/from and wehre/where 0.75 and more


def meant(message: str) -> str:
    """`` (did you mean from instead of form?)`` for a syntax error of DuckDB's; "" where nothing is near.

    It is often the word before the one DuckDB stumbles over: that one it took for an alias.
    """
    syntax, place = _SYNTAX.search(message), _PLACE.search(message)
    if syntax is None:
        return ""
    suspects = [syntax["near"]]
    if place is not None:
        before = place["line"][: len(place["caret"]) - len(place["label"])]
        suspects += [token.text for token in significant(before) if token.kind is Kind.WORD][-1:]
    for word in suspects:
        near = difflib.get_close_matches(word.lower(), sorted(_CLAUSES), n=1, cutoff=_ALIKE)
        if near and word.lower() not in _CLAUSES:
            return f" (did you mean {near[0]} instead of {word}?)"
    return ""
