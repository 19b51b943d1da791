"""Errors of failed responses and of the HTTP libraries, with messages that say what to do."""

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

from unify.adapters.http.deadlines import InvalidChunkSize
from unify.adapters.http.messages import Response, Timeouts, origin_of
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

MAX_QUOTED_CHARS = 200  # of a response, in an error message
LATER_ADVICE = "; try again later"  # no advice for a write, which may have been carried out
_MAX_SEARCHED_BYTES = 65_536  # of a body, for the message in it
_MESSAGE_KEYS = ("message", "error_description", "detail", "error", "title", "errors", "error_message", "msg")
# Of a response with status 403: Salesforce's REQUEST_LIMIT_EXCEEDED, Google's dailyLimitExceeded …
_LIMIT = re.compile(
    r"(limit|quota|usage)s?[ _.-]*+(is|was|has been|have been)?[ _-]*+(exceed|reach|exhaust|used|hit)|"
    r"(exceed|reach|exhaust|over|hit)(s|ed|ing)?[ _-]++([^\W_]['\w]*+[ _-]++){0,4}?(limit|quota|rate)|"
    r"throttl|rate[ _-]?limit|too[ _-]?many[ _-]?(requests|calls)",
    re.IGNORECASE,
)
_TAG = re.compile(r"<(?:(script|style)\b)?", re.IGNORECASE)


def response_error(
    response: Response,
    redactor: Redactor,
    *,
    rate_limited: bool,
    permanent: bool = False,
    retry_after_s: float | None,
    credentials_hint: str,
) -> SourceError:
    """Return the error of a response.

    ``permanent``         a rule of the spec ends the load, whatever the status.
    ``credentials_hint``  names the options to check after status 401 or 403.
    """
    status = response.status
    start = (
        f"{response.request_line} returned {status}{_reason_phrase(status)}{quote_body(response, redactor)}"
    )
    if rate_limited:
        advice = _rate_limit_advice(response, retry_after_s)
        return RateLimited(f"{start}: {advice}", retry_after_s=retry_after_s)
    if status == 401:
        return Unauthorized(f"{start}: the credentials were refused; check {credentials_hint}")
    if status == 403 and _LIMIT.search(response.body[:_MAX_SEARCHED_BYTES].decode("utf-8", "replace")):
        return RateLimited(f"{start}: the API reports that a limit or quota is reached; try again later")
    if status == 403:
        return Forbidden(
            f"{start}: the credentials lack the permission; grant it, or check {credentials_hint}"
        )
    if status in (404, 410):
        return NotFound(
            f"{start}: the address does not exist, or these credentials cannot access it; "
            "check the connection's options"
        )
    transient = status >= 500 or status in TRANSIENT_STATUSES
    if transient and not permanent:
        return ServerFault(f"{start}: the API is not available; try again later", retry_after_s=retry_after_s)
    if status == NOT_READY_STATUS and not permanent:
        return ServerFault(
            f"{start}: the response is not ready; try again later", retry_after_s=retry_after_s
        )
    if 200 <= status < 300:
        return BadResponse(f"{start}: a rule in the spec's errors makes this a failure")
    if transient:
        return SourceError(f"{start}: a rule in the spec's errors makes this a failure")
    return SourceError(f"{start}: the API rejected the request; check the options and the spec")


