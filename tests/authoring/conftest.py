"""A spec for tests of ``spec test`` and ``spec try``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.spec_cases import SPEC
from unify.adapters.spec.loader import load_spec
from unify.adapters.spec.model import AdapterSpec


@pytest.fixture
def tracker(tmp_path: Path) -> AdapterSpec:
    path = tmp_path / "tracker.yaml"
    path.write_text(SPEC.format(url="https://api.tracker.example/v2"), encoding="utf-8")
    return load_spec(path)
