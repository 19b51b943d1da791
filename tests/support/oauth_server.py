"""An authorization server and an API that accepts its newest token, both on loopback.

A code is valid once, for its redirect URI and its challenge; a refresh token is valid once (RFC 6749, 7636).
"""

from __future__ import annotations

import base64
import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import requests

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest

CLIENT_ID = "unify-app"
_BROWSER_SCRIPT = """\
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print("noise")
opener.open(sys.argv[1], timeout=30).read()
"""
DEVICE_CODE = "device-canary-7f"
USER_CODE = "WDJB-MJHT"


class OAuthServer:
    """Redirects every authorization request back at once, with a code.

    ``secret``   of the application; "" for a public client.
    ``deny_reason``  error instead of a code; "" for none.
    ``device_responses``    responses to polls of a device, in turn, before the token.
    ``grant_types``   of the token requests, in order.
    """

    def __init__(self, server: FaultServer, secret: str = "", lifetime_s: int | None = 3600) -> None:
        self.server = server
        self.secret = secret
        self.lifetime_s = lifetime_s
        self.deny_reason = ""
        self.issued_count = 0
        self.refresh_token = ""
        self.device_responses: list[MockResponse] = []
        self.grant_types: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        server.serve("/authorize", self._serve_authorize)
        server.serve("POST /token", self._serve_token)
        server.serve("POST /device", self._serve_device)
        server.serve("/things", self._serve_things)
        server.serve("/me", self._serve_user)

    @property
    def token(self) -> str:
        return f"access-canary-{self.issued_count}"

    def _serve_authorize(self, request: RecordedRequest) -> MockResponse:
        fields = request.query
        assert fields["response_type"] == "code", fields
        assert fields["client_id"] == CLIENT_ID, fields
        assert fields["code_challenge_method"] == "S256", fields
        assert fields["redirect_uri"].startswith("http://127.0.0.1:"), fields
        back = {"state": fields["state"]}
        if self.deny_reason:
            back |= {"error": "access_denied", "error_description": self.deny_reason}
        else:
            back["code"] = f"code-canary-{len(self._codes)}"
            self._codes[back["code"]] = fields
        return MockResponse.redirect(f"{fields['redirect_uri']}?{urlencode(back)}")

    def _serve_token(self, request: RecordedRequest) -> MockResponse:
        fields = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if not self._is_client_authenticated(request, fields):
            return MockResponse.json({"error": "invalid_client"}, status=401)
        self.grant_types.append(fields["grant_type"])
        match fields["grant_type"]:
            case "authorization_code":
                good = self._redeem_code(fields)
            case "refresh_token":
                good = fields["refresh_token"] == self.refresh_token
            case "urn:ietf:params:oauth:grant-type:device_code":
                if self.device_responses:
                    return self.device_responses.pop(0)
                good = fields["device_code"] == DEVICE_CODE
            case _:
                good = False
        if not good:
            return MockResponse.json({"error": "invalid_grant"}, status=400)
        self.issued_count += 1
        self.refresh_token = f"refresh-canary-{self.issued_count}"
        given = {"access_token": self.token, "refresh_token": self.refresh_token, "token_type": "bearer"}
        return MockResponse.json(given | ({"expires_in": self.lifetime_s} if self.lifetime_s else {}))

    def _is_client_authenticated(self, request: RecordedRequest, fields: dict[str, str]) -> bool:
        if not self.secret:
            return fields.get("client_id") == CLIENT_ID
        pair = base64.b64encode(f"{CLIENT_ID}:{quote(self.secret, safe='')}".encode()).decode()
        return request.headers.get("authorization") == f"Basic {pair}"

    def _redeem_code(self, fields: dict[str, str]) -> bool:
        begun = self._codes.pop(fields["code"], None)
        if begun is None or fields["redirect_uri"] != begun["redirect_uri"]:
            return False
        hashed = hashlib.sha256(fields["code_verifier"].encode()).digest()
        return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode() == begun["code_challenge"]

    def _serve_device(self, request: RecordedRequest) -> MockResponse:
        if not self._is_client_authenticated(
            request, {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        ):
            return MockResponse.json({"error": "invalid_client"}, status=401)
        page = f"{self.server.url}/enter"
        return MockResponse.json(
            {
                "device_code": DEVICE_CODE,
                "user_code": USER_CODE,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={USER_CODE}",
                "expires_in": 600,
                "interval": 1,
            }
        )

    def _is_authorized(self, request: RecordedRequest) -> bool:
        return bool(self.issued_count) and request.headers.get("authorization") == f"Bearer {self.token}"

    def _serve_things(self, request: RecordedRequest) -> MockResponse:
        return (
            MockResponse.json([{"id": 1}, {"id": 2}])
            if self._is_authorized(request)
            else MockResponse.error(401)
        )

    def _serve_user(self, request: RecordedRequest) -> MockResponse:
        return (
            MockResponse.json({"login": "ada"}) if self._is_authorized(request) else MockResponse.error(401)
        )


class BrowserUser:
    """A user with a browser who follows every redirect."""

    def __init__(self, *before: Callable[[str], object]) -> None:
        self.before_request = before  # what else happens to the address, first
        self.messages: list[str] = []
        self.responses: list[requests.Response] = []
        self._threads: list[threading.Thread] = []

    def show_message(self, text: str) -> None:
        self.messages.append(text)

    def open_browser(self, url: str) -> None:
        thread = threading.Thread(target=self._open_url, args=(url,))
        self._threads.append(thread)
        thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _open_url(self, address: str) -> None:
        with requests.Session() as browser:
            browser.trust_env = False
            for step in self.before_request:
                step(address)
            self.responses.append(browser.get(address, timeout=30))


class IdleUser(BrowserUser):
    """A user who does nothing."""

    def open_browser(self, url: str) -> None:
        self.messages.append(url)


def write_browser_script(folder: Path) -> str:
    """Write a program for the variable ``BROWSER`` that follows the redirects of its URL."""
    script = folder / "browser.py"
    script.write_text(f"#!{sys.executable}\n{_BROWSER_SCRIPT}", encoding="utf-8")
    script.chmod(0o700)
    return str(script)


@contextmanager
def run_oauth_server(secret: str = "", lifetime_s: int | None = 3600) -> Iterator[OAuthServer]:
    with FaultServer() as server:
        yield OAuthServer(server, secret, lifetime_s)


def query_fields(address: str) -> dict[str, str]:
    """Return the query parameters of a URL."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
