"""Named statements in .sql files of this package."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

from unify.engine.connection import quote_literal

_SECTION = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_COMMENT = re.compile(r"^-- .*\n", re.MULTILINE)
_INCLUDED = re.compile(r"\{(\w+)\}")  # the text of another section
_PLACEHOLDER = re.compile(r"(?<![:\w]):([a-z]\w*)")


@cache
def read_sections(file: str) -> Mapping[str, str]:
    """Return the statements of a file by name, without comments."""
    text = resources.files("unify.adapters.database").joinpath(file).read_text(encoding="utf-8")
    _, *parts = _SECTION.split(text)
    found = {name: _COMMENT.sub("", body).strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}
    for name, body in found.items():  # a section may include one before it
        found[name] = _INCLUDED.sub(lambda place: found[place[1]], body)
    return found


def render_section(file: str, name: str, **values: str) -> str:
    """Return a statement with ``values`` as literals in place of ``:name``."""
    return _PLACEHOLDER.sub(lambda found: quote_literal(values[found[1]]), read_sections(file)[name])
