"""What goes to an API and what comes back, as data; and addresses compared and made fit to show."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from threading import Lock
from urllib.parse import quote, quote_plus

MASK = "***"


# Names under which APIs put credentials into addresses, those of their own next links included.
_SECRET_PARAM_NAMES = (
    "access_token",
    "api_key",
    "apikey",
    "auth_token",
    "client_secret",
    "password",
    "private_token",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
)


_USER_INFO_PATTERN = re.compile(r"(?i)(https?://)[^/?#@\s]*@")


_JWT_PATTERN = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")  # a JSON Web Token, whoever made it


_MIN_SECRET_CHARS = 4  # characters; anything shorter would blank out ordinary text


class Redactor:
    """Takes secrets out of texts that people and logs see. Tokens fetched later are added to it."""

    def __init__(self, secrets: Iterable[str] = (), param_names: Iterable[str] = ()) -> None:
        self._lock = Lock()
        self._secrets: set[str] = set()
        self._secrets_pattern: re.Pattern[str] | None = None
        telling = "|".join(re.escape(quote(name)) for name in (*_SECRET_PARAM_NAMES, *param_names))
        self._params_pattern = re.compile(rf"(?i)(?<=[?&])({telling})=[^&#\s]*")
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        with self._lock:
            new = {secret for secret in secrets if len(secret) >= _MIN_SECRET_CHARS} - self._secrets
            if not new:
                return
            self._secrets |= new
            forms = {form for secret in self._secrets for form in _encoded_forms(secret)}
            longest_first = sorted(forms, key=len, reverse=True)
            self._secrets_pattern = re.compile("|".join(re.escape(form) for form in longest_first))

    def redact(self, text: str) -> str:
        """``text`` with every secret shown as ``***``, also percent-encoded, in base64 or within JSON."""
        hidden = self._secrets_pattern.sub(MASK, text) if self._secrets_pattern else text
        if "eyJ" in hidden:
            hidden = _JWT_PATTERN.sub(MASK, hidden)
        if "@" in hidden:
            hidden = _USER_INFO_PATTERN.sub(rf"\1{MASK}@", hidden)
        if "=" in hidden:
            return self._params_pattern.sub(rf"\1={MASK}", hidden)
        return hidden


def _encoded_forms(secret: str) -> set[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    coded = base64.b64encode(raw).decode()
    quotings = {quote(raw, safe=""), quote(raw), quote_plus(raw), quote(coded, safe="")}
    return {secret, coded, *quotings, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
