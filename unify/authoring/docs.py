"""docs/adapters.md, written from the bundled specs: ``python -m unify.authoring.docs``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from unify.adapters.spec.loader import bundled_specs_folder, load_spec
from unify.adapters.spec.model import AdapterSpec, Option, TableSpec, View
from unify.text import format_count

_HOUR_S, _DAY_S = 3600, 86400

INTRODUCTION = """\
# Systems

What Unify reads without anything further. Each is a file in [rest_specs/](../rest_specs), which can be copied
and changed; [rest_specs/README.md](../rest_specs/README.md) says how to write one of your own. `connect NAME`
asks for the options of one and tests them.

This page is written by `python -m unify.authoring.docs` from the specs.
"""


def render_page(specs: Iterable[AdapterSpec]) -> str:
    """The whole page, systems by name."""
    ordered = sorted(specs, key=lambda spec: spec.name)
    parts = [INTRODUCTION, *_render_contents(ordered)]
    for spec in ordered:
        parts += ["", *_render_adapter(spec)]
    return "\n".join(parts) + "\n"


def load_bundled_specs() -> list[AdapterSpec]:
    """Every bundled spec. Raises SpecError for one with mistakes."""
    return [load_spec(path) for path in sorted(bundled_specs_folder().glob("*.yaml"))]


def _render_contents(specs: Iterable[AdapterSpec]) -> Iterator[str]:
    yield "| system | what can be read | tables |"
    yield "|---|---|---|"
    for spec in specs:
        yield f"| [{spec.name}](#{spec.name}) | {_escape_cell(spec.description)} | {len(spec.tables)} |"


def _render_adapter(spec: AdapterSpec) -> Iterator[str]:
    yield f"## {spec.name}"
    yield ""
    yield f"{spec.description}. {_auth_sentence(spec)} [The API's own reference]({spec.documentation})."
    yield ""
    if spec.options:
        yield "| option | | meaning |"
        yield "|---|---|---|"
        yield from (_option_row(option) for option in spec.options)
        yield ""
    yield "| table | what its rows are | key | loads |"
    yield "|---|---|---|---|"
    yield from (_table_row(table) for table in spec.tables)
    if spec.views:
        yield ""
        yield "| view | what its rows are |"
        yield "|---|---|"
        yield from (_view_row(view) for view in spec.views)


def _auth_sentence(spec: AdapterSpec) -> str:
    return (
        "No account is needed."
        if spec.auth.type == "none"
        else f"Requests prove who asks by {_auth_label(spec)}."
    )


def _auth_label(spec: AdapterSpec) -> str:
    names = {
        "basic": "user and password",
        "bearer": "a token",
        "api_key": "a key",
        "oauth2": "OAuth 2",
        "session": "logging in",
        "aws_sigv4": "an AWS signature",
        "jwt": "a signed token",
    }
    return names[spec.auth.type]


def _option_row(option: Option) -> str:
    notes = [
        note
        for note, holds in (
            ("secret", option.secret),
            ("required", option.needs_value),
        )
        if holds
    ]
    if option.default:
        default = option.default if len(option.default) <= 60 else option.default[:57] + "…"
        notes.append(f"default `{default}`")
    return f"| `{option.name}` | {_escape_cell(', '.join(notes))} | {_escape_cell(option.description)} |"


def _table_row(table: TableSpec) -> str:
    key = ", ".join(f"`{column}`" for column in table.key)
    return f"| `{table.name}` | {_escape_cell(table.description)} | {key} | {_escape_cell(_load_description(table))} |"


def _load_description(table: TableSpec) -> str:
    """``changes by `updated_at`, every 15 minutes, for each row of repos``."""
    if table.live is not None:
        required = ", ".join(f"`{each.column}`" for each in table.filters if each.required)
        return f"live; where {required} = … is needed" if required else "live"
    cursor = _cursor_column(table)
    parts = [f"changes by `{cursor}`" if cursor else "all again"]
    if table.refresh.every_s:
        parts.append(f"every {_duration_text(table.refresh.every_s)}")
    if table.for_each is not None and table.for_each.tables:
        parts.append(f"for each row of {', '.join(table.for_each.tables)}")
    return ", ".join(parts)


def _cursor_column(table: TableSpec) -> str:
    """The column by which changes are loaded, or nothing where every load takes all."""
    replaced = table.refresh.strategy in ("reload", "merge_delete")
    return table.incremental.cursor if table.incremental is not None and not replaced else ""


def _view_row(view: View) -> str:
    return f"| `{view.name}` | {_escape_cell(view.description)} |"


def _duration_text(seconds: float) -> str:
    for unit_s, unit in ((_DAY_S, "day"), (_HOUR_S, "hour"), (60, "minute")):
        if seconds >= unit_s and seconds % unit_s == 0:
            return format_count(int(seconds // unit_s), unit)
    return format_count(int(seconds), "second")


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def write_page(path: Path) -> None:
    """Bring the page up to date."""
    path.write_text(render_page(load_bundled_specs()), encoding="utf-8")


if __name__ == "__main__":
    write_page(
        Path(sys.argv[1]) if len(sys.argv) > 1 else bundled_specs_folder().parent / "docs" / "adapters.md"
    )
