"""The HTTP client of one connection.

Credentials are sent to the connection's origin, and to others that its spec names for that. Redirects and
next links stay there, or go to the ``allowed_origins`` of the spec without credentials. Each request ends by
its deadline, each body within its size limit. All workers share the rate limits. Each attempt is reported
without secrets. Nothing is read from the environment: no proxy, no CA bundle, no ``.netrc``.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from time import perf_counter
from typing import TypeVar

from msgspec.structs import replace

from unify.adapters.base import Listeners, Traffic
from unify.adapters.http import retry
from unify.adapters.http.errors import (
    LATER_ADVICE,
    TransportErrorMapper,
    quote_body,
    response_error,
    was_not_sent,
)
from unify.adapters.http.messages import (
    UNPROTECTED_MESSAGE,
    AllowedOrigins,
    Authentication,
    AuthFlow,
    ClientOptions,
    DelayedRequest,
    Request,
    Response,
    Timeouts,
    TokenRefused,
    is_unprotected,
    origin_of,
)
from unify.adapters.http.rate_limit import Clock, RateLimiter, Throttle, interrupted_error
from unify.adapters.http.session import HttpSession, RawResponse
from unify.adapters.paging.links import resolve_link
from unify.adapters.spec.model import ErrorRule
from unify.errors import (
    BadResponse,
    ConfigError,
    ResponseLost,
    SourceError,
    Unauthorized,
    UnifyError,
    Unreachable,
)
from unify.redaction import Redactor
from unify.text import excerpt

MAX_REDIRECTS = 5
MAX_URL_CHARS = 32_768  # four times what most servers accept
MAX_SHOWN_URL_CHARS = 1_000  # in messages and in unify.requests
REDIRECT_STATUSES = frozenset([301, 302, 303, 307, 308])

# The authentication itself reads these responses; 428 is Google's "authorization pending".
TOKEN_ERROR_RULES = tuple(ErrorRule(status, "skip") for status in (400, 401, 403, 428))
# The only headers sent to an allowed other origin: any other one may be a credential.
CROSS_ORIGIN_HEADERS = frozenset(["user-agent", "accept", "accept-encoding"])

T = TypeVar("T")


class HttpClient:
    """Sends requests over pooled connections. Methods may be called from any thread."""

    def __init__(
        self,
        options: ClientOptions,
        *,
        auth: Authentication | None = None,
        rate_limiter: RateLimiter | None = None,
        redactor: Redactor | None = None,
        listeners: Listeners | None = None,
        timeouts: Timeouts | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        timeouts = timeouts or Timeouts()
        self.origin = origin_of(options.base_url)
        self.redactor = redactor or Redactor()
        self._auth = auth or Authentication()
        self._auth_lock = threading.Lock()
        self.redactor.add_param_names(*self._auth.secret_params)
        self._add_secrets()
        self._credential_origins = frozenset([self.origin, *map(origin_of, options.credential_origins)])
        self._allowed_origins = AllowedOrigins([*self._credential_origins, *options.allowed_origins])
        self._token_hints = options.token_hints
        self._requires_tls = options.requires_tls
        self._credentials_hint = options.credentials_hint or "the connection's options"
        self._listeners = listeners or Listeners()
        self._throttle = Throttle(
            rate_limiter or RateLimiter(),
            clock or Clock(),
            self._listeners.waiting,
            self.redactor.redact(self.origin),
        )
        self._rng = rng or random.Random()  # for jitter, not for security
        self._session = HttpSession(options, timeouts)
        self._error_mapper = TransportErrorMapper(self.redactor, timeouts)
        self._stop = threading.Event()

    def fetch(
        self, request: Request, rules: Sequence[ErrorRule] = (), stop: threading.Event | None = None
    ) -> Response:
        """Return the response to ``request``, after redirects, retries and waits for rate limits.

        ``rules``  the ``errors`` of the spec.
        ``stop``   ``cancel(stop)`` ends the call.

        Raises:
            SourceError: there is no usable response.
            Interrupted: after ``cancel``.
        """
        return self._send_with_retries(request, rules, stop or self._stop, authenticated=True)

    def send_write(
        self, request: Request, rules: Sequence[ErrorRule] = (), stop: threading.Event | None = None
    ) -> Response:
        """Return the response, of any status but those of rate limits, to a request that writes.

        It is sent again only if it was not carried out: no connection, a rate limit, also by one of
        ``rules``, a token that has expired.

        Raises:
            ResponseLost: it was sent, and its response is not known.
            SourceError: it was not carried out.
            Interrupted: after ``cancel``, before it was sent.
        """
        stop = stop or self._stop
        attempt, waited_s = 0, 0.0
        while True:
            attempt += 1
            result = self._send_attempt(request, stop, authenticated=True, writes=True)
            decision = self._decide_write_retry(result, rules, attempt)
            if isinstance(result, Response) and not isinstance(decision, retry.Retry):
                return result
            assert isinstance(decision, retry.Retry)
            if decision.all_workers:
                self._throttle.pause(decision.delay_s)
            waited_s += decision.delay_s
            if attempt >= decision.max_attempts or waited_s > retry.MAX_WAIT_S:
                raise self._final_error(result, decision)
            self._throttle.wait(decision.delay_s, stop)

    def run_auth_flow(self, flow: AuthFlow[T], stop: threading.Event | None = None) -> T:
        """Send the requests that ``flow`` yields, without credentials and rate limits of the API.

        Raises:
            Unauthorized: the server issued no token.
            SourceError, Interrupted: as in ``fetch``.
        """
        stop = stop or self._stop
        try:
            with closing(flow):  # it may hold a lock or a port
                request = next(flow)
                while True:
                    self._add_secrets()  # also those of one sign-in, such as a device code
                    request = flow.send(self._send_auth_request(request, stop))
        except StopIteration as end:
            result: T = end.value
            return result
        except TokenRefused as refusal:
            self._add_secrets()
            response, hints = refusal.response, {"": self._credentials_hint, **self._token_hints}
            quoted = quote_body(response, self.redactor, allow_raw_text=response.status >= 400)
            raise Unauthorized(
                f"{response.request_line} returned {response.status}{quoted}: "
                f"no token was issued{refusal.detail}; check {hints.get(refusal.error) or hints['']}"
            ) from refusal
        finally:
            self._add_secrets()

    def time(self) -> float:
        """Seconds since 1970."""
        return self._throttle.clock.time()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), UTC)

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait between two requests of a job. Raises Interrupted after ``cancel(stop)``."""
        if self._throttle.clock.wait(stop, seconds):
            raise interrupted_error()

    def is_allowed(self, url: str) -> bool:
        """Whether requests may go to ``url``: the connection's origin or an allowed one."""
        try:
            return origin_of(url) in self._allowed_origins
        except ConfigError:
            return False

    def cancel(self, stop: threading.Event) -> None:
        """End every request that was started with ``stop``, in any thread."""
        self._session.cancel(stop)
        self._throttle.cancel(stop)

    def close(self) -> None:
        self.cancel(self._stop)
        self._session.close()
        self._throttle.close()

    def _add_secrets(self) -> None:
        self.redactor.add(*self._auth.secrets())

    def _send_auth_request(self, auth_request: Request | DelayedRequest, stop: threading.Event) -> Response:
        if isinstance(auth_request, Request):
            auth_request = DelayedRequest(auth_request, 0.0)
        elif self._throttle.clock.wait(stop, auth_request.delay_s):
            raise interrupted_error()
        request, interval_s = auth_request.request, auth_request.delay_s
        if self._requires_tls and is_unprotected(request.url):
            raise ConfigError(f"{self._request_line(request)}: {UNPROTECTED_MESSAGE}")
        return self._send_with_retries(
            request, TOKEN_ERROR_RULES, stop, authenticated=False, interval_s=interval_s
        )

    def _send_with_retries(
        self,
        request: Request,
        rules: Sequence[ErrorRule],
        stop: threading.Event,
        *,
        authenticated: bool,
        interval_s: float = 0.0,
    ) -> Response:
        """Send until ``retry`` accepts the response or gives up.

        ``authenticated``  with the credentials and rate limits of the API.
        ``interval_s``     between two polls; it doubles after each attempt without a response (RFC 8628,
                           3.5).
        """
        attempt, waited_s = 0, 0.0
        while True:
            attempt += 1
            result = self._send_attempt(request, stop, authenticated=authenticated)
            decision = self._decide_retry(result, rules, attempt)
            if isinstance(decision, retry.Accept) and isinstance(result, Response):
                return replace(result, skipped=True) if decision.skipped else result
            if not isinstance(decision, retry.Retry):
                raise self._final_error(result, decision)
            delay_s = max(decision.delay_s, interval_s * 2**attempt)
            if decision.all_workers and authenticated:
                self._throttle.pause(delay_s)
            waited_s += delay_s
            if attempt >= decision.max_attempts or waited_s > retry.MAX_WAIT_S:
                raise self._final_error(result, decision)
            self._throttle.wait(delay_s, stop)

    def _send_attempt(
        self, request: Request, stop: threading.Event, *, authenticated: bool, writes: bool = False
    ) -> Response | Unreachable:
        try:
            return self._send_following_redirects(request, stop, authenticated=authenticated, writes=writes)
        except Unreachable as error:
            return error

    def _decide_write_retry(
        self, result: Response | Unreachable, rules: Sequence[ErrorRule], attempt: int
    ) -> retry.RetryDecision:
        if isinstance(result, Unreachable):
            return retry.Retry(retry.backoff_s(attempt, self._rng), retry.UNREACHABLE_MAX_ATTEMPTS)
        return retry.decide_write(result, rules, attempt, self.time(), self._rng)

    def _decide_retry(
        self, result: Response | Unreachable, rules: Sequence[ErrorRule], attempt: int
    ) -> retry.RetryDecision:
        if isinstance(result, Unreachable):
            return retry.Retry(retry.backoff_s(attempt, self._rng), retry.UNREACHABLE_MAX_ATTEMPTS)
        return retry.decide(result, rules, attempt, self.time(), self._rng)

    def _final_error(self, result: Response | Unreachable, decision: retry.RetryDecision) -> SourceError:
        if isinstance(result, Unreachable):
            return result
        retry_after_s = retry.retry_after_s(result.headers, self.time())
        rate_limited = isinstance(decision, retry.Retry) and (
            decision.all_workers or decision.delay_s > retry.MAX_WAIT_S
        )
        if isinstance(decision, retry.Retry) and rate_limited:
            retry_after_s = max(retry_after_s or 0.0, decision.delay_s)
        return response_error(
            result,
            self.redactor,
            rate_limited=rate_limited,
            permanent=isinstance(decision, retry.GiveUp) and decision.permanent,
            retry_after_s=retry_after_s,
            credentials_hint=self._credentials_hint,
        )

    def _send_following_redirects(
        self, request: Request, stop: threading.Event, *, authenticated: bool, writes: bool
    ) -> Response:
        """Send, follow redirects, and request a new token once after status 401.

        A request that ``writes`` follows only those that repeat it.
        """
        home = self.origin if authenticated else origin_of(request.url)
        self._check_origin(request.url, home, self._request_line(request))
        renewed, redirects = False, 0
        while True:
            at_home = self._is_home(request.url, home, authenticated=authenticated)
            sent, response = self._send_request(
                request, stop, authenticated=authenticated, same_origin=at_home, writes=writes
            )
            if response.status == 401 and authenticated and at_home and not renewed:
                renewed = self._auth.handle_unauthorized(sent)
                if renewed:
                    continue
            target = response.headers.get("location") if response.status in REDIRECT_STATUSES else None
            if target is None or (writes and response.status not in (307, 308)):
                return response
            redirects += 1
            if redirects > MAX_REDIRECTS:
                raise BadResponse(f"{response.request_line}: more than {MAX_REDIRECTS} redirects")
            request = self._build_redirect(request, response, target, home, authenticated=authenticated)

    def _is_home(self, url: str, home_origin: str, *, authenticated: bool) -> bool:
        """Whether the headers and the body of a request may go to ``url``."""
        origin = origin_of(url)
        return origin == home_origin or (authenticated and origin in self._credential_origins)

    def _send_request(
        self,
        request: Request,
        stop: threading.Event,
        *,
        authenticated: bool,
        same_origin: bool,
        writes: bool,
    ) -> tuple[Request, Response]:
        """Send once, within the rate limits if ``authenticated``; also return the request as it was sent."""
        if not authenticated:
            sent = _without_credentials(request, same_origin)
            return sent, self._exchange(sent, stop, writes=writes)
        with self._throttle.concurrency_slot(stop):
            self._throttle.wait_for_slot(stop)
            sent = self._apply_auth(request, stop) if same_origin else _without_credentials(request, False)
            return sent, self._exchange(sent, stop, writes=writes)

    def _check_origin(self, url: str, home_origin: str, source: str) -> None:
        """Raises SourceError for a URL outside the connection's origins."""
        try:
            origin = origin_of(url)
        except ConfigError as error:
            raise SourceError(f"{source}: {self.redactor.redact(error.message)}") from error
        if origin != home_origin and origin not in self._allowed_origins:
            raise SourceError(
                f"{source}: points to {self.redactor.redact(origin)}, outside this connection's host "
                f"{home_origin}; if that host belongs to the API, add it to allowed_origins in the spec"
            )

    def _build_redirect(
        self, request: Request, response: Response, target: str, home_origin: str, *, authenticated: bool
    ) -> Request:
        url = resolve_link(response.url, target)
        self._check_origin(url, home_origin, f"{response.request_line}: a redirect")
        if response.status not in (307, 308) and request.method not in ("GET", "HEAD"):
            return replace(request, method="GET", url=url, params=(), body=None)
        if request.body is not None and not self._is_home(url, home_origin, authenticated=authenticated):
            raise SourceError(
                f"{response.request_line}: redirects a {request.method} to "
                f"{self.redactor.redact(origin_of(url))}; a body is sent to the connection's host only"
            )
        return replace(request, url=url, params=())

    def _apply_auth(self, request: Request, stop: threading.Event) -> Request:
        now = self.time()
        if not self._auth.is_ready(now):
            self._ensure_token(stop)
        return self._auth.apply(request, now)

    def _ensure_token(self, stop: threading.Event) -> None:
        with self._auth_lock:
            now = self.time()
            if not self._auth.is_ready(now):
                self.run_auth_flow(self._auth.ensure_token(now), stop)

    def _exchange(self, request: Request, stop: threading.Event, *, writes: bool) -> Response:
        """Send one request and report it. Raises Unreachable if there is no response.

        ``writes``  raise ResponseLost instead, unless it is certain that the request was not sent.
        """
        url, request_line = request.full_url, self._request_line(request)
        shown = request_line.removeprefix(f"{request.method} ")
        if len(url) > MAX_URL_CHARS:
            raise SourceError(
                f"{request_line}: the URL has {len(url):,} characters, of {MAX_URL_CHARS:,} at most; "
                "send fewer or shorter params, or send them in the body"
            )
        started_at, started = datetime.now(UTC), perf_counter()
        raw = self._session.send(request, url, stop)
        failure = self._exchange_error(raw, request_line, url)
        elapsed_ms = (perf_counter() - started) * 1000
        error = self.redactor.redact(failure.message) if failure else ""
        self._listeners.traffic(
            Traffic(request.method, shown, raw.status, elapsed_ms, len(raw.body), started_at, error)
        )
        if failure is not None:
            if writes and not was_not_sent(raw.error):
                raise ResponseLost(failure.message.removesuffix(LATER_ADVICE)) from None
            raise failure from None  # errors of the libraries quote URLs with their secrets
        self._pause_if_quota_exhausted(raw.headers)
        return Response(raw.status or 0, raw.headers, raw.body, url, request_line)

    def _request_line(self, request: Request) -> str:
        """Method and URL for messages: without secrets, and cut to a length that can be read."""
        shown = self.redactor.redact(excerpt(request.full_url, MAX_URL_CHARS))
        return f"{request.method} {excerpt(shown, MAX_SHOWN_URL_CHARS)}"

    def _exchange_error(self, raw: RawResponse, request_line: str, url: str) -> UnifyError | None:
        if raw.end_reason == "stopped":
            return interrupted_error()
        if raw.end_reason:
            return self._error_mapper.deadline_error(request_line)
        return self._error_mapper.map_error(raw.error, request_line, url) if raw.error else None

    def _pause_if_quota_exhausted(self, headers: Mapping[str, str]) -> None:
        """Pause all workers until the quota is reset if this response was the last one of it."""
        if retry.quota_left(headers) == 0 and (after_s := retry.reset_after_s(headers, self.time())):
            self._throttle.pause(after_s)


def _without_credentials(request: Request, same_origin: bool) -> Request:
    """Return the request with the headers that may be sent without authentication."""
    if same_origin:
        return request
    allowed = {name: value for name, value in request.headers.items() if name.lower() in CROSS_ORIGIN_HEADERS}
    return replace(request, headers=allowed)
