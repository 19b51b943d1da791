"""What a chart is drawn with: colours where a terminal has them, else characters that differ."""

from __future__ import annotations

from dataclasses import dataclass

from unify.shell.display.look import Look

_COLOURS = ("\x1b[36m", "\x1b[33m", "\x1b[35m", "\x1b[32m", "\x1b[34m", "\x1b[31m")
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_SHADES = "█▓▒░"
_SIGNS = "#=+-"
_MARKS = "*o+x#@%&"
_BRAILLE = 0x2800
MOST_SERIES = len(_MARKS)


@dataclass(frozen=True, slots=True)
class Ink:
    """How the parts of one chart look; a series is known by its number, from 0.

    ``several``  whether there is more than one series, so that they have to differ.
    """

    colour: bool
    ascii: bool
    several: bool = False

    @classmethod
    def of(cls, look: Look, series: int) -> Ink:
        return cls(look.colour, look.ascii, series > 1)

    def series(self, number: int, text: str) -> str:
        """Text in the colour of a series."""
        return self._styled(text, _COLOURS[number % len(_COLOURS)])

    def bold(self, text: str) -> str:
        return self._styled(text, _BOLD)

    def dim(self, text: str) -> str:
        return self._styled(text, _DIM)

    def solid(self, number: int) -> str:
        """The character a bar of the series is filled with."""
        if self.ascii:
            return _SIGNS[number % len(_SIGNS)]
        return _SHADES[0] if self.colour else _SHADES[number % len(_SHADES)]

    def parts(self, number: int, eighths: str) -> str:
        """``eighths`` of a bar's character, the smallest first; none where they would look like another's."""
        return "" if self.ascii or self.solid(number) != _SHADES[0] else eighths

    def sample(self, number: int, bars: bool) -> str:
        """What stands before a series' name in the legend."""
        if bars:
            return self.solid(number)
        return "●" if self.colour and not self.ascii else _MARKS[number % len(_MARKS)]

    def mark(self, number: int, dots: int) -> str:
        """One character of a plane with these dots of braille in it."""
        if not dots:
            return " "
        if self.ascii or (self.several and not self.colour):
            return _MARKS[number % len(_MARKS)]
        return chr(_BRAILLE + dots)

    def lines(self) -> Lines:
        return ASCII if self.ascii else Lines()

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{_PLAIN}" if self.colour and text else text


@dataclass(frozen=True, slots=True)
class Lines:
    """What axes are drawn with."""

    down: str = "│"
    tick: str = "┤"
    corner: str = "└"
    across: str = "─"
    mark: str = "┬"
    ellipsis: str = "…"
    between: str = " · "


ASCII = Lines("|", "+", "+", "-", "+", ".", ", ")


def dots_of(character: str) -> int:
    """The dots of a braille character, 0 for a blank."""
    return ord(character) - _BRAILLE if character >= chr(_BRAILLE) else 0
