"""The YAML reader agrees with PyYAML."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.support.paths import GITHUB_SPEC
from unify.config import yaml as config_yaml
from unify.config.yaml import to_python_value


def test_yaml_is_read_as_its_own_library_reads_it(tmp_path: Path) -> None:
    """A second opinion on our node builder: what YAML 1.1 and 1.2 agree on is the same."""
    text = GITHUB_SPEC.read_text(encoding="utf-8")

    assert to_python_value(config_yaml.parse_yaml(text.encode(), "x").root) == yaml.safe_load(text)
