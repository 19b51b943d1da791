"""AWS Signature Version 4."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

from unify.adapters.auth.base import AuthConfig
from unify.adapters.http.messages import Authentication, Request

_UNRESERVED_CHARS = "-_.~"


class AWSSigV4Auth(Authentication):
    """Signs each request with its time, as documented by AWS."""

    def __init__(self, settings: AuthConfig) -> None:
        self._access_key_id = settings.header("access_key_id")
        self._secret_access_key = settings.text("secret_access_key")
        is_temporary = settings.has_value("session_token")
        self._session_token = settings.header("session_token") if is_temporary else ""
        self._region = settings.header("region")
        self._service = settings.header("service")

    def apply(self, request: Request, now: float) -> Request:
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        body_hash = hashlib.sha256(request.body or b"").hexdigest()
        signed = {"host": _host_header(request.url), "x-amz-date": stamp}
        if self._session_token:
            signed["x-amz-security-token"] = self._session_token
        if self._service == "s3":
            signed["x-amz-content-sha256"] = body_hash
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        canonical = self._canonical_request(request, signed, body_hash)
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signature = self._signature(scope, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}")
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={self._access_key_id}/{scope}, "
            f"SignedHeaders={';'.join(sorted(signed))}, Signature={signature}"
        )
        sent = {name: value for name, value in signed.items() if name != "host"}
        headers = {**request.headers, **sent, "Authorization": authorization}
        return Request(request.method, request.url, request.params, headers, request.body)

    def secrets(self) -> tuple[str, ...]:
        return (self._secret_access_key, self._session_token)

    def _canonical_request(self, request: Request, signed_headers: dict[str, str], body_hash: str) -> str:
        parts = urlsplit(request.full_url)
        path = parts.path or "/"
        if self._service != "s3":  # other services expect the encoded path to be encoded again
            path = quote(path, safe="/" + _UNRESERVED_CHARS)
        pairs = sorted(
            (quote(name, safe=_UNRESERVED_CHARS), quote(value, safe=_UNRESERVED_CHARS))
            for name, value in parse_qsl(parts.query, keep_blank_values=True)
        )
        query = "&".join(f"{name}={value}" for name, value in pairs)
        headers = "".join(f"{name}:{value.strip()}\n" for name, value in sorted(signed_headers.items()))
        return "\n".join([request.method, path, query, headers, ";".join(sorted(signed_headers)), body_hash])

    def _signature(self, scope: str, string_to_sign: str) -> str:
        key = f"AWS4{self._secret_access_key}".encode()
        for part in (*scope.split("/"), string_to_sign):
            key = hmac.digest(key, part.encode(), "sha256")
        return key.hex()


def _host_header(url: str) -> str:
    """The Host header as it is sent, without the default port."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    host = parts.hostname or ""
    return host if parts.port in (None, default) else f"{host}:{parts.port}"
