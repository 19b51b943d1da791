"""How a person lets an application in: with the browser of this machine, or with a code on any other."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import quote, urlencode

from unify.adapters.messages import origin_of
from unify.adapters.oauth import OAuthClient, Said
from unify.adapters.person import Person
from unify.adapters.proof import Settings, Talk, TokenRefused
from unify.errors import ConfigError, Unauthorized

SIGN_IN_S = 300.0  # for a person to find the password, and the second factor
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL_S = 5.0  # RFC 8628, section 3.5: where the server names none, and what slow_down adds
LEAST_INTERVAL_S = 1.0  # whatever the server names
CODE_S = 1800.0  # the longest that a code is waited for, whatever the server says

Now = Callable[[], float]


class Consent(Protocol):
    """One way to ask a person. ``passing`` holds secrets that live for one sign-in."""

    passing: tuple[str, ...]

    def asked(self, person: Person, now: Now) -> Talk[Said]:
        """Until the server has said what it gives. Raises Unauthorized where the person did not consent."""


class ByBrowser:
    """``authorization_code`` with PKCE (RFC 7636), sent back to a port of this machine (RFC 8252)."""

    def __init__(self, client: OAuthClient, settings: Settings) -> None:
        self.passing: tuple[str, ...] = ()
        self._client = client
        self._connection = settings.connection
        self._url = _address(settings)
        self._port = _port(settings)

    def asked(self, person: Person, _now: Now) -> Talk[Said]:
        from unify.adapters.loopback import Loopback  # a web server, which nobody else needs

        verifier, state = secrets.token_urlsafe(64), secrets.token_urlsafe(32)
        with Loopback(self._port, state) as loopback:
            address = self._begun(loopback.uri, state, verifier)
            person.tell(f"{self._connection}: sign in at {address}")
            person.tell(f"waiting until the browser comes back to {loopback.uri} (Ctrl-C gives up)")
            person.browse(address)
            code = self._code(loopback.wait(SIGN_IN_S))
            self.passing = (verifier, code)
            redeemed = {"grant_type": "authorization_code", "code": code, "redirect_uri": loopback.uri}
        return (yield from self._client.token({**redeemed, "code_verifier": verifier}))

    def _begun(self, redirect_uri: str, state: str, verifier: str) -> str:
        """Where the person consents; what the spec's address has in its query stays there."""
        fields = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": redirect_uri,
            **self._client.scope_field,
            "state": state,
            "code_challenge": challenge(verifier),
            "code_challenge_method": "S256",
        }
        return f"{self._url}{'&' if '?' in self._url else '?'}{urlencode(fields, quote_via=quote)}"

    def _code(self, brought: Mapping[str, str] | None) -> str:
        if brought is None:
            raise Unauthorized(f"nobody signed in to {self._connection} within {SIGN_IN_S / 60:.0f} min")
        if not brought.get("code"):
            raise Unauthorized(f"the sign-in to {self._connection} was refused{_reason(brought)}")
        return brought["code"]


class ByDevice:
    """``device_code`` (RFC 8628): the person enters a code, wherever there is a browser."""

    def __init__(self, client: OAuthClient, settings: Settings) -> None:
        self.passing: tuple[str, ...] = ()
        self._client = client
        self._connection = settings.connection
        self._url = _address(settings)

    def asked(self, person: Person, now: Now) -> Talk[Said]:
        given = yield from self._client.ask(self._url, self._client.scope_field)
        code, place = given.text("device_code"), _web(given, "verification_uri", "verification_url")
        if not code or not place or not given.text("user_code"):
            raise TokenRefused(given.answer)
        self.passing = (code,)
        until = now() + min(given.seconds("expires_in") or CODE_S, CODE_S)
        person.tell(f"{self._connection}: open {place} and enter the code {given.text('user_code')}")
        person.tell("waiting for you to do so, in any browser (Ctrl-C gives up)")
        person.browse(_web(given, "verification_uri_complete") or place)
        interval_s = max(given.seconds("interval") or INTERVAL_S, LEAST_INTERVAL_S)
        return (yield from self._polled(code, interval_s, until, now))

    def _polled(self, code: str, interval_s: float, until: float, now: Now) -> Talk[Said]:
        while now() + interval_s < until:
            said = yield from self._client.token(
                {"grant_type": DEVICE_GRANT, "device_code": code}, after_s=interval_s
            )
            match said.error:
                case "authorization_pending":
                    continue
                case "slow_down":
                    interval_s = max(interval_s + INTERVAL_S, said.seconds("interval") or 0.0)
                case "expired_token":
                    break
                case "access_denied":
                    told = {name: said.text(name) for name in ("error", "error_description")}
                    raise Unauthorized(f"the sign-in to {self._connection} was refused{_reason(told)}")
                case _:
                    return said
        raise Unauthorized(f"nobody entered the code for {self._connection} before it expired")


def challenge(verifier: str) -> str:
    """RFC 7636, section 4.2: what the server is told of ``verifier`` before it is told the verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _reason(brought: Mapping[str, str]) -> str:
    told = brought.get("error_description") or brought.get("error")
    return f' ("{told[:200]}")' if told else ""


def _web(said: Said, *names: str) -> str:
    """The first of these members that is a web address: nothing else is opened."""
    found = (said.text(name) for name in names)
    return next((text for text in found if text.startswith(("https://", "http://"))), "")


def _address(settings: Settings) -> str:
    url = settings.text("authorize_url")
    try:
        origin_of(url)
    except ConfigError as error:
        raise ConfigError(f"{settings.where}: auth.authorize_url: {error.message}") from error
    return url


def _port(settings: Settings) -> int:
    written = settings.text("redirect_port", "0") if settings.has_value("redirect_port") else "0"
    if not (written.isascii() and written.isdecimal() and int(written) < 65536):
        raise ConfigError(
            f"{settings.where}: auth.redirect_port: {written!r} is no port; use one from 1024 to 65535"
        )
    return int(written)
