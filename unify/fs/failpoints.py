"""Failpoints: named points where a test can kill the process or raise an error.

``UNIFY_FAILPOINT=publish.before_commit:kill`` kills the process there (SIGKILL), ``:raise`` raises
``FailpointHit``, ``NAME:kill@3`` acts at the third hit. Commas separate several. Without the variable a
failpoint costs one environment lookup.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

ENVIRONMENT_VARIABLE = "UNIFY_FAILPOINT"
_hit_counts: Counter[str] = Counter()


class FailpointHit(Exception):
    """Raised by a failpoint. Not a UnifyError: no code handles it."""


def failpoint(name: str) -> None:
    """Do nothing unless ``UNIFY_FAILPOINT`` names this failpoint."""
    wanted = os.environ.get(ENVIRONMENT_VARIABLE)
    if not wanted:
        return
    for order in wanted.split(","):
        place, _, action = order.strip().partition(":")
        if place == name:
            _trigger(name, action)


def _trigger(name: str, action: str) -> None:
    verb, _, nth = action.partition("@")
    _hit_counts[name] += 1
    if _hit_counts[name] != int(nth or 1):
        return
    if verb == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise FailpointHit(name)
