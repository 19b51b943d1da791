"""How many public manifests become specs as a whole. Their folder is named by UNIFY_TEST_MANIFESTS."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unify.importers.common.documents import read_source
from unify.importers.convert import convert
from unify.importers.model import ImportSettings

FOLDER = os.environ.get("UNIFY_TEST_MANIFESTS", "")
LEAST_SHARE = 0.82  # of the 518 manifests of February 2026: 425 are whole


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not FOLDER, reason="UNIFY_TEST_MANIFESTS names no folder of manifests")
def test_the_share_of_whole_manifests_does_not_fall() -> None:
    paths = [path for path in sorted(Path(FOLDER).rglob("*manifest.yaml")) if "resources" not in path.parts]
    reports = [convert([read_source(str(path))], ImportSettings("api")).report for path in paths]

    assert len(reports) > 500
    assert sum(report.is_complete for report in reports) / len(reports) >= LEAST_SHARE
