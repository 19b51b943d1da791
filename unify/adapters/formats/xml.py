"""Rows out of XML: elements as JSON objects of texts. Types are found later, or declared.

An element with nothing but text is that text, an empty one null. Any other is an object: attributes and
elements by their names as written (``dc:title`` is ``dc_title``), what is there several times as a list, text
beside them as ``text``. Documents that declare entities are refused: a few of those make gigabytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn
from xml.parsers import expat

import msgspec

from unify.errors import BadResponse
from unify.text import did_you_mean

MAX_DEPTH = 200  # levels; nothing real comes near, and each level is one of Python's too
TEXT_MEMBER = "text"
_ERROR_ROOT = re.compile(
    r"html|.*(error|(?<!de)fault|exception).*", re.IGNORECASE
)  # of a page, or of a refusal

XMLElement = dict[str, "XMLElement | str | list[XMLElement | str | None] | None"]
XMLValue = XMLElement | str | None


@dataclass(frozen=True, slots=True)
class XMLDocument:
    """The root element: its name, and what is in it."""

    name: str
    root: XMLElement


def parse_xml(body: bytes, address: str, encoding: str | None = None) -> XMLDocument:
    """What is in the document's root element.

    ``encoding``  what the answer's header says; else the document's own declaration counts.
    Raises  BadResponse for what is no XML, declares entities, or is nested too deep.
    """
    reader = _XMLTreeBuilder(address)
    try:
        return reader.parse(body, encoding)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise BadResponse(f"{address}: the answer cannot be read as XML ({error})") from error


def select_xml_rows(document: XMLDocument, path: str, address: str) -> list[bytes]:
    """The elements at ``path`` below the root, each as a row. The last name need not be there: no rows.

    Raises  BadResponse for another way there, and where there are none in a document of another kind.
    """
    *way, last = path.split(".")
    places: list[XMLElement] = [document.root]
    for name in way:
        names = list(dict.fromkeys(known for place in places for known in place))
        inside = [item for place in places for item in _child_values(place, name)]
        places = [item for item in inside if isinstance(item, dict)]
        if not inside:
            raise BadResponse(
                f"{address}: no element {name!r} (rows: {path}) in the answer{did_you_mean(name, names)}; "
                f"there are {', '.join(names[:8]) or 'none'}"
            )
    rows = [item for place in places for item in _child_values(place, last)]
    if not rows and _ERROR_ROOT.fullmatch(document.name):
        said = msgspec.json.encode(document.root).decode()
        raise BadResponse(f"{address}: no rows in the answer, which is <{document.name}>: {said[:200]}")
    return [msgspec.json.encode(row if isinstance(row, dict) else {"value": row}) for row in rows]


def _child_values(element: XMLElement, name: str) -> list[XMLValue]:
    if name not in element:
        return []
    found = element[name]
    return found if isinstance(found, list) else [found]


class _XMLTreeBuilder:
    """Builds the tree as the parser meets elements."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._open_elements: list[XMLElement] = [{}]
        self._texts: list[list[str]] = [[]]

    def parse(self, body: bytes, encoding: str | None) -> XMLDocument:
        parser = expat.ParserCreate(encoding)
        parser.buffer_text = True
        parser.StartElementHandler = self._start_element
        parser.EndElementHandler = self._end_element
        parser.CharacterDataHandler = self._add_text
        parser.EntityDeclHandler = self._reject_entity
        parser.ExternalEntityRefHandler = self._reject_entity
        parser.SkippedEntityHandler = self._reject_entity  # one that only an external document would declare
        parser.Parse(body, True)
        ((name, root),) = self._open_elements[0].items()
        tree: XMLElement = root if isinstance(root, dict) else {TEXT_MEMBER: root} if root is not None else {}
        return XMLDocument(name, tree)

    def _start_element(self, _name: str, attributes: dict[str, str]) -> None:
        if len(self._open_elements) > MAX_DEPTH:
            raise BadResponse(f"{self._address}: the answer is nested deeper than can be read")
        element: XMLElement = {}
        for key, value in attributes.items():
            if key.partition(":")[0] != "xmlns":
                _add_child(element, key, value)
        self._open_elements.append(element)
        self._texts.append([])

    def _end_element(self, name: str) -> None:
        element, text = self._open_elements.pop(), "".join(self._texts.pop()).strip()
        if not element:
            _add_child(self._open_elements[-1], name, text or None)
            return
        if text:
            _add_child(element, TEXT_MEMBER, text)
        _add_child(self._open_elements[-1], name, element)

    def _add_text(self, text: str) -> None:
        self._texts[-1].append(text)

    def _reject_entity(self, *_declared: object) -> NoReturn:
        raise BadResponse(
            f"{self._address}: the XML declares or uses entities of its own, which are not read"
        )


def _add_child(element: XMLElement, name: str, value: XMLValue) -> None:
    """What is there already under this name becomes a list, in the order of the document."""
    key = name.replace(":", "_")
    if key not in element:
        element[key] = value
        return
    there = element[key]
    if isinstance(there, list):
        there.append(value)
    else:
        element[key] = [there, value]
