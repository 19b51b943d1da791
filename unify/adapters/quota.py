"""What answers say of the quota: how many requests are left, and when it is full again.

X-RateLimit-Remaining, -Reset       GitHub and many others; Reset is a moment, or seconds from now
RateLimit-Remaining, -Reset         the IETF's drafts up to 6
RateLimit: remaining=0, reset=30    draft 7
RateLimit: "hour";r=0;t=30          those after it; of several policies the one with the least left counts
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# What comes before -remaining and -reset; Sentry and Linear have names of their own.
_FAMILIES = ("x-ratelimit", "x-rate-limit", "ratelimit", "x-sentry-rate-limit", "x-ratelimit-requests")
_RESET_NAMES = (*(f"{family}-reset" for family in _FAMILIES), "x-ratelimit-reset-after")
_LEFT_NAMES = tuple(f"{family}-remaining" for family in _FAMILIES)
_MEMBER = re.compile(r"(?:^|[;,\s])(r|remaining|t|reset)\s*=\s*([0-9]{1,15})\b", re.IGNORECASE)
_SHORT = {"remaining": "r", "reset": "t"}
_EPOCH_S = 1_000_000_000.0  # a "reset" above this is a moment since 1970, below it a number of seconds
_EPOCH_MS = 1_000_000_000_000.0


def quota_left(headers: Mapping[str, str]) -> int | None:
    """How many requests the API still allows, where it says."""
    for name in _LEFT_NAMES:
        left = number(headers.get(name, ""))
        if left is not None:
            return max(int(left), 0)
    return _scarcest(headers)[0]


def reset_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until the quota is full again, from headers that hold seconds or a moment."""
    for name in _RESET_NAMES:
        text = headers.get(name, "").strip()
        value = number(text)
        if value is None:
            moment = _iso_date(text) or http_date(text)
            if moment is None:
                continue
            return max(moment - now, 0.0)
        if value < _EPOCH_S:
            return max(value, 0.0)
        return max((value / 1000 if value > _EPOCH_MS else value) - now, 0.0)
    return _scarcest(headers)[1]


def _scarcest(headers: Mapping[str, str]) -> tuple[int | None, float | None]:
    """Of the policies in one header the one with the least left: how many, and in how many seconds more."""
    text = headers.get("ratelimit", "")
    policies = [text] if "remaining" in text.lower() else text.split(",")
    found = [_members(policy) for policy in policies]
    told = [(left, reset) for left, reset in found if left is not None]
    return min(told, key=lambda each: (each[0], -(each[1] or 0.0)), default=(None, None))


def _members(policy: str) -> tuple[int | None, float | None]:
    values = {_SHORT.get(name.lower(), name.lower()): int(value) for name, value in _MEMBER.findall(policy)}
    reset = values.get("t")
    return values.get("r"), None if reset is None else float(reset)


def number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e15 else None  # beyond: infinity and not-a-number among them


def http_date(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _iso_date(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
