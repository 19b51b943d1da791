"""The columns of recorded cases: in the package, in listings before the first load, and current."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import UnifyCommand
from unify.adapters.spec.loader import bundled_specs_folder, load_spec, recorded_columns_file, summarize_spec
from unify.authoring.recorded_columns import record_columns, render_columns

HOWTO = "run python -m unify.authoring.recorded_columns"
SPECS = sorted(bundled_specs_folder().glob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_recorded_columns_are_those_of_the_cases(path: Path) -> None:
    columns = record_columns(load_spec(path))
    assert recorded_columns_file(path).read_text("utf-8") == render_columns(columns), HOWTO


def test_each_bundled_table_has_columns_before_its_first_load() -> None:
    without = [
        f"{path.stem}.{table.name}"
        for path in SPECS
        for table in summarize_spec(load_spec(path)).tables
        if not any(column.type for column in table.columns)
    ]
    assert without == []


def test_a_declaration_takes_precedence() -> None:
    summary = summarize_spec(load_spec(bundled_specs_folder() / "github.yaml"))
    issues = next(table for table in summary.tables if table.name == "issues")
    declared = {column.name: column for column in issues.columns}
    assert declared["repo"].description != ""
    assert declared["number"].type == "BIGINT"
    assert len(declared) == len(issues.columns)


def test_tables_are_described_before_their_first_load(unify: UnifyCommand) -> None:
    unify.write_connections("github:\n  adapter: github\n  options: {token: unused, org: acme}\n")
    rows = unify(
        "select \"column\", type from unify.columns where schema = 'github' and \"table\" = 'issues' "
        "and \"column\" in ('number', 'title') order by 1"
    )
    assert rows.stdout.splitlines()[-2:] == ["number,BIGINT", "title,VARCHAR"]
    described = unify("describe github.issues")
    assert "number,BIGINT" in described.stdout
