"""Decides whether to accept a response, to retry or to give up; reads rate limit headers. Sends nothing.

    408 425 500 502 503 504, connection errors   retried a few times with growing delays
    202, the response is not ready               retried for about three minutes
    429, and 403 with an exhausted quota         all workers wait as long as the API says
    401                                          retried once by the client, with a new token
    other 4xx                                    never retried

The ``errors`` rules of a spec take precedence, except that ``skip`` by status never hides an exhausted quota.

Headers with the remaining requests and the time of the reset:

    X-RateLimit-Remaining, -Reset       GitHub and many others; Reset is a timestamp or a number of seconds
    RateLimit-Remaining, -Reset         IETF drafts up to 6
    RateLimit: remaining=0, reset=30    IETF draft 7
    RateLimit: "hour";r=0;t=30          later drafts; of several policies, the strictest counts
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from msgspec import Struct

from unify.adapters.http.error_rules import matching_rule
from unify.adapters.http.messages import Response
from unify.adapters.spec.model import ErrorRule

MAX_WAIT_S = 15 * 60.0  # for a longer wait, the load is postponed: docs/promises.md
TRANSIENT_MAX_ATTEMPTS = 5
NOT_READY_MAX_ATTEMPTS = 12  # about three minutes, for reports that are computed on request
UNREACHABLE_MAX_ATTEMPTS = 3
RATE_LIMIT_MAX_ATTEMPTS = 10
INITIAL_BACKOFF_S = 0.5
MAX_BACKOFF_S = 30.0
DEFAULT_RATE_LIMIT_WAIT_S = 60.0  # GitHub's advice for a rate limit without a time

NOT_READY_STATUS = 202  # Accepted: the rows are still being computed
TRANSIENT_STATUSES = frozenset([408, 425, 500, 502, 503, 504])


class Accept(Struct, frozen=True):
    """Return the response; ``skipped``: as one without rows."""

    skipped: bool = False


class Retry(Struct, frozen=True):
    """Send again after ``delay_s``; ``all_workers`` wait that long."""

    delay_s: float
    max_attempts: int
    all_workers: bool = False


class GiveUp(Struct, frozen=True):
    """Raise the error of the status; ``permanent``: a rule of the spec forbids further attempts."""

    permanent: bool = False


RetryDecision = Accept | Retry | GiveUp


def decide(
    response: Response, rules: Sequence[ErrorRule], attempt: int, now: float, rng: random.Random
) -> RetryDecision:
    """Decide on the response to an attempt, counted from 1. ``now`` is in seconds since 1970."""
    rule = matching_rule(response, rules)
    if rule is not None:
        return _apply_rule(rule, response, attempt, now, rng)
    if 200 <= response.status < 300 and response.status != NOT_READY_STATUS:
        return Accept()
    if is_rate_limited(response):
        return _wait_for_rate_limit(response, attempt, now, rng)
    if response.status in TRANSIENT_STATUSES or response.status == NOT_READY_STATUS:
        return _retry_later(response, attempt, now, rng)
    return GiveUp()


def decide_write(
    response: Response, rules: Sequence[ErrorRule], attempt: int, now: float, rng: random.Random
) -> RetryDecision:
    """Decide on the response to a request that writes: retry only what was certainly not carried out.

    Of ``rules``, those with the action wait apply: they tell a rate limit.
    """
    waits = matching_rule(response, [rule for rule in rules if rule.action == "wait"]) is not None
    if waits or is_rate_limited(response):
        return _wait_for_rate_limit(response, attempt, now, rng)
    return Accept()


def _apply_rule(
    rule: ErrorRule, response: Response, attempt: int, now: float, rng: random.Random
) -> RetryDecision:
    match rule.action:
        case "skip" if rule.body is None and not rule.where and is_rate_limited(response):
            return _wait_for_rate_limit(response, attempt, now, rng)
        case "skip" | "end":
            return Accept(skipped=True)
        case "retry":
            return _retry_later(response, attempt, now, rng)
        case "wait":
            return _wait_for_rate_limit(response, attempt, now, rng)
        case "fail":
            return GiveUp(permanent=True)


def _wait_for_rate_limit(response: Response, attempt: int, now: float, rng: random.Random) -> Retry:
    delay_s = rate_limit_wait_s(response, attempt, now, rng)
    return Retry(delay_s, RATE_LIMIT_MAX_ATTEMPTS, all_workers=True)


def _retry_later(response: Response, attempt: int, now: float, rng: random.Random) -> Retry:
    delay_s = max(retry_after_s(response.headers, now) or 0.0, backoff_s(attempt, rng))
    not_ready = response.status == NOT_READY_STATUS
    return Retry(delay_s, NOT_READY_MAX_ATTEMPTS if not_ready else TRANSIENT_MAX_ATTEMPTS)


def is_rate_limited(response: Response) -> bool:
    """Whether the status is 429, or 403 as GitHub uses it: an exhausted quota or a secondary limit."""
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
    """Seconds to wait for a rate limit, never less than the API says."""
    delay_s = retry_after_s(response.headers, now)
    if delay_s is None and (response.status == 429 or quota_left(response.headers) == 0):
        delay_s = reset_after_s(response.headers, now)
    if delay_s is None and response.status != 429:
        delay_s = DEFAULT_RATE_LIMIT_WAIT_S
    return max(delay_s or 0.0, backoff_s(attempt, rng))


def backoff_s(attempt: int, rng: random.Random) -> float:
    """Exponential backoff with up to 50 % jitter, so that clients do not retry at the same time."""
    return min(INITIAL_BACKOFF_S * 2.0 ** (attempt - 1), MAX_BACKOFF_S) * (0.5 + rng.random() / 2)


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """``Retry-After`` in seconds from now; None if it is missing, invalid or in the past."""
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


# Prefixes of -remaining and -reset; the last two are of Sentry and Linear.
_HEADER_PREFIXES = ("x-ratelimit", "x-rate-limit", "ratelimit", "x-sentry-rate-limit", "x-ratelimit-requests")
_RESET_HEADERS = (*(f"{family}-reset" for family in _HEADER_PREFIXES), "x-ratelimit-reset-after")
_REMAINING_HEADERS = tuple(f"{family}-remaining" for family in _HEADER_PREFIXES)
_POLICY_FIELD = re.compile(r"(?:^|[;,\s])(r|remaining|t|reset)\s*=\s*([0-9]{1,15})\b", re.IGNORECASE)
_SHORT_FIELD_NAMES = {"remaining": "r", "reset": "t"}
_MIN_EPOCH_S = 1_000_000_000.0  # a larger "reset" is a timestamp, a smaller one a number of seconds
_MIN_EPOCH_MS = 1_000_000_000_000.0


def quota_left(headers: Mapping[str, str]) -> int | None:
    """Remaining requests; None if the API does not say."""
    for name in _REMAINING_HEADERS:
        left = parse_number(headers.get(name, ""))
        if left is not None:
            return max(int(left), 0)
    return _strictest_policy(headers)[0]


def reset_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until the quota is reset; None if the API does not say."""
    for name in _RESET_HEADERS:
        text = headers.get(name, "").strip()
        value = parse_number(text)
        if value is None:
            moment = _parse_date(datetime.fromisoformat, text) or parse_http_date(text)
            if moment is None:
                continue
            return max(moment - now, 0.0)
        if value < _MIN_EPOCH_S:
            return max(value, 0.0)
        return max((value / 1000 if value > _MIN_EPOCH_MS else value) - now, 0.0)
    return _strictest_policy(headers)[1]


def _strictest_policy(headers: Mapping[str, str]) -> tuple[int | None, float | None]:
    """Remaining requests and seconds to the reset, of the policy with the fewest remaining requests."""
    text = headers.get("ratelimit", "")
    policies = map(_parse_policy, [text] if "remaining" in text.lower() else text.split(","))
    complete = [(left, reset) for left, reset in policies if left is not None]
    return min(complete, key=lambda each: (each[0], -(each[1] or 0.0)), default=(None, None))


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
    return value if abs(value) < 1e15 else None  # no infinity, no NaN


def parse_http_date(text: str) -> float | None:
    """An HTTP date in seconds since 1970."""
    return _parse_date(parsedate_to_datetime, text)


def _parse_date(parse: Callable[[str], datetime], text: str) -> float | None:
    try:
        moment = parse(text)
    except (TypeError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