def _reason_phrase(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""


def _rate_limit_advice(response: Response, retry_after_s: float | None) -> str:
    reason = "the quota is used up" if quota_left(response.headers) == 0 else "too many requests"
    if retry_after_s is None:
        return f"{reason}; try again later"
    minutes = round(retry_after_s / 60)
    return f"{reason}; try again in {f'{minutes} min' if minutes > 1 else f'{retry_after_s:.0f} s'}"


def quote_body(response: Response, redactor: Redactor, *, allow_raw_text: bool = True) -> str:
    """Return `` ("Bad credentials")``: the message in the body, else its beginning; "" if it is empty.

    ``allow_raw_text``  False: only a message, because other text may contain a token not known yet.
    """
    is_object = response.body.lstrip()[:1] == b"{"
    text = _extract_message(response.body) if allow_raw_text or is_object else ""
    if not text and allow_raw_text:
        body = response.body[: _MAX_SEARCHED_BYTES + 1].decode("utf-8", "replace")
        text = _without_markup(excerpt(body, _MAX_SEARCHED_BYTES))
    text = " ".join(redactor.redact(text).split())
    return f' ("{excerpt(text, MAX_QUOTED_CHARS)}")' if text else ""


def _without_markup(text: str) -> str:
    """Return ``text`` with a space for each tag, script and style sheet, in linear time."""
    pieces = []
    position = 0
    while tag := _TAG.search(text, position):
        pieces.append(text[position : tag.start()])
        closing = f"</{tag[1].lower()}>" if tag[1] else ">"
        end = text.find(closing, tag.end())
        if end < 0:
            return " ".join(pieces)
        position = end + len(closing)
    return " ".join([*pieces, text[position:]])


def _extract_message(body: bytes) -> str:
    try:
        value = json.loads(body[:_MAX_SEARCHED_BYTES])
    except (ValueError, RecursionError):
        return ""
    for _level in range(4):
        if isinstance(value, list):
            value = value[0] if value else ""
        if isinstance(value, dict):
            value = next((value[name] for name in _MESSAGE_KEYS if value.get(name)), "")
    return value if isinstance(value, str) else ""


class TransportErrorMapper:
    """Translates errors of the HTTP libraries."""

    def __init__(self, redactor: Redactor, timeouts: Timeouts) -> None:
        self._redactor = redactor
        self._timeouts = timeouts

    def deadline_error(self, request_line: str) -> SourceError:
        return Unreachable(
            f"{request_line}: the response was not complete within {self._timeouts.total_s:g} s; "
            "try again later, or raise the option page_timeout"
        )

    def map_error(self, error: Exception, request_line: str, url: str) -> SourceError:
        """Translate an error of requests, urllib3, http.client or the socket."""
        if isinstance(error, BadResponse):
            return BadResponse(f"{request_line}: {error.message}")
        causes = list(_iter_causes(error))
        if message := self._tls_message(causes) or self._invalid_request_message(causes):
            return SourceError(f"{request_line}: {message}")
        if message := _invalid_response_message(causes):
            return BadResponse(f"{request_line}: {message}")
        return Unreachable(f"{request_line}: {self._unreachable_message(causes, url)}")

    def _tls_message(self, causes: list[BaseException]) -> str:
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return (
                    f"the server's certificate is not trusted ({cause.verify_message or 'it does not fit'}); "
                    "if your organization issued it, set the option ca_file to the CA certificate"
                )
            if isinstance(cause, OSError) and "TLS CA certificate bundle" in str(cause):
                return "the file of the option ca_file cannot be read"
        return ""

    def _invalid_request_message(self, causes: list[BaseException]) -> str:
        """The message for a request that cannot be sent, so that a retry is useless."""
        for cause in causes:
            if isinstance(cause, requests.exceptions.InvalidProxyURL):
                return "the option proxy is not a valid URL"
            if isinstance(cause, UnicodeError):
                return "the URL or a header has characters that HTTP does not allow; check the options"
            if isinstance(cause, requests.exceptions.InvalidURL | urllib3.exceptions.LocationValueError):
                return "the URL is not valid; check base_url and the spec"
        return self._redactor.redact(str(causes[0])) if type(causes[0]) is ValueError else ""

    def _unreachable_message(self, causes: list[BaseException], url: str) -> str:
        server = self._redactor.redact(origin_of(url))
        network = "check base_url and the network"

        def has(*kinds: type[BaseException]) -> bool:
            return any(isinstance(cause, kinds) for cause in causes)

        if has(urllib3.exceptions.ProxyError):
            return "the proxy of the option proxy does not respond or refuses the request"
        if has(socket.gaierror):
            return f"the host name of {server} cannot be resolved; {network}"
        if has(ConnectionRefusedError):
            return (
                f"cannot connect to {server} (connection refused); "
                "check base_url, and that the server is running"
            )
        if has(urllib3.exceptions.ConnectTimeoutError):
            return f"no connection to {server} within {self._timeouts.connect_s:g} s; {network}"
        if has(TimeoutError, urllib3.exceptions.ReadTimeoutError):
            return f"no data from the server for {self._timeouts.read_s:g} s{LATER_ADVICE}"
        if has(ssl.SSLError):
            return f"no TLS connection to {server}; check that it uses https"
        if has(urllib3.exceptions.NewConnectionError):
            return f"cannot connect to {server} ({_os_error_text(causes)}); {network}"
        return f"the server closed the connection before the response was complete{LATER_ADVICE}"


def was_not_sent(error: Exception | None) -> bool:
    """Whether no byte of a request can have reached the API: there was no connection."""
    kinds = (
        socket.gaierror,
        ConnectionRefusedError,
        ssl.SSLCertVerificationError,
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.ProxyError,
        urllib3.exceptions.LocationValueError,
        requests.exceptions.InvalidURL,
        UnicodeError,
    )
    return error is not None and any(isinstance(cause, kinds) for cause in _iter_causes(error))


def _invalid_response_message(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, http.client.BadStatusLine) and not isinstance(
            cause, http.client.RemoteDisconnected
        ):
            return "the response is not HTTP; check base_url"
        if isinstance(cause, requests.exceptions.InvalidHeader | urllib3.exceptions.InvalidHeader):
            return "the response has contradictory Content-Length headers"
        if isinstance(cause, InvalidChunkSize):
            return "the response has chunks of invalid length"
        if isinstance(cause, http.client.LineTooLong) or "got more than" in str(cause):
            return "the headers of the response are too large"
    return ""


def _os_error_text(causes: list[BaseException]) -> str:
    errors = (cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror)
    return next(errors, "it cannot be reached")


def _iter_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and its causes, each once: the libraries keep them in args, reason or context."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop(0)
        if isinstance(current, BaseException) and id(current) not in seen:
            seen.add(id(current))
            yield current
            waiting += [getattr(current, "reason", None), *current.args]
            waiting += [current.__cause__, current.__context__]
