"""Lists that an API cuts within an object: the ten lines of an invoice that has twelve.

With nested ``rows`` (``invoices.lines``) the pages are those of the outer list; an object around the rows may
say that its own list has more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from unify.adapters.formats.locate import OPEN_LIST, OPEN_OBJECT, first_char
from unify.adapters.formats.outside import outside_members
from unify.adapters.paging.hint_names import member_hints
from unify.adapters.paging.hints import HintKind, Hints, has_value, is_set

# Names without which no object says that its list is cut: most bodies are not looked at further.
_MAY_BE_CUT = re.compile(
    rb'"\w*(?:more|next|truncat|exceed|cursor)\w*"\s*:|"(?:max_?results|limit|offset|start_?at|per_?page|page_?size|size|'
    rb'start|skip|from)"\s*:',
    re.IGNORECASE,
)

_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def find_cut_list(raw: msgspec.Raw | bytes, steps: Sequence[str], paging_paths: Sequence[str] = ()) -> str:
    """What says that a list within a list is cut: ``lines.has_more: true``; "" if nothing does.

    Nothing is cut if the pages are those of the inner list: one of ``paging_paths``, such as
    ``boards.0.items.cursor``, leads into the only item of the outer list.
    """
    if not _MAY_BE_CUT.search(bytes(raw)) or _pages_inner_list(raw, steps, paging_paths):
        return ""
    return _find(raw, steps, in_list=False)


def find_cut_member(row: bytes) -> str:
    """What says that a list in an object of a row is cut: ``comments.next: …``; "" if nothing does."""
    if first_char(row) != OPEN_OBJECT or not _MAY_BE_CUT.search(row):
        return ""
    for name, raw in _object_decoder.decode(row).items():
        if first_char(raw) != OPEN_OBJECT:
            continue
        for inner, value in _object_decoder.decode(raw).items():
            if first_char(value) == OPEN_LIST and (hint := _cut_hint(raw, [inner])):
                return f"{name}.{hint}"
    return ""


def _pages_inner_list(raw: msgspec.Raw | bytes, steps: Sequence[str], paging_paths: Sequence[str]) -> bool:
    if not paging_paths or first_char(raw) != OPEN_OBJECT:
        return False
    list_steps, length = _first_list(raw, steps)
    first_item = ".".join([*list_steps, "0", ""])
    return length == 1 and any(path.startswith(first_item) for path in paging_paths)


def _find(raw: msgspec.Raw | bytes, steps: Sequence[str], *, in_list: bool) -> str:
    start = first_char(raw)
    if start == OPEN_LIST and steps:
        found = (_find(item, steps, in_list=True) for item in _list_decoder.decode(raw))
        return next((each for each in found if each), "")
    if start != OPEN_OBJECT or not steps:
        return ""
    if in_list and _MAY_BE_CUT.search(bytes(raw)) and (hint := _cut_hint(raw, steps)):
        return hint
    inner = _object_decoder.decode(raw).get(steps[0])
    return "" if inner is None else _find(inner, steps[1:], in_list=in_list)


def _cut_hint(raw: msgspec.Raw | bytes, steps: Sequence[str]) -> str:
    """Only what is certain: the objects have members of their own, such as ``done`` and ``total``."""
    list_steps, length = _first_list(raw, steps)
    if length is None:
        return ""
    hints = Hints(member_hints(outside_members(raw, ".".join(list_steps)), ""), length)
    for hint in hints.items:
        beside = len(hint.path.split(".")) >= len(
            list_steps
        )  # in the object of the list, or in one beside it
        is_paging = any(word in hint.key for word in ("more", "next", "truncat", "exceed", "cursor"))
        match hint.kind:
            case HintKind.MORE if beside and is_paging and is_set(hint.value):
                return str(hint)
            case HintKind.NEXT if beside and is_paging and has_value(hint.value):
                return str(hint)
            case HintKind.TOTAL if beside and (hint.number or 0) > length:
                around = hint.path.rpartition(".")[0]
                sizes = hints.of(HintKind.SIZE, HintKind.OFFSET)
                if any(each.path.rpartition(".")[0] == around for each in sizes):
                    return str(hint)
    return ""


def _first_list(raw: msgspec.Raw | bytes, steps: Sequence[str]) -> tuple[Sequence[str], int | None]:
    """The way to the first list on the way to the rows, and its length; None if there is none."""
    current: msgspec.Raw | bytes | None = raw
    for depth, step in enumerate(steps, start=1):
        current = _object_decoder.decode(current).get(step) if current is not None else None
        if current is None or first_char(current) not in (OPEN_LIST, OPEN_OBJECT):
            return steps, None
        if first_char(current) == OPEN_LIST:
            return steps[:depth], len(_list_decoder.decode(current))
    return steps, None
