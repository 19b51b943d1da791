"""What to do about an answer that is no success: wait and ask again, accept it, or give up. Pure decisions.

    retried                408 425 500 502 503 504, reset, timeout: a few times, ever further apart
    everybody waits        429, and 403 with a spent quota: as long as the API asks, for all workers
    never retried          other 4xx: asking again does not make them right
    asked once more        401 with a token that can be renewed (``transport`` does that before it comes here)

A spec's ``errors`` rules go first; only that a spent quota is never skipped as if it were an empty answer.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unify.adapters.messages import Answer
from unify.adapters.quota import http_date, number, quota_left, reset_after_s
from unify.adapters.spec import ErrorRule

PATIENCE_S = 15 * 60.0  # longer waits free the worker: promises.md, "Retries as the field expects"
FAULT_TRIES = 5
UNREACHABLE_TRIES = 3
LIMITED_TRIES = 10
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0
UNSAID_LIMIT_S = 60.0  # GitHub's advice where a rate limit names no time

TRANSIENT = frozenset([408, 425, 500, 502, 503, 504])


@dataclass(frozen=True, slots=True)
class Accept:
    """Hand the answer on; ``skipped``: as one without rows."""

    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    """Ask again after ``after_s``, ``tries`` times in all; ``everybody``: no worker asks before then."""

    after_s: float
    tries: int
    everybody: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Raise what the status means; ``for_good``: the spec says that the load ends, so nothing tries again."""

    for_good: bool = False


Step = Accept | Again | GiveUp


def decide(answer: Answer, rules: Sequence[ErrorRule], attempt: int, now: float, rng: random.Random) -> Step:
    """What to do about the answer to the ``attempt``-th try, from 1. ``now`` is seconds since 1970."""
    rule = _rule(answer, rules)
    if rule is not None:
        return _by_rule(rule, answer, attempt, now, rng)
    if 200 <= answer.status < 300:
        return Accept()
    if is_limited(answer):
        return Again(limited_wait(answer, attempt, now, rng), LIMITED_TRIES, everybody=True)
    if answer.status in TRANSIENT:
        return Again(_fault_wait(answer, attempt, now, rng), FAULT_TRIES)
    return GiveUp()


def _by_rule(rule: ErrorRule, answer: Answer, attempt: int, now: float, rng: random.Random) -> Step:
    match rule.action:
        case "skip" if rule.body is None and is_limited(answer):
            return Again(limited_wait(answer, attempt, now, rng), LIMITED_TRIES, everybody=True)
        case "skip":
            return Accept(skipped=True)
        case "retry":
            return Again(_fault_wait(answer, attempt, now, rng), FAULT_TRIES)
        case "wait":
            return Again(limited_wait(answer, attempt, now, rng), LIMITED_TRIES, everybody=True)
        case "fail":
            return GiveUp(for_good=True)


def _rule(answer: Answer, rules: Sequence[ErrorRule]) -> ErrorRule | None:
    """The first rule for this status and text. A success is looked at only by rules that name a text."""
    for rule in rules:
        if rule.status is not None and rule.status != answer.status:
            continue
        if rule.body is None:
            if rule.status is not None or answer.status >= 400:
                return rule
        elif rule.body.encode() in answer.body:
            return rule
    return None


def is_limited(answer: Answer) -> bool:
    """429; or 403 as GitHub says it: a quota spent, or a secondary limit."""
    if answer.status == 429:
        return True
    if answer.status != 403:
        return False
    return (
        quota_left(answer.headers) == 0
        or "retry-after" in answer.headers
        or b"rate limit" in answer.body[:4096].lower()
    )


def limited_wait(answer: Answer, attempt: int, now: float, rng: random.Random) -> float:
    """Seconds to wait for a rate limit: what the API says, and never less."""
    asked = retry_after_s(answer.headers, now)
    if asked is None and (answer.status == 429 or quota_left(answer.headers) == 0):
        asked = reset_after_s(answer.headers, now)
    if asked is None and answer.status != 429:
        asked = UNSAID_LIMIT_S
    return max(asked or 0.0, backoff_s(attempt, rng))


def _fault_wait(answer: Answer, attempt: int, now: float, rng: random.Random) -> float:
    return max(retry_after_s(answer.headers, now) or 0.0, backoff_s(attempt, rng))


def backoff_s(attempt: int, rng: random.Random) -> float:
    """Twice as long each time, half of it by chance, so that many clients do not come back as one."""
    longest = min(FIRST_BACKOFF_S * 2.0 ** (attempt - 1), LONGEST_BACKOFF_S)
    return longest * (0.5 + rng.random() / 2)


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """``Retry-After`` in seconds from now; None where it is missing, garbage or in the past."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    seconds = number(text)
    if seconds is None:
        moment = http_date(text)
        if moment is None:
            return None
        seconds = moment - (http_date(headers.get("date", "")) or now)
    return seconds if seconds >= 0 else None
