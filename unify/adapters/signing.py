"""Proof made on the spot from a key: AWS signatures (version 4), and JSON Web Tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

from unify.adapters.keys import signer
from unify.adapters.messages import Request
from unify.adapters.proof import Authentication, Settings
from unify.durations import parse_duration
from unify.errors import ConfigError

LIFETIME_S = 300.0  # of a token; APIs allow ten minutes at most, clocks differ by less than the rest
_UNRESERVED = "-_.~"


class AWSSignature(Authentication):
    """Signature Version 4, as AWS documents it: each request is signed with its time."""

    def __init__(self, settings: Settings) -> None:
        self._key_id = settings.header("access_key_id")
        self._secret = settings.text("secret_access_key")
        temporary = settings.has_value("session_token")
        self._session_token = settings.header("session_token") if temporary else ""
        self._region = settings.header("region")
        self._service = settings.header("service")

    def apply(self, request: Request, now: float) -> Request:
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        body_hash = hashlib.sha256(request.body or b"").hexdigest()
        signed = {"host": _host(request.url), "x-amz-date": stamp}
        if self._session_token:
            signed["x-amz-security-token"] = self._session_token
        if self._service == "s3":
            signed["x-amz-content-sha256"] = body_hash
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        canonical = self._canonical(request, signed, body_hash)
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signature = self._signature(scope, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}")
        proof = (
            f"AWS4-HMAC-SHA256 Credential={self._key_id}/{scope}, "
            f"SignedHeaders={';'.join(sorted(signed))}, Signature={signature}"
        )
        sent = {name: value for name, value in signed.items() if name != "host"}
        headers = {**request.headers, **sent, "Authorization": proof}
        return Request(request.method, request.url, request.params, headers, request.body)

    def secrets(self) -> tuple[str, ...]:
        return (self._secret, self._session_token)

    def _canonical(self, request: Request, signed: dict[str, str], body_hash: str) -> str:
        parts = urlsplit(request.address)
        path = parts.path or "/"
        if self._service != "s3":  # everybody else wants the encoded path encoded once more
            path = quote(path, safe="/" + _UNRESERVED)
        pairs = sorted(
            (quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED))
            for name, value in parse_qsl(parts.query, keep_blank_values=True)
        )
        query = "&".join(f"{name}={value}" for name, value in pairs)
        headers = "".join(f"{name}:{value.strip()}\n" for name, value in sorted(signed.items()))
        return "\n".join([request.method, path, query, headers, ";".join(sorted(signed)), body_hash])

    def _signature(self, scope: str, text: str) -> str:
        key = f"AWS4{self._secret}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        return key.hex()


class SignedToken(Authentication):
    """A JSON Web Token of our own making, sent as a bearer token and made anew before it expires."""

    def __init__(self, settings: Settings) -> None:
        algorithm = settings.text("algorithm", "RS256")
        self._key = settings.text("key")
        self._sign = signer(algorithm, self._key, settings.where)
        self._claims = dict(settings.fields("claims"))
        self._lifetime_s = _lifetime(settings)
        self._header = {"alg": algorithm, "typ": "JWT"}
        if "key_id" in settings:
            self._header["kid"] = settings.text("key_id")

    def apply(self, request: Request, now: float) -> Request:
        issued = int(now)
        claims = {**self._claims, "iat": issued, "exp": issued + int(self._lifetime_s)}
        signing = f"{_part(self._header)}.{_part(claims)}"
        return request.with_header(
            "Authorization", f"Bearer {signing}.{_coded(self._sign(signing.encode()))}"
        )

    def secrets(self) -> tuple[str, ...]:
        return (self._key,)


def _host(url: str) -> str:
    """The Host header as it is sent: without a port where it is the usual one."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    host = parts.hostname or ""
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def _lifetime(settings: Settings) -> float:
    written = settings.raw("lifetime")
    if written is None:
        return LIFETIME_S
    if isinstance(written, int | float):
        return float(written)
    try:
        return parse_duration(settings.text("lifetime"))
    except ValueError as error:
        raise ConfigError(f"{settings.where}: auth.lifetime: {error}") from error


def _part(value: Mapping[str, object]) -> str:
    return _coded(json.dumps(value, separators=(",", ":")).encode())


def _coded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
