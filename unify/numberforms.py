"""How people write numbers: ``1,234.5`` in one country is ``1.234,5`` in the next.

A form is shown by one and the same number, 1234.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NumberForm:
    """``groups`` are the marks between thousands, each as good as another; ``point`` begins the fraction."""

    groups: str
    point: str


SPACES = " \u00a0\u202f"  # the usual one, and two that do not break
NUMBER_FORMS: Mapping[str, NumberForm] = {
    "1,234.5": NumberForm(",", "."),
    "1.234,5": NumberForm(".", ","),
    "1 234.5": NumberForm(SPACES, "."),
    "1 234,5": NumberForm(SPACES, ","),
    "1'234.5": NumberForm("'\u2019", "."),
    "1234,5": NumberForm("", ","),
}
