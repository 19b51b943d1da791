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

from unify.adapters import retry
from unify.adapters.base import Listeners, Traffic
from unify.adapters.budget import Budget, LocalBudget
from unify.adapters.messages import Answer, Request, Veil, joined, origin_of
from unify.adapters.pace import Clock, Pace, stopped
from unify.adapters.proof import Authentication, Delayed, Talk, TokenRefused
from unify.adapters.quota import quota_left, reset_after_s
from unify.adapters.refusals import Unanswered, quoted, refused
from unify.adapters.route import Bounds, Route
from unify.adapters.spec import ErrorRule
from unify.adapters.wire import Heard, Wire
from unify.errors import BadResponse, ConfigError, SourceError, Unauthorized, UnifyError, Unreachable

REDIRECTS = 5
REDIRECT_STATUSES = frozenset([301, 302, 303, 307, 308])

# A refused token request is looked at by the authentication that sent it; 428 is Google's "not yet".
TOKEN_RULES = tuple(ErrorRule(status, "skip") for status in (400, 401, 403, 428))
# What may go along to an allowed foreign origin; anything else might be a credential.
HARMLESS_HEADERS = frozenset(["user-agent", "accept", "accept-encoding"])

T = TypeVar("T")


class Transport:
    """Asks one API. Safe to use from many threads; connections are kept and used again."""

    def __init__(
        self,
        route: Route,
        *,
        auth: Authentication | None = None,
        budget: Budget | None = None,
        veil: Veil | None = None,
        listeners: Listeners | None = None,
        bounds: Bounds | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        bounds = bounds or Bounds()
        self.route = route
        self.origin = origin_of(route.base_url)
        self.veil = veil or Veil()
        self._auth = auth or Authentication()
        self._auth_lock = threading.Lock()
        self.veil.add(*self._auth.secrets())
        self._allowed = frozenset([self.origin, *map(origin_of, route.allowed_origins)])
        self._listeners = listeners or Listeners()
        self._pace = Pace(
            budget or LocalBudget(), clock or Clock(), self._listeners.waiting, self.veil.text(self.origin)
        )
        self._rng = rng or random.Random()  # spreads retries, guards nothing
        self._wire = Wire(route, bounds)
        self._explain = Unanswered(
            self.veil,
            connect_s=bounds.connect_s,
            silence_s=bounds.silence_s,
            page_s=bounds.page_s,
        )
        self._stop = threading.Event()

    def fetch(
        self, request: Request, rules: Sequence[ErrorRule] = (), stop: threading.Event | None = None
    ) -> Answer:
        """Ask until there is an answer worth having.

        ``rules``  of the spec, for statuses and texts that mean something else there.
        ``stop``   set through ``halt``, it ends waiting and reading at once.
        Raises  SourceError with a sentence that says what to do; Interrupted after ``halt``.
        """
        return self._persist(request, rules, stop or self._stop, own=True)

    def converse(self, talk: Talk[T], stop: threading.Event | None = None) -> T:
        """Carry a talk with an authorization server to its end, without proof and budget of the API.

        Raises  Unauthorized where no token was given; SourceError; Interrupted after ``halt``.
        """
        stop = stop or self._stop
        try:
            with closing(talk):  # it may hold a lock, or a port
                wanted = next(talk)
                while True:
                    self.veil.add(*self._auth.secrets())  # codes that live for this talk alone, too
                    wanted = talk.send(self._sent(wanted, stop))
        except StopIteration as end:
            self.veil.add(*self._auth.secrets())
            result: T = end.value
            return result
        except TokenRefused as refusal:
            said = quoted(refusal.answer, self.veil, whole=refusal.answer.status >= 400)
            raise Unauthorized(
                f"{refusal.answer.address} answered {refusal.answer.status}{said}: "
                f"no token was given{refusal.where}; check {self._where_to_look()}"
            ) from refusal

    def _sent(self, wanted: Request | Delayed, stop: threading.Event) -> Answer:
        if not isinstance(wanted, Delayed):
            return self._persist(wanted, TOKEN_RULES, stop, own=False)
        if self._pace.clock.wait(stop, wanted.after_s):
            raise stopped()
        return self._persist(wanted.request, TOKEN_RULES, stop, own=False, interval_s=wanted.after_s)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), UTC)

    def time(self) -> float:
        """Seconds since 1970."""
        return self._pace.clock.time()

    def halt(self, stop: threading.Event) -> None:
        """End everything that was asked with ``stop``, in whatever thread it is."""
        self._wire.halt(stop)

    def close(self) -> None:
        """End what is under way and give the connections back."""
        self.halt(self._stop)
        self._wire.close()
        self._pace.close()

    def _persist(
        self,
        request: Request,
        rules: Sequence[ErrorRule],
        stop: threading.Event,
        *,
        own: bool,
        interval_s: float = 0.0,
    ) -> Answer:
        """Retry as ``retry.decide`` says. ``own``: to the connection's origin, with proof and budget.

        ``interval_s``  between two polls: after one without an answer it is longer (RFC 8628, section 3.5).
        """
        attempt, waited_s = 0, 0.0
        while True:
            attempt += 1
            outcome = self._attempt(request, stop, own=own)
            step = self._decide(outcome, rules, attempt)
            match step:
                case retry.Accept(skipped) if isinstance(outcome, Answer):
                    return replace(outcome, skipped=True) if skipped else outcome
                case retry.Again(least_s, tries, everybody):
                    after_s = max(least_s, interval_s * 2**attempt)
                    if everybody and own:
                        self._pace.hold(after_s)
                    waited_s += after_s
                    if attempt >= tries or waited_s > retry.PATIENCE_S:
                        raise self._failure(outcome, step)
                    self._pace.wait(after_s, stop)
                case _:
                    raise self._failure(outcome, step)

    def _attempt(self, request: Request, stop: threading.Event, *, own: bool) -> Answer | Unreachable:
        try:
            return self._follow(request, stop, own=own)
        except Unreachable as error:
            return error

    def _decide(self, outcome: Answer | Unreachable, rules: Sequence[ErrorRule], attempt: int) -> retry.Step:
        if isinstance(outcome, Unreachable):
            return retry.Again(retry.backoff_s(attempt, self._rng), retry.UNREACHABLE_TRIES)
        return retry.decide(outcome, rules, attempt, self._pace.clock.time(), self._rng)

    def _failure(self, outcome: Answer | Unreachable, step: retry.Step) -> SourceError:
        if isinstance(outcome, Unreachable):
            return outcome
        asked = retry.retry_after_s(outcome.headers, self._pace.clock.time())
        limited = False
        if isinstance(step, retry.Again) and (step.everybody or step.after_s > retry.PATIENCE_S):
            limited, asked = True, max(asked or 0.0, step.after_s)
        return refused(
            outcome,
            self.veil,
            limited=limited,
            for_good=isinstance(step, retry.GiveUp) and step.for_good,
            retry_after_s=asked,
            credentials=self._where_to_look(),
        )

    def _follow(self, request: Request, stop: threading.Event, *, own: bool) -> Answer:
        """Ask, follow redirects by hand, and renew a refused token once."""
        home = self.origin if own else origin_of(request.url)
        self._admit(request.url, home, f"{request.method} {self.veil.text(request.address)}")
        renewed, redirects = False, 0
        while True:
            at_home = origin_of(request.url) == home
            outgoing, answer = self._asked(request, stop, own=own, at_home=at_home)
            if answer.status == 401 and own and at_home and not renewed and self._auth.renew(outgoing):
                renewed = True
                continue
            target = answer.headers.get("location") if answer.status in REDIRECT_STATUSES else None
            if target is None:
                return answer
            redirects += 1
            if redirects > REDIRECTS:
                raise BadResponse(f"{answer.address}: redirected more than {REDIRECTS} times")
            request = self._redirected(request, answer, target, home)

    def _asked(
        self, request: Request, stop: threading.Event, *, own: bool, at_home: bool
    ) -> tuple[Request, Answer]:
        """One exchange, within what the API can bear if it is our ``own``; and the request as it was sent."""
        if not own:
            outgoing = _bare(request, at_home)
            return outgoing, self._exchange(outgoing, stop)
        with self._pace.place(stop):
            self._pace.take_turn(stop)
            outgoing = self._proved(request, stop) if at_home else _bare(request, at_home)
            return outgoing, self._exchange(outgoing, stop)

    def _admit(self, url: str, home: str, source: str) -> None:
        """Raises SourceError, naming both, for an address outside the connection's origin."""
        try:
            origin = origin_of(url)
        except ConfigError as error:
            raise SourceError(f"{source}: {self.veil.text(error.message)}") from error
        if origin != home and origin not in self._allowed:
            raise SourceError(
                f"{source}: leads to {self.veil.text(origin)}, but this connection is pinned to {home}; "
                "if the API really lives there too, its spec lists it in allowed_origins"
            )

    def _redirected(self, request: Request, answer: Answer, target: str, home: str) -> Request:
        url = joined(answer.url, target)
        self._admit(url, home, f"{answer.address}: a redirect")
        if answer.status in (307, 308) or request.method in ("GET", "HEAD"):
            if request.body is not None and origin_of(url) != home:
                raise SourceError(
                    f"{answer.address}: redirects a {request.method} to {self.veil.text(origin_of(url))}; "
                    "its body goes to the connection's own origin only"
                )
            return replace(request, url=url, params=())
        return replace(request, method="GET", url=url, params=(), body=None)

    def _proved(self, request: Request, stop: threading.Event) -> Request:
        now = self._pace.clock.time()
        if not self._auth.ready(now):
            self._obtain(stop)
        return self._auth.apply(request, now)

    def _obtain(self, stop: threading.Event) -> None:
        """Let the authentication fetch what it needs; whoever comes second finds it there."""
        with self._auth_lock:
            now = self._pace.clock.time()
            if not self._auth.ready(now):
                self.converse(self._auth.prepare(now), stop)

    def _where_to_look(self) -> str:
        return self.route.credentials or "the connection's options"

    def _exchange(self, request: Request, stop: threading.Event) -> Answer:
        """One request, one answer, one report. Raises Unreachable where none came."""
        url = request.address
        shown = self.veil.text(url)
        address = f"{request.method} {shown}"
        started_at, started = datetime.now(UTC), perf_counter()
        heard = self._wire.ask(request, url, stop)
        failure = self._failure_of(heard, address, url)
        elapsed_ms = (perf_counter() - started) * 1000
        error = failure.message if failure else ""
        size = len(heard.body)
        self._listeners.traffic(
            Traffic(request.method, shown, heard.status, elapsed_ms, size, started_at, error)
        )
        if failure is not None:
            raise failure from None  # the libraries' own errors quote addresses with their secrets
        self._heed_quota(heard.headers)
        return Answer(heard.status or 0, heard.headers, heard.body, url, address)

    def _failure_of(self, heard: Heard, address: str, url: str) -> UnifyError | None:
        if heard.ended == "stopped":
            return stopped()
        if heard.ended:
            return self._explain.deadline(address)
        if heard.failed is not None:
            return self._explain.explain(heard.failed, address, url)
        return None

    def _heed_quota(self, headers: Mapping[str, str]) -> None:
        """The last request of a quota was answered: ask no more before it is full again."""
        if quota_left(headers) == 0:
            after_s = reset_after_s(headers, self._pace.clock.time())
            if after_s:
                self._pace.hold(after_s)


def _bare(request: Request, at_home: bool) -> Request:
    """A request without proof; to another origin with nothing that might be one."""
    if at_home:
        return request
    kept = {name: value for name, value in request.headers.items() if name.lower() in HARMLESS_HEADERS}
    return replace(request, headers=kept)
