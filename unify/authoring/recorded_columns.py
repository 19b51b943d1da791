"""Writes the columns that the recorded cases of a spec have: ``python -m unify.authoring.recorded_columns``.

``rest_specs/columns/NAME.json`` is a part of the package: from it, tables have columns and types before their
first load. A load detects them again.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import msgspec

from unify.adapters.spec.loader import bundled_specs_folder, load_spec, recorded_columns_file
from unify.adapters.spec.model import AdapterSpec
from unify.authoring.case_runner import run_case
from unify.authoring.cases import find_cases, load_case
from unify.engine.widening import UNTYPED, common_type

ColumnTypes = Mapping[str, Mapping[str, str]]  # by table, then by column in the order of a load


def record_columns(spec: AdapterSpec) -> ColumnTypes:
    """Return the columns of each table of which a case passes, over all its cases; "": no row has a value."""
    found: dict[str, dict[str, str]] = {}
    for path in find_cases(spec):
        case = load_case(path, spec)
        result = run_case(spec, case)
        if result.differences or result.preview is None:
            continue
        types = found.setdefault(case.table, {})
        table = spec.table(case.table)
        declared = {column.name for column in table.columns} if table is not None else set()
        for number, column in enumerate(result.preview.columns):
            if table is not None and table.names is not None and column.name not in declared:
                continue  # the source names its columns, and another source names others
            has_value = any(row[number] is not None for row in result.preview.rows)
            type = column.type if has_value else UNTYPED
            types[column.name] = common_type(types.get(column.name, UNTYPED), type)
    return {
        table.name: {column: "" if type == UNTYPED else type for column, type in found[table.name].items()}
        for table in spec.tables
        if table.name in found
    }


def render_columns(columns: ColumnTypes) -> str:
    """Return the content of the file."""
    return msgspec.json.format(msgspec.json.encode(columns), indent=1).decode() + "\n"


def main() -> int:
    for path in sorted(bundled_specs_folder().glob("*.yaml")):
        columns = record_columns(load_spec(path))
        file = recorded_columns_file(path)
        file.parent.mkdir(exist_ok=True)
        file.write_text(render_columns(columns), encoding="utf-8")
        sys.stdout.write(f"{file.name}: {sum(map(len, columns.values()))} columns of {len(columns)} tables\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
