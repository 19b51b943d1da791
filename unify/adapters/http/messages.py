"""What goes to an API and what comes back, as data; and addresses compared and made fit to show.

Where a connection's requests may go, how long each may take, and how large an answer may be.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeAlias, TypeVar
from urllib.parse import quote, quote_plus, urlencode, urljoin, urlsplit

from unify.adapters.base import UserPrompt
from unify.errors import BadResponse, ConfigError
from unify.text import excerpt

QueryParams = tuple[tuple[str, str], ...]

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Request:
    """One request, without proof of who asks. ``params`` are added to whatever query ``url`` has."""

    method: str
    url: str
    params: QueryParams = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    @property
    def full_url(self) -> str:
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
class Response:
    """One answer, read to its end and decompressed.

    ``headers``  names in any case.
    ``url``      where it came from after redirects: links in it are relative to that. It may hold secrets.
    ``address``  method and address without secrets, for messages.
    ``skipped``  the spec's ``broken`` say that this request has no rows.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    request_line: str
    skipped: bool = False


def origin_of(url: str) -> str:
    """``https://host`` or ``http://host:8080``: scheme, host and, unless it is the usual one, port.

    Raises  ConfigError for what is no http or https address.
    """
    end = url.find("/", len("https://"))
    return _parse_origin(url if end < 0 else url[:end])


@lru_cache(maxsize=64)
def _parse_origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{url!r} is not an address: {error}") from error
    if scheme not in _DEFAULT_PORTS or not host:
        raise ConfigError(f"{url!r} is not an address that starts with http:// or https://")
    name = f"[{host}]" if ":" in host else host.rstrip(".")
    return f"{scheme}://{name}" if port in (None, _DEFAULT_PORTS[scheme]) else f"{scheme}://{name}:{port}"


def resolve_link(url: str, link: str) -> str:
    """Where ``link`` leads from ``url``. Raises BadResponse for one that is no address at all."""
    try:
        return urljoin(url, link.strip())
    except ValueError as error:
        raise BadResponse(f"the link {excerpt(link, 80)!r} is no address ({error})") from error


def without_param(url: str, name: str) -> str:
    """``url`` without the query parameter ``name``; every other character stays as it is."""
    base, mark, query = url.partition("?")
    if not mark:
        return url
    wanted = {quote(name, safe=""), quote_plus(name), name}
    kept = [pair for pair in query.split("&") if pair.partition("=")[0] not in wanted]
    return f"{base}?{'&'.join(kept)}" if kept else base


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long and how large one exchange may be."""

    connect_s: float = 10.0
    read_s: float = 30.0  # without a byte
    total_s: float = 120.0  # from the first byte sent to the last received, however it drips
    max_body_bytes: int = 32_000_000  # decompressed; four at once stay within a worker's 300 MB


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Where a connection's requests may go, and how.

    ``render_base_url``     pins the origin: credentials go there alone.
    ``credentials_hint``  names the options to look at when they are refused.
    """

    base_url: str
    allowed_origins: tuple[str, ...] = ()
    proxy: str | None = None
    ca_file: str | None = None
    concurrency: int = 4
    credentials_hint: str = ""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DelayedRequest:
    """A request that is to be sent some time from now."""

    request: Request
    delay_s: float


# What is asked of an authorization server, one request after the other, each time sent its answer.
AuthFlow: TypeAlias = Generator[Request | DelayedRequest, Response, T]


class Authentication:
    """No proof at all, and the base of all others.

    ``apply`` is called for each request to the connection's own origin, and for no other.
    ``prepare`` yields requests for a token, one at a time, and is sent the answers; the transport runs it
    under a lock while ``is_ready`` says no. ``handle_unauthorized`` is told of a request that got a 401, and says whether
    trying once more has a point. ``sign_in`` is for those that need a person once.
    """

    secret_params: tuple[str, ...] = ()  # names of query parameters that carry secrets

    def apply(self, request: Request, _now: float) -> Request:
        """``request`` with the proof in it. The time is in seconds since 1970, for what is signed with it."""
        return request

    def is_ready(self, _now: float) -> bool:
        return True

    def ensure_token(self, _now: float) -> AuthFlow[None]:
        yield from ()

    def is_signed_in(self) -> bool:
        """False until a person has signed in, where one has to."""
        return True

    def sign_in(self, _prompt: UserPrompt, _now: Callable[[], float]) -> AuthFlow[None]:
        """Have a person sign in, again if they have before. Raises Unauthorized where they do not."""
        yield from ()

    def sign_out(self) -> None:
        """Forget what a person has signed in for."""

    def handle_unauthorized(self, _rejected: Request) -> bool:
        return False

    def is_applied_to(self, _request: Request) -> bool:
        """Is this proof in ``request``?"""
        return False

    def secrets(self) -> tuple[str, ...]:
        """What must not be seen, tokens fetched meanwhile included."""
        return ()


class TokenRefused(Exception):
    """No token came; the transport makes an ``Unauthorized`` of it."""

    def __init__(self, response: Response, detail: str = "") -> None:
        super().__init__(response.request_line)
        self.response = response
        self.detail = detail  # it was looked for in the answer
