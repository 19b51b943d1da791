"""Converts a foreign description to a checked spec: read, select, write, report.

A spec is written only after the checks of ``unify spec check``.
"""

from __future__ import annotations

import fnmatch
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.spec.loader import load_spec
from unify.errors import FileError, Problem, SpecError, UsageError
from unify.importers.common.documents import SourceText
from unify.importers.common.names import to_name, variables_in
from unify.importers.emit import emit_spec
from unify.importers.formats import import_sources
from unify.importers.model import AuthOffer, ImportedAPI, ImportedTable, ImportSettings, Leftover
from unify.importers.report import ImportReport, build_report
from unify.text import did_you_mean

_MAX_CHECKS = 5  # a table that is left may leave others
_TABLE_KEY = re.compile(r"tables\.([^.\[]+)")


class ImportResult(Struct, frozen=True):
    """The text of a spec that passed its checks, and the report. ``text`` is "" if there is no table."""

    text: str
    report: ImportReport


def convert(
    sources: Sequence[SourceText],
    settings: ImportSettings,
    *,
    format_name: str | None = None,
    tables: Sequence[str] = (),
    output: str | None = None,
) -> ImportResult:
    """Convert documents of one API to the text of a spec.

    ``format_name``  the format; None: found from the content.
    ``tables``       globs of the tables to take, with their parents; none: all.
    ``output``       the file that will be written, for the report; None: ``NAME.yaml``.

    Raises: FileError if a document cannot be read; UsageError for an unknown table, scheme or option.
    """
    api = _import(sources, settings, format_name)
    api = replace(api, name=to_name(settings.name or api.name, "api"))
    api = _select_tables(api, tables)
    auth = _choose_auth(api, settings.auth)
    api = _set_options(api, auth, settings.options)
    file = output if output is not None else f"{api.name}.yaml"
    if not api.tables:
        return ImportResult("", build_report(api, auth, file))
    api, text = _checked(api, auth)
    return ImportResult(text, build_report(api, auth, file))


def _import(sources: Sequence[SourceText], settings: ImportSettings, format_name: str | None) -> ImportedAPI:
    """Read the documents. Raises FileError, also for an address that no URL parser reads."""
    try:
        return import_sources(sources, settings, format_name)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{sources[0].path}: cannot be read: {error}") from error


def _select_tables(api: ImportedAPI, globs: Sequence[str]) -> ImportedAPI:
    """Keep the tables that a glob matches, and the tables that these read. Raises UsageError for none."""
    if not globs:
        return api
    wanted = {table.name for table in api.tables if _matches(table.name, globs)}
    left = tuple(each for each in api.left if _matches(each.name, globs))
    unknown = [glob for glob in globs if not any(_matches(name, [glob]) for name in _all_names(api))]
    if unknown:
        hint = did_you_mean(unknown[0], _all_names(api))
        raise UsageError(f"--tables {unknown[0]}: no table or stream has this name{hint}")
    kept = _with_parents(wanted, api.tables)
    tables = tuple(
        replace(table, added=table.added or table.name not in wanted)
        for table in api.tables
        if table.name in kept
    )
    notes = tuple(note for note in api.notes if note.subject in ("", *kept))
    return replace(api, tables=tables, left=left, notes=notes)


def _all_names(api: ImportedAPI) -> list[str]:
    return [*(table.name for table in api.tables), *(each.name for each in api.left)]


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), glob.lower()) for glob in globs)


def _with_parents(names: set[str], tables: Sequence[ImportedTable]) -> set[str]:
    by_name = {table.name: table for table in tables}
    found, waiting = set(names), list(names)
    while waiting:
        for parent in by_name[waiting.pop()].parents:
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


def _choose_auth(api: ImportedAPI, name: str | None) -> AuthOffer | None:
    """The scheme of this name, else the first. Raises UsageError for an unknown one."""
    offered = [auth.name for auth in api.auths]
    if name is None or (name == "none" and name not in offered):
        return api.auths[0] if api.auths and name is None else None
    if name not in offered:
        listed = ", ".join([*offered, "none"])
        raise UsageError(f"--auth {name}: the source does not offer it; use one of {listed}")
    return api.auths[offered.index(name)]


def _set_options(api: ImportedAPI, auth: AuthOffer | None, values: Mapping[str, str]) -> ImportedAPI:
    """Set the defaults that the user gives, and leave out options that nothing uses."""
    by_name = {option.name: option for option in api.options}
    for name in values:
        if name not in by_name and name not in api.choices:
            hint = did_you_mean(name, (*by_name, *api.choices))
            raise UsageError(f"--option {name}: unknown option{hint}")
        if name in by_name and by_name[name].secret:
            raise UsageError(f"--option {name}: is a secret; a spec holds none, set it in connections.yaml")
    settings = dict(auth.settings) if auth is not None else {}
    tables = [msgspec.to_builtins(table) for table in api.tables]
    used = variables_in([api.base_url, dict(api.headers), settings, tables])
    used |= {option for table in api.tables for option in table.list_options}
    options = tuple(
        replace(option, default=values.get(option.name, option.default))
        for option in api.options
        if option.name in used
    )
    return replace(api, options=options)


def _checked(api: ImportedAPI, auth: AuthOffer | None) -> tuple[ImportedAPI, str]:
    """The text of a spec that passes its check, and the API without the tables that do not.

    Raises FileError if something else than a table does not pass.
    """
    for _ in range(_MAX_CHECKS):
        text = emit_spec(api, auth)
        problems = _find_problems(text, api.name)
        if not problems:
            return api, text
        reasons = {match[1]: each.text for each in problems if (match := _TABLE_KEY.match(each.key))}
        if len(reasons) == len(api.tables) or not all(_TABLE_KEY.match(each.key) for each in problems):
            break
        api = _leave_tables(api, reasons)
    lines = "\n".join(f"  line {each.line}:{each.column}: {each.key}: {each.text}" for each in problems)
    raise FileError(f"the converted spec does not pass its check; nothing is written:\n{lines}")


def _leave_tables(api: ImportedAPI, reasons: Mapping[str, str]) -> ImportedAPI:
    """Leave tables, and those that read them."""
    gone = dict(reasons)
    for _ in api.tables:
        for table in api.tables:
            parent = next((each for each in table.parents if each in gone), None)
            if parent is not None and table.name not in gone:
                gone[table.name] = f"its parent {parent} is not imported"
    left = [Leftover(each.name, gone[each.name], each.line) for each in api.tables if each.name in gone]
    kept = tuple(table for table in api.tables if table.name not in gone)
    notes = tuple(note for note in api.notes if note.subject not in gone)
    return replace(api, tables=kept, left=(*api.left, *left), notes=notes)


def _find_problems(text: str, name: str) -> Sequence[Problem]:
    """The problems that ``unify spec check`` finds in a spec."""
    with tempfile.TemporaryDirectory(prefix="unify-import-") as folder:
        path = Path(folder) / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            load_spec(path)
        except SpecError as error:
            return error.problems
    return ()
