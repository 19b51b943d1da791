"""A fixture that loads a spec from text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from unify.adapters.spec.loader import load_spec
from unify.adapters.spec.model import AdapterSpec


@pytest.fixture
def load_spec_text(tmp_path: Path) -> Callable[[str], AdapterSpec]:
    def loaded(text: str) -> AdapterSpec:
        file = tmp_path / "shop.yaml"
        file.write_text(text, encoding="utf-8")
        return load_spec(file)

    return loaded
