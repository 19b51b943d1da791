"""Responses that repeat the credentials of a request, each in another place and another encoding."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, unquote_plus

from tests.support.fault_server import MockResponse, RecordedRequest

EchoResponse = Callable[[str], MockResponse]  # from the credentials
_PLAIN_HEADERS = frozenset(
    ["host", "user-agent", "accept", "accept-encoding", "connection", "content-length", "content-type"]
)


def credentials_text(request: RecordedRequest) -> str:
    """Return the credentials of a request: special headers, query and body, as sent and decoded."""
    headers = [value for name, value in request.headers.items() if name not in _PLAIN_HEADERS]
    body = request.body.decode("utf-8", "replace")
    return " ".join([*headers, unquote_plus(request.target), body, unquote_plus(body)])


def echo(response: EchoResponse) -> Callable[[RecordedRequest], MockResponse]:
    return lambda request: response(credentials_text(request))


def _json(value: object, status: int = 200) -> MockResponse:
    return MockResponse.json(value, status=status)


def _text(text: str, status: int = 200, kind: str = "text/plain") -> MockResponse:
    return MockResponse.text(text, kind, status=status)


def _base64(text: str, encode: Callable[[bytes], bytes] = base64.b64encode) -> str:
    return encode(text.encode()).decode()


def _percent(text: str) -> str:
    return quote(text, safe="")


def _lower_percent(text: str) -> str:
    first, *escaped = _percent(text).split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in escaped)])


def _escapes(text: str) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in text)


def _without_spaces(text: str) -> str:
    return "".join(text.split())


def _message_after(padding: int, status: int) -> EchoResponse:
    return lambda text: _json({"message": "." * padding + text}, status)


def _text_after(padding: int) -> EchoResponse:
    return lambda text: _json("." * padding + text)


# Each of them ends a read with an error.
ECHO_RESPONSES: dict[str, EchoResponse] = {
    "401 message": lambda text: _json({"message": text}, 401),
    "403 nested message": lambda text: _json({"error": {"code": 7, "message": f"no: {text}"}}, 403),
    "400 text": lambda text: _text(text, 400),
    "404 HTML": lambda text: _text(f"<h1>Not found</h1><p>{html.escape(text)}</p>", 404, "text/html"),
    "409 Base64": lambda text: _text(_base64(text), 409),
    "409 Base64, second alignment": lambda text: _text(_base64("x" + text), 409),
    "409 Base64, third alignment": lambda text: _text(_base64("xy" + text), 409),
    "409 Base64, other alphabet": lambda text: _text(_base64(text, base64.urlsafe_b64encode), 409),
    "410 hex": lambda text: _text(text.encode().hex(), 410),
    "422 percent-encoded": lambda text: _json({"detail": _percent(text)}, 422),
    "422 percent-encoded, lower case": lambda text: _json({"detail": _lower_percent(text)}, 422),
    "422 JSON in JSON": lambda text: _json({"errors": [json.dumps({"request": text})]}, 422),
    "451 escapes": lambda text: _text(_escapes(text), 451),
    "429 message": lambda text: _json({"message": text}, 429).with_headers(Retry_After="7200"),
    "500 text": lambda text: _text(f"Traceback of the server:\n{text}", 500),
    "501 HTML": lambda text: _text(f"<pre>{html.escape(text)}</pre>", 501, "text/html"),
    "200 not JSON": lambda text: _text("{" + text, kind="application/json"),
    "200 not JSON further on": lambda text: _text('[{"id": 1}, ' + text, kind="application/json"),
    "200 a text": _json,
    "200 HTML": lambda text: _text(f"<html>{html.escape(text)}</html>", kind="text/html"),
    "200 a text for rows": lambda text: _json({"items": text}),
    "200 errors of GraphQL": lambda text: _json({"data": None, "errors": [{"message": text}]}),
    "200 names of members": lambda text: _json({text: {}, _percent(text): {}}),
    "200 encoding": lambda text: _text("[]").with_headers(Content_Encoding=_without_spaces(text)),
    "200 charset": lambda text: MockResponse(
        body=b'["\xff"]', headers={"Content-Type": f"application/json; charset={_without_spaces(text)}"}
    ),
    "200 next link": lambda text: _json({"items": [{"id": 1}], "next": f"http://[{text}"}),
    "200 next link elsewhere": lambda text: _json(
        {"items": [{"id": 1}], "next": f"http://{_percent(text)}@elsewhere.example/?{quote(text)}"}
    ),
    "302 elsewhere": lambda text: MockResponse.redirect(f"http://elsewhere.example/?q={_percent(text)}"),
    "302 user information": lambda text: MockResponse.redirect(f"http://{_percent(text)}@elsewhere.example/"),
    "302 not an address": lambda text: MockResponse.redirect(f"http://[{_without_spaces(text)}"),
    "302 forever": lambda text: MockResponse.redirect(f"?q={_percent(text)}"),
    "no HTTP": lambda text: MockResponse(raw=f"{text}\r\n\r\n".encode()),
    # Quotations end after 80 and 200 characters, so that only the beginning of a secret is quoted.
    **{f"403 after {count} characters": _message_after(count, 403) for count in (140, 160, 170, 180, 190)},
    **{f"200 after {count} characters": _text_after(count) for count in (30, 40, 50, 60, 70)},
}
