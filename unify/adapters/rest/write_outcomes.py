"""Reads from a response what became of each row of a write. A status alone is no outcome.

A success counts only if the body does not contradict it: a flag that is false, a created row without the id
that the spec names, an older row in the place of the new one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import msgspec

from unify.adapters.http.messages import Response
from unify.adapters.spec.write import RowOperation, WriteRequest
from unify.errors import ResponseLost, Unauthorized
from unify.model import PlannedRow, RowOutcome, RowState

_DONE_STATES: Mapping[RowOperation, RowState] = {
    "insert": RowState.CREATED,
    "update": RowState.UPDATED,
    "delete": RowState.DELETED,
    "upsert": RowState.UPDATED,
    "restore": RowState.UPDATED,
}
_GONE = (404, 410)
_CREATED = 201
_UNDECIDED = (302, 303, 408)  # a redirect may follow a row that was written
_SUCCESS_FLAGS = ("true", "1", "ok", "success")
_ID_MEMBERS = frozenset(["id", "_id", "uuid", "key"])
_encoder = msgspec.json.Encoder(decimal_format="number")


class OutcomeReader:
    """Reads one response. ``message`` is what it says, redacted, in brackets; "" for nothing.

    Both methods raise:
        Unauthorized: the credentials were refused.
        ResponseLost: the server failed, and may have written rows before.
    """

    def __init__(
        self, operation: RowOperation, request: WriteRequest, response: Response, message: str
    ) -> None:
        self._operation = operation
        self._request = request
        self._outcomes = request.outcomes
        self._response = response
        self._reason = f"status {response.status}{message}"

    def read_row(self, row: PlannedRow, sent: object) -> RowOutcome:
        """Return the outcome of a request with one row, whose body is ``sent``."""
        status = self._response.status
        if self._is_already_done() or (self._operation == "delete" and status in _GONE):
            return RowOutcome(row.number, RowState.UNCHANGED, status)
        if self._is_success:
            self._raise_if_web_page()
            return self._read_success(row, sent)
        self._raise_if_undecided()
        return self._rejected(row, self._reason)

    def read_batch(self, rows: Sequence[PlannedRow], marks: Sequence[str]) -> Sequence[RowOutcome]:
        """Return the outcomes of a request with several rows; ``marks`` are their ``outcomes.by``."""
        self._raise_if_web_page()
        done_items, failed_items = self._items(self._outcomes.done), self._items(self._outcomes.failed)
        if not self._is_success and not done_items and not failed_items:
            self._raise_if_undecided()
            return [self._rejected(row, self._reason) for row in rows]
        if (refusal := self._refusal({}, with_body=True)) is not None:
            return [self._rejected(row, refusal) for row in rows]
        by = self._outcomes.by
        failed_by = self._outcomes.failed_by or by
        if _is_incomplete(by, done_items, rows) or _is_incomplete(failed_by, failed_items, rows):
            reason = f"the response has not one item for each of the {len(rows)} rows"
            return [
                RowOutcome(row.number, RowState.UNKNOWN, self._response.status, {}, reason) for row in rows
            ]
        done = self._by_row(rows, marks, done_items, by)
        failed = self._by_row(rows, marks, failed_items, failed_by)
        return [self._read_item(row, done.get(row.number), failed.get(row.number)) for row in rows]

    @property
    def _is_success(self) -> bool:
        return 200 <= self._response.status < 300

    @cached_property
    def _body(self) -> object:
        """The decoded body; None for a success without JSON, such as 204."""
        try:
            return msgspec.json.decode(self._response.body)
        except (msgspec.DecodeError, RecursionError):
            return None

    def _items(self, path: str | None) -> Sequence[object]:
        found = value_at(self._body, path) if path is not None else None
        return found if isinstance(found, list) else ()

    def _read_success(self, row: PlannedRow, sent: object) -> RowOutcome:
        if (refusal := self._refusal(self._body, with_body=True)) is not None:
            return self._rejected(row, refusal)
        status, request = self._response.status, self._request
        flag = self._outcomes.ok
        if flag is not None and value_at(self._body, flag.removeprefix("$.")) is None:
            reason = f"the response has no {flag}, so that nothing tells whether the row was written"
            return RowOutcome(row.number, RowState.UNKNOWN, status, message=reason)
        returned = self._body if request.returned is None else value_at(self._body, request.returned)
        if self._operation == "insert" and status != _CREATED and _is_other_row(sent, returned):
            return self._rejected(row, "the system has this row already and kept it; nothing was written")
        created = self._created(returned)
        if len(created) < len(request.created):
            missing = ", ".join(path for column, path in request.created.items() if column not in created)
            reason = f"the response has no {missing}, so that nothing tells whether the row was created"
            return RowOutcome(row.number, RowState.UNKNOWN, status, created, reason)
        return RowOutcome(row.number, self._done_state(status, returned), status, created)

    def _read_item(self, row: PlannedRow, done: object, failed: object) -> RowOutcome:
        outcomes, status = self._outcomes, self._response.status
        if failed is not None:
            return self._rejected(row, self._message(failed) or "refused")
        if done is None and outcomes.done is None:
            return RowOutcome(row.number, self._done_state(status), status)
        if done is None:
            return RowOutcome(row.number, RowState.UNKNOWN, status, {}, "the response has no such row")
        own_status = value_at(done, outcomes.status) if outcomes.status else None
        status = own_status if isinstance(own_status, int) else status
        refusal = self._refusal(done, with_body=False)
        if refusal is not None or status >= 300:
            message = refusal or self._message(done) or f"status {status}"
            return RowOutcome(row.number, RowState.REJECTED, status, message=message)
        created = self._created(done)
        if outcomes.id is not None and (id := value_at(done, outcomes.id)) is not None:
            created = {"id": id, **created}
        return RowOutcome(row.number, self._done_state(status, done), status, created)

    def _done_state(self, status: int, returned: object = None) -> RowState:
        new = self._outcomes.new
        is_new = value_at(returned, new) is True if new is not None else status == _CREATED
        if self._operation == "upsert" and is_new:
            return RowState.CREATED
        return _DONE_STATES[self._operation]

    def _rejected(self, row: PlannedRow, reason: str) -> RowOutcome:
        return RowOutcome(row.number, RowState.REJECTED, self._response.status, message=reason)

    def _by_row(
        self, rows: Sequence[PlannedRow], marks: Sequence[str], items: Sequence[object], by: str
    ) -> Mapping[int, object]:
        """Return the items of a list by the number of their row."""
        if by == "position":
            return {row.number: item for row, item in zip(rows, items, strict=False)}
        numbers = {mark: row.number for mark, row in zip(marks, rows, strict=True)}
        found: dict[int, object] = {}
        for item in items:
            value = value_at(item, by)
            for mark in map(value_text, value if isinstance(value, list) else [value]):
                if mark in numbers:
                    found[numbers[mark]] = item
        return found

    def _refusal(self, item: object, *, with_body: bool) -> str | None:
        """Return what the flag ``ok`` says against a success; None if nothing.

        A response without the flag, such as one of GraphQL with ``errors`` only, is refused if it has the
        message of an error.
        """
        path = self._outcomes.ok
        in_body = path is not None and path.startswith("$.")
        if path is None or (in_body and not with_body):
            return None
        place = self._body if in_body else item
        flag = value_at(place, path.removeprefix("$."))
        if flag is None:
            return self._message(place) or None
        if str(flag).lower() in _SUCCESS_FLAGS:
            return None
        return self._message(place) or f"{path} is {value_text(flag)}"

    def _message(self, item: object) -> str:
        path = self._outcomes.message
        found = value_at(item, path) if path is not None else None
        return value_text(found) if found is not None else ""

    def _is_already_done(self) -> bool:
        status, text = self._response.status, self._response.body.decode("utf-8", "replace")
        rules = self._request.already
        return any(rule.status == status and (rule.body is None or rule.body in text) for rule in rules)

    def _raise_if_web_page(self) -> None:
        """A success with a web page is one of a proxy, or of a sign-in: it does not tell of any row."""
        is_page = "html" in self._response.headers.get("content-type", "").lower()
        if self._is_success and is_page and self._response.body.lstrip().startswith(b"<"):
            raise ResponseLost(
                f"{self._response.request_line}: the response is a web page, not one of the API"
            )

    def _raise_if_undecided(self) -> None:
        status = self._response.status
        message = f"{self._response.request_line}: {self._reason}"
        if status == 401:
            raise Unauthorized(f"{message}: the credentials were refused")
        if status >= 500 or status in _UNDECIDED:
            raise ResponseLost(message)

    def _created(self, returned: object) -> Mapping[str, object]:
        return values_at(returned, self._request.created)


def _is_incomplete(by: str, items: Sequence[object], rows: Sequence[PlannedRow]) -> bool:
    """Whether items whose position tells their row are not as many as the rows."""
    return by == "position" and bool(items) and len(items) != len(rows)


def _is_other_row(sent: object, returned: object) -> bool:
    """Whether the response has a row with the id that was sent and nothing else of it.

    Values that an API normalizes, such as a lower-case address, are no evidence as long as one is equal.
    """
    if isinstance(sent, Mapping) and len(sent) == 1 and isinstance(inner := next(iter(sent.values())), dict):
        sent = inner  # {"data": {…}}
    if not isinstance(sent, Mapping) or not isinstance(returned, Mapping):
        return False
    compared = {
        name: value_text(value) == value_text(returned[name])
        for name, value in sent.items()
        if name in returned and not isinstance(value, Mapping | list)
    }
    ids = {name for name in compared if name.lower() in _ID_MEMBERS}
    others = [is_same for name, is_same in compared.items() if name not in ids]
    return bool(ids) and bool(others) and not any(others) and all(compared[name] for name in ids)


def value_at(value: object, path: str) -> object:
    """The value at a dotted path; a step of digits is an item of a list. None if there is nothing."""
    if isinstance(value, Mapping) and path in value:
        return value[path]
    name, _, rest = path.partition(".")
    inner: object = None
    if isinstance(value, Mapping):
        inner = value.get(name)
    elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
        inner = value[int(name)]
    return value_at(inner, rest) if rest else inner


def values_at(value: object, paths: Mapping[str, str]) -> Mapping[str, object]:
    """The values at dotted paths, by column, that are there."""
    found = {column: value_at(value, path) for column, path in paths.items()}
    return {column: one for column, one in found.items() if one is not None}


def value_text(value: object) -> str:
    """A text as it is, any other value as JSON."""
    return value if isinstance(value, str) else _encoder.encode(value).decode()
