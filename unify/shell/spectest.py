"""``unify spec test``: does a spec do what its recorded cases say? A line each, on stdout."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from unify.adapters.cases import cases_folder, find_cases, load_case
from unify.adapters.spec import AdapterSpec
from unify.adapters.specfile import load_spec
from unify.errors import SpecError, UnifyError
from unify.shell.spectry import _say
from unify.text import counted, safe_text


def test_specs(paths: Sequence[str]) -> int:
    """Run every case of each spec; 1 if any fails, or a spec has none."""
    passed = [_test_spec(Path(path)) for path in paths]
    return 0 if all(passed) else 1


def _test_spec(path: Path) -> bool:
    try:
        spec = load_spec(path)
    except UnifyError as error:
        _say(error.message)
        return False
    cases = find_cases(spec)
    if not cases:
        _say(f"{path}: there are no cases; they go to {cases_folder(path)}/NAME.yaml")
        return False
    passed = [_test_case(spec, case) for case in cases]
    _say(f"{path}: {sum(passed)} of {counted(len(passed), 'case')} passed")
    return all(passed)


def _test_case(spec: AdapterSpec, path: Path) -> bool:
    from unify.loading.trials import run_case

    try:
        case = load_case(path, spec)
    except SpecError as error:
        _say(error.message)
        return False
    differences = run_case(spec, case).differences
    for difference in differences:
        _say(f"{path}: {difference}")
    if not differences:
        _say(f"{path}: ok, {counted(len(case.exchanges), 'request')}")
    return not differences
