"""Conditions that end the pages: as flags, totals and empty pages of the spec language."""

from __future__ import annotations

from msgspec import Struct

from unify.importers.airbyte.jinja.values import Applied, Known, Operation, Ref, Value, roots_of
from unify.importers.airbyte.manifest import Component, NotImportable

_NUMBERS = ("<", "<=", ">", ">=", "==", "!=")
_TOTAL_NAMES = ("total", "count", "totalcount", "total_count", "recordcount", "total_results", "totalresults")


class StopRule(Struct, frozen=True):
    """Where the pages end.

    ``without``  paths whose absence is the end, which the next cursor or address says already, perhaps.
    ``empty``    they end with a page that is empty or shorter than the others.
    """

    more: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    totals: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    empty: bool = False
    always: bool = False


def read_stop(value: Value, component: Component, text: str) -> StopRule:
    """The rule of a condition that holds at the end. Raises NotImportable for conditions of another kind."""
    match value:
        case Known():
            return StopRule(always=bool(value.value) and value.value != "False")
        case Operation(operator="or"):
            return _merge(read_stop(value.left, component, text), read_stop(value.right, component, text))
        case Operation(operator="and"):
            return _of_conjunction(value, component, text)
        case Operation(operator="not"):
            return _of_absence(value.left, component, text)
        case Operation() if value.operator in _NUMBERS:
            return _of_comparison(value, component, text)
        case Operation(operator="in", left=Known(), right=Ref(root="response" | "headers") as ref):
            raise NotImportable(
                f"ends its pages by a text in {'.'.join(map(str, ref.steps))}: {text}", component
            )
        case Ref(root="response") if value.steps:
            return StopRule(last=(_path(value),))
        case _:
            raise NotImportable(f"ends its pages by a condition: {text}", component)


def merge_rules(*rules: StopRule) -> StopRule:
    """The rule that holds where one of ``rules`` holds."""
    merged = StopRule()
    for rule in rules:
        merged = _merge(merged, rule)
    return merged


def _merge(one: StopRule, two: StopRule) -> StopRule:
    return StopRule(
        (*one.more, *two.more),
        (*one.last, *two.last),
        (*one.pages, *two.pages),
        (*one.totals, *two.totals),
        (*one.without, *two.without),
        one.empty or two.empty,
        one.always or two.always,
    )


def _of_conjunction(value: Operation, component: Component, text: str) -> StopRule:
    """Both must hold: the stricter one decides; the presence of a member adds nothing."""
    sides = [value.left, value.right]
    strict = [each for each in sides if not _is_presence(each)]
    if len(strict) == 1:
        return read_stop(strict[0], component, text)
    rules = [read_stop(each, component, text) for each in sides]
    if rules[0] == rules[1]:
        return rules[0]
    empty = [each for each in rules if each == StopRule(empty=True)]
    without = [each for each in rules if each.without and each == StopRule(without=each.without)]
    if len(empty) == 1:  # what is read until a page is empty has read all that the other side would
        return without[0] if without else empty[0]
    if all(each.without and each == StopRule(without=each.without) for each in rules):
        return rules[0]
    raise NotImportable(f"ends its pages by a condition: {text}", component)


def _is_presence(value: Value) -> bool:
    return isinstance(value, Operation) and value.operator == "present"


def _of_absence(inner: Value, component: Component, text: str) -> StopRule:
    """``not x``: the end is where x is absent, false or empty."""
    match inner:
        case Ref(root="response") if inner.steps:
            return StopRule(without=(_path(inner),))
        case Ref(root="headers"):
            return StopRule(without=("headers",))
        case Ref(root="last_record" | "page_size"):
            return StopRule(empty=True)
        case Ref(root="response"):
            return StopRule(empty=True)
        case Operation(operator="present"):
            return _of_absence(inner.left, component, text)
        case Operation(operator="in"):
            return _of_missing_name(inner, component, text)
        case Operation(operator="==", left=left, right=right):
            return read_stop(Operation("!=", left, right), component, text)
        case Applied(function="length"):
            return StopRule(empty=True)
        case Applied(target=Ref() as target):
            return _of_absence(target, component, text)
        case Operation(operator="and"):
            both = (_of_absence(each, component, text) for each in (inner.left, inner.right))
            return _merge(*both)
        case _:
            raise NotImportable(f"ends its pages by a condition: {text}", component)


