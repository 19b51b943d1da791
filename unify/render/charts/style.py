"""Colours of series, or different characters where there are no colours."""

from __future__ import annotations

from dataclasses import dataclass

from unify.render.formats.options import FormatOptions

_COLOURS = ("\x1b[36m", "\x1b[33m", "\x1b[35m", "\x1b[32m", "\x1b[34m", "\x1b[31m")
_BOLD, _DIM, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_SHADES = "█▓▒░"
_ASCII_FILLS = "#=+-"
_MARKERS = "*o+x#@%&"
_BRAILLE_BLANK = 0x2800
MAX_SERIES = len(_MARKERS)


@dataclass(frozen=True, slots=True)
class ChartStyle:
    """The style of one chart. Series are numbered from 0."""

    colour: bool
    ascii_only: bool
    has_several_series: bool = False

    @classmethod
    def from_options(cls, options: FormatOptions, series_count: int) -> ChartStyle:
        return cls(options.colour, options.ascii_only, series_count > 1)

    def colour_series(self, series_number: int, text: str) -> str:
        return self._apply_style(text, _COLOURS[series_number % len(_COLOURS)])

    def bold(self, text: str) -> str:
        return self._apply_style(text, _BOLD)

    def dim(self, text: str) -> str:
        return self._apply_style(text, _DIM)

    def fill_character(self, series_number: int) -> str:
        """Return the character of the bars of a series."""
        if self.ascii_only:
            return _ASCII_FILLS[series_number % len(_ASCII_FILLS)]
        return _SHADES[0] if self.colour else _SHADES[series_number % len(_SHADES)]

    def partial_fills(self, series_number: int, eighths: str) -> str:
        """Return ``eighths``, or "" if the partial characters do not match the fill character."""
        return "" if self.ascii_only or self.fill_character(series_number) != _SHADES[0] else eighths

    def legend_symbol(self, series_number: int, has_bars: bool) -> str:
        if has_bars:
            return self.fill_character(series_number)
        return "●" if self.colour and not self.ascii_only else _MARKERS[series_number % len(_MARKERS)]

    def plot_character(self, series_number: int, dots: int) -> str:
        """Return the character for these braille dots."""
        if not dots:
            return " "
        if self.ascii_only or (self.has_several_series and not self.colour):
            return _MARKERS[series_number % len(_MARKERS)]
        return chr(_BRAILLE_BLANK + dots)

    def axis_characters(self) -> AxisCharacters:
        return ASCII_AXIS_CHARACTERS if self.ascii_only else AxisCharacters()

    def _apply_style(self, text: str, escape: str) -> str:
        return f"{escape}{text}{_RESET}" if self.colour and text else text


@dataclass(frozen=True, slots=True)
class AxisCharacters:
    """The characters of axes."""

    vertical: str = "│"
    y_tick: str = "┤"
    corner: str = "└"
    horizontal: str = "─"
    x_tick: str = "┬"
    ellipsis: str = "…"
    separator: str = " · "


ASCII_AXIS_CHARACTERS = AxisCharacters("|", "+", "+", "-", "+", ".", ", ")


def braille_dots(character: str) -> int:
    """Return the dots of a braille character, 0 for a blank."""
    return ord(character) - _BRAILLE_BLANK if character >= chr(_BRAILLE_BLANK) else 0
