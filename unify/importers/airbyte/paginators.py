"""Paginators as ``paging``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from unify.importers.airbyte.context import StreamContext, shown
from unify.importers.airbyte.jinja.values import (
    Applied,
    Choice,
    Joined,
    Known,
    Operation,
    Ref,
    Value,
    roots_of,
)
from unify.importers.airbyte.manifest import Component, NotImportable, type_of
from unify.importers.airbyte.requests import RequestDraft, option_place
from unify.importers.airbyte.stop_rules import StopRule, merge_rules, read_stop
from unify.importers.common.documents import members_of
from unify.importers.common.names import unique_name
from unify.importers.model import ImportedPaging, Json

DEFAULT_SIZE = 100
_STEP = re.compile(r"[^\s.{}\[\]]+")
_PLACES = {"request_parameter": "query", "header": "header", "body_json": "body", "body_data": "body"}


class _TokenPlace(Struct, frozen=True):
    """Where the page token goes: ``query``, ``header``, ``body`` or ``address``, and the name there.

    ``is_bare``  the first request is sent without it.
    """

    place: str
    name: str = ""
    is_bare: bool = True


def read_paginator(paginator: Json, draft: RequestDraft, ctx: StreamContext) -> ImportedPaging:
    """The paging of a stream; the request gets the variables of its body. Raises NotImportable."""
    kind = type_of(paginator)
    if not paginator or kind == "NoPagination":
        return ImportedPaging("none")
    if kind != "DefaultPaginator":
        raise NotImportable(
            f"{kind} (Python)" if kind.startswith("Custom ") else f"pages by {kind}", paginator
        )
    settings = members_of(paginator)
    strategy = members_of(settings.get("pagination_strategy"))
    reader = _PaginatorReader(settings, strategy, draft, ctx)
    match type_of(strategy):
        case "PageIncrement":
            return reader.page_increment()
        case "OffsetIncrement":
            return reader.offset_increment()
        case "CursorPagination":
            return reader.cursor()
        case other:
            raise NotImportable(
                f"{other} (Python)" if other.startswith("Custom ") else f"pages by {other}", strategy
            )


class _PaginatorReader:
    """Reads one paginator."""

    def __init__(
        self, settings: Component, strategy: Component, draft: RequestDraft, ctx: StreamContext
    ) -> None:
        self._settings = settings
        self._strategy = strategy
        self._draft = draft
        self._ctx = ctx
        self._conditions: list[Value] = []  # under which there is no cursor

    # -- numbered pages ----------------------------------------------------------------------------------

    def page_increment(self) -> ImportedPaging:
        place = self._token_place()
        first = self._number(self._strategy.get("start_from_page"), 0)
        if place is None:
            return self._one_page()
        if place.place == "address":
            raise NotImportable("numbers its pages in the address", self._settings)
        if first not in (0, 1):
            raise NotImportable(f"numbers its pages from {first}", self._strategy)
        paging = ImportedPaging("page", page_param=place.name, first=0 if first == 0 else None)
        return self._numbered(paging, place)

    def offset_increment(self) -> ImportedPaging:
        place = self._token_place()
        if place is None:
            return self._one_page()
        if place.place == "address":
            raise NotImportable("counts rows in the address", self._settings)
        return self._numbered(ImportedPaging("offset", offset_param=place.name), place)

    def _one_page(self) -> ImportedPaging:
        """A paginator that sends nothing: each request would be the first again."""
        self._ctx.note("one page is read; the source numbers its pages and sends no number")
        return ImportedPaging("none")

    def _numbered(self, paging: ImportedPaging, place: _TokenPlace) -> ImportedPaging:
        paging = self._located(paging, place)
        if place.is_bare and self._strategy.get("inject_on_first_request") is not True:
            paging = replace(paging, first_bare=True)
        return self._sized(paging, place)

    def _number(self, given: Json, default: int) -> int:
        value = self._ctx.fold(given, self._strategy) if given is not None else Known(default)
        found = value.value if isinstance(value, Known) else None
        if isinstance(value, Ref) and value.root == "config":
            found = self._option_number(value)
        if isinstance(found, str) and found.strip().isdecimal():
            found = int(found)
        if not isinstance(found, int):
            raise NotImportable(f"a number of the pages is an expression: {shown(given)}", self._strategy)
        return found

    def _option_number(self, value: Ref) -> Json:
        """The chosen or default value of an option; without one the usual page size."""
        found = self._ctx.options.find(tuple(map(str, value.steps)))
        chosen = self._ctx.options.chosen_value(found.name) if found is not None else None
        name = found.name if found is not None else "an option"
        number = chosen or (found.default if found is not None else None) or value.default or DEFAULT_SIZE
        self._ctx.note(f"the page size is fixed: {number} (--option {name}=NUMBER)")
        return number

    # -- places ------------------------------------------------------------------------------------------

    def _token_place(self) -> _TokenPlace | None:
        """Where the token goes: by its option, or where the texts of the request ask for it."""
        option = members_of(self._settings.get("page_token_option"))
        if type_of(option) == "RequestPath":
            return _TokenPlace("address")
        if option:
            place, name = option_place(option, self._ctx)
            if place not in _PLACES:
                raise NotImportable(f"puts the page token into {place}", option)
            if self._draft.token_places:
                raise NotImportable("puts the page token into several places", option)
            return self._place(_PLACES[place], name)
        if not self._draft.token_places:
            return None
        if len(self._draft.token_places) > 1:
            raise NotImportable("puts the page token into several places", self._settings)
        place, name, value = self._draft.token_places[0]
        return self._place_of_text(place, name, value)

    def _place_of_text(self, place: str, name: str, value: Value) -> _TokenPlace:
        """A parameter whose text is the token: ``{{ next_page_token['next_page_token'] or 1 }}``."""
        if place == "path":
            return _TokenPlace("address")
        default: Json = None
        match value:
            case Ref(root="page_token"):
                default = value.default
            case Operation(operator="or", left=Ref(root="page_token"), right=Known(value=known)):
                default = known
            case Choice(then=Ref(root="page_token"), otherwise=Known(value=known)):
                default = known
            case Choice(then=Known(value=known), otherwise=Ref(root="page_token")):
                default = known
            case _:
                raise NotImportable(f"makes a value of the page token for {name}", self._settings)
        locations = {"params": "query", "headers": "header", "body": "body", "form": "body"}
        is_bare = default in (None, "")
        found = self._place(locations[place], name)
        return _TokenPlace(found.place, found.name, is_bare)

    def _place(self, location: str, name: str) -> _TokenPlace:
        """A place; in a nested body the value is a variable."""
        steps = name.split("\0")
        if len(steps) == 1 and (location != "body" or name not in ("cursor", "until")):
            return _TokenPlace(location, name)
        name = f"page_{re.sub(r'[^A-Za-z0-9_]+', '_', steps[-1])}"
        variable = unique_name(name, set(self._ctx.partition.values()))
        option = {"inject_into": "body_json", "field_path": steps}
        self._draft.inject(option, f"{{{variable}}}", self._ctx)
        return _TokenPlace(location, variable)

    def _located(self, paging: ImportedPaging, place: _TokenPlace) -> ImportedPaging:
        return paging if place.place == "query" else replace(paging, location=place.place)

    def _sized(self, paging: ImportedPaging, place: _TokenPlace) -> ImportedPaging:
        """The page size; where it goes to another place than the token, it is a constant of the request."""
        option = members_of(self._settings.get("page_size_option"))
        given = self._strategy.get("page_size")
        if given in (None, ""):
            return paging
        size = self._number(given, DEFAULT_SIZE)
        if size < 1:
            return paging
        if not option:
            return replace(paging, size=size) if paging.type in ("page", "offset") else paging
        location, name = option_place(option, self._ctx)
        if _PLACES.get(location) == place.place and "\0" not in name and location != "body_data":
            return replace(paging, size_param=name, size=size)
        self._draft.inject(option, size, self._ctx)
        return replace(paging, size=size) if paging.type in ("page", "offset") else paging

    # -- cursors -----------------------------------------------------------------------------------------

    def cursor(self) -> ImportedPaging:
        place = self._token_place()
        text = str(self._strategy.get("cursor_value"))
        value = self._plain_cursor(self._ctx.fold(self._strategy.get("cursor_value"), self._strategy))
        stop = merge_rules(self._stop(), *self._cursor_rules(stop_text=shown(text)))
        if value == Known(None) or value == Known("") or stop.always:
            return ImportedPaging("none")
        if place is None:
            raise NotImportable("pages by a cursor, and sends none", self._settings)
        if place.place == "address":
            return self._address(value, stop, text)
        return self._parameter(*self._member_of_json(value, place), stop, text)

    def _member_of_json(self, value: Value, place: _TokenPlace) -> tuple[Value, _TokenPlace]:
        """A cursor in a JSON text, as ``{"after": "…"}`` for GraphQL, as a member of the body."""
        parts = value.parts if isinstance(value, Joined) and place.place == "body" else ()
        if len(parts) != 3 or not isinstance(parts[0], Known) or not isinstance(parts[2], Known):
            return value, place
        variable = unique_name("page_cursor", set(self._ctx.partition.values()))
        try:
            body = json.loads(f"{parts[0].value}{{{variable}}}{parts[2].value}")
        except ValueError:
            return value, place
        steps = place.name.split("\0")
        self._draft.inject({"inject_into": "body_json", "field_path": steps}, body, self._ctx)
        return parts[1], _TokenPlace("body", variable)

    def _plain_cursor(self, value: Value) -> Value:
        """The cursor without the condition under which there is one."""
        if isinstance(value, Choice):
            nothing = (Known(None), Known(""), Known(False))
            if value.otherwise in nothing:
                self._conditions.append(Operation("not", value.test, Known(None)))
                return self._plain_cursor(value.then)
            if value.then in nothing:
                self._conditions.append(value.test)
                return self._plain_cursor(value.otherwise)
        if (
            isinstance(value, Operation)
            and value.operator == "and"
            and roots_of(value.left) <= {"response", "headers"}
        ):
            return self._plain_cursor(value.right)
        return value

    def _cursor_rules(self, stop_text: str) -> Iterator[StopRule]:
        """The ends that the cursor has in its own text; one that says more than a flag is not needed."""
        for condition in self._conditions:
            try:
                rule = read_stop(condition, self._strategy, stop_text)
            except NotImportable:
                continue
            yield StopRule(more=rule.more, last=rule.last, without=rule.without)

    def _stop(self) -> StopRule:
        condition = self._strategy.get("stop_condition")
        if condition in (None, ""):
            return StopRule()
        folder = self._ctx.folder(self._strategy)
        value = folder.text(condition)
        return read_stop(value, self._strategy, shown(condition))

    def _address(self, value: Value, stop: StopRule, text: str) -> ImportedPaging:
        """The cursor is the address of the next page."""
        if (header := _link_header(value)) is not None:
            paging = (
                ImportedPaging("link_header")
                if header == "link"
                else ImportedPaging("next_url", header=header)
            )
            return self._finish(paging, replace(stop, without=()), _TokenPlace("query"))
        ref = value
        if isinstance(value, Joined):
            references = [each for each in value.parts if not isinstance(each, Known)]
            ref = references[0] if len(references) == 1 else value
            if ref is not value.parts[-1]:
                ref = value
        if isinstance(ref, Applied) and ref.function in ("replace", "split", "item", "strip", "lstrip"):
            ref = _base(ref) or ref
        if isinstance(ref, Ref) and ref.root == "response" and ref.steps:
            paging = ImportedPaging("next_url", path=self._dotted(ref))
            return self._finish(paging, stop, _TokenPlace("query"))
        if isinstance(value, Operation) and value.operator == "or" and roots_of(value) == {"response"}:
            self._ctx.note("the address of the next page is found out from the first response")
            return ImportedPaging("auto")
        raise NotImportable(f"makes the address of the next page: {shown(text)}", self._strategy)

    def _parameter(self, value: Value, place: _TokenPlace, stop: StopRule, text: str) -> ImportedPaging:
        """The cursor goes to a parameter."""
        if (header := _link_header(value)) is not None:
            if header == "link":
                self._ctx.note("the Link header is followed; the source cuts a parameter out of it")
                return self._finish(
                    ImportedPaging("link_header"), replace(stop, without=()), _TokenPlace("query")
                )
            paging = ImportedPaging("cursor", cursor_param=place.name, cursor_header=header)
            return self._finish(self._located(paging, place), replace(stop, without=()), place)
        match value:
            case Ref(root="response") if value.steps:
                paging = ImportedPaging("cursor", cursor_param=place.name, cursor_path=self._dotted(value))
            case Ref(root="last_record") if value.steps:
                paging = ImportedPaging("cursor", cursor_param=place.name, cursor_column=self._dotted(value))
            case Operation(operator="+"):
                return self._counted(value, stop, text, place)
            case Applied() if (base := _base(value)) is not None and _is_address(base):
                self._ctx.note(
                    "the address of the next page is followed; the source cuts a parameter out of it"
                )
                paging = ImportedPaging("next_url", path=self._dotted(base))
                return self._finish(paging, stop, _TokenPlace("query"))
            case _:
                raise NotImportable(f"makes the cursor by an expression: {shown(text)}", self._strategy)
        return self._finish(self._located(paging, place), stop, place)

    def _counted(self, value: Operation, stop: StopRule, text: str, place: _TokenPlace) -> ImportedPaging:
        """A cursor that counts: pages if it grows by one, else rows."""
        one = Known(1)
        if one in (value.left, value.right):
            base = value.right if value.left == one else value.left
            if not roots_of(base) & {"response", "page_token"}:
                raise NotImportable(f"makes the cursor by an expression: {shown(text)}", self._strategy)
            first = self._first_page(base)
            paging = ImportedPaging("page", page_param=place.name, first=0 if first == 0 else None)
        else:
            paging = ImportedPaging("offset", offset_param=place.name)
        paging = self._located(paging, place)
        if place.is_bare:
            paging = replace(paging, first_bare=True)
        return self._finish(paging, stop, place)

    def _first_page(self, base: Value) -> int:
        """The number of the first page: 0 if the text counts from there."""
        default = base.default if isinstance(base, Ref) else None
        return 0 if default == 0 else 1

    def _finish(self, paging: ImportedPaging, stop: StopRule, place: _TokenPlace) -> ImportedPaging:
        """Add the end of the pages and the page size."""
        own = {paging.cursor_path, paging.path, "headers"}
        if paging.cursor_column is not None:
            own |= {each for each in stop.without if each.endswith(("data", "items", "results"))}
        absent = [each for each in stop.without if each not in own and not _is_around(each, own)]
        more = list(dict.fromkeys((*stop.more, *absent)))
        last = list(dict.fromkeys(stop.last))
        if len(more) + len(last) > 1 and (absent or len(more) > 1):
            more = [each for each in more if each in stop.more] or more[:1]
        if len(more) + len(last) > 1:
            raise NotImportable("ends its pages by several flags", self._strategy)
        if paging.type == "link_header" and (more or last):
            more, last = [], []
        paging = replace(
            paging,
            more_path=more[0] if more else None,
            last_path=last[0] if last else None,
            pages_path=stop.pages[0] if stop.pages and paging.type == "page" else None,
            total_path=stop.totals[0] if stop.totals and paging.type in ("page", "offset") else None,
        )
        return self._sized(paging, place)

    def _dotted(self, ref: Ref) -> str:
        steps = [str(each) for each in ref.steps]
        if any(not _STEP.fullmatch(each) and "." not in each for each in steps):
            raise NotImportable(f"reads the response at {steps}", self._strategy)
        return ".".join(steps)


def _is_around(path: str, own: Mapping[str | None, object] | set[str | None]) -> bool:
    """Whether a path is an object around the cursor, or the cursor itself with another ending."""
    return any(
        each is not None and (each.startswith(f"{path}.") or path.startswith(f"{each}.")) for each in own
    )


def _base(value: Value) -> Ref | None:
    """The member that functions are applied to."""
    while isinstance(value, Applied):
        value = value.target
    return value if isinstance(value, Ref) and value.steps else None


def _is_address(ref: Ref) -> bool:
    return ref.root == "response"


def _link_header(value: Value) -> str | None:
    """The header that a cursor is read from; ``link`` for the Link header."""
    base = _base(value) if isinstance(value, Applied) else value
    if not isinstance(base, Ref) or base.root != "headers" or not base.steps:
        return None
    name = str(base.steps[0])
    return "link" if name.lower() == "link" else name
