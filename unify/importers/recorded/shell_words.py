"""Splits the text of shell commands into words, as bash does and as the Windows command prompt does.

Nothing is run or expanded: ``$NAME`` and ``$(…)`` stay as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

_ANSI_ESCAPE = re.compile(
    r"\\(?:u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|x([0-9A-Fa-f]{1,2})|([0-7]{1,3})|(.))", re.DOTALL
)
_ANSI_NAMES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b"}
_PROMPT = re.compile(r"(?:[$>%]|PS [^>\n]*>)\s+(?=curl)")
_CMD_QUOTED = re.compile(r'\^"|\^\s*\n')


class ShellCommand(Struct, frozen=True):
    """The words of one command, without those after a pipe; ``line`` counts from 1."""

    words: tuple[str, ...]
    line: int


def split_commands(text: str) -> Iterator[ShellCommand]:
    """The commands of a text, in order."""
    text = text.replace("\r\n", "\n")
    if _CMD_QUOTED.search(text):
        yield from _Splitter(_remove_carets(text), cmd=True).commands()
    else:
        yield from _Splitter(text, cmd=False).commands()


def _remove_carets(text: str) -> str:
    """Undo the escapes of the command prompt: ``^`` before any character, and at the end of a line."""
    text = re.sub(r"\^[ \t]*\n[ \t]*\n?", " ", text)
    return re.sub(r"\^(.)", r"\1", text, flags=re.DOTALL)


class _Splitter:
    """Reads a text from left to right."""

    def __init__(self, text: str, *, cmd: bool) -> None:
        self._text = text
        self._cmd = cmd
        self._at = 0
        self._word: list[str] | None = None
        self._words: list[str] = []
        self._line = 1
        self._piped = False

    def commands(self) -> Iterator[ShellCommand]:
        while self._at < len(self._text):
            if not self._words and self._word is None:
                self._line = self._text.count("\n", 0, self._at) + 1
                if found := _PROMPT.match(self._text, self._at):
                    self._at = found.end()
                    continue
            ended = self._step()
            if ended and self._words:
                yield ShellCommand(tuple(self._words), self._line)
            if ended:
                self._words = []
        self._end_word()
        if self._words:
            yield ShellCommand(tuple(self._words), self._line)

    def _step(self) -> bool:
        """Read a character or a quoted text; return whether a command ends here."""
        char = self._text[self._at]
        if char in "\n;" or self._text.startswith("&&", self._at):
            return self._end_command(char)
        if char == "|":
            self._end_word()
            self._piped = True
        elif char in " \t":
            self._end_word()
        elif char == "#" and self._word is None:
            end = self._text.find("\n", self._at)
            self._at = (len(self._text) if end < 0 else end) - 1
        elif char == '"':
            self._add(self._double_quoted())
        elif char == "'" and not self._cmd:
            self._add(self._single_quoted())
        elif self._text.startswith("$'", self._at) and not self._cmd:
            self._add(self._ansi_quoted())
        elif char == "\\" and not self._cmd:
            self._escaped()
        else:
            self._add(char)
        self._at += 1
        return False

    def _end_command(self, char: str) -> bool:
        self._end_word()
        self._piped = False
        self._at += 1 if char in "\n;" else 2
        return True

    def _escaped(self) -> None:
        """A backslash: it joins lines, and takes the meaning of the next character away."""
        self._at += 1
        following = self._text[self._at : self._at + 1]
        rest = self._text[self._at :]
        if joined := re.match(r"[ \t]*\n", rest):
            self._end_word()
            self._at += joined.end() - 1
        else:
            self._add(following)

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._at + 1)
        end = len(self._text) if end < 0 else end
        quoted = self._text[self._at + 1 : end]
        self._at = end
        return quoted

    def _double_quoted(self) -> str:
        found = re.compile(r'"((?:[^"\\]|\\.)*)"?', re.DOTALL).match(self._text, self._at)
        assert found is not None  # it starts with a quote
        self._at = found.end() - 1
        escapes = r'\\(["\\])' if self._cmd else r'\\(["\\$`]|\n)'
        return re.sub(escapes, lambda match: match[1].strip("\n"), found[1])

    def _ansi_quoted(self) -> str:
        found = re.compile(r"\$'((?:[^'\\]|\\.)*)'?", re.DOTALL).match(self._text, self._at)
        assert found is not None  # it starts with $'
        self._at = found.end() - 1
        return _ANSI_ESCAPE.sub(_ansi_character, found[1])

    def _add(self, text: str) -> None:
        if self._piped:
            return
        if self._word is None:
            self._word = []
        self._word.append(text)

    def _end_word(self) -> None:
        if self._word is not None:
            self._words.append("".join(self._word))
        self._word = None


def _ansi_character(match: re.Match[str]) -> str:
    for digits, base in zip(match.groups()[:4], (16, 16, 16, 8), strict=True):
        if digits is not None:
            number = int(digits, base)
            return chr(number) if number < 0x110000 else ""
    return _ANSI_NAMES.get(match[5], match[5])
