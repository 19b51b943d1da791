"""Folds parsed expressions to values: constants are computed, members of options and responses are found.

A condition on options is decided: by a value that the user sets, else by the default or the first allowed
value. What was assumed is kept for the report.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from unify.importers.airbyte.jinja.calls import apply_filter, call_macro, call_method, is_text
from unify.importers.airbyte.jinja.nodes import (
    CallNode,
    CondNode,
    ConstNode,
    DictNode,
    FilterNode,
    ListNode,
    MemberNode,
    NameNode,
    Node,
    NotNode,
    OpaqueNode,
    OperationNode,
    SetNode,
    SliceNode,
    TemplateNode,
    TestNode,
)
from unify.importers.airbyte.jinja.parser import has_jinja, parse_template
from unify.importers.airbyte.jinja.values import (
    NOTHING,
    Applied,
    Choice,
    Items,
    Joined,
    Known,
    Members,
    Moment,
    Opaque,
    Operation,
    Ref,
    Span,
    Value,
)
from unify.importers.model import Json

_ROOTS: Mapping[str, Ref] = {
    "config": Ref("config"),
    "record": Ref("record"),
    "response": Ref("response"),
    "headers": Ref("headers"),
    "last_record": Ref("last_record"),
    "stream_slice": Ref("partition"),
    "stream_partition": Ref("partition"),
    "stream_interval": Ref("interval"),
    "next_page_token": Ref("page_token"),
    "stream_state": Ref("state"),
    "last_page_size": Ref("page_size"),
}
_INTERVAL_MEMBERS = ("start_time", "end_time")
_COMPARISONS: Mapping[str, Callable[[Json, Json], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
OptionDecider = Callable[[tuple[str, ...]], "Value"]


class Folder:
    """Folds the texts of one component.

    ``decide``     the value of an option for a condition: Known, or the Ref itself if it has some value.
    ``parameters`` the $parameters of the component.
    ``has_window`` the stream has a time window.
    ``partition``  names of the values of a parent.
    """

    def __init__(
        self,
        parameters: Mapping[str, Json],
        decide: OptionDecider,
        *,
        has_window: bool = False,
        partition: Collection[str] = (),
    ) -> None:
        self._parameters = parameters
        self._decide = decide
        self._has_window = has_window
        self._partition = partition
        self._names: dict[str, Value] = {}

    def text(self, text: Json) -> Value:
        """The value of a text of the manifest, or of another JSON value."""
        if not isinstance(text, str):
            return Known(text)
        if not has_jinja(text):
            return Known(text)
        self._names = {}
        return self.node(parse_template(text.strip() if text.count("{{") == 1 else text))

    def node(self, node: Node) -> Value:
        match node:
            case ConstNode():
                return Known(node.value)
            case NameNode():
                return self._name(node.name)
            case MemberNode():
                return self._member(self.node(node.target), self.node(node.key))
            case CallNode():
                return self._call(node)
            case FilterNode():
                return apply_filter(
                    self.node(node.target), node.name, [self.node(each) for each in node.arguments]
                )
            case TestNode():
                return self._test(self.node(node.target), node.name)
            case NotNode():
                return self._not(self.node(node.operand))
            case OperationNode(operator="and" | "or"):
                return self._logic(node)
            case OperationNode():
                return self._operation(node.operator, self.node(node.left), self.node(node.right))
            case CondNode():
                return self._cond(node)
            case TemplateNode():
                return self._template(node)
            case _:
                return self._collection(node)

    def _collection(self, node: Node) -> Value:
        match node:
            case ListNode():
                items = [self.node(each) for each in node.items]
                if all(isinstance(each, Known) for each in items):
                    return Known([each.value for each in items if isinstance(each, Known)])
                return Items(tuple(items))
            case DictNode():
                return self._dictionary(node)
            case SliceNode():
                return self._slice(node)
            case OpaqueNode():
                return Opaque(node.text)
            case _:
                return Opaque("…")

    def _slice(self, node: SliceNode) -> Value:
        """A part of a text; its ends are arguments if they are known."""
        target = self.node(node.target)
        ends = [self.node(each) if each is not None else NOTHING for each in (node.start, node.stop)]
        known = [each.value for each in ends if isinstance(each, Known)]
        if len(known) < len(ends):
            return Applied("slice", target)
        if isinstance(target, Known) and isinstance(target.value, str):
            return Known(target.value[slice(*known)])
        return Applied("slice", target, tuple(known))

    def _dictionary(self, node: DictNode) -> Value:
        members: dict[str, Value] = {}
        for key, item in node.items:
            name = self.node(key)
            if not isinstance(name, Known):
                return Opaque("{…}")
            members[str(name.value)] = self.node(item)
        if all(isinstance(each, Known) for each in members.values()):
            return Known({name: each.value for name, each in members.items() if isinstance(each, Known)})
        return Members(members)

    # -- members and calls -------------------------------------------------------------------------------

    def _name(self, name: str) -> Value:
        if name in self._names:
            return self._names[name]
        if name == "parameters":
            return Known(dict(self._parameters))
        return _ROOTS.get(name, NOTHING)

    def _member(self, target: Value, key: Value) -> Value:
        if not isinstance(key, Known) or not isinstance(key.value, str | int):
            return Opaque("…[…]")
        step = key.value
        match target:
            case Ref(root="partition") if not target.steps and step in _INTERVAL_MEMBERS:
                return Ref("interval", (step,))
            case Ref(root="interval") if not target.steps and step in self._partition:
                return Ref("partition", (step,))
            case Ref(root="page_token") if step == "next_page_token":
                return target
            case Ref():
                return target.child(step)
            case Known(value=dict() as members):
                return Known(members.get(step))
            case Known(value=list() as items) if isinstance(step, int) and -len(items) <= step < len(items):
                return Known(items[step])
            case Known():
                return NOTHING
            case Applied():
                return Applied("item", target, (step,))
            case Members():
                return target.members.get(str(step), NOTHING)
            case _:
                return Opaque(f"…[{step!r}]")

    def _call(self, node: CallNode) -> Value:
        arguments = [self.node(each) for each in node.arguments]
        named = {name: self.node(each) for name, each in node.named}
        match node.function:
            case NameNode():
                return call_macro(node.function.name, arguments, named)
            case MemberNode(key=ConstNode(value=str() as name)):
                target = self.node(node.function.target)
                if name == "get" and isinstance(target, Ref) and arguments:
                    plain = self._member(target, arguments[0])
                    is_special = isinstance(plain, Ref) and plain.root != target.root
                    if is_special or target.root == "page_token":
                        return plain
                return call_method(target, name, arguments)
            case _:
                return Opaque("…(…)")

    # -- conditions --------------------------------------------------------------------------------------

    def truth(self, value: Value) -> bool | None:
        """Whether a condition holds; None: it is known only when requests are sent."""
        match value:
            case Known():
                return bool(value.value)
            case Ref(root="config"):
                decided = self._decide(tuple(map(str, value.steps)))
                if isinstance(decided, Known) and decided.value is None:
                    return bool(value.default)
                return bool(decided.value) if isinstance(decided, Known) else True
            case Operation(operator="not"):
                inner = self.truth(value.left)
                return None if inner is None else not inner
            case Operation(operator="and" | "or"):
                return self._both_truth(value)
            case Joined() | Moment():
                return True
            case Ref(root="interval"):
                return self._has_window
            case Applied(target=Ref(root="config")):
                return self.truth(value.target) or None
            case _:
                return None

    def _both_truth(self, value: Operation) -> bool | None:
        left, right = self.truth(value.left), self.truth(value.right)
        decisive = value.operator == "or"
        if left is decisive or right is decisive:
            return decisive
        return None if left is None or right is None else not decisive

    def _test(self, value: Value, name: str) -> Value:
        match name:
            case "defined" | "none" | "undefined":
                if isinstance(value, Known):
                    return Known((value.value is None) is (name != "defined"))
                if isinstance(value, Ref) and value.root == "interval":
                    return Known(self._has_window is (name == "defined"))
                if isinstance(value, Ref) and value.root == "config":
                    return Known(self.truth(Ref("config", value.steps)) is (name == "defined"))
                present: Value = Operation("present", value, NOTHING)
                return present if name == "defined" else Operation("not", present, NOTHING)
            case "true" | "false":
                return self._operation("==", value, Known(name == "true"))
            case "string" | "mapping" | "iterable" | "number" | "sequence" if isinstance(value, Known):
                kinds = {"string": str, "mapping": dict, "number": (int, float)}
                kind = kinds.get(name, (list, str, dict))
                return Known(isinstance(value.value, kind))  # type: ignore[arg-type]
            case _:
                return Opaque(f"… is {name}")

    def _not(self, value: Value) -> Value:
        known = self.truth(value)
        return Operation("not", value, NOTHING) if known is None else Known(not known)

    def _logic(self, node: OperationNode) -> Value:
        left = self.node(node.left)
        if node.operator == "or":
            right = self.node(node.right)
            if isinstance(left, Ref) and isinstance(right, Known) and left.root != "page_token":
                return Ref(left.root, left.steps, right.value if left.default is None else left.default)
            holds = self.truth(left)
            if isinstance(left, Ref) and left.root == "config" and isinstance(right, Ref):
                holds = self._is_set(left)
            if holds is not None:
                return left if holds else right
            return Operation("or", left, right)
        holds = self.truth(left)
        if holds is not None:
            return self.node(node.right) if holds else left
        return Operation("and", left, self.node(node.right))

    def _is_set(self, value: Ref) -> bool:
        decided = self._decide(tuple(map(str, value.steps)))
        return not isinstance(decided, Known) or decided.value is not None

    def _cond(self, node: CondNode) -> Value:
        test = self.node(node.test)
        then, otherwise = self.node(node.then), self.node(node.otherwise)
        subject = _presence_subject(test)
        if isinstance(then, Ref) and subject == Ref(then.root, then.steps) and isinstance(otherwise, Known):
            return Ref(then.root, then.steps, otherwise.value if otherwise.value != "" else None)
        if isinstance(test, Operation) and test.operator == "not" and isinstance(otherwise, Ref):
            inner = _presence_subject(test.left)
            if inner == Ref(otherwise.root, otherwise.steps) and isinstance(then, Known):
                return Ref(otherwise.root, otherwise.steps, then.value if then.value != "" else None)
        holds = self.truth(test)
        if holds is not None:
            return then if holds else otherwise
        return then if then == otherwise else Choice(test, then, otherwise)

    # -- operations --------------------------------------------------------------------------------------

    def _operation(self, operator: str, left: Value, right: Value) -> Value:
        if operator in _COMPARISONS or operator == "in":
            left, right = self._decided(left, right), self._decided(right, left)
        if isinstance(left, Known) and isinstance(right, Known):
            return _compute(operator, left.value, right.value)
        if operator == "~" or (operator == "+" and (is_text(left) or is_text(right))):
            return Joined((*_parts(left), *_parts(right)))
        if operator in ("+", "-") and isinstance(left, Moment) and isinstance(right, Span):
            seconds = right.seconds if operator == "+" else -right.seconds
            return Moment(left.base, left.offset_s + seconds, left.format)
        return Operation(operator, left, right)

    def _decided(self, value: Value, other: Value) -> Value:
        """An option that is compared with a constant has the value that is assumed for it."""
        if isinstance(value, Ref) and value.root == "config" and isinstance(other, Known):
            decided = self._decide(tuple(map(str, value.steps)))
            if isinstance(decided, Known):
                return decided if decided.value is not None else Known(value.default)
        return value

    def _template(self, node: TemplateNode) -> Value:
        parts: list[Value] = []
        for each in node.parts:
            if isinstance(each, SetNode):
                self._names[each.name] = self.node(each.value)
            else:
                parts.append(self.node(each))
        is_block = any(isinstance(each, SetNode | CondNode) for each in node.parts)
        if is_block:  # blanks around statements
            parts = [each for each in parts if not (isinstance(each, Known) and not str(each.value).strip())]
        if len(parts) == 1:
            return parts[0]
        joined = [part for each in parts for part in _parts(each) if part not in (NOTHING, Known(""))]
        if all(isinstance(each, Known) for each in joined):
            return Known("".join(_text(each.value) for each in joined if isinstance(each, Known)))
        return Joined(tuple(joined))


def _presence_subject(test: Value) -> Value | None:
    """The value whose presence a condition tests."""
    match test:
        case Ref():
            return Ref(test.root, test.steps)
        case Operation(operator="present") if isinstance(test.left, Ref):
            return Ref(test.left.root, test.left.steps)
        case _:
            return None


def _parts(value: Value) -> tuple[Value, ...]:
    return value.parts if isinstance(value, Joined) else (value,)


def _text(value: Json) -> str:
    return "" if value is None else str(value)


def _compute(operator: str, left: Json, right: Json) -> Value:
    """An operation on known values; one that Python refuses is nothing."""
    try:
        if operator in _COMPARISONS:
            return Known(_COMPARISONS[operator](left, right))
        match operator:
            case "in":
                return Known(left in right)
            case "~":
                return Known(_text(left) + _text(right))
            case "+" if isinstance(left, str) or isinstance(right, str):
                return Known(_text(left) + _text(right))
            case "+":
                return Known(left + right)
            case "-":
                return Known(left - right)
            case "*" if isinstance(left, int | float) and isinstance(right, int | float):
                return Known(left * right)
            case "/":
                return Known(left / right)
            case "//":
                return Known(left // right)
            case "%" if isinstance(left, int | float):
                return Known(left % right)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return NOTHING
    return Opaque(f"… {operator} …")
