"""Which variables the texts of a spec may hold, and where."""

from __future__ import annotations

from unify.adapters import specforms, template
from unify.adapters.spec import AdapterSpec, ForEach, Paging, TableSpec
from unify.adapters.specreader import Report
from unify.text import did_you_mean
from unify.yamlnodes import Place


def known_in(
    table: TableSpec, spec: AdapterSpec, paging: Paging, place: Place, report: Report
) -> set[str] | None:
    """The variables of a table's request; None where ``for_each`` does not tell its columns."""
    known = {option.name for option in spec.options}
    known |= {one.column for one in table.filters}
    each = table.for_each or ForEach(columns=())
    for name in sorted(known & set(each.columns or ())):
        report.add((*place, "for_each"), f"{name} is an option and a column of for_each; rename the column")
    if table.incremental is not None:
        known |= {"cursor", "until"} if table.incremental.window_s else {"cursor"}
    if paging.place != "query":
        added = {name for name in _paging_names(paging) if name}
        if "cursor" in added & known:
            report.add(
                (*place, "paging"), "{cursor} belongs to incremental here; choose another cursor_param"
            )
        known |= added
    return None if each.columns is None else known | set(each.columns)


def _paging_names(paging: Paging) -> tuple[str | None, ...]:
    match paging.type:
        case "page":
            return (paging.page_param, paging.size_param)
        case "offset":
            return (paging.offset_param, paging.size_param)
        case "cursor":
            return (paging.cursor_param, paging.size_param)
        case _:
            return (paging.size_param,)


def check_texts(
    value: object, place: Place, known: set[str] | None, report: Report, *, body: bool = False
) -> None:
    """Every variable in every text of ``value`` is one of ``known`` (None: anything may be).

    ``body``  braces that are no variable are part of the text, as GraphQL has them.
    """
    match value:
        case str():
            _text(value, place, known, report, body=body)
        case dict():
            for key, item in value.items():
                check_texts(item, (*place, key), known, report, body=body)
        case list() | tuple():
            for index, item in enumerate(value):
                check_texts(item, (*place, index), known, report, body=body)
        case _:
            return


def _text(text: str, place: Place, known: set[str] | None, report: Report, *, body: bool) -> None:
    for name in template.names(text):
        if known is not None and name not in known:
            report.add(place, _unknown_variable(name, known))
    stray = None if body else specforms.stray_braces(text)
    if stray is not None:
        report.add(place, f"{stray} is no variable; a variable is one name in braces, such as {{org}}")


def _unknown_variable(name: str, known: set[str]) -> str:
    hint = did_you_mean(name, known)
    if hint:
        return f"unknown variable {{{name}}}{hint}"
    if name in ("cursor", "until"):
        return f"{{{name}}} belongs to incremental" + (" with a window" if name == "until" else "")
    listed = ", ".join(f"{{{each}}}" for each in sorted(known)) or "none"
    return f"unknown variable {{{name}}}; known here: {listed}"