def _of_missing_name(value: Operation, component: Component, text: str) -> StopRule:
    """``'next' not in response``: the end is where the member is absent."""
    match value:
        case Operation(left=Known(value=str() as name), right=Ref(root="response") as ref):
            return StopRule(without=(".".join((*map(str, ref.steps), name)),))
        case Operation(right=Ref(root="last_record")):
            return StopRule(empty=True)
        case Operation(right=Ref(root="headers") | Applied(target=Ref(root="headers"))):
            return StopRule(without=("headers",))
        case _:
            raise NotImportable(f"ends its pages by a condition: {text}", component)


def _of_comparison(value: Operation, component: Component, text: str) -> StopRule:
    left, right, operator = value.left, value.right, value.operator
    if isinstance(left, Known) and not isinstance(right, Known):
        left, right = right, left
        operator = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(operator, operator)
    if _counts_rows(left):
        return StopRule(empty=True)
    if isinstance(right, Known) and isinstance(left, Ref | Applied):
        return _with_constant(left, operator, right.value, component, text)
    if roots_of(left) | roots_of(right) <= {"response", "page_token", "page_size", "last_record"}:
        return _of_numbers(left, right, component, text)
    raise NotImportable(f"ends its pages by a condition: {text}", component)


def _counts_rows(value: Value) -> bool:
    is_length = isinstance(value, Applied) and value.function == "length"
    return is_length or (isinstance(value, Ref) and value.root in ("page_size", "last_record"))


def _with_constant(
    left: Ref | Applied, operator: str, constant: object, component: Component, text: str
) -> StopRule:
    """``response.next == none``, ``response.has_more == false``, ``response.last == true`` …"""
    ref = left if isinstance(left, Ref) else left.target
    if not isinstance(ref, Ref) or ref.root not in ("response", "headers"):
        raise NotImportable(f"ends its pages by a condition: {text}", component)
    if ref.root == "headers":
        return StopRule(without=("headers",))
    if not ref.steps or constant == [] or (constant == 0 and _looks_like_count(ref)):
        return StopRule(empty=True)
    if operator in ("<", "<=") and _looks_like_count(ref):
        return StopRule(empty=True)
    is_equal = operator == "=="
    if is_equal and constant in ("null", "inf", "None"):
        return StopRule(without=(_path(ref),))
    is_falsy = constant in (None, "", False, 0, "false", "False", "None", "null")
    if operator in ("==", "!="):
        is_more = is_falsy is is_equal
        if constant in (None, ""):
            return StopRule(without=(_path(ref),)) if is_equal else StopRule(last=(_path(ref),))
        if constant in (True, False, "true", "false", "True", "False"):
            return StopRule(more=(_path(ref),)) if is_more else StopRule(last=(_path(ref),))
    raise NotImportable(f"ends its pages by a condition: {text}", component)


def _looks_like_count(ref: Ref) -> bool:
    name = str(ref.steps[-1]).lower()
    return any(each in name for each in ("count", "size", "length", "total", "results", "num"))


def _of_numbers(left: Value, right: Value, component: Component, text: str) -> StopRule:
    """``response.page >= response.pages`` and the like: the largest number is that of pages or rows."""
    for side in (right, left):
        if isinstance(side, Ref) and side.root == "response" and side.steps:
            name = str(side.steps[-1]).lower()
            if "page" in name and (
                "total" in name or "count" in name or name in ("pages", "last_page", "lastpage")
            ):
                return StopRule(pages=(_path(side),))
            if name in _TOTAL_NAMES or "total" in name:
                return StopRule(totals=(_path(side),))
    raise NotImportable(f"ends its pages by a condition: {text}", component)


def _path(ref: Ref) -> str:
    return ".".join(map(str, ref.steps))
