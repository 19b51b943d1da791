"""The parts of a spec that a summary has too, with the formats of their texts: options and views.

They are apart from the spec language in ``model``, which takes 10 ms to import: listings and queries of
stored tables need summaries only.
"""
# Without `from __future__ import annotations`: see ``model``.

import re
from typing import Annotated

from msgspec import Struct

from unify.adapters.spec.schema import TextFormat, doc

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def check_name(value: str) -> str:
    if _NAME.fullmatch(value) is None:
        raise ValueError(f"{value!r} is not a name; use letters, digits and _, and no digit at the start")
    return value


def check_select(value: str) -> str:
    """Any text but an empty one: ``sql`` checks the SELECT itself."""
    if not value.strip():
        raise ValueError("expected a SELECT")
    return value


Name = Annotated[str, TextFormat("name", check_name, f"^{_NAME.pattern}$")]
SelectSQL = Annotated[str, TextFormat("SELECT", check_select, expected="a SELECT")]


class Option(Struct, frozen=True):
    """A value that a connection supplies."""

    name: Name
    description: Annotated[str, doc("Description.", "Personal access token")] = ""
    default: Annotated[str | None, doc("Value if a connection sets none.", "https://api.github.com")] = None
    secret: Annotated[bool, doc("Never shown, logged or stored.", "true")] = False
    required: Annotated[bool, doc("A connection must set it.", "true")] = False

    @property
    def needs_value(self) -> bool:
        return self.required and self.default is None


class View(Struct, frozen=True):
    """A named SELECT over the connection's own tables and the views before it."""

    name: Annotated[Name, doc("Name in SQL.", "open_pulls")]
    query: Annotated[SelectSQL, doc("SELECT over the tables and the views above.", "select … from pulls")]
    description: Annotated[str, doc("What a row is.", "Open pull requests")] = ""
    tables: tuple[str, ...] = ()
