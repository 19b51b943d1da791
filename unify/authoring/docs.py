"""Writes docs/adapters.md from the bundled specs: ``python -m unify.authoring.docs``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from unify.adapters.spec.elements import Option
from unify.adapters.spec.loader import bundled_specs_folder, load_spec
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.durations import format_duration

INTRODUCTION = """\
# Adapters

The adapters that come with Unify. Each is a file in [rest_specs/](../rest_specs) that can be copied and
changed; [rest_specs/README.md](../rest_specs/README.md) documents the format. `connect NAME` prompts for the
options of an adapter and tests them.

`python -m unify.authoring.docs` writes this page from the specs.
"""
_AUTH_LABELS = {
    "none": "none",
    "basic": "user and password",
    "bearer": "token",
    "api_key": "API key",
    "oauth2": "OAuth 2",
    "session": "session token",
    "aws_sigv4": "AWS signature",
    "jwt": "signed token (JWT)",
}
_MAX_DEFAULT_CHARS = 60


def render_page(specs: Iterable[AdapterSpec]) -> str:
    """The whole page, adapters by name."""
    ordered = sorted(specs, key=lambda spec: spec.name)
    contents = ((f"[{spec.name}](#{spec.name})", spec.description, str(len(spec.tables))) for spec in ordered)
    parts = [INTRODUCTION, *_render_table(("adapter", "description", "tables"), contents)]
    for spec in ordered:
        parts += ["", *_render_adapter(spec)]
    return "\n".join(parts) + "\n"


def load_bundled_specs() -> list[AdapterSpec]:
    """Every bundled spec. Raises: SpecError for one with problems."""
    return [load_spec(path) for path in sorted(bundled_specs_folder().glob("*.yaml"))]


def write_page(path: Path) -> None:
    path.write_text(render_page(load_bundled_specs()), encoding="utf-8")


def _render_adapter(spec: AdapterSpec) -> Iterator[str]:
    labels = dict.fromkeys(_AUTH_LABELS[auth.type] for auth in spec.auths)
    auth = f"Authentication: {' or '.join(labels)}."
    yield f"## {spec.name}"
    yield ""
    yield f"{spec.description}. {auth} [API documentation]({spec.documentation})."
    yield ""
    if spec.options:
        rows = ((f"`{each.name}`", _option_notes(each), each.description) for each in spec.options)
        yield from _render_table(("option", "", "description"), rows)
        yield ""
    yield from _render_table(("table", "rows", "key", "loads"), map(_table_cells, spec.tables))
    if writable := [table for table in spec.tables if table.write is not None]:
        yield ""
        yield from _render_table(("writes to", "operations", "columns"), map(_write_cells, writable))
    if spec.views:
        yield ""
        yield from _render_table(
            ("view", "rows"), ((f"`{view.name}`", view.description) for view in spec.views)
        )


def _render_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def _option_notes(option: Option) -> str:
    notes = [*["secret"] * option.secret, *["required"] * option.needs_value]
    if option.default:
        is_long = len(option.default) > _MAX_DEFAULT_CHARS
        default = option.default[: _MAX_DEFAULT_CHARS - 3] + "…" if is_long else option.default
        notes.append(f"default `{default}`")
    return ", ".join(notes)


def _table_cells(table: TableSpec) -> tuple[str, ...]:
    key = ", ".join(f"`{column}`" for column in table.key)
    return f"`{table.name}`", table.description, key, _load_description(table)


def _write_cells(table: TableSpec) -> tuple[str, ...]:
    """Operations and columns of a table that can be written; columns of one operation name it."""
    assert table.write is not None
    columns = [
        f"`{column.name}`" + (f" ({', '.join(column.only)})" if column.only else "")
        for column in table.write.columns
    ]
    return f"`{table.name}`", ", ".join(table.write.operations), ", ".join(columns)


def _load_description(table: TableSpec) -> str:
    """``incremental by `updated_at`, every 15 minutes, for each row of repos``."""
    if table.live is not None:
        required = ", ".join(f"`{each.column}`" for each in table.filters if each.required)
        return f"live; requires where {required} = …" if required else "live"
    cursor = table.incremental.cursor if table.incremental is not None else ""
    if table.refresh.strategy in ("reload", "merge_delete"):
        cursor = ""
    parts = [f"incremental by `{cursor}`" if cursor else "full"]
    if table.refresh.every_s:
        parts.append(f"every {format_duration(table.refresh.every_s)}")
    if table.for_each is not None and table.for_each.tables:
        parts.append(f"for each row of {', '.join(table.for_each.tables)}")
    return ", ".join(parts)


if __name__ == "__main__":
    default_path = bundled_specs_folder().parent / "docs" / "adapters.md"
    write_page(Path(sys.argv[1]) if len(sys.argv) > 1 else default_path)
