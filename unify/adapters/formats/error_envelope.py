"""Errors with status 200: a body that says that the request failed, where rows were expected.

Looked at: the members of the body, of the objects on the way to the rows, and of objects about the response
(``meta``, ``header``, ``result`` …) beside them. A single object taken for a row is looked at less strictly,
because its members may be its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from unify.adapters.formats.locate import OPEN_LIST, OPEN_OBJECT, WHITESPACE, first_char

_ERROR_MEMBER = re.compile(
    r"(error|err|fault|exception)(s|no|num|code|codes|message|messages|msg|text|string|description|details?|info|type)?"
)
# Beside an empty list, or in an object that has little else.
_ANY_ERROR_MEMBER = re.compile(
    r"(has|is|request|response|api|server|client|service)?(error|errors|err|errno|fault|exception|failure)"
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
_FAILURE = re.compile(
    r"error|fail(ed|ure)?|err|fault|n\.?o\.?k|not[_ -]?ok|ko|denied|unauthori[sz]ed|forbidden|rejected|"
    r"exception|invalid.*|expired|aborted|bad[_ ]?request|timeout|timed[_ ]?out|request_denied|"
    r"over_(query|daily)_limit",
    re.IGNORECASE,
)
_PENDING = re.compile(
    r"pending|processing|running|queued|in[_ -]?progress|started|accepted|building|scheduled|waiting|"
    r"submitted|not[_ -]?ready",
    re.IGNORECASE,
)
_STATUS_CODES = re.compile(r"(http)?(status|response|error)?code|(http)?status|errno")
_RESULT_CODES = re.compile(r"(response|result|return|resp|res|error)?code|ret|rc|errno|retcode|status")
_REASONS = re.compile(
    r"(response|result|return|error|err|status|resp|res)?(message|msg|detail|details|reason|description|error|errors|"
    r"text|title|warnings?|notice)"
)
_FAILURE_WORDS = re.compile(
    r"\b(invalid|errors?|fail(ed|ure)?|denied|unauthori[sz]ed|forbidden|expired|missing|not allowed|wrong|"
    r"exceed(ed|s)?|incorrect|illegal|bad|exception|refused|required|unknown (user|key|token|account))\b",
    re.IGNORECASE,
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
    ]
)
_MESSAGES = frozenset(["message", "msg", "detail", "faultstring", "reason"])
_SUCCESS_TEXTS = frozenset(["ok", "success", "successful", "succeeded", "200"])
_ABOUT_RESPONSE = re.compile(
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
    raw_members: Mapping[str, msgspec.Raw], *, has_row: bool, rows_steps: Sequence[str] = ()
) -> bool:
    """Whether a body reports an error: ``error``, ``success: false``, ``status: error``, a message alone.

    ``has_row``     an object was taken for the row; then ``status: failed`` may be its own.
    ``rows_steps``  the way to the rows.
    """
    for members in _envelopes(raw_members, rows_steps, has_row=has_row):
        may_be_row = has_row and ("id" in members or len(members) > _MAX_ROW_MEMBERS)
        if _reports_error(members, may_be_row=may_be_row) or _is_message(members):
            return True
        if not may_be_row and (_has_failure_code(members, has_row=has_row) or _is_pending(members, has_row)):
            return True
    return False


def is_error_line(raw_members: Mapping[str, msgspec.Raw]) -> bool:
    """Whether a line of a CSV or of JSON lines has nothing but an error."""
    members = _simplified(raw_members)
    only_error = all(name in _MESSAGE_ONLY or _ANY_ERROR_MEMBER.fullmatch(name) for name in members)
    return only_error and (_is_message(members) or _reports_error(members, may_be_row=False))


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
        if error_member.fullmatch(name) and value not in _NO_ERROR:
            return True
        flags = _SUCCESS_FLAGS if may_be_row else _SUCCESS_FLAGS | _MORE_SUCCESS_FLAGS
        is_flag = isinstance(value, bool) or name != "status"
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


def _has_failure_code(members: Members, *, has_row: bool) -> bool:
    """``code: 40001``, ``status: 401``, ``ret: -1``; a message of failure beside another code, or alone."""
    has_code = any(_RESULT_CODES.fullmatch(name) for name in members)
    reasons = [value for name, value in members.items() if _REASONS.fullmatch(name)]
    fails = any(isinstance(text, str) and _FAILURE_WORDS.search(text) is not None for text in reasons)
    if fails and (has_code or not has_row):
        return True
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


_PROGRESS = frozenset(["state", "progress", "percent", "retryafter", "eta", "jobid", "jobcomplete", "ready"])
_FAILURE_CODE = re.compile(r"(?i)(invalid|error|fail|denied|unauth|expired|forbidden|exception)")


def _is_pending(members: Members, has_row: bool) -> bool:
    """A result that is not ready: ``status: processing``, ``jobComplete: false``."""
    if has_row and not members.keys() <= _MESSAGE_ONLY | _PROGRESS:
        return False
    state = members.get("status", members.get("state"))
    pending = isinstance(state, str) and _PENDING.fullmatch(state.strip()) is not None
    return pending or any(members.get(name) is False for name in ("jobcomplete", "ready", "isready"))


def _simplified(raw_members: Mapping[str, msgspec.Raw]) -> Members:
    return {_simplify(name): _short_value(raw) for name, raw in raw_members.items()}


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
