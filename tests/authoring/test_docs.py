"""The generated reference has every key of the spec language."""

from __future__ import annotations

from tests.support.paths import SPECS_README
from unify.authoring.json_schema import REFERENCE_MARKER, render_readme_reference


def test_the_reference_has_every_key_of_the_language() -> None:
    tables = SPECS_README.read_text(encoding="utf-8").partition(REFERENCE_MARKER)[2]

    assert tables.strip() == render_readme_reference().strip(), "run python -m unify.authoring.json_schema"
