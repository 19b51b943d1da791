"""The YAML reader agrees with PyYAML."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.support.paths import GITHUB_SPEC
from unify.config import yaml as config_yaml
from unify.config.yaml import to_python_value


def test_yaml_is_read_as_by_pyyaml(tmp_path: Path) -> None:
    """Compares the node builder with PyYAML where YAML 1.1 and 1.2 agree."""
    text = GITHUB_SPEC.read_text(encoding="utf-8")

    assert to_python_value(config_yaml.parse_yaml(text.encode(), "x").root) == yaml.safe_load(text)
