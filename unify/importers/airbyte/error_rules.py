"""Error handlers as ``errors``. A rule that cannot be kept fails a load; it never loses rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from unify.importers.airbyte.context import StreamContext, shown
from unify.importers.airbyte.jinja.values import Known, Operation, Ref, Value
from unify.importers.airbyte.manifest import Component, type_of
from unify.importers.common.documents import items_of, members_of, text_of
from unify.importers.model import ImportedErrorRule

Json = Any  # a JSON value: dict, list, str, int, float, bool or None
_ACTIONS = {"IGNORE": "skip", "SUCCESS": "skip", "RETRY": "retry", "RATE_LIMITED": "wait", "FAIL": "fail"}
_RETRIED = frozenset([429, 500, 502, 503, 504])  # without a rule, too


def read_error_rules(handler: Json, ctx: StreamContext) -> tuple[ImportedErrorRule, ...]:
    """The rules of an error handler, in its order, without those that always hold."""
    rules: dict[str, ImportedErrorRule] = {}
    for each in _filters(members_of(handler), ctx):
        for rule in _rules_of(each, ctx):
            rules.setdefault(repr((rule.status, rule.body, rule.where)), rule)
    kept = [each for each in rules.values() if not _is_usual(each)]
    return tuple(kept)


def _filters(handler: Component, ctx: StreamContext) -> Iterator[Component]:
    kind = type_of(handler)
    if kind.startswith("Custom "):
        ctx.note(f"errors are handled by {kind} (Python) in the source; here an error fails the load")
        return
    for each in map(members_of, items_of(handler.get("error_handlers"))):
        yield from _filters(each, ctx)
    for each in map(members_of, items_of(handler.get("response_filters"))):
        yield each


def _rules_of(response_filter: Component, ctx: StreamContext) -> Iterator[ImportedErrorRule]:
    action = _ACTIONS.get(text_of(response_filter.get("action")) or "FAIL")
    if action is None:
        ctx.note(f"the action {response_filter.get('action')} of an error is not kept")
        return
    codes: list[int | None] = [
        each for each in map(_status, items_of(response_filter.get("http_codes"))) if each is not None
    ]
    body = text_of(response_filter.get("error_message_contains")) or None
    where: dict[str, str] = {}
    if predicate := response_filter.get("predicate"):
        found = _conditions(ctx.fold(predicate, response_filter))
        if found is None:
            if action != "fail":
                ctx.note(f"a rule for errors is not kept, so a load fails: {shown(predicate)}")
            return
        text, where = found
        body = body or text
    for status in codes or [None]:
        if status is None and body is None and not where:
            continue
        if status in range(200, 300) and body is None and not where:
            continue
        yield ImportedErrorRule(status, body, where, action)


def _status(value: Json) -> int | None:
    return int(value) if str(value).isdecimal() and 100 <= int(value) <= 599 else None


def _conditions(value: Value) -> tuple[str | None, dict[str, str]] | None:
    """A text in the body and values at paths; None if a condition is more."""
    match value:
        case Operation(operator="in", left=Known(value=str() as text), right=Ref(root="response")):
            return text, {}
        case Operation(operator="==", left=Ref(root="response") as ref, right=Known(value=known)) if (
            ref.steps
        ):
            return None, {".".join(map(str, ref.steps)): _as_text(known)}
        case Operation(operator="and"):
            left, right = _conditions(value.left), _conditions(value.right)
            if left is None or right is None or (left[0] and right[0]):
                return None
            return left[0] or right[0], {**left[1], **right[1]}
        case _:
            return None


def _as_text(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_usual(rule: ImportedErrorRule) -> bool:
    """Whether a rule says what holds without it."""
    if rule.body is not None or rule.where:
        return rule.action == "fail" and rule.status is None
    is_retried = rule.status in _RETRIED and rule.action in ("retry", "wait")
    return is_retried or (rule.action == "fail" and rule.status not in _RETRIED)
