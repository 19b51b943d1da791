"""An authorization server that people sign in to, and an API that takes its newest token; both on loopback.

It is strict where the RFCs are: a code works once, for the address and the challenge it was asked with; a
refresh token works once.
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

from tests.faultserver import Asked, FaultServer, Reply

CLIENT = "unify-app"
_BROWSER = """\
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print("noise")
opener.open(sys.argv[1], timeout=30).read()
"""
DEVICE_CODE = "device-canary-7f"
USER_CODE = "WDJB-MJHT"


class SignInServer:
    """Whoever comes to ``/authorize`` is sent back at once, with a code.

    ``secret``   of the application; "" for one that has none.
    ``refuses``  why nobody gets a code; "" while everybody does.
    ``polls``    what a device hears, one after the other, before the token.
    ``grants``   what was asked for, in order.
    """

    def __init__(self, server: FaultServer, secret: str = "", lifetime_s: int | None = 3600) -> None:
        self.server = server
        self.secret = secret
        self.lifetime_s = lifetime_s
        self.refuses = ""
        self.given = 0
        self.refresh_token = ""
        self.polls: list[Reply] = []
        self.grants: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        server.serve("/authorize", self._authorize)
        server.serve("POST /token", self._token)
        server.serve("POST /device", self._device)
        server.serve("/things", self._things)
        server.serve("/me", self._me)

    @property
    def token(self) -> str:
        return f"access-canary-{self.given}"

    def _authorize(self, asked: Asked) -> Reply:
        fields = asked.query
        assert fields["response_type"] == "code", fields
        assert fields["client_id"] == CLIENT, fields
        assert fields["code_challenge_method"] == "S256", fields
        assert fields["redirect_uri"].startswith("http://127.0.0.1:"), fields
        back = {"state": fields["state"]}
        if self.refuses:
            back |= {"error": "access_denied", "error_description": self.refuses}
        else:
            back["code"] = f"code-canary-{len(self._codes)}"
            self._codes[back["code"]] = fields
        return Reply.redirect(f"{fields['redirect_uri']}?{urlencode(back)}")

    def _token(self, asked: Asked) -> Reply:
        fields = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        if not self._knows(asked, fields):
            return Reply.json({"error": "invalid_client"}, status=401)
        self.grants.append(fields["grant_type"])
        match fields["grant_type"]:
            case "authorization_code":
                good = self._redeems(fields)
            case "refresh_token":
                good = fields["refresh_token"] == self.refresh_token
            case "urn:ietf:params:oauth:grant-type:device_code":
                if self.polls:
                    return self.polls.pop(0)
                good = fields["device_code"] == DEVICE_CODE
            case _:
                good = False
        if not good:
            return Reply.json({"error": "invalid_grant"}, status=400)
        self.given += 1
        self.refresh_token = f"refresh-canary-{self.given}"
        given = {"access_token": self.token, "refresh_token": self.refresh_token, "token_type": "bearer"}
        return Reply.json(given | ({"expires_in": self.lifetime_s} if self.lifetime_s else {}))

    def _knows(self, asked: Asked, fields: dict[str, str]) -> bool:
        if not self.secret:
            return fields.get("client_id") == CLIENT
        pair = base64.b64encode(f"{CLIENT}:{quote(self.secret, safe='')}".encode()).decode()
        return asked.headers.get("authorization") == f"Basic {pair}"

    def _redeems(self, fields: dict[str, str]) -> bool:
        begun = self._codes.pop(fields["code"], None)
        if begun is None or fields["redirect_uri"] != begun["redirect_uri"]:
            return False
        hashed = hashlib.sha256(fields["code_verifier"].encode()).digest()
        return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode() == begun["code_challenge"]

    def _device(self, asked: Asked) -> Reply:
        if not self._knows(
            asked, {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        ):
            return Reply.json({"error": "invalid_client"}, status=401)
        page = f"{self.server.url}/enter"
        return Reply.json(
            {
                "device_code": DEVICE_CODE,
                "user_code": USER_CODE,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={USER_CODE}",
                "expires_in": 600,
                "interval": 1,
            }
        )

    def _admitted(self, asked: Asked) -> bool:
        return bool(self.given) and asked.headers.get("authorization") == f"Bearer {self.token}"

    def _things(self, asked: Asked) -> Reply:
        return Reply.json([{"id": 1}, {"id": 2}]) if self._admitted(asked) else Reply.error(401)

    def _me(self, asked: Asked) -> Reply:
        return Reply.json({"login": "ada"}) if self._admitted(asked) else Reply.error(401)


class Visitor:
    """A person with a browser: hears what is said, and follows an address wherever it leads."""

    def __init__(self, *before: Callable[[str], object]) -> None:
        self.before = before  # what else happens to the address, first
        self.told: list[str] = []
        self.pages: list[requests.Response] = []
        self._threads: list[threading.Thread] = []

    def tell(self, text: str) -> None:
        self.told.append(text)

    def browse(self, address: str) -> None:
        thread = threading.Thread(target=self._follow, args=(address,))
        self._threads.append(thread)
        thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _follow(self, address: str) -> None:
        with requests.Session() as browser:
            browser.trust_env = False
            for step in self.before:
                step(address)
            self.pages.append(browser.get(address, timeout=30))


class Nobody(Visitor):
    """Hears, and does nothing."""

    def browse(self, address: str) -> None:
        self.told.append(address)


def browser(folder: Path) -> str:
    """A program that follows the address it is given: what ``BROWSER`` of the environment may name."""
    script = folder / "browser.py"
    script.write_text(f"#!{sys.executable}\n{_BROWSER}", encoding="utf-8")
    script.chmod(0o700)
    return str(script)


@contextmanager
def signing_in(secret: str = "", lifetime_s: int | None = 3600) -> Iterator[SignInServer]:
    with FaultServer() as server:
        yield SignInServer(server, secret, lifetime_s)


def sent_to(address: str) -> dict[str, str]:
    """The fields of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
