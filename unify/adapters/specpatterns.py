"""What a JSON Schema can say of single texts, and of keys that go together or do not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from unify.adapters import specforms
from unify.numberforms import NUMBER_FORMS

Json = dict[str, Any]

_NAME = "^[A-Za-z_][A-Za-z0-9_]{0,62}$"
_STEPS = r"[^\s.{}]+(\.[^\s.{}]+)*"
_VARIABLE = r"\{[A-Za-z_][A-Za-z0-9_]*\}"
_UNIT = "(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)?"
_TYPES = "|".join(sorted({*specforms.TYPES, *(each.upper() for each in specforms.TYPES)}))
PATTERNS = {
    "name": _NAME,
    "request": "^(GET|POST) (/|https?://)",
    "origin": "^https?://[^/]+/?$",
    "address": r"^(https?://|\{)",
    "web": "^https?://",
}
# Of what may also be written as a number, or as true or false: those are what the text says.
LOOSE_PATTERNS = {
    "path": f"^{_STEPS}$",
    "source": f"^({_VARIABLE}|{_STEPS})$",
    "duration": rf"^\s*([0-9]+(\.[0-9]+)?\s*{_UNIT}[\s,]*)+$",
    "type": rf"^\s*({_TYPES})(\s*\([0-9, ]+\))?(\[\])*\s*$",
    "times": f"^({'|'.join(specforms.TIMES)})$|%",
    "writing": f"^({'|'.join((*specforms.TIMES, *map(re.escape, NUMBER_FORMS)))})$|%",
}
_GET = {"properties": {"request": {"type": "string", "pattern": "^GET "}}}
# What keys of one record have to do with each other, as far as a schema can say it.
TOGETHER: Mapping[str, Json] = {
    "errors[]": {"anyOf": [{"required": ["status"]}, {"required": ["body"]}]},
    "for_each": {"oneOf": [{"required": ["query"]}, {"required": ["rows"]}]},
    "tables[]": {
        "not": {"required": ["body", "form"]},
        "if": _GET,
        "then": {"not": {"anyOf": [{"required": ["body"]}, {"required": ["form"]}]}},
    },
}
KEYS = {"name": _NAME, "header": r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"}
CURSORS = ("cursor_path", "cursor_column", "cursor_header")
