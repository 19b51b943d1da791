"""Where a key of a spec belongs: for those that were written one level too high, or too deep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from unify.adapters.speckeys import SPEC
from unify.adapters.specshape import Either, Entries, Items, Key, Kind, Record, Variants

MOST = 2  # places named; a key that is at home in more of them, as type is, says nothing


def belongs(name: str) -> str:
    """``; it belongs in refresh``, or "" for a key no record has, or that too many have."""
    places = _places().get(name, ())
    return f"; it belongs {' or '.join(places)}" if 0 < len(places) <= MOST else ""


@cache
def _places() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for place, name in _keys(SPEC, "at the top"):
        found.setdefault(name, {})[place] = None
    return {name: tuple(places) for name, places in found.items()}


def _keys(kind: Kind, place: str) -> Iterator[tuple[str, str]]:
    """Every key at or below ``kind``, with the record it stands in."""
    match kind:
        case Record(keys=keys):
            yield from _of_record(keys, place)
        case Variants(types=types, common=common):
            yield place, "type"
            yield from _of_record([key for keys in types.values() for key in keys] + list(common), place)
        case Items(of=of) | Entries(of=of):
            yield from _keys(of, place)
        case Either(of=choices):
            for each in choices:
                yield from _keys(each, place)
        case _:
            return


def _of_record(keys: tuple[Key, ...] | list[Key], place: str) -> Iterator[tuple[str, str]]:
    for key in keys:
        yield place, key.name
        yield from _keys(key.kind, f"in {key.name}")
