"""The text of a minimal spec, and the problems of a spec."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from unify.adapters.spec.model import AdapterSpec
from unify.errors import SpecError

SPEC_HEAD = """\
name: shop
base_url: https://api.shop.example
options:
  token: {secret: true}
  org: {}
tables:
  - name: orders
    request: GET /orders
"""  # 8 lines: what a test adds begins in line 9


def load_problems(load: Callable[[str], AdapterSpec], text: str) -> list[str]:
    """Return every problem as ``line:column: key: text``."""
    with pytest.raises(SpecError) as caught:
        load(text)
    found = caught.value.problems
    assert str(caught.value) == "\n".join(str(problem) for problem in found)
    return [str(problem).removeprefix(problem.path)[1:] for problem in found]
