"""The one HTTP door: whatever is asked of an API goes through here, and over ``wire``.

Whatever asks, these hold: credentials go to the connection's own origin and nowhere else; redirects and next
links stay there too, or with the spec's ``allowed_origins``; every exchange ends by its deadline; no body is
larger than allowed; a budget shared by all workers is kept; every attempt is reported, without secrets.
Nothing is read from the environment: no proxy, no CA bundle, no ``.netrc``.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import TypeVar

from unify.adapters.base import Listeners, Traffic
from unify.adapters.http import retry
from unify.adapters.http.errors import TransportErrorMapper, quote_body, response_error
from unify.adapters.http.messages import (
    Authentication,
    AuthFlow,
    ClientOptions,
    DelayedRequest,
    Request,
    Response,
    Timeouts,
    TokenRefused,
    origin_of,
    resolve_link,
)
from unify.adapters.http.rate_limit import Clock, LocalRateLimiter, RateLimiter, Throttle, interrupted_error
from unify.adapters.http.retry import quota_left, reset_after_s
from unify.adapters.http.session import HttpSession, RawResponse
from unify.adapters.spec.model import ErrorRule
from unify.errors import BadResponse, ConfigError, SourceError, Unauthorized, UnifyError, Unreachable
from unify.redaction import Redactor

MAX_REDIRECTS = 5
REDIRECT_STATUSES = frozenset([301, 302, 303, 307, 308])

# A refused token request is looked at by the authentication that sent it; 428 is Google's "not yet".
TOKEN_ERROR_RULES = tuple(ErrorRule(status, "skip") for status in (400, 401, 403, 428))
# What may go along to an allowed foreign origin; anything else might be a credential.
CROSS_ORIGIN_HEADERS = frozenset(["user-agent", "accept", "accept-encoding"])

T = TypeVar("T")


class HttpClient:
    """Asks one API. Safe to use from many threads; connections are kept and used again."""

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
        self.options = options
        self.origin = origin_of(options.base_url)
        self.redactor = redactor or Redactor()
        self._auth = auth or Authentication()
        self._auth_lock = threading.Lock()
        self.redactor.add_param_names(*self._auth.secret_params)
        self._add_secrets()
        self._allowed_origins = frozenset([self.origin, *map(origin_of, options.allowed_origins)])
        self._listeners = listeners or Listeners()
        self._throttle = Throttle(
            rate_limiter or LocalRateLimiter(),
            clock or Clock(),
            self._listeners.waiting,
            self.redactor.redact(self.origin),
        )
        self._rng = rng or random.Random()  # spreads retries, guards nothing
        self._session = HttpSession(options, timeouts)
        self._error_mapper = TransportErrorMapper(
            self.redactor,
            connect_s=timeouts.connect_s,
            read_s=timeouts.read_s,
            total_s=timeouts.total_s,
        )
        self._stop = threading.Event()

    def fetch(
        self, request: Request, rules: Sequence[ErrorRule] = (), stop: threading.Event | None = None
    ) -> Response:
        """Ask until there is an answer worth having.

        ``rules``  of the spec, for statuses and texts that mean something else there.
        ``stop``   set through ``cancel``, it ends waiting and reading at once.
        Raises  SourceError with a sentence that says what to do; Interrupted after ``cancel``.
        """
        return self._send_with_retries(request, rules, stop or self._stop, authenticated=True)

    def run_auth_flow(self, flow: AuthFlow[T], stop: threading.Event | None = None) -> T:
        """Carry a talk with an authorization server to its end, without proof and budget of the API.

        Raises  Unauthorized where no token was given; SourceError; Interrupted after ``cancel``.
        """
        stop = stop or self._stop
        try:
            with closing(flow):  # it may hold a lock, or a port
                wanted = next(flow)
                while True:
                    self._add_secrets()  # those of this sign-in only, such as a device code, too
                    wanted = flow.send(self._send_auth_request(wanted, stop))
        except StopIteration as end:
            result: T = end.value
            return result
        except TokenRefused as refusal:
            self._add_secrets()
            said = quote_body(refusal.response, self.redactor, allow_raw_text=refusal.response.status >= 400)
            raise Unauthorized(
                f"{refusal.response.request_line} answered {refusal.response.status}{said}: "
                f"no token was given{refusal.detail}; check {self._credentials_hint()}"
            ) from refusal
        finally:
            self._add_secrets()

    def _add_secrets(self) -> None:
        self.redactor.add(*self._auth.secrets())

    def _send_auth_request(self, auth_request: Request | DelayedRequest, stop: threading.Event) -> Response:
        if not isinstance(auth_request, DelayedRequest):
            return self._send_with_retries(auth_request, TOKEN_ERROR_RULES, stop, authenticated=False)
        if self._throttle.clock.wait(stop, auth_request.delay_s):
            raise interrupted_error()
        return self._send_with_retries(
            auth_request.request,
            TOKEN_ERROR_RULES,
            stop,
            authenticated=False,
            interval_s=auth_request.delay_s,
        )

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), UTC)

    def time(self) -> float:
        """Seconds since 1970."""
        return self._throttle.clock.time()

    def cancel(self, stop: threading.Event) -> None:
        """End everything that was asked with ``stop``, in whatever thread it is."""
        self._session.cancel(stop)

    def close(self) -> None:
        """End what is under way and give the connections back."""
        self.cancel(self._stop)
        self._session.close()
        self._throttle.close()

    def _send_with_retries(
        self,
        request: Request,
        rules: Sequence[ErrorRule],
        stop: threading.Event,
        *,
        authenticated: bool,
        interval_s: float = 0.0,
    ) -> Response:
        """Retry as ``retry.decide`` says. ``own``: to the connection's origin, with proof and budget.

        ``interval_s``  between two polls: after one without an answer it is longer (RFC 8628, section 3.5).
        """
        attempt, waited_s = 0, 0.0
        while True:
            attempt += 1
            outcome = self._send_attempt(request, stop, authenticated=authenticated)
            step = self._decide_retry(outcome, rules, attempt)
            match step:
                case retry.Accept(skipped) if isinstance(outcome, Response):
                    return replace(outcome, skipped=True) if skipped else outcome
                case retry.Retry(least_s, tries, everybody):
                    after_s = max(least_s, interval_s * 2**attempt)
                    if everybody and authenticated:
                        self._throttle.pause(after_s)
                    waited_s += after_s
                    if attempt >= tries or waited_s > retry.MAX_WAIT_S:
                        raise self._final_error(outcome, step)
                    self._throttle.wait(after_s, stop)
                case _:
                    raise self._final_error(outcome, step)

    def _send_attempt(
        self, request: Request, stop: threading.Event, *, authenticated: bool
    ) -> Response | Unreachable:
        try:
            return self._send_following_redirects(request, stop, authenticated=authenticated)
        except Unreachable as error:
            return error

    def _decide_retry(
        self, result: Response | Unreachable, rules: Sequence[ErrorRule], attempt: int
    ) -> retry.RetryDecision:
        if isinstance(result, Unreachable):
            return retry.Retry(retry.backoff_s(attempt, self._rng), retry.UNREACHABLE_MAX_ATTEMPTS)
        return retry.decide(result, rules, attempt, self._throttle.clock.time(), self._rng)

    def _final_error(self, result: Response | Unreachable, decision: retry.RetryDecision) -> SourceError:
        if isinstance(result, Unreachable):
            return result
        asked = retry.retry_after_s(result.headers, self._throttle.clock.time())
        limited = False
        if isinstance(decision, retry.Retry) and (
            decision.all_workers or decision.delay_s > retry.MAX_WAIT_S
        ):
            limited, asked = True, max(asked or 0.0, decision.delay_s)
        return response_error(
            result,
            self.redactor,
            rate_limited=limited,
            permanent=isinstance(decision, retry.GiveUp) and decision.permanent,
            retry_after_s=asked,
            credentials_hint=self._credentials_hint(),
        )

    def _send_following_redirects(
        self, request: Request, stop: threading.Event, *, authenticated: bool
    ) -> Response:
        """Ask, follow redirects by hand, and renew a refused token once."""
        home = self.origin if authenticated else origin_of(request.url)
        self._check_origin(request.url, home, f"{request.method} {self.redactor.redact(request.full_url)}")
        renewed, redirects = False, 0
        while True:
            at_home = origin_of(request.url) == home
            outgoing, answer = self._send_request(
                request, stop, authenticated=authenticated, same_origin=at_home
            )
            if (
                answer.status == 401
                and authenticated
                and at_home
                and not renewed
                and self._auth.handle_unauthorized(outgoing)
            ):
                renewed = True
                continue
            target = answer.headers.get("location") if answer.status in REDIRECT_STATUSES else None
            if target is None:
                return answer
            redirects += 1
            if redirects > MAX_REDIRECTS:
                raise BadResponse(f"{answer.request_line}: redirected more than {MAX_REDIRECTS} times")
            request = self._build_redirect(request, answer, target, home)

    def _send_request(
        self, request: Request, stop: threading.Event, *, authenticated: bool, same_origin: bool
    ) -> tuple[Request, Response]:
        """One exchange, within what the API can bear if it is our ``own``; and the request as it was sent."""
        if not authenticated:
            outgoing = _without_credentials(request, same_origin)
            return outgoing, self._exchange(outgoing, stop)
        with self._throttle.concurrency_slot(stop):
            self._throttle.wait_for_slot(stop)
            outgoing = (
                self._apply_auth(request, stop) if same_origin else _without_credentials(request, same_origin)
            )
            return outgoing, self._exchange(outgoing, stop)

    def is_allowed(self, url: str) -> bool:
        """Whether requests may go to ``url``: the connection's origin or an allowed one."""
        try:
            return origin_of(url) in self._allowed_origins
        except ConfigError:
            return False

    def _check_origin(self, url: str, home_origin: str, source: str) -> None:
        """Raises SourceError, naming both, for an address outside the connection's origin."""
        try:
            origin = origin_of(url)
        except ConfigError as error:
            raise SourceError(f"{source}: {self.redactor.redact(error.message)}") from error
        if origin != home_origin and origin not in self._allowed_origins:
            raise SourceError(
                f"{source}: leads to {self.redactor.redact(origin)}, but this connection is pinned to {home_origin}; "
                "if the API really lives there too, its spec lists it in allowed_origins"
            )

    def _build_redirect(self, request: Request, response: Response, target: str, home_origin: str) -> Request:
        url = resolve_link(response.url, target)
        self._check_origin(url, home_origin, f"{response.request_line}: a redirect")
        if response.status in (307, 308) or request.method in ("GET", "HEAD"):
            if request.body is not None and origin_of(url) != home_origin:
                raise SourceError(
                    f"{response.request_line}: redirects a {request.method} to {self.redactor.redact(origin_of(url))}; "
                    "its body goes to the connection's own origin only"
                )
            return replace(request, url=url, params=())
        return replace(request, method="GET", url=url, params=(), body=None)

    def _apply_auth(self, request: Request, stop: threading.Event) -> Request:
        now = self._throttle.clock.time()
        if not self._auth.is_ready(now):
            self._ensure_token(stop)
        return self._auth.apply(request, now)

    def _ensure_token(self, stop: threading.Event) -> None:
        """Let the authentication fetch what it needs; whoever comes second finds it there."""
        with self._auth_lock:
            now = self._throttle.clock.time()
            if not self._auth.is_ready(now):
                self.run_auth_flow(self._auth.ensure_token(now), stop)

    def _credentials_hint(self) -> str:
        return self.options.credentials_hint or "the connection's options"

    def _exchange(self, request: Request, stop: threading.Event) -> Response:
        """One request, one answer, one report. Raises Unreachable where none came."""
        url = request.full_url
        shown = self.redactor.redact(url)
        address = f"{request.method} {shown}"
        started_at, started = datetime.now(UTC), perf_counter()
        heard = self._session.send(request, url, stop)
        failure = self._exchange_error(heard, address, url)
        elapsed_ms = (perf_counter() - started) * 1000
        error = self.redactor.redact(failure.message) if failure else ""
        size = len(heard.body)
        self._listeners.traffic(
            Traffic(request.method, shown, heard.status, elapsed_ms, size, started_at, error)
        )
        if failure is not None:
            raise failure from None  # the libraries' own errors quote addresses with their secrets
        self._pause_if_quota_exhausted(heard.headers)
        return Response(heard.status or 0, heard.headers, heard.body, url, address)

    def _exchange_error(self, raw_response: RawResponse, request_line: str, url: str) -> UnifyError | None:
        if raw_response.end_reason == "stopped":
            return interrupted_error()
        if raw_response.end_reason:
            return self._error_mapper.deadline_error(request_line)
        if raw_response.error is not None:
            return self._error_mapper.map_error(raw_response.error, request_line, url)
        return None

    def _pause_if_quota_exhausted(self, headers: Mapping[str, str]) -> None:
        """The last request of a quota was answered: ask no more before it is full again."""
        if quota_left(headers) == 0:
            after_s = reset_after_s(headers, self._throttle.clock.time())
            if after_s:
                self._throttle.pause(after_s)


def _without_credentials(request: Request, same_origin: bool) -> Request:
    """A request without proof; to another origin with nothing that might be one."""
    if same_origin:
        return request
    kept = {name: value for name, value in request.headers.items() if name.lower() in CROSS_ORIGIN_HEADERS}
    return replace(request, headers=kept)
