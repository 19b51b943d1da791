"""docs/adapters.md, written from the bundled specs: ``python -m unify.adapters.specdocs``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from unify.adapters.spec import AdapterSpec, Option, TableSpec, View
from unify.adapters.specfile import bundled_specs, load_spec
from unify.text import counted

_HOUR_S, _DAY_S = 3600, 86400

INTRODUCTION = """\
# Systems

What Unify reads without anything further. Each is a file in [rest_specs/](../rest_specs), which can be copied
and changed; [rest_specs/README.md](../rest_specs/README.md) says how to write one of your own. `connect NAME`
asks for the options of one and tests them.

This page is written by `python -m unify.adapters.specdocs` from the specs.
"""


def page(specs: Iterable[AdapterSpec]) -> str:
    """The whole page, systems by name."""
    ordered = sorted(specs, key=lambda spec: spec.name)
    parts = [INTRODUCTION, *_contents(ordered)]
    for spec in ordered:
        parts += ["", *_system(spec)]
    return "\n".join(parts) + "\n"


def load_bundled() -> list[AdapterSpec]:
    """Every bundled spec. Raises SpecError for one with mistakes."""
    return [load_spec(path) for path in sorted(bundled_specs().glob("*.yaml"))]


def _contents(specs: Iterable[AdapterSpec]) -> Iterator[str]:
    yield "| system | what can be read | tables |"
    yield "|---|---|---|"
    for spec in specs:
        yield f"| [{spec.name}](#{spec.name}) | {_cell(spec.description)} | {len(spec.tables)} |"


def _system(spec: AdapterSpec) -> Iterator[str]:
    yield f"## {spec.name}"
    yield ""
    yield f"{spec.description}. {_account(spec)} [The API's own reference]({spec.documentation})."
    yield ""
    if spec.options:
        yield "| option | | meaning |"
        yield "|---|---|---|"
        yield from (_option(option) for option in spec.options)
        yield ""
    yield "| table | what its rows are | key | loads |"
    yield "|---|---|---|---|"
    yield from (_table(table) for table in spec.tables)
    if spec.views:
        yield ""
        yield "| view | what its rows are |"
        yield "|---|---|"
        yield from (_view(view) for view in spec.views)


def _account(spec: AdapterSpec) -> str:
    return (
        "No account is needed." if spec.auth.type == "none" else f"Requests prove who asks by {_proof(spec)}."
    )


def _proof(spec: AdapterSpec) -> str:
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


def _option(option: Option) -> str:
    notes = [
        note
        for note, holds in (
            ("secret", option.secret),
            ("required", option.needed),
        )
        if holds
    ]
    if option.default:
        default = option.default if len(option.default) <= 60 else option.default[:57] + "…"
        notes.append(f"default `{default}`")
    return f"| `{option.name}` | {_cell(', '.join(notes))} | {_cell(option.description)} |"


def _table(table: TableSpec) -> str:
    key = ", ".join(f"`{column}`" for column in table.key)
    return f"| `{table.name}` | {_cell(table.description)} | {key} | {_cell(_loads(table))} |"


def _loads(table: TableSpec) -> str:
    """``changes by `updated_at`, every 15 minutes, for each row of repos``."""
    if table.live is not None:
        required = ", ".join(f"`{each.column}`" for each in table.filters if each.required)
        return f"live; where {required} = … is needed" if required else "live"
    cursor = _cursor(table)
    parts = [f"changes by `{cursor}`" if cursor else "all again"]
    if table.refresh.every_s:
        parts.append(f"every {_duration(table.refresh.every_s)}")
    if table.for_each is not None and table.for_each.tables:
        parts.append(f"for each row of {', '.join(table.for_each.tables)}")
    return ", ".join(parts)


def _cursor(table: TableSpec) -> str:
    """The column by which changes are loaded, or nothing where every load takes all."""
    replaced = table.refresh.strategy in ("reload", "merge_delete")
    return table.incremental.cursor if table.incremental is not None and not replaced else ""


def _view(view: View) -> str:
    return f"| `{view.name}` | {_cell(view.description)} |"


def _duration(seconds: float) -> str:
    for unit_s, unit in ((_DAY_S, "day"), (_HOUR_S, "hour"), (60, "minute")):
        if seconds >= unit_s and seconds % unit_s == 0:
            return counted(int(seconds // unit_s), unit)
    return counted(int(seconds), "second")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def write(path: Path) -> None:
    """Bring the page up to date."""
    path.write_text(page(load_bundled()), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else bundled_specs().parent / "docs" / "adapters.md")
