"""The report of an import: what became a table, what did not and why, and the command to type next."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from unify.importers.common.names import variables_in
from unify.importers.model import AuthOffer, ImportedAPI, ImportedOption, ImportedTable, ImportNote, Leftover
from unify.text import format_count

SHOWN_NOTES = 12  # notes of the same text are joined


class ImportReport(Struct, frozen=True):
    """The report. ``taken`` counts streams of the source; ``tables`` also has tables made for children."""

    file: str
    name: str
    streams: int
    taken: int
    tables: tuple[str, ...]
    added: tuple[str, ...]
    left: tuple[Leftover, ...]
    notes: tuple[ImportNote, ...]
    auth: str
    offered: tuple[str, ...]
    options: tuple[ImportedOption, ...]
    next: str

    @property
    def is_complete(self) -> bool:
        return not self.left


def build_report(api: ImportedAPI, auth: AuthOffer | None, file: str) -> ImportReport:
    """Build the report of a selected API that is, or would be, written to ``file``."""
    own = [table for table in api.tables if not table.added]
    return ImportReport(
        file=file,
        name=api.name,
        streams=len(own) + len(api.left),
        taken=len(own),
        tables=tuple(table.name for table in api.tables),
        added=tuple(table.name for table in api.tables if table.added),
        left=api.left,
        notes=api.notes,
        auth=auth.name if auth is not None else "none",
        offered=tuple(each.name for each in api.auths if each is not auth),
        options=api.options,
        next=_next_command(api, auth, file),
    )


def report_text(report: ImportReport) -> str:
    """The report in lines."""
    return "".join(f"{line}\n" for line in _report_lines(report))


def report_json(report: ImportReport) -> str:
    """The report as one JSON object; its members are those of the text."""
    return json.dumps(msgspec.to_builtins(report), ensure_ascii=False, indent=2) + "\n"


def _report_lines(report: ImportReport) -> Iterator[str]:
    tables = format_count(report.taken, "table")
    title = report.name if report.file == "-" else report.file
    yield f"{title}: {tables} of {format_count(report.streams, 'stream')}"
    width = min(max((len(each.name) for each in report.left), default=0), 30)
    for each in report.left:
        line = f" (line {each.line})" if each.line else ""
        yield f"  left: {each.name:{width}}  {each.reason}{line}"
    yield from (f"  note: {line}" for line in _note_lines(report.notes))
    offered = f"; also offered: {', '.join(report.offered)} (--auth NAME)" if report.offered else ""
    yield f"  auth: {report.auth}{offered}"
    if report.options:
        yield f"  options: {', '.join(map(_option_text, report.options))}"
    if report.added:
        yield f"  tables made for their children: {', '.join(report.added)}"
    if report.next:
        yield f"Next: {report.next}"


def _note_lines(notes: tuple[ImportNote, ...]) -> Iterator[str]:
    """Notes of the same text in one line."""
    subjects: dict[str, list[str]] = {}
    for note in notes:
        subjects.setdefault(note.text, []).append(note.subject)
    for text, names in subjects.items():
        named = [name for name in dict.fromkeys(names) if name]
        shown = ", ".join(named) if len(named) <= 3 else format_count(len(named), "table")
        yield f"{shown}: {text}" if named else text


def _option_text(option: ImportedOption) -> str:
    words = ["secret"] * option.secret + ["optional"] * (not option.required and option.default is None)
    if option.default is not None:
        words.append(f"default {option.default!r}")
    return f"{option.name} ({', '.join(words)})" if words else option.name


def _next_command(api: ImportedAPI, auth: AuthOffer | None, file: str) -> str:
    """``unify spec try`` for the first table, with the options that it needs."""
    if not api.tables:
        return ""
    table = next((each for each in api.tables if each.for_each is None), api.tables[0])
    used = _used_variables(api, auth, table)
    credentials = variables_in(dict(auth.settings)) if auth is not None else set()
    words = ["unify", "spec", "try", file if file != "-" else f"{api.name}.yaml", table.name]
    for option in api.options:
        is_needed = option.required or option.name in credentials
        if option.name in used and is_needed and option.default is None:
            value = f"${{{option.name.upper()}}}" if option.secret else "…"
            words += ["--option", f"{option.name}={value}"]
    return shlex.join(words).replace("'…'", "…")


def _used_variables(api: ImportedAPI, auth: AuthOffer | None, table: ImportedTable) -> set[str]:
    settings = auth.settings if auth is not None else {}
    used = variables_in([api.base_url, dict(api.headers), dict(settings), msgspec.to_builtins(table)])
    return used | table.list_options
