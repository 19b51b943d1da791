"""Named places where a test may kill the process or raise an error, to see what a crash leaves behind.

``UNIFY_FAILPOINT=publish.before_commit:kill`` ends the process there as ``kill -9`` would;
``:raise`` raises ``FailpointHit``. ``NAME:kill@3`` waits for the third time. Commas separate several.
Without the variable a failpoint costs one look into the environment.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

ENVIRONMENT_VARIABLE = "UNIFY_FAILPOINT"
_hit_counts: Counter[str] = Counter()


class FailpointHit(Exception):
    """A failpoint was asked to raise. Not a UnifyError: nothing in the product expects it."""


def failpoint(name: str) -> None:
    """Do nothing, unless ``UNIFY_FAILPOINT`` names this place."""
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
