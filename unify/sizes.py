"""Parsing and formatting of sizes: ``500 MB``, ``20G``, ``1.5 TiB``. Units are powers of 1024."""

from __future__ import annotations

import re

SIZE_PATTERN = r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([kKmMgGtT])(?:[iI]?[bB])?"
_SIZE = re.compile(SIZE_PATTERN)
_BYTES_PER_UNIT = {"k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def parse_size(text: str | int) -> int:
    """Return bytes.

    Raises:
        ValueError: the message shows valid forms.
    """
    found = _SIZE.fullmatch(str(text).strip())
    size = int(float(found[1]) * _BYTES_PER_UNIT[found[2].lower()]) if found is not None else 0
    if not size:
        raise ValueError(f"{text!r} is not a size; write it like 500 MB or 20 GB")
    return size


def format_size(size: int) -> str:
    """Format bytes as ``parse_size`` reads them: ``20 GB``, ``1.5 MB``."""
    unit = next((unit for unit in "tgm" if size >= _BYTES_PER_UNIT[unit]), "k")
    number = f"{size / _BYTES_PER_UNIT[unit]:,.1f}".removesuffix(".0")
    return f"{number} {unit.upper() if unit != 'k' else 'k'}B"
