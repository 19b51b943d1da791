"""Errors with status 200: a body that says that the request failed, where rows were expected.

Looked at: the members of the body, of the objects on the way to the rows, and of objects about the response
(``meta``, ``header``, ``result`` …) beside them. A single object taken for a row is looked at less strictly,
because its members may be its own. Texts say little: those of an empty list may describe its rows
(:mod:`~unify.adapters.formats.error_texts`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from unify.adapters.formats.error_texts import denies_error, is_clear_error, is_refused_login, names_failure
from unify.adapters.formats.locate import OPEN_LIST, OPEN_OBJECT, WHITESPACE, first_char
from unify.patterns import LazyPattern

_ERROR_MEMBER = LazyPattern(
    r"(error|err|fault|exception)(s|no|num|code|codes|message|messages|msg|text|string|description|details?|info|type)?"
)
# Beside an empty list, or in an object that has little else.
_ANY_ERROR_MEMBER = LazyPattern(
    r"(has|is|request|response|api|server|client|service|odata)?(error|errors|err|errno|fault|exception|failure)"
    r"(s|no|num|code|codes|message|messages|msg|text|string|description|details?|info|type|reason|status|title|name|"
    r"response)?"
)
_SUCCESS_FLAGS = frozenset(
    ["success", "ok", "succeeded", "issuccess", "successful", "issuccessful", "status"]
)
_MORE_SUCCESS_FLAGS = frozenset(["valid", "isvalid", "authenticated", "authorized", "isauthenticated"])
_STATES = frozenset(
    [
        "status",
        "stat",
        "state",
        "result",
        "resultstatus",
        "responsestatus",
        "outcome",
        "type",
        "object",
        "kind",
    ]
)
_FAILURE = LazyPattern(
    r"error|fail(ed|ure)?|err|fault|n\.?o\.?k|not[_ -]?ok|ko|denied|unauthori[sz]ed|forbidden|rejected|"
    r"exception|invalid.*|expired|aborted|bad[_ ]?request|timeout|timed[_ ]?out|request_denied|"
    r"over_(query|daily)_limit",
    re.IGNORECASE,
)
_PENDING = LazyPattern(
    r"pending|processing|running|queued|in[_ -]?progress|started|accepted|building|scheduled|waiting|"
    r"submitted|not[_ -]?ready",
    re.IGNORECASE,
)
_STATUS_CODES = LazyPattern(r"(http)?(status|response|error)?code|(http)?status|errno|cod")
_RESULT_CODES = LazyPattern(r"(response|result|return|resp|res|ret|error|err)?code|ret|rc|errno|status|info")
_REASONS = LazyPattern(
    r"(response|result|return|error|err|status|resp|res|ret)?(message|msg|detail|details|reason|description|error|errors|"
    r"text|title|warnings?|notice)"
)
_MESSAGE_ONLY = frozenset(
    [
        *(
            "message",
            "msg",
            "detail",
            "details",
            "reason",
            "description",
            "error",
            "errors",
            "code",
            "status",
        ),
        *(
            "statuscode",
            "title",
            "type",
            "documentationurl",
            "requestid",
            "timestamp",
            "path",
            "help",
            "moreinfo",
        ),
        *("traceid", "instance", "object", "result", "body", "faultstring", "faultcode"),
        *("note", "information", "info", "infocode"),
    ]
)
# Texts that say what happened; a description, title, text, notice or warning may be about the rows.
_OUTCOMES = LazyPattern(
    r"(response|result|return|error|err|status|resp|res|ret)?(message|msg|details?|reason|errors?)|"
    r"(response|result|return|error|err|status|resp|res|ret)(description|text)"
)
_WARNINGS = LazyPattern(r"warnings?")
_TOTALS = LazyPattern(
    r"(total|num|number)?(of)?(results?|rows?|items?|records?|hits?|elements?|entries|objects?)?(count|total|found)|"
    r"(total|num|number)(of)?(results?|rows?|items?|records?|hits?|elements?|entries|objects?|size)?|size|length"
)
_MESSAGES = frozenset(["message", "msg", "detail", "faultstring", "reason", "note", "information"])
_NOTES = frozenset(["note", "information", "info", "infocode"])  # in a line they are columns
_SUCCESS_TEXTS = frozenset(["ok", "success", "successful", "succeeded", "200"])
_ABOUT_RESPONSE = LazyPattern(
    r"_?(meta(data)?|head(er)?|response(header|status|info)?|result(info|status)?|status(info)?)"
)
_NO_ERROR: tuple[object, ...] = (
    None,
    False,
    "",
    0,
    "0",
    "[]",
    "{}",
    "none",
    "None",
    "ok",
    "OK",
    "success",
    "false",
)
_MAX_ROW_MEMBERS = 8  # of a single object that may be an error; larger ones are rows

Members = Mapping[str, Any]

_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_error_envelope(
    raw_members: Mapping[str, msgspec.Raw],
    *,
    has_row: bool,
    rows_steps: Sequence[str] = (),
    in_xml: bool = False,
) -> bool:
    """Whether a body reports an error: ``error``, ``success: false``, ``status: error``, a message alone.

    ``has_row``     an object was taken for the row; then ``status: failed`` may be its own.
    ``rows_steps``  the way to the rows.
    ``in_xml``      null is an empty element, and so a list without rows.
    """
    has_list = not has_row and _has_list(raw_members, rows_steps, in_xml=in_xml)
    envelopes = list(_envelopes(raw_members, rows_steps, has_row=has_row))
    succeeds = any(_says_success(members) for members in envelopes)
    counts_none = any(_counts_none(members) for members in envelopes)
    if not has_row and _has_error_message(raw_members):
        return True
    for members in envelopes:
        may_be_row = has_row and ("id" in members or len(members) > _MAX_ROW_MEMBERS)
        if _reports_error(members, may_be_row=may_be_row) or (not has_list and _is_message(members)):
            return True
        if may_be_row:
            continue
        if _has_failure_code(members) or _is_pending(members, has_row=has_row, has_list=has_list):
            return True
        if not succeeds and _tells_failure(members, alone=not has_row and not counts_none):
            return True
    return False


def _has_error_message(raw_members: Mapping[str, msgspec.Raw]) -> bool:
    """``messages: [{type: FATAL, text: …}]``"""
    for name, raw in raw_members.items():
        if _simplify(name) != "messages" or first_char(raw) != OPEN_LIST:
            continue
        for item in msgspec.json.decode(raw):
            kinds = [item.get(key) for key in ("type", "level", "severity")] if isinstance(item, dict) else []
            if any(isinstance(kind, str) and kind.lower() in ("error", "fatal") for kind in kinds):
                return True
    return False


def is_error_line(raw_members: Mapping[str, msgspec.Raw]) -> bool:
    """Whether a line of a CSV or of JSON lines has nothing but an error."""
    members = _simplified(raw_members)
    names = _MESSAGE_ONLY - _NOTES
    only_error = all(name in names or _ANY_ERROR_MEMBER.fullmatch(name) for name in members)
    return only_error and (_is_message(members) or _reports_error(members, may_be_row=False))


def _has_list(raw_members: Mapping[str, msgspec.Raw], rows_steps: Sequence[str], *, in_xml: bool) -> bool:
    """Whether the list of rows is there, though it may be empty."""
    current = raw_members
    for step in rows_steps:
        inner = current.get(step)
        if inner is None or first_char(inner) != OPEN_OBJECT:
            return inner is not None and (in_xml or first_char(inner) == OPEN_LIST)
        current = _object_decoder.decode(inner)
    return False


def _envelopes(
    raw_members: Mapping[str, msgspec.Raw], rows_steps: Sequence[str], *, has_row: bool
) -> Iterator[Members]:
    """The members of the body, of the objects on the way to the rows, and of those about the response."""
    current = raw_members
    for step in (*rows_steps, ""):
        yield _simplified(current)
        for name, raw in current.items():
            is_object = name != step and not has_row and first_char(raw) == OPEN_OBJECT
            if is_object and _ABOUT_RESPONSE.fullmatch(_simplify(name)):
                yield _simplified(_object_decoder.decode(raw))
        inner = current.get(step)
        if inner is None or first_char(inner) != OPEN_OBJECT:
            return
        current = _object_decoder.decode(inner)


def _reports_error(members: Members, *, may_be_row: bool) -> bool:
    """``error: …``, ``success: false``, ``status: error``."""
    error_member = _ERROR_MEMBER if may_be_row else _ANY_ERROR_MEMBER
    has_reason = any(_REASONS.fullmatch(name) for name in members)
    for name, value in members.items():
        is_error = error_member.fullmatch(name) and value not in _NO_ERROR
        if is_error and not (isinstance(value, str) and denies_error(value)):
            return True
        flags = _SUCCESS_FLAGS if may_be_row else _SUCCESS_FLAGS | _MORE_SUCCESS_FLAGS
        is_flag = isinstance(value, bool) or name not in ("status", "succeeded", "successful")
        if name in flags and is_flag and (value is False or value in ("false", "False") or value == 0):
            return True
        fails = name in _STATES and isinstance(value, str) and _FAILURE.fullmatch(value.strip()) is not None
        if fails and (has_reason or not may_be_row) and (name not in ("type", "kind") or value != "invalid"):
            return True
    return False


def _is_message(members: Members) -> bool:
    status = str(members.get("status", members.get("stat", ""))).lower()
    only = members.keys() <= _MESSAGE_ONLY and not _MESSAGES.isdisjoint(members)
    return only and status not in _SUCCESS_TEXTS


def _says_success(members: Members) -> bool:
    """``success: true``, ``status: ok``, ``code: 200``."""
    for name, value in members.items():
        text = str(value).lower()
        if name in _SUCCESS_FLAGS and (text == "true" or (text == "1" and name != "status")):
            return True
        if name in ("status", "stat") and text in _SUCCESS_TEXTS:
            return True
        if _STATUS_CODES.fullmatch(name) and text == "200":
            return True
    return False


def _counts_none(members: Members) -> bool:
    """``total: 0``"""
    return any(_TOTALS.fullmatch(name) and str(value) == "0" for name, value in members.items())


def _tells_failure(members: Members, *, alone: bool) -> bool:
    """A message of failure beside a code that is none of success, or one that is clear enough ``alone``."""
    has_code = any(
        _RESULT_CODES.fullmatch(name) and _may_be_failure_code(name, value) for name, value in members.items()
    )
    for name, value in members.items():
        if not isinstance(value, str):
            continue
        is_outcome = _OUTCOMES.fullmatch(name) is not None
        if is_outcome and ((has_code and names_failure(value)) or (alone and is_clear_error(value))):
            return True
        if alone and _WARNINGS.fullmatch(name) and is_refused_login(value):
            return True
    return False


def _may_be_failure_code(name: str, value: object) -> bool:
    if isinstance(value, bool) or not re.fullmatch(r"-?\d+", str(value)):
        return False
    is_success = re.fullmatch(r"0+|2\d\d(\d\d)?", str(value)) is not None
    return not is_success and (name, str(value)) != ("status", "1")


def _has_failure_code(members: Members) -> bool:
    """``code: 40001``, ``status: 401``, ``ret: -1``."""
    for name, value in members.items():
        if isinstance(value, bool) or not isinstance(value, int | str):
            continue
        text = str(value)
        if _STATUS_CODES.fullmatch(name) and re.fullmatch(r"[45]\d\d(\d\d)?", text):
            return True
        if _RESULT_CODES.fullmatch(name) and re.fullmatch(r"-\d+", text):
            return True
        if _RESULT_CODES.fullmatch(name) and isinstance(value, str) and _FAILURE_CODE.search(value):
            return True
    return False


_PROGRESS = frozenset(
    [
        *("progress", "percent", "percentage", "percentcomplete", "percentdone"),
        *("retryafter", "eta", "jobid", "queueposition"),
    ]
)
_READY_FLAGS = frozenset(["jobcomplete", "ready", "isready"])
_FAILURE_CODE = LazyPattern(r"(?i)(invalid|error|fail|denied|unauth|expired|forbidden|exception)")


def _is_pending(members: Members, *, has_row: bool, has_list: bool) -> bool:
    """A result that is not ready: ``status: processing``, ``jobComplete: false``.

    With an empty list a state may be that of the rows asked for, unless something tells the progress.
    """
    if members.get("jobcomplete") is False:
        return True
    if has_row and not members.keys() <= _MESSAGE_ONLY | _PROGRESS | _READY_FLAGS | {"state"}:
        return False
    if any(members.get(name) is False for name in _READY_FLAGS):
        return True
    state = members.get("status", members.get("state"))
    pending = isinstance(state, str) and _PENDING.fullmatch(state.strip()) is not None
    return pending and not (has_list and _PROGRESS.isdisjoint(members))


def _simplified(raw_members: Mapping[str, msgspec.Raw]) -> Members:
    return {
        (simple := _simplify(name)): "{}" if _is_no_error(simple, raw) else _short_value(raw)
        for name, raw in raw_members.items()
    }


def _is_no_error(name: str, raw: msgspec.Raw) -> bool:
    """``error: {code: 0, message: ""}``: an object whose codes and messages say that there is no error."""
    if first_char(raw) != OPEN_OBJECT or not _ANY_ERROR_MEMBER.fullmatch(name):
        return False
    members = _simplified(_object_decoder.decode(raw))
    said = [
        value
        for name, value in members.items()
        if _RESULT_CODES.fullmatch(name) or _REASONS.fullmatch(name) or name in ("type", "number")
    ]
    return bool(said) and all(
        value in _NO_ERROR or (isinstance(value, int | str) and _denies(str(value))) for value in said
    )


def _denies(text: str) -> bool:
    return text.lower() in _SUCCESS_TEXTS or denies_error(text)


def _simplify(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _short_value(raw: msgspec.Raw) -> Any:
    """A scalar decoded; the first of a list of texts; else whether it is empty: ``[]``, ``{}`` or ``…``."""
    text = bytes(raw).strip(WHITESPACE)
    if text[:1] not in (b"{", b"["):
        return msgspec.json.decode(text)
    if not text[1:-1].strip(WHITESPACE):
        return text[:1].decode() + text[-1:].decode()
    if text[0] == OPEN_LIST and text[1:].lstrip(WHITESPACE)[:1] == b'"':
        return msgspec.json.decode(text)[0]
    return "…"
