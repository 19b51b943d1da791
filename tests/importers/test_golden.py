"""Small documents of every format give the specs and reports of their cases."""

from __future__ import annotations

import pytest

from tests.importers.golden import GoldenCase, golden_cases


@pytest.mark.parametrize("case", list(golden_cases()), ids=lambda case: case.path.stem)
def test_a_document_gives_the_spec_and_report_of_its_case(case: GoldenCase) -> None:
    spec, report = case.run()

    assert spec == case.spec
    assert report == case.report
