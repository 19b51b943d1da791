"""Requests, responses, client options, and the base class of authentication, as data without I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import TypeAlias, TypeVar
from urllib.parse import quote, quote_plus, urlencode, urlsplit

from msgspec import Struct, field
from msgspec.structs import replace

from unify.adapters.base import UserPrompt
from unify.errors import ConfigError

QueryParams = tuple[tuple[str, str], ...]
T = TypeVar("T")

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Request(Struct, frozen=True):
    """One request, without credentials. ``params`` are appended to the query of ``url``."""

    method: str
    url: str
    params: QueryParams = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    @property
    def full_url(self) -> str:
        """The URL with its whole query. It may contain secrets."""
        if not self.params:
            return self.url
        return f"{self.url}{'&' if '?' in self.url else '?'}{urlencode(self.params, quote_via=quote)}"

    def with_header(self, name: str, value: str) -> Request:
        return replace(self, headers={**self.headers, name: value})

    def with_param(self, name: str, value: str) -> Request:
        """Return the request with this parameter instead of any other of the same name."""
        others = tuple(pair for pair in self.params if pair[0] != name)
        return replace(self, url=without_param(self.url, name), params=(*others, (name, value)))


class Response(Struct, frozen=True):
    """One response with its complete, decompressed body.

    ``headers``       names are case-insensitive.
    ``url``           after redirects: links in the body are relative to it. It may contain secrets.
    ``request_line``  method and URL without secrets, for messages.
    ``skipped``       a rule in the spec's ``errors`` says that this request has no rows.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    request_line: str
    skipped: bool = False


def origin_of(url: str) -> str:
    """Return scheme, host and port; without the default port: ``https://host``, ``http://host:8080``.

    Raises:
        ConfigError: ``url`` is not an http or https URL.
    """
    end = url.find("/", len("https://"))
    return _parse_origin(url if end < 0 else url[:end])


@lru_cache(maxsize=64)
def _parse_origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{url!r} is not a valid URL: {error}") from error
    if scheme not in _DEFAULT_PORTS or not host:
        raise ConfigError(f"{url!r} is not a URL that starts with http:// or https://")
    name = f"[{host}]" if ":" in host else host.rstrip(".")
    return f"{scheme}://{name}" if port in (None, _DEFAULT_PORTS[scheme]) else f"{scheme}://{name}:{port}"


class AllowedOrigins:
    """Origins to which requests may go; ``https://*.example.com`` is every host below example.com."""

    def __init__(self, origins: Iterable[str]) -> None:
        found = [origin_of(origin) for origin in origins]
        self._exact = frozenset(origin for origin in found if "://*." not in origin)
        self._domains = tuple(
            (scheme, host.removeprefix("*"))
            for scheme, _, host in (origin.partition("://") for origin in found)
            if host.startswith("*.")
        )

    def __contains__(self, origin: str) -> bool:
        scheme, _, host = origin.partition("://")
        return origin in self._exact or any(
            scheme == allowed and host.endswith(domain) for allowed, domain in self._domains
        )


UNPROTECTED_MESSAGE = (
    "credentials are not sent to another machine over http; use https, or set the option "
    "allow_http: true in the connection"
)


def is_unprotected(url: str) -> bool:
    """Return whether others can read what is sent to ``url``: http to another machine."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.scheme.lower() != "http" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def without_param(url: str, name: str) -> str:
    """Return ``url`` without a query parameter; every other character is unchanged."""
    base, mark, query = url.partition("?")
    if not mark:
        return url
    names = {quote(name, safe=""), quote_plus(name), name}
    others = [pair for pair in query.split("&") if pair.partition("=")[0] not in names]
    return f"{base}?{'&'.join(others)}" if others else base


class Timeouts(Struct, frozen=True):
    """Limits of one request and its response."""

    connect_s: float = 10.0
    read_s: float = 30.0  # between two bytes
    total_s: float = 120.0  # from the first byte sent to the last one received
    max_body_bytes: int = 32_000_000  # decompressed; four at a time stay within a worker's 300 MB


class ClientOptions(Struct, frozen=True):
    """The origins, timeouts and limits of the requests of a connection.

    ``base_url``          credentials are sent to its origin only.
    ``credential_origins``  other origins to which credentials are sent, too.
    ``credentials_hint``  names the options to check if the credentials are refused.
    ``requires_tls``      requests have credentials, which are not sent to another machine over http.
    ``token_hints``       the same if a token request is refused, by OAuth 2 error; "" for any other error.
    """

    base_url: str
    allowed_origins: tuple[str, ...] = ()
    credential_origins: tuple[str, ...] = ()
    proxy: str | None = None
    ca_file: str | None = None
    concurrency: int = 4
    credentials_hint: str = ""
    token_hints: Mapping[str, str] = field(default_factory=dict)
    requires_tls: bool = False


class DelayedRequest(Struct, frozen=True):
    """A request to send after ``delay_s``."""

    request: Request
    delay_s: float


# Yields the requests to an authorization server one by one and receives the responses.
AuthFlow: TypeAlias = Generator[Request | DelayedRequest, Response, T]


class Authentication:
    """No authentication, and the base class of all others. It sends nothing.

    The client calls ``ensure_token`` under a lock while ``is_ready`` is false, and ``apply`` for each request
    to the connection's own origin.
    """

    secret_params: tuple[str, ...] = ()  # query parameters with secret values

    def apply(self, request: Request, _now: float) -> Request:
        """Return ``request`` with credentials. ``now`` is in seconds since 1970, for signatures."""
        return request

    def is_ready(self, _now: float) -> bool:
        return True

    def ensure_token(self, _now: float) -> AuthFlow[None]:
        """Request a token."""
        yield from ()

    def is_signed_in(self) -> bool:
        """Whether ``sign_in`` has been done, if it is required."""
        return True

    def sign_in(self, _prompt: UserPrompt, _now: Callable[[], float]) -> AuthFlow[None]:
        """Sign a user in. Raises Unauthorized if the user does not."""
        yield from ()

    def sign_out(self) -> None:
        """Delete the stored sign-in."""

    def handle_unauthorized(self, _rejected: Request) -> bool:
        """Whether to send the request again after status 401, with a new token."""
        return False

    def is_applied_to(self, _request: Request) -> bool:
        """Whether ``request`` has these credentials."""
        return False

    def secrets(self) -> tuple[str, ...]:
        """Values that must not be shown, with the tokens requested so far."""
        return ()


class TokenRefused(Exception):
    """The server issued no token; the client raises Unauthorized instead. ``error`` is of RFC 6749, 5.2."""

    def __init__(self, response: Response, detail: str = "", error: str = "") -> None:
        super().__init__(response.request_line)
        self.response = response
        self.detail = detail
        self.error = error
