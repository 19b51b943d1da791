"""Rows of XML: elements as JSON objects of texts. Types are inferred later, or declared.

An element with text only is that text, an empty one is null. Any other is an object: attributes and elements
by their names as written (``dc:title`` is ``dc_title``), repeated ones as a list, other text as ``text``.
Documents that declare entities are refused: a few of them expand to gigabytes.
"""

from __future__ import annotations

import re
from typing import NoReturn
from xml.parsers import expat

import msgspec
from msgspec import Struct

from unify.errors import BadResponse
from unify.text import did_you_mean

MAX_DEPTH = 200  # levels, far more than real documents have
TEXT_MEMBER = "text"
_INVALID_TOKEN = 4  # expat's XML_ERROR_INVALID_TOKEN: bytes that the encoding does not have
_ERROR_ROOT = re.compile(
    r"html|.*(error|(?<!de)fault|exception).*", re.IGNORECASE
)  # of a page, or of a refusal

XMLElement = dict[str, "XMLElement | str | list[XMLElement | str | None] | None"]
XMLValue = XMLElement | str | None


class XMLDocument(Struct, frozen=True):
    """The root element: its name and its content."""

    name: str
    root: XMLElement


def parse_xml(body: bytes, address: str, encoding: str | None = None) -> XMLDocument:
    """Parse the document; ``encoding`` of the response header takes precedence over its declaration.

    If the document is not valid in that, its declaration counts: headers are often a default of the server.

    Raises:
        BadResponse: not XML, declared entities, or nested too deep.
    """
    try:
        try:
            return _XMLTreeBuilder(address).parse(body, encoding)
        except expat.ExpatError as error:
            if encoding is None or error.code != _INVALID_TOKEN:
                raise
            return _XMLTreeBuilder(address).parse(body, None)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise BadResponse(f"{address}: the response cannot be read as XML ({error})") from error


def select_xml_rows(document: XMLDocument, path: str, address: str) -> list[bytes]:
    """The elements at ``path`` below the root, each as a row. Without the last element there are no rows.

    Raises:
        BadResponse: another element of the path is missing, or the document is an error or a web page.
    """
    *way, last = path.split(".")
    places: list[XMLElement] = [document.root]
    for name in way:
        names = list(dict.fromkeys(known for place in places for known in place))
        inside = [item for place in places for item in _child_values(place, name)]
        places = [item for item in inside if isinstance(item, dict)]
        if not inside:
            raise BadResponse(
                f"{address}: no element {name!r} (rows: {path}) in the response{did_you_mean(name, names)}; "
                f"there are {', '.join(names[:8]) or 'none'}"
            )
    rows = [item for place in places for item in _child_values(place, last)]
    if not rows and _ERROR_ROOT.fullmatch(document.name):
        content = msgspec.json.encode(document.root).decode()
        raise BadResponse(f"{address}: no rows in the response, which is <{document.name}>: {content[:200]}")
    return [msgspec.json.encode(row if isinstance(row, dict) else {"value": row}) for row in rows]


def _child_values(element: XMLElement, name: str) -> list[XMLValue]:
    if name not in element:
        return []
    found = element[name]
    return found if isinstance(found, list) else [found]


class _XMLTreeBuilder:
    """Builds the tree from the events of the parser."""

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
            raise BadResponse(f"{self._address}: the response is nested deeper than can be read")
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
        raise BadResponse(f"{self._address}: the XML declares or uses entities of its own; they are refused")


def _add_child(element: XMLElement, name: str, value: XMLValue) -> None:
    """Add a member; a repeated name becomes a list, in the order of the document."""
    key = name.replace(":", "_")
    if key not in element:
        element[key] = value
        return
    present = element[key]
    if isinstance(present, list):
        present.append(value)
    else:
        element[key] = [present, value]
