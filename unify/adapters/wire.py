"""One request over the wire, and its answer read to the end: the only place that sends anything."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import requests
import urllib3
from requests.structures import CaseInsensitiveDict
from urllib3.util import Timeout

import unify
from unify.adapters.body import read_body
from unify.adapters.messages import Request
from unify.adapters.route import Bounds, Route
from unify.adapters.watchdog import Watchdog, WatchedAdapter
from unify.errors import BadResponse

WIRE_HEADERS: Mapping[str, str] = {
    "User-Agent": f"unify/{unify.__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
}

# What sending and reading may raise; anything else is a bug of ours.
FOREIGN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, BadResponse)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one exchange brought: a whole answer, unless ``ended`` or ``failed`` say otherwise."""

    status: int | None
    headers: Mapping[str, str]
    body: bytes
    ended: str
    failed: Exception | None


class Wire:
    """Connections to one API, kept and used again by many threads; every exchange ends by its deadline."""

    def __init__(self, route: Route, bounds: Bounds) -> None:
        self._bounds = bounds
        self._ca_file = route.ca_file
        self._proxies = {"http": route.proxy, "https": route.proxy} if route.proxy else None
        self._timeout = Timeout(connect=bounds.connect_s, read=bounds.silence_s)
        self._door = WatchedAdapter(route.concurrency)
        self._watchdog = Watchdog()

    def ask(self, request: Request, url: str, stop: threading.Event) -> Heard:
        """Send and read under the watchdog's eye; whatever goes wrong is told, not raised."""
        response: requests.Response | None = None
        body, failed = b"", None
        with self._watchdog.watching(self._bounds.page_s, stop) as exchange:
            try:
                response = self._send(request, url)
                body = read_body(response.raw, self._bounds.body_bytes)
            except FOREIGN as error:
                failed = error
                if response is not None:
                    response.raw.close()
        if response is None:
            return Heard(None, {}, b"", exchange.ended, failed)
        return Heard(response.status_code, response.headers, body, exchange.ended, failed)

    def halt(self, stop: threading.Event) -> None:
        """End every exchange begun with ``stop``."""
        self._watchdog.halt(stop)

    def close(self) -> None:
        self._watchdog.close()
        self._door.close()

    def _send(self, request: Request, url: str) -> requests.Response:
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = url
        headers = {**WIRE_HEADERS, **request.headers}
        if request.body is not None:
            headers["Content-Length"] = str(len(request.body))
        prepared.headers = CaseInsensitiveDict(headers)
        prepared.body = request.body
        return self._door.send(
            prepared,
            stream=True,
            timeout=self._timeout,  # type: ignore[arg-type]  # as requests allows, and its types do not know
            verify=self._ca_file or True,
            proxies=self._proxies,
        )
