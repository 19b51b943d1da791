"""Sign-in by a user: in the browser of this machine, or with a code in any browser."""

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
from unify.text import excerpt

SIGN_IN_TIMEOUT_S = 300.0  # for password and second factor
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
DEFAULT_POLL_INTERVAL_S = 5.0  # RFC 8628, section 3.5; also added by slow_down
MIN_POLL_INTERVAL_S = 1.0
MAX_CODE_LIFETIME_S = 1800.0

TimeFunction = Callable[[], float]


class SignInFlow(Protocol):
    """A way to sign in. ``transient_secrets`` are secrets of one sign-in."""

    transient_secrets: tuple[str, ...]

    def authorize(self, prompt: UserPrompt, now: TimeFunction) -> AuthFlow[TokenResponse]:
        """Return the token response. Raises Unauthorized if the user does not consent."""


class BrowserFlow:
    """``authorization_code`` with PKCE (RFC 7636) and a redirect to this machine (RFC 8252)."""

    def __init__(self, client: OAuthClient, settings: AuthConfig) -> None:
        self.transient_secrets: tuple[str, ...] = ()
        self._client = client
        self._connection = settings.connection
        self._authorize_url = _authorize_url(settings)
        self._port = _redirect_port(settings)

    def authorize(self, prompt: UserPrompt, _now: TimeFunction) -> AuthFlow[TokenResponse]:
        from unify.adapters.auth.callback_server import CallbackServer  # imports http.server

        verifier, state = secrets.token_urlsafe(64), secrets.token_urlsafe(32)
        with CallbackServer(self._port, state) as server:
            url = self._build_authorize_url(server.uri, state, verifier)
            prompt.show_message(f"{self._connection}: sign in at {url}")
            prompt.show_message(f"Waiting for the browser to return to {server.uri}. Press Ctrl-C to cancel.")
            prompt.open_browser(url)
            code = self._authorization_code(server.wait_for_result(SIGN_IN_TIMEOUT_S))
            self.transient_secrets = (verifier, code)
            fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": server.uri}
        return (yield from self._client.request_token({**fields, "code_verifier": verifier}))

    def _build_authorize_url(self, redirect_uri: str, state: str, verifier: str) -> str:
        """The URL where the user consents, with the query that the URL of the spec has."""
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
            raise Unauthorized(f"{self._connection}: no sign-in within {SIGN_IN_TIMEOUT_S / 60:.0f} min")
        if not callback_params.get("code"):
            raise Unauthorized(f"{self._connection}: the sign-in was refused{_error_detail(callback_params)}")
        return callback_params["code"]


class DeviceFlow:
    """``device_code`` (RFC 8628): the user enters a code in any browser."""

    def __init__(self, client: OAuthClient, settings: AuthConfig) -> None:
        self.transient_secrets: tuple[str, ...] = ()
        self._client = client
        self._connection = settings.connection
        self._device_authorization_url = _authorize_url(settings)

    def authorize(self, prompt: UserPrompt, now: TimeFunction) -> AuthFlow[TokenResponse]:
        response = yield from self._client.post_form(self._device_authorization_url, self._client.scope_field)
        code, user_code = response.text("device_code"), response.text("user_code")
        url = _web_url(response, "verification_uri", "verification_url")
        if not code or not url or not user_code:
            raise TokenRefused(response.response, error=response.error)
        self.transient_secrets = (code,)
        expires_at = now() + min(response.seconds("expires_in") or MAX_CODE_LIFETIME_S, MAX_CODE_LIFETIME_S)
        prompt.show_message(f"{self._connection}: open {url} and enter the code {user_code}")
        prompt.show_message("Waiting for the sign-in, in any browser. Press Ctrl-C to cancel.")
        prompt.open_browser(_web_url(response, "verification_uri_complete") or url)
        interval_s = max(response.seconds("interval") or DEFAULT_POLL_INTERVAL_S, MIN_POLL_INTERVAL_S)
        return (yield from self._poll_token(code, interval_s, expires_at, now))

    def _poll_token(
        self, code: str, interval_s: float, expires_at: float, now: TimeFunction
    ) -> AuthFlow[TokenResponse]:
        while now() + interval_s < expires_at:
            response = yield from self._client.request_token(
                {"grant_type": DEVICE_GRANT, "device_code": code}, delay_s=interval_s
            )
            match response.error:
                case "authorization_pending":
                    continue
                case "slow_down":
                    interval_s = max(
                        interval_s + DEFAULT_POLL_INTERVAL_S, response.seconds("interval") or 0.0
                    )
                case "expired_token":
                    break
                case "access_denied":
                    detail = _error_detail(response.fields)
                    raise Unauthorized(f"{self._connection}: the sign-in was refused{detail}")
                case _:
                    return response
        raise Unauthorized(f"{self._connection}: the code expired before it was entered")


def code_challenge(verifier: str) -> str:
    """RFC 7636, section 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _error_detail(fields: Mapping[str, object]) -> str:
    text = fields.get("error_description") or fields.get("error")
    return f' ("{excerpt(str(text), 200)}")' if text else ""


def _web_url(response: TokenResponse, *names: str) -> str:
    """The first of these fields that is an http or https URL; nothing else is opened in a browser."""
    texts = (response.text(name) for name in names)
    return next((text for text in texts if text.startswith(("https://", "http://"))), "")


def _authorize_url(settings: AuthConfig) -> str:
    url = settings.text("authorize_url")
    try:
        origin_of(url)
    except ConfigError as error:
        raise settings.error("authorize_url", error.message) from error
    return url


def _redirect_port(settings: AuthConfig) -> int:
    text = settings.text("redirect_port", "0") if settings.has_value("redirect_port") else "0"
    if not (text.isascii() and text.isdecimal() and int(text) < 65536):
        raise settings.error("redirect_port", f"{text!r} is not a port; use one from 1024 to 65535")
    return int(text)
