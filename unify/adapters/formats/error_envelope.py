"""Errors with status 200: a body that says that the request failed, where rows were expected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from unify.adapters.formats.locate import WHITESPACE

_ERROR_MEMBERS = frozenset(
    [
        "error",
        "errors",
        "errormessage",
        "errormessages",
        "errormsg",
        "errorcode",
        "errcode",
        "errordescription",
        "errordetails",
        "fault",
        "exception",
        "errorinfo",
        "errorcodes",
    ]
)
_SUCCESS_FLAGS = frozenset(["success", "ok", "succeeded", "issuccess", "successful", "issuccessful"])
_FAILURE_TEXTS = frozenset(["error", "fail", "failed", "failure", "err", "fault"])
_SUCCESS_TEXTS = frozenset(["ok", "success", "successful", "succeeded"])
_REASONS = frozenset(
    ["message", "msg", "detail", "details", "reason", "description", "error", "errors", "code"]
)
_MESSAGE_ONLY = _REASONS | frozenset(
    [
        "status",
        "statuscode",
        "title",
        "type",
        "documentationurl",
        "requestid",
        "timestamp",
        "path",
        "help",
        "moreinfo",
        "traceid",
        "instance",
    ]
)


def is_error_envelope(raw_members: Mapping[str, msgspec.Raw], *, has_row: bool) -> bool:
    """Whether a body reports an error: ``error``, ``success: false``, ``status: error``, a message alone.

    ``has_row``  an object was taken for the row; then ``status: failed`` may be its own.
    """
    members = {re.sub(r"[^a-z]", "", name.lower()): _short_value(raw) for name, raw in raw_members.items()}
    status = str(members.get("status", members.get("stat", ""))).lower()
    failed = status in _FAILURE_TEXTS and (bool(_REASONS & members.keys()) or not has_row)
    only_message = (
        members.keys() <= _MESSAGE_ONLY
        and bool({"message", "msg", "detail"} & members.keys())
        and status not in _SUCCESS_TEXTS
    )
    flagged = any(
        (name in _ERROR_MEMBERS and value not in _NO_ERROR)
        or (name in _SUCCESS_FLAGS and value in (False, "false"))
        for name, value in members.items()
    )
    return flagged or failed or only_message


_NO_ERROR: tuple[object, ...] = (None, False, "", 0, "0", "[]", "{}")


def _short_value(raw: msgspec.Raw) -> Any:
    """A scalar decoded; of an object or list whether it is empty: ``[]``, ``{}`` or ``…``."""
    text = bytes(raw).strip(WHITESPACE)
    if text[:1] not in (b"{", b"["):
        return msgspec.json.decode(text)
    return text[:1].decode() + text[-1:].decode() if not text[1:-1].strip(WHITESPACE) else "…"
