"""What goes to an API and what comes back, as data; and addresses compared and made fit to show."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from threading import Lock
from urllib.parse import quote, quote_plus, urlencode, urljoin, urlsplit

from unify.errors import BadResponse, ConfigError

Fields = tuple[tuple[str, str], ...]

MASK = "***"
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Names under which APIs put credentials into addresses, those of their own next links included.
_TELLING_NAMES = (
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
_USER_INFO = re.compile(r"(?i)(https?://)[^/?#@\s]*@")
_SIGNED = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")  # a JSON Web Token, whoever made it
_SHORTEST_SECRET = 4  # characters; anything shorter would blank out ordinary text


@dataclass(frozen=True, slots=True)
class Request:
    """One request, without proof of who asks. ``params`` are added to whatever query ``url`` has."""

    method: str
    url: str
    params: Fields = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    @property
    def address(self) -> str:
        """The whole address, query included. It may hold secrets."""
        if not self.params:
            return self.url
        joint = "&" if "?" in self.url else "?"
        return f"{self.url}{joint}{urlencode(self.params, quote_via=quote)}"

    def with_header(self, name: str, value: str) -> Request:
        return replace(self, headers={**self.headers, name: value})

    def with_param(self, name: str, value: str) -> Request:
        """The same with this parameter, in place of any of the same name."""
        kept = tuple(pair for pair in self.params if pair[0] != name)
        return replace(self, url=without_param(self.url, name), params=(*kept, (name, value)))


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, read to its end and decompressed.

    ``headers``  names in any case.
    ``url``      where it came from after redirects: links in it are relative to that. It may hold secrets.
    ``address``  method and address without secrets, for messages.
    ``skipped``  the spec's ``errors`` say that this request has no rows.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    address: str
    skipped: bool = False


def origin_of(url: str) -> str:
    """``https://host`` or ``http://host:8080``: scheme, host and, unless it is the usual one, port.

    Raises  ConfigError for what is no http or https address.
    """
    end = url.find("/", len("https://"))
    return _origin(url if end < 0 else url[:end])


@lru_cache(maxsize=64)
def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{url!r} is not an address: {error}") from error
    if scheme not in _DEFAULT_PORTS or not host:
        raise ConfigError(f"{url!r} is not an address that starts with http:// or https://")
    name = f"[{host}]" if ":" in host else host.rstrip(".")
    return f"{scheme}://{name}" if port in (None, _DEFAULT_PORTS[scheme]) else f"{scheme}://{name}:{port}"


def joined(url: str, link: str) -> str:
    """Where ``link`` leads from ``url``. Raises BadResponse for one that is no address at all."""
    try:
        return urljoin(url, link.strip())
    except ValueError as error:
        raise BadResponse(f"the link {link[:80]!r} is no address ({error})") from error


def without_param(url: str, name: str) -> str:
    """``url`` without the query parameter ``name``; every other character stays as it is."""
    base, mark, query = url.partition("?")
    if not mark:
        return url
    wanted = {quote(name, safe=""), quote_plus(name), name}
    kept = [pair for pair in query.split("&") if pair.partition("=")[0] not in wanted]
    return f"{base}?{'&'.join(kept)}" if kept else base


class Veil:
    """Takes secrets out of texts that people and logs see. Tokens fetched later are added to it."""

    def __init__(self, secrets: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        self._lock = Lock()
        self._secrets: set[str] = set()
        self._values: re.Pattern[str] | None = None
        telling = "|".join(re.escape(quote(name)) for name in (*_TELLING_NAMES, *names))
        self._params = re.compile(rf"(?i)(?<=[?&])({telling})=[^&#\s]*")
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        with self._lock:
            new = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET} - self._secrets
            if not new:
                return
            self._secrets |= new
            forms = {form for secret in self._secrets for form in _forms(secret)}
            longest_first = sorted(forms, key=len, reverse=True)
            self._values = re.compile("|".join(re.escape(form) for form in longest_first))

    def text(self, text: str) -> str:
        """``text`` with every secret shown as ``***``, also percent-encoded, in base64 or within JSON."""
        hidden = self._values.sub(MASK, text) if self._values else text
        if "eyJ" in hidden:
            hidden = _SIGNED.sub(MASK, hidden)
        if "@" in hidden:
            hidden = _USER_INFO.sub(rf"\1{MASK}@", hidden)
        if "=" in hidden:
            return self._params.sub(rf"\1={MASK}", hidden)
        return hidden


def _forms(secret: str) -> set[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    coded = base64.b64encode(raw).decode()
    quotings = {quote(raw, safe=""), quote(raw), quote_plus(raw), quote(coded, safe="")}
    return {secret, coded, *quotings, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
