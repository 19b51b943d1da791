"""Regular expressions that are compiled when they are first used.

To compile one takes 0.1 to 2 ms of CPU. Python does so in each process that imports the module, although most
processes never need patterns for rare cases, such as errors in a response with status 200.
"""

from __future__ import annotations

import re
from functools import cached_property


class LazyPattern:
    """A regular expression with the methods of ``re.Pattern`` that are used here."""

    def __init__(self, text: str, flags: int = 0) -> None:
        self._text = text
        self._flags = flags

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self._text, self._flags)

    def match(self, text: str) -> re.Match[str] | None:
        return self.compiled.match(text)

    def fullmatch(self, text: str) -> re.Match[str] | None:
        return self.compiled.fullmatch(text)

    def search(self, text: str) -> re.Match[str] | None:
        return self.compiled.search(text)
