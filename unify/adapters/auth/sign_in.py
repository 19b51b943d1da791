"""How a person lets an application in: with the browser of this machine, or with a code on any other."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import quote, urlencode

from unify.adapters.auth.base import AuthConfig
from unify.adapters.auth.oauth import OAuthClient, TokenResponse
from unify.adapters.base import UserPrompt
from unify.adapters.http.messages import AuthFlow, TokenRefused, origin_of
from unify.errors import ConfigError, Unauthorized

SIGN_IN_TIMEOUT_S = 300.0  # for a person to find the password, and the second factor
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
DEFAULT_POLL_INTERVAL_S = 5.0  # RFC 8628, section 3.5: where the server names none, and what slow_down adds
MIN_POLL_INTERVAL_S = 1.0  # whatever the server names
MAX_CODE_LIFETIME_S = 1800.0  # the longest that a code is waited for, whatever the server says

TimeFunction = Callable[[], float]


class SignInFlow(Protocol):
    """One way to ask a person. ``transient_secrets`` holds secrets that live for one sign-in."""

    transient_secrets: tuple[str, ...]

    def authorize(self, prompt: UserPrompt, now: TimeFunction) -> AuthFlow[TokenResponse]:
        """Until the server has said what it gives. Raises Unauthorized where the person did not consent."""


class BrowserFlow:
    """``authorization_code`` with PKCE (RFC 7636), sent back to a port of this machine (RFC 8252)."""

    def __init__(self, client: OAuthClient, settings: AuthConfig) -> None:
        self.transient_secrets: tuple[str, ...] = ()
        self._client = client
        self._connection = settings.connection
        self._authorize_url = _authorize_url(settings)
        self._port = _redirect_port(settings)

    def authorize(self, prompt: UserPrompt, _now: TimeFunction) -> AuthFlow[TokenResponse]:
        from unify.adapters.auth.callback_server import (
            CallbackServer,
        )  # a web server, which nobody else needs

        verifier, state = secrets.token_urlsafe(64), secrets.token_urlsafe(32)
        with CallbackServer(self._port, state) as loopback:
            address = self._build_authorize_url(loopback.uri, state, verifier)
            prompt.show_message(f"{self._connection}: sign in at {address}")
            prompt.show_message(f"waiting until the browser comes back to {loopback.uri} (Ctrl-C gives up)")
            prompt.open_browser(address)
            code = self._authorization_code(loopback.wait_for_result(SIGN_IN_TIMEOUT_S))
            self.transient_secrets = (verifier, code)
            redeemed = {"grant_type": "authorization_code", "code": code, "redirect_uri": loopback.uri}
        return (yield from self._client.request_token({**redeemed, "code_verifier": verifier}))

    def _build_authorize_url(self, redirect_uri: str, state: str, verifier: str) -> str:
        """Where the person consents; what the spec's address has in its query stays there."""
        fields = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": redirect_uri,
            **self._client.scope_field,
            "state": state,
            "code_challenge": code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        separator = "&" if "?" in self._authorize_url else "?"
        return f"{self._authorize_url}{separator}{urlencode(fields, quote_via=quote)}"

    def _authorization_code(self, callback_params: Mapping[str, str] | None) -> str:
        if callback_params is None:
            raise Unauthorized(
                f"nobody signed in to {self._connection} within {SIGN_IN_TIMEOUT_S / 60:.0f} min"
            )
        if not callback_params.get("code"):
            raise Unauthorized(
                f"the sign-in to {self._connection} was refused{_error_detail(callback_params)}"
            )
        return callback_params["code"]


class DeviceFlow:
    """``device_code`` (RFC 8628): the person enters a code, wherever there is a browser."""

    def __init__(self, client: OAuthClient, settings: AuthConfig) -> None:
        self.transient_secrets: tuple[str, ...] = ()
        self._client = client
        self._connection = settings.connection
        self._device_authorization_url = _authorize_url(settings)

    def authorize(self, prompt: UserPrompt, now: TimeFunction) -> AuthFlow[TokenResponse]:
        given = yield from self._client.post_form(self._device_authorization_url, self._client.scope_field)
        code, place = given.text("device_code"), _web_url(given, "verification_uri", "verification_url")
        if not code or not place or not given.text("user_code"):
            raise TokenRefused(given.response)
        self.transient_secrets = (code,)
        until = now() + min(given.seconds("expires_in") or MAX_CODE_LIFETIME_S, MAX_CODE_LIFETIME_S)
        prompt.show_message(f"{self._connection}: open {place} and enter the code {given.text('user_code')}")
        prompt.show_message("waiting for you to do so, in any browser (Ctrl-C gives up)")
        prompt.open_browser(_web_url(given, "verification_uri_complete") or place)
        interval_s = max(given.seconds("interval") or DEFAULT_POLL_INTERVAL_S, MIN_POLL_INTERVAL_S)
        return (yield from self._poll_token(code, interval_s, until, now))

    def _poll_token(
        self, code: str, interval_s: float, expires_at: float, now: TimeFunction
    ) -> AuthFlow[TokenResponse]:
        while now() + interval_s < expires_at:
            said = yield from self._client.request_token(
                {"grant_type": DEVICE_GRANT, "device_code": code}, delay_s=interval_s
            )
            match said.error:
                case "authorization_pending":
                    continue
                case "slow_down":
                    interval_s = max(interval_s + DEFAULT_POLL_INTERVAL_S, said.seconds("interval") or 0.0)
                case "expired_token":
                    break
                case "access_denied":
                    told = {name: said.text(name) for name in ("error", "error_description")}
                    raise Unauthorized(f"the sign-in to {self._connection} was refused{_error_detail(told)}")
                case _:
                    return said
        raise Unauthorized(f"nobody entered the code for {self._connection} before it expired")


def code_challenge(verifier: str) -> str:
    """RFC 7636, section 4.2: what the server is told of ``verifier`` before it is told the verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _error_detail(params: Mapping[str, str]) -> str:
    told = params.get("error_description") or params.get("error")
    return f' ("{told[:200]}")' if told else ""


def _web_url(response: TokenResponse, *names: str) -> str:
    """The first of these members that is a web address: nothing else is opened."""
    found = (response.text(name) for name in names)
    return next((text for text in found if text.startswith(("https://", "http://"))), "")


def _authorize_url(settings: AuthConfig) -> str:
    url = settings.text("authorize_url")
    try:
        origin_of(url)
    except ConfigError as error:
        raise ConfigError(f"{settings.where}: auth.authorize_url: {error.message}") from error
    return url


def _redirect_port(settings: AuthConfig) -> int:
    written = settings.text("redirect_port", "0") if settings.has_value("redirect_port") else "0"
    if not (written.isascii() and written.isdecimal() and int(written) < 65536):
        raise ConfigError(
            f"{settings.where}: auth.redirect_port: {written!r} is no port; use one from 1024 to 65535"
        )
    return int(written)
