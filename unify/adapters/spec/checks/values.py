"""Checks that tables and specs share: variables in texts, distinct names, rules for errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unify.adapters.spec import formats, template
from unify.adapters.spec.model import ErrorRule
from unify.adapters.spec.parse import ProblemReport
from unify.config.yaml import NodePath
from unify.text import did_you_mean


def validate_error_rules(rules: Sequence[ErrorRule], path: NodePath, report: ProblemReport) -> None:
    for index, rule in enumerate(rules):
        here = (*path, "errors", index)
        if rule.body is None and not rule.where:
            if rule.status is None:
                report.add_problem(here, "expected status, body or where")
            elif rule.action == "skip" and rule.status in range(200, 300):
                report.add_problem(here, f"skips every response with status {rule.status}; add body or where")


def validate_distinct_names(names: Sequence[str], noun: str, path: NodePath, report: ProblemReport) -> None:
    """SQL does not distinguish upper and lower case."""
    folded = [name.lower() for name in names]
    for name in names:
        if folded.count(name.lower()) > 1:
            report.add_problem((*path, name), f"differs from another {noun} only in upper and lower case")


def validate_variables(
    value: object, path: NodePath, known: set[str] | None, report: ProblemReport, *, body: bool = False
) -> None:
    """Report variables that are not ``known`` (None: any is allowed) in the texts below ``value``.

    In a body, braces that are not part of a variable are allowed, as in GraphQL.
    """
    match value:
        case str():
            for problem in _variable_problems(value, known, body=body):
                report.add_problem(path, problem)
        case Mapping():
            for key, item in value.items():
                validate_variables(item, (*path, key), known, report, body=body)
        case list() | tuple():
            for index, item in enumerate(value):
                validate_variables(item, (*path, index), known, report, body=body)


def _variable_problems(text: str, known: set[str] | None, *, body: bool) -> list[str]:
    names = [name for name in template.variable_names(text) if known is not None and name not in known]
    problems = [_unknown_variable_text(name, known or set()) for name in names]
    for time_format in template.time_formats(text):
        try:
            formats.check_time_format(time_format)
        except ValueError as error:
            problems.append(str(error))
    unknown = [each for each in template.unknown_encoders(text) if not body or each[0] in (known or ())]
    for name, encoder in unknown:
        hint = did_you_mean(encoder, template.QUOTE_ENCODERS)
        listed = hint or f"; known are {', '.join(template.QUOTE_ENCODERS)}, and time formats such as date"
        problems.append(f"{{{name}:{encoder}}}: unknown encoder {encoder!r}{listed}")
    stray = None if body or unknown else formats.find_stray_braces(text)
    if stray is not None:
        problems.append(f"{stray} is not a variable; a variable is one name in braces, such as {{org}}")
    return problems


def _unknown_variable_text(name: str, known: set[str]) -> str:
    hint = did_you_mean(name, known)
    if hint:
        return f"unknown variable {{{name}}}{hint}"
    if name in ("cursor", "until"):
        return f"{{{name}}} requires incremental" + (" with a window" if name == "until" else "")
    names = ", ".join(f"{{{each}}}" for each in sorted(known)) or "none"
    return f"unknown variable {{{name}}}; variables here: {names}"
