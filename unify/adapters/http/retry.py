"""What to do about an answer that is no success: wait and ask again, accept it, or give up. Pure decisions.

    retried                408 425 500 502 503 504, reset, timeout: a few times, ever further apart
    retried longer         202: the response is not ready
    everybody waits        429, and 403 with a spent quota: as long as the API asks, for all workers
    never retried          other 4xx: asking again does not make them right
    asked once more        401 with a token that can be renewed (``transport`` does that before it comes here)

A spec's ``broken`` rules go first; only that a spent quota is never skipped as if it were an empty answer.

What answers say of the quota: how many requests are left, and when it is full again.

X-RateLimit-Remaining, -Reset       GitHub and many others; Reset is a moment, or seconds from now
RateLimit-Remaining, -Reset         the IETF's drafts up to 6
RateLimit: remaining=0, reset=30    draft 7
RateLimit: "hour";r=0;t=30          those after it; of several policies the one with the least left counts
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from unify.adapters.http.error_rules import matching_rule
from unify.adapters.http.messages import Response
from unify.adapters.spec.model import ErrorRule

MAX_WAIT_S = 15 * 60.0  # longer waits free the worker: promises.md, "Retries as the field expects"
TRANSIENT_MAX_ATTEMPTS = 5
NOT_READY_MAX_ATTEMPTS = 12  # of 202: about three minutes, in which a report is made
UNREACHABLE_MAX_ATTEMPTS = 3
RATE_LIMIT_MAX_ATTEMPTS = 10
INITIAL_BACKOFF_S = 0.5
MAX_BACKOFF_S = 30.0
DEFAULT_RATE_LIMIT_WAIT_S = 60.0  # GitHub's advice where a rate limit names no time

NOT_READY_STATUS = 202  # Accepted: the rows are still being computed
TRANSIENT_STATUSES = frozenset([408, 425, 500, 502, 503, 504])


@dataclass(frozen=True, slots=True)
class Accept:
    """Hand the answer on; ``skipped``: as one without rows."""

    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Ask again after ``delay_s``, ``max_attempts`` times in all; ``all_workers``: no worker asks before then."""

    delay_s: float
    max_attempts: int
    all_workers: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Raise what the status means; ``permanent``: the spec says that the load ends, so nothing tries again."""

    permanent: bool = False


RetryDecision = Accept | Retry | GiveUp


def decide(
    response: Response, rules: Sequence[ErrorRule], attempt: int, now: float, rng: random.Random
) -> RetryDecision:
    """What to do about the answer to the ``attempt``-th try, from 1. ``now`` is seconds since 1970."""
    rule = matching_rule(response, rules)
    if rule is not None:
        return _apply_rule(rule, response, attempt, now, rng)
    if 200 <= response.status < 300 and response.status != NOT_READY_STATUS:
        return Accept()
    if is_rate_limited(response):
        return Retry(
            rate_limit_wait_s(response, attempt, now, rng), RATE_LIMIT_MAX_ATTEMPTS, all_workers=True
        )
    if response.status in TRANSIENT_STATUSES or response.status == NOT_READY_STATUS:
        return _retry_later(response, attempt, now, rng)
    return GiveUp()


def _apply_rule(
    rule: ErrorRule, response: Response, attempt: int, now: float, rng: random.Random
) -> RetryDecision:
    match rule.action:
        case "skip" if rule.body is None and not rule.where and is_rate_limited(response):
            return Retry(
                rate_limit_wait_s(response, attempt, now, rng), RATE_LIMIT_MAX_ATTEMPTS, all_workers=True
            )
        case "skip" | "end":
            return Accept(skipped=True)
        case "retry":
            return _retry_later(response, attempt, now, rng)
        case "wait":
            return Retry(
                rate_limit_wait_s(response, attempt, now, rng), RATE_LIMIT_MAX_ATTEMPTS, all_workers=True
            )
        case "fail":
            return GiveUp(permanent=True)


def is_rate_limited(response: Response) -> bool:
    """429; or 403 as GitHub says it: a quota spent, or a secondary limit."""
    if response.status == 429:
        return True
    if response.status != 403:
        return False
    return (
        quota_left(response.headers) == 0
        or "retry-after" in response.headers
        or b"rate limit" in response.body[:4096].lower()
    )


def rate_limit_wait_s(response: Response, attempt: int, now: float, rng: random.Random) -> float:
    """Seconds to wait for a rate limit: what the API says, and never less."""
    asked = retry_after_s(response.headers, now)
    if asked is None and (response.status == 429 or quota_left(response.headers) == 0):
        asked = reset_after_s(response.headers, now)
    if asked is None and response.status != 429:
        asked = DEFAULT_RATE_LIMIT_WAIT_S
    return max(asked or 0.0, backoff_s(attempt, rng))


def _retry_later(response: Response, attempt: int, now: float, rng: random.Random) -> Retry:
    attempts = NOT_READY_MAX_ATTEMPTS if response.status == NOT_READY_STATUS else TRANSIENT_MAX_ATTEMPTS
    return Retry(max(retry_after_s(response.headers, now) or 0.0, backoff_s(attempt, rng)), attempts)


def backoff_s(attempt: int, rng: random.Random) -> float:
    """Twice as long each time, half of it by chance, so that many clients do not come back as one."""
    longest = min(INITIAL_BACKOFF_S * 2.0 ** (attempt - 1), MAX_BACKOFF_S)
    return longest * (0.5 + rng.random() / 2)


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """``Retry-After`` in seconds from now; None where it is missing, garbage or in the past."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    seconds = parse_number(text)
    if seconds is None:
        moment = parse_http_date(text)
        if moment is None:
            return None
        seconds = moment - (parse_http_date(headers.get("date", "")) or now)
    return seconds if seconds >= 0 else None


