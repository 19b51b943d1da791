"""Paths in the checkout."""

from __future__ import annotations

from pathlib import Path

from unify.adapters.spec.loader import bundled_specs_folder

CHECKOUT = Path(__file__).parents[2]
GOLDEN = CHECKOUT / "tests" / "golden"
GITHUB_SPEC = bundled_specs_folder() / "github.yaml"
SPECS_README = bundled_specs_folder() / "README.md"
