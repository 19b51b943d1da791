"""What an API's refusal or silence means, as an error whose sentence says what to do."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus

import requests
import urllib3

from unify.adapters.http.messages import Response, origin_of
from unify.adapters.http.retry import NOT_READY_STATUS, TRANSIENT_STATUSES, quota_left
from unify.errors import (
    BadResponse,
    Forbidden,
    NotFound,
    RateLimited,
    ServerFault,
    SourceError,
    Unauthorized,
    Unreachable,
)
from unify.redaction import Redactor
from unify.text import excerpt

MAX_QUOTED_CHARS = 200  # of what the API says, in our message
_MESSAGE_KEYS = ("message", "error_description", "detail", "error", "title", "errors", "error_message", "msg")
_MARKUP_PATTERN = re.compile(r"(?s)<(script|style)\b.*?</\1>|<[^>]*>")


def response_error(
    response: Response,
    redactor: Redactor,
    *,
    rate_limited: bool,
    permanent: bool = False,
    retry_after_s: float | None,
    credentials_hint: str,
) -> SourceError:
    """The error for an answer that is no success. ``credentials_hint`` says which options to look at on a 401.

    ``permanent``  the spec says that the load ends here, whatever its status means elsewhere.
    """
    said = quote_body(response, redactor)
    start = f"{response.request_line} answered {response.status}{_reason_phrase(response.status)}{said}"
    if rate_limited:
        return RateLimited(
            f"{start}: {_rate_limit_advice(response, retry_after_s)}", retry_after_s=retry_after_s
        )
    if response.status == 401:
        return Unauthorized(f"{start}: the credentials were refused; check {credentials_hint}")
    if response.status == 403:
        return Forbidden(
            f"{start}: these credentials may not read this; give them the permission, or check {credentials_hint}"
        )
    if response.status in (404, 410):
        return NotFound(
            f"{start}: there is nothing at this address, or these credentials may not see it; "
            "check the connection's options"
        )
    transient = response.status >= 500 or response.status in TRANSIENT_STATUSES
    if transient and not permanent:
        return ServerFault(f"{start}: the API is in trouble; try again later", retry_after_s=retry_after_s)
    if response.status == NOT_READY_STATUS and not permanent:
        return ServerFault(
            f"{start}: the response is not ready; try again later", retry_after_s=retry_after_s
        )
    if 200 <= response.status < 300:
        return BadResponse(f"{start}: the spec's errors call that a failure")
    if transient:
        return SourceError(f"{start}: the spec's errors call that a failure")
    return SourceError(f"{start}: the API does not accept this request; check options and spec")


def _reason_phrase(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""


def _rate_limit_advice(response: Response, retry_after_s: float | None) -> str:
    spent = "the quota is spent" if quota_left(response.headers) == 0 else "too many requests"
    if retry_after_s is None:
        return f"{spent}; try again later"
    minutes = round(retry_after_s / 60)
    return f"{spent}; the API asks to wait {f'{minutes} min' if minutes > 1 else f'{retry_after_s:.0f} s'}"


def quote_body(response: Response, redactor: Redactor, *, allow_raw_text: bool = True) -> str:
    """`` ("Bad credentials")``: the API's own words, or the start of whatever came; "" for nothing.

    ``whole``  False: its words alone, as what came may hold a token under a name we do not know.
    """
    is_object = response.body.lstrip()[:1] == b"{"
    text = _extract_message(response.body) if allow_raw_text or is_object else ""
    if not text and allow_raw_text:
        text = _MARKUP_PATTERN.sub(" ", response.body[:4096].decode("utf-8", "replace"))
    text = " ".join(redactor.redact(text).split())
    if not text:
        return ""
    return f' ("{excerpt(text, MAX_QUOTED_CHARS)}")'


def _extract_message(body: bytes) -> str:
    try:
        value = json.loads(body[:65536])
    except (ValueError, RecursionError):
        return ""
    for _level in range(4):
        if isinstance(value, list):
            value = value[0] if value else ""
        if isinstance(value, dict):
            value = next((value[name] for name in _MESSAGE_KEYS if value.get(name)), "")
    return value if isinstance(value, str) else ""


class TransportErrorMapper:
    """Turns what the HTTP libraries raise into our errors: the one border where that happens."""

    def __init__(self, redactor: Redactor, *, connect_s: float, read_s: float, total_s: float) -> None:
        self._redactor = redactor
        self._connect_s = connect_s
        self._read_s = read_s
        self._total_s = total_s

    def deadline_error(self, request_line: str) -> SourceError:
        return Unreachable(
            f"{request_line}: the answer was not complete within {self._total_s:g} s; "
            "try again later, or raise the option page_timeout"
        )

    def map_error(self, error: Exception, request_line: str, url: str) -> SourceError:
        """``error`` of requests, urllib3, http.client or the socket, as one of ours."""
        if isinstance(error, BadResponse):
            return BadResponse(f"{request_line}: {error.message}")
        causes = list(_iter_causes(error))
        sentence = self._tls_message(causes) or self._invalid_request_message(causes)
        if sentence:
            return SourceError(f"{request_line}: {sentence}")
        if any(
            isinstance(cause, http.client.BadStatusLine) and not _is_disconnect(cause) for cause in causes
        ):
            return BadResponse(f"{request_line}: what answers there does not speak HTTP; check base_url")
        if any(
            isinstance(cause, http.client.LineTooLong) or "got more than" in str(cause) for cause in causes
        ):
            return BadResponse(f"{request_line}: the answer's headers are larger than any real ones")
        return Unreachable(f"{request_line}: {self._unreachable_message(causes, url)}")

    def _tls_message(self, causes: list[BaseException]) -> str:
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return (
                    f"the server's certificate is not trusted ({cause.verify_message or 'it does not fit'}); "
                    "if it is your organization's own, name its authority's file in the option ca_file"
                )
            if isinstance(cause, OSError) and "TLS CA certificate bundle" in str(cause):
                return "the file named in the option ca_file cannot be read"
        return ""

    def _invalid_request_message(self, causes: list[BaseException]) -> str:
        """What no second try would better: an address or header that cannot be sent."""
        for cause in causes:
            if isinstance(cause, requests.exceptions.InvalidProxyURL):
                return "the option proxy is no address"
            if isinstance(cause, UnicodeError):
                return "the address or a header has characters that HTTP cannot carry; check the options"
            if isinstance(cause, requests.exceptions.InvalidURL | urllib3.exceptions.LocationValueError):
                return "this is no address to ask; check base_url and the spec"
            if isinstance(cause, requests.exceptions.InvalidHeader):
                return "a header holds characters that HTTP cannot carry; check the options"
        if type(causes[0]) is ValueError:
            return self._redactor.redact(str(causes[0]))
        return ""

    def _unreachable_message(self, causes: list[BaseException], url: str) -> str:
        kinds = tuple(causes)
        server = self._redactor.redact(origin_of(url))
        if any(isinstance(cause, urllib3.exceptions.ProxyError) for cause in kinds):
            return "the proxy of the option proxy does not answer, or refuses"
        if any(isinstance(cause, socket.gaierror) for cause in kinds):
            return f"the name of {server} cannot be resolved; check base_url and the network"
        if any(isinstance(cause, ConnectionRefusedError) for cause in kinds):
            return f"nothing answers at {server} (connection refused); is it running, is base_url right?"
        if any(isinstance(cause, urllib3.exceptions.ConnectTimeoutError) for cause in kinds):
            return f"no connection to {server} within {self._connect_s:g} s; check base_url and the network"
        if any(isinstance(cause, TimeoutError | urllib3.exceptions.ReadTimeoutError) for cause in kinds):
            return f"the server was silent for {self._read_s:g} s; try again later"
        if any(isinstance(cause, ssl.SSLError) for cause in kinds):
            return f"no TLS connection to {server}; does it speak https at this address?"
        if any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in kinds):
            return f"no way to {server} ({_os_error_text(kinds)}); check base_url and the network"
        return "the server closed the connection in the middle; try again later"


def _is_disconnect(error: BaseException) -> bool:
    return isinstance(error, http.client.RemoteDisconnected)


def _os_error_text(causes: tuple[BaseException, ...]) -> str:
    errors = (cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror)
    return next(errors, "it cannot be reached")


def _iter_causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and everything it was made from, each once: libraries keep it in args, reason or context."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inside = [part for part in current.args if isinstance(part, BaseException)]
        reason = getattr(current, "reason", None)
        waiting += [reason if isinstance(reason, BaseException) else None, *inside]
        waiting += [current.__cause__, current.__context__]
