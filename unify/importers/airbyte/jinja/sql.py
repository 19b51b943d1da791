"""Writes values of records as SQL expressions over the columns of a row.

Jinja takes None, "", 0, false and empty lists for false. SQL has NULL for a member that is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from unify.importers.airbyte.jinja.values import (
    Applied,
    Choice,
    Items,
    Joined,
    Known,
    Members,
    Moment,
    Operation,
    Ref,
    Value,
)
from unify.importers.common.names import literal, sql_name
from unify.importers.model import Json

_FALSE_TEXTS = "('', '0', '0.0', 'false', '[]', '{}')"
_COMPARISONS = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_ARITHMETIC = frozenset("+-*/")
_FUNCTIONS = {"lower": "lower", "upper": "upper", "strip": "trim", "trim": "trim"}


class ExpressionWriter(Struct, frozen=True):
    """Writes the values of one stream. Methods raise ValueError for a value that SQL does not express.

    ``variable``  the ``{variable}`` of an option, of the row of a parent, or of the time window.
    """

    variable: Callable[[Ref], str]

    def value(self, value: Value) -> str:
        """The expression of a value."""
        match value:
            case Known():
                return _constant(value.value)
            case Ref(root="record"):
                return self._column(value)
            case Ref(root="config" | "partition" | "interval"):
                return self.variable(value)
            case Joined(parts=parts):
                return " || ".join(self._text(part) for part in parts)
            case Applied():
                return self._applied(value)
            case Moment():
                return self._moment(value)
            case Members(members=members):
                pairs = ", ".join(f"{_quoted(key)}: {self.value(each)}" for key, each in members.items())
                return f"{{{pairs}}}"
            case Choice():
                test, then, otherwise = self.condition(value.test), value.then, value.otherwise
                return f"case when {test} then {self.value(then)} else {self.value(otherwise)} end"
            case Operation(operator="or"):
                left, is_text = self._or_null(value.left), isinstance(value.right, Known)
                return f"coalesce({f'({left})::varchar' if is_text else left}, {self.value(value.right)})"
            case Operation(operator=operator) if operator in _ARITHMETIC:
                return f"{self._number(value.left)} {operator} {self._number(value.right)}"
            case Operation():
                return self.condition(value)
            case _:
                raise ValueError("no SQL")

    def condition(self, value: Value) -> str:
        """The expression of a condition: true or false, never NULL where that matters."""
        match value:
            case Known():
                return "true" if value.value else "false"
            case Operation(operator="not"):
                return f"not {self._grouped(value.left)}"
            case Operation(operator="and" | "or" as operator):
                return f"{self._grouped(value.left)} {operator} {self._grouped(value.right)}"
            case Operation(operator="present"):
                return f"{self.value(value.left)} is not null"
            case Operation(operator="in"):
                return self._membership(value)
            case Operation(operator=operator) if operator in _COMPARISONS:
                return self._comparison(value)
            case _:
                return f"coalesce({self.value(value)}::varchar, '') not in {_FALSE_TEXTS}"

    def _grouped(self, value: Value) -> str:
        text = self.condition(value)
        return f"({text})" if isinstance(value, Operation) else text

    def _comparison(self, value: Operation) -> str:
        operator, left, right = _COMPARISONS[value.operator], value.left, value.right
        if right == Known(None) or left == Known(None):
            other = self.value(left if right == Known(None) else right)
            if operator not in ("=", "<>"):
                raise ValueError("no SQL")
            return f"{other} is {'not ' if operator == '<>' else ''}null"
        constant = next((each.value for each in (left, right) if isinstance(each, Known)), None)
        if isinstance(constant, int | float) and not isinstance(constant, bool):
            return f"{self._number(left)} {operator} {self._number(right)}"
        if operator in ("=", "<>") or isinstance(constant, str):
            distinct = "is distinct from" if operator == "<>" else operator
            return f"{self._text(left)} {distinct} {self._text(right)}"
        raise ValueError("no SQL")

    def _membership(self, value: Operation) -> str:
        match value.left, value.right:
            case Known(value=str() as name), Ref(root="record", steps=steps):
                return f"{self._column(Ref('record', (*steps, name)))} is not null"
            case left, Known(value=list() as items):
                texts = ", ".join(self._text(Known(each)) for each in items if each is not None)
                tests = [f"{self._text(left)} in ({texts})"] if texts else []
                tests += [f"{self.value(left)} is null"] if None in items else []
                return " or ".join(tests) or "false"
            case _:
                raise ValueError("no SQL")

    def _column(self, ref: Ref) -> str:
        if not ref.steps or any(not isinstance(step, str) or not step for step in ref.steps):
            raise ValueError("no SQL")
        name = sql_name("_".join(map(str, ref.steps)))
        if ref.default is None:
            return name
        if ref.default == "None":
            return self._or_null(Ref(ref.root, ref.steps))
        return f"coalesce(nullif({name}::varchar, ''), {_quoted(str(ref.default))})"

    def _or_null(self, value: Value) -> str:
        """The value, NULL if Jinja takes it for false."""
        if isinstance(value, Operation) and value.operator == "or":
            return self.value(value)
        text = self.value(value)
        return f"case when {text}::varchar not in {_FALSE_TEXTS} then {text} end"

    def _text(self, value: Value) -> str:
        """The value as a text."""
        if isinstance(value, Known):
            return _quoted(str(value.value).lower() if isinstance(value.value, bool) else str(value.value))
        text = self.value(value)
        return text if isinstance(value, Joined) else f"{_operand(text)}::varchar"

    def _number(self, value: Value) -> str:
        if isinstance(value, Known):
            return self.value(value)
        return f"try_cast({self.value(value)} as double)"

    def _applied(self, value: Applied) -> str:
        arguments, target = value.arguments, value.target
        match value.function, arguments:
            case function, () if function in _FUNCTIONS:
                return f"{_FUNCTIONS[function]}({self._text(target)})"
            case "hash", ("md5",):
                return f"md5({self._text(target)})"
            case "replace", (str() as old, str() as new):
                return f"replace({self._text(target)}, {_quoted(old)}, {_quoted(new)})"
            case "regex_search", (str() as pattern,):
                group = 1 if "(" in pattern.replace("\\(", "") else 0
                return f"nullif(regexp_extract({self._text(target)}, {_quoted(pattern)}, {group}), '')"
            case "item", (int() as index,) if isinstance(target, Applied) and target.function == "split":
                separator = target.arguments[0] if target.arguments else " "
                position = index + 1 if index >= 0 else index
                return f"split_part({self._text(target.target)}, {_quoted(str(separator))}, {position})"
            case "slice", (None | 0, int() as end) if end > 0:
                return f"left({self._text(target)}, {end})"
            case "join", (str() as separator,) if isinstance(target, Items):
                glue = f" || {_quoted(separator)} || "
                return glue.join(self._text(item) for item in target.items)
            case _:
                raise ValueError("no SQL")

    def _moment(self, moment: Moment) -> str:
        if isinstance(moment.base, str) or moment.offset_s or moment.format is None:
            raise ValueError("no SQL")
        base = self._time(moment.base)
        if moment.format == "%s":
            return f"epoch({base})::bigint"
        return f"strftime({base}, {_quoted(moment.format)})"

    def _time(self, value: Value) -> str:
        """The time that a text or a number of seconds since 1970 means."""
        match value:
            case Applied(function="strptime", target=target, arguments=(str() as format_,)):
                return f"strptime({self._text(target)}, {_quoted(format_)})::timestamptz"
            case _:
                text = self._text(value)
                return f"coalesce(try_cast({text} as timestamptz), to_timestamp(try_cast({text} as double)))"


def _operand(text: str) -> str:
    return text if text.replace("_", "").isalnum() or text.endswith((")", '"', "}")) else f"({text})"


def _constant(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            return _quoted(value)
        case _:
            raise ValueError("no SQL")


def _quoted(text: str) -> str:
    return "'" + literal(text).replace("'", "''") + "'"


def sql_of(writer: ExpressionWriter, parts: Sequence[Value]) -> str:
    """The condition that all parts hold."""
    conditions = [writer.condition(part) for part in parts]
    return " and ".join(f"({each})" for each in conditions) if len(conditions) > 1 else conditions[0]