# What comes before -remaining and -reset; Sentry and Linear have names of their own.
_HEADER_PREFIXES = ("x-ratelimit", "x-rate-limit", "ratelimit", "x-sentry-rate-limit", "x-ratelimit-requests")
_RESET_HEADERS = (*(f"{family}-reset" for family in _HEADER_PREFIXES), "x-ratelimit-reset-after")
_REMAINING_HEADERS = tuple(f"{family}-remaining" for family in _HEADER_PREFIXES)
_POLICY_FIELD = re.compile(r"(?:^|[;,\s])(r|remaining|t|reset)\s*=\s*([0-9]{1,15})\b", re.IGNORECASE)
_SHORT_FIELD_NAMES = {"remaining": "r", "reset": "t"}
_MIN_EPOCH_S = 1_000_000_000.0  # a "reset" above this is a moment since 1970, below it a number of seconds
_MIN_EPOCH_MS = 1_000_000_000_000.0


def quota_left(headers: Mapping[str, str]) -> int | None:
    """How many requests the API still allows, where it says."""
    for name in _REMAINING_HEADERS:
        left = parse_number(headers.get(name, ""))
        if left is not None:
            return max(int(left), 0)
    return _strictest_policy(headers)[0]


def reset_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until the quota is full again, from headers that hold seconds or a moment."""
    for name in _RESET_HEADERS:
        text = headers.get(name, "").strip()
        value = parse_number(text)
        if value is None:
            moment = _parse_iso_date(text) or parse_http_date(text)
            if moment is None:
                continue
            return max(moment - now, 0.0)
        if value < _MIN_EPOCH_S:
            return max(value, 0.0)
        return max((value / 1000 if value > _MIN_EPOCH_MS else value) - now, 0.0)
    return _strictest_policy(headers)[1]


def _strictest_policy(headers: Mapping[str, str]) -> tuple[int | None, float | None]:
    """Of the policies in one header the one with the least left: how many, and in how many seconds more."""
    text = headers.get("ratelimit", "")
    policies = [text] if "remaining" in text.lower() else text.split(",")
    found = [_parse_policy(policy) for policy in policies]
    told = [(left, reset) for left, reset in found if left is not None]
    return min(told, key=lambda each: (each[0], -(each[1] or 0.0)), default=(None, None))


def _parse_policy(policy: str) -> tuple[int | None, float | None]:
    values = {
        _SHORT_FIELD_NAMES.get(name.lower(), name.lower()): int(value)
        for name, value in _POLICY_FIELD.findall(policy)
    }
    reset = values.get("t")
    return values.get("r"), None if reset is None else float(reset)


def parse_number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e15 else None  # beyond: infinity and not-a-number among them


def parse_http_date(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _parse_iso_date(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
