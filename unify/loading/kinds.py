"""What kinds of values a place in a table's rows holds, as bits, and the type that keeps them all.

Kinds only ever add up, so the type does not depend on the order in which rows are seen.
"""

from __future__ import annotations

import math
import re
from datetime import datetime

from unify.loading.exactjson import Real, Whole

OBJECT = 1
LIST = 2
DEEP = 4  # nested deeper than columns can follow
BOOL = 8
INT = 16
INEXACT = 32  # an integer no double can express
BIG = 64  # an integer beyond 64 bits
HUGE = 128  # an integer of more than 38 digits
REAL = 256
OVERFLOW = 512  # a number beyond every double
DATE = 1024
STAMP = 2048  # a moment without a zone
ZONED = 4096  # a moment with a zone
TEXT = 8192  # any other text
MISFIT = 16384  # a value the column's earlier, unusual type cannot hold

MOMENTS = DATE | STAMP | ZONED
TEXTS = MOMENTS | TEXT
WHOLES = INT | INEXACT | BIG | HUGE
REALS = REAL | OVERFLOW
SCALARS = BOOL | WHOLES | REALS | TEXTS

INT64 = 2**63
EXACT_IN_DOUBLE = 2**53
DECIMAL_DIGITS = 38

TIMESTAMPTZ = "TIMESTAMP WITH TIME ZONE"
DECIMAL = f"DECIMAL({DECIMAL_DIGITS},0)"  # an integer beyond 64 bits; HUGEINT does not survive Parquet

_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?:([T ])\d\d:\d\d:\d\d(?:\.\d{1,6}0*)?(Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)


def of_scalar(value: object) -> int:
    """The kinds of a text, number or bool as ``parse_exact`` gives it."""
    if isinstance(value, Whole):
        return _of_whole(value)
    if isinstance(value, Real):
        return REAL | OVERFLOW if math.isinf(float(value)) and value[-1].isdigit() else REAL
    if isinstance(value, str):
        return _of_text(value)
    return BOOL


def _of_whole(text: str) -> int:
    if len(text) <= 15:
        return INT
    if len(text) > 310:  # beyond every double, and soon beyond what Python turns into an int
        return INT | INEXACT | BIG | HUGE
    number = int(text)
    return (
        INT
        | (0 if _is_exact(number) else INEXACT)
        | (0 if -INT64 <= number < INT64 else BIG)
        | (0 if abs(number) < 10**DECIMAL_DIGITS else HUGE)
    )


def _is_exact(number: int) -> bool:
    try:
        return int(float(number)) == number
    except OverflowError:
        return False


def _of_text(text: str) -> int:
    """ISO 8601 as DuckDB reads it exactly; a moment finer than a microsecond stays text."""
    if len(text) < 10 or text[4] != "-":
        return TEXT
    match = _MOMENT.fullmatch(text)
    if match is None:
        return TEXT
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return TEXT
    time, zone = match.groups()
    return ZONED if zone else STAMP if time else DATE


def scalar_type(kinds: int) -> str:
    """The DuckDB type that keeps every value of these kinds; VARCHAR where there is none yet."""
    if kinds & ~WHOLES == 0 and kinds:
        return "VARCHAR" if kinds & HUGE else DECIMAL if kinds & BIG else "BIGINT"
    if kinds & REAL and kinds & ~(WHOLES | REALS) == 0:
        return "VARCHAR" if kinds & (INEXACT | OVERFLOW) else "DOUBLE"
    return {BOOL: "BOOLEAN", DATE: "DATE", STAMP: "TIMESTAMP", ZONED: TIMESTAMPTZ}.get(kinds, "VARCHAR")
