"""The scalar members of a body outside its rows: what paging and error checks look at.

The walk descends into every object, also those on the way to the rows, and into lists of links
(``link: [{relation: next, url: …}]``). Rows, other lists and large maps are not entered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from unify.adapters.formats.locate import OPEN_LIST, OPEN_OBJECT, first_char
from unify.adapters.paging.base import Member

MAX_DEPTH = 6  # levels of objects; known envelopes have up to four
MAX_OBJECT_MEMBERS = 200  # of one object; more members are data and no envelope
MAX_LINKS = 50  # items of a list of links
MAX_SCALARS = 5  # items of a list of scalars, such as search_after or warnings
MAX_VALUE_BYTES = 20_000  # of one scalar; longer texts are data; cursors of several kB exist
_REL_NAMES = ("rel", "relation", "@rel", "_rel", "name", "type")
_URL_NAMES = ("href", "url", "uri", "link", "@href", "_href", "text")

_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def outside_members(body: msgspec.Raw | bytes, rows_path: str) -> tuple[Member, ...]:
    """Every scalar outside the rows at ``rows_path``, in the order of the body."""
    if first_char(body) == OPEN_LIST and rows_path.isdigit():
        objects = [item for item in _list_decoder.decode(body) if first_char(item) == OPEN_OBJECT]
        return tuple(
            replace(member, path=f"{index}.{member.path}")
            for index, item in enumerate(objects)
            for member in outside_members(item, "")
        )
    if first_char(body) != OPEN_OBJECT:
        return ()
    return tuple(_walk_object(body, (), rows_path, on_way=True, way_depth=0))


def _walk_object(
    raw: msgspec.Raw | bytes, names: tuple[str, ...], rows_path: str, *, on_way: bool, way_depth: int
) -> Iterator[Member]:
    members = _object_decoder.decode(raw)
    if len(names) >= MAX_DEPTH or (len(members) > MAX_OBJECT_MEMBERS and not on_way):
        return
    detour = names[way_depth:]
    yield from _link_of(members, names, detour)
    for name, value in members.items():
        leads = on_way and (rows_path == name or rows_path.startswith(f"{name}."))
        rest = rows_path[len(name) + 1 :] if leads else ""
        path = (*names, name)
        match first_char(value):
            case c if c == OPEN_OBJECT:
                if not leads or rest:
                    depth = way_depth + 1 if leads else way_depth
                    yield from _walk_object(value, path, rest, on_way=leads, way_depth=depth)
            case c if c == OPEN_LIST:
                if not leads:
                    yield from _walk_list(value, path, detour)
            case _ if len(bytes(value)) <= MAX_VALUE_BYTES:
                yield Member(".".join(path), path, msgspec.json.decode(value), detour)


def _link_of(
    members: Mapping[str, msgspec.Raw], names: tuple[str, ...], detour: tuple[str, ...]
) -> Iterator[Member]:
    """The address of an object that is a link: ``links: {rel: next, href: …}``."""
    url_name = next((name for name in _URL_NAMES if name in members), None)
    if not detour or url_name is None or not {"rel", "relation", "@rel"} & members.keys():
        return
    link = {name: msgspec.json.decode(raw) for name, raw in members.items()}
    rel_name = next(name for name in _REL_NAMES if name in link)
    if isinstance(link[url_name], str):
        for rel in _rels(link[rel_name]):
            path = ".".join((*names, url_name))
            yield Member(path, (*names, rel, url_name), link[url_name], (*detour, rel))


def _walk_list(raw: msgspec.Raw, names: tuple[str, ...], detour: tuple[str, ...]) -> Iterator[Member]:
    """``link[relation=next].url`` of a list of links; the members of the one object of a list named next."""
    items = _list_decoder.decode(raw)
    if not items or len(items) > MAX_LINKS:
        return
    if all(first_char(item) not in (OPEN_OBJECT, OPEN_LIST) for item in items):
        for index, item in enumerate(items[:MAX_SCALARS]):
            if len(bytes(item)) <= MAX_VALUE_BYTES:
                item_names = (*names, str(index))
                yield Member(
                    ".".join(item_names), item_names, msgspec.json.decode(item), (*detour, names[-1])
                )
        return
    if any(first_char(item) != OPEN_OBJECT for item in items):
        return
    inner = (*detour, names[-1])
    for item in items:
        link = msgspec.json.decode(item)
        rel_name = next((name for name in _REL_NAMES if name in link), None)
        url_name = next((name for name in _URL_NAMES if isinstance(link.get(name), str)), None)
        if rel_name is not None and url_name is not None:
            for rel in _rels(link[rel_name]):
                path = f"{'.'.join(names)}[{rel_name}={rel}].{url_name}"
                yield Member(path, (*names, rel, url_name), link[url_name], (*inner, rel))
        elif len(items) == 1 and "next" in names[-1].lower():
            for name, value in link.items():
                if not isinstance(value, dict | list):
                    path = ".".join((*names, "0", name))
                    yield Member(path, (*names, name), value, inner)


def _rels(value: Any) -> Sequence[str]:
    rels = value if isinstance(value, list) else [value]
    return [rel for rel in rels if isinstance(rel, str) and rel and not set(rel) & set("[].=")]
