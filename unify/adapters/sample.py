"""One page of a table with everything about it: request, answer, rows, and what would come next."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, cast

from unify.adapters.base import Listeners, Page, ParentRow, Read, Traffic
from unify.adapters.discovery import told
from unify.adapters.envelope import Wanted, open_envelope
from unify.adapters.messages import Answer, Request, Veil
from unify.adapters.paging import Evidence, Turn, pager
from unify.adapters.person import Person
from unify.adapters.rest import RESTAdapter
from unify.adapters.series import PageFacts
from unify.adapters.spec import AdapterSpec, ErrorRule, TableSpec
from unify.adapters.transport import Transport
from unify.connections import Secret
from unify.errors import UnifyError


@dataclass(slots=True)
class Sample:
    """What was found out, as far as it went. ``failure`` is what ended it early.

    ``request``  as the spec made it, without proof of who asks; ``veil`` takes secrets out of its texts.
    ``rows``     how many the answer has, before ``where``; ``place`` is the path they are at.
    ``paging``   what ``paging: auto`` has found out.
    ``more``     the first request of the next pages; None: there is none.
    """

    veil: Veil
    request: Request | None = None
    traffic: list[Traffic] = field(default_factory=list)
    answer: Answer | None = None
    page: Page | None = None
    rows: int = 0
    place: str = ""
    more: Turn | None = None
    paging: str = ""
    failure: UnifyError | None = None


def take_sample(
    spec: AdapterSpec,
    table: TableSpec,
    options: Mapping[str, str | Secret | None],
    parent: ParentRow | None = None,
    person: Person | None = None,
) -> Sample:
    """Ask for the first page of ``table``, of one parent row where it has any. Never raises SourceError.

    ``person``  signs in where the API wants that; it holds for this sample alone.
    """
    sample = Sample(Veil([value.reveal() for value in options.values() if isinstance(value, Secret)]))
    try:
        with closing(_Recording(spec, options, sample)) as adapter:
            if person is not None and not adapter.signed_in():
                adapter.sign_in(person)
            with closing(adapter.pages(table.name, Read([parent] if parent else [], limit=1))) as pages:
                sample.page = next(pages, None)
        if sample.answer is not None and not sample.answer.skipped:
            _look_around(spec, table, sample, sample.answer)
    except UnifyError as error:
        sample.failure = error
    return sample


def _look_around(spec: AdapterSpec, table: TableSpec, sample: Sample, answer: Answer) -> None:
    kind = answer.headers.get("content-type", "")
    envelope = open_envelope(answer.body, kind, Wanted(table.rows, table.format, table.name), answer.address)
    sample.rows, sample.place = len(envelope.rows), envelope.found
    evidence = Evidence()
    sample.more = _next_turn(spec, table, PageFacts(answer, envelope), evidence)
    sample.paging = told(evidence.found) if evidence.found is not None else ""


def _next_turn(spec: AdapterSpec, table: TableSpec, facts: PageFacts, evidence: Evidence) -> Turn | None:
    turns = pager(table.paging or spec.paging, evidence, alone=True)
    next(turns)
    try:
        following: Sequence[Turn] = turns.send(facts)
    except StopIteration:
        return None
    return following[0] if following else None


class _Recording(RESTAdapter):
    """The adapter, with a note of what goes through its door."""

    def __init__(self, spec: AdapterSpec, options: Mapping[str, str | Secret | None], sample: Sample) -> None:
        super().__init__(spec, options, listeners=Listeners(sample.traffic.append))
        sample.veil = self._transport.veil
        self._transport = cast(Transport, _Door(self._transport, sample))


class _Door:
    """The transport, noting the first request and its answer."""

    def __init__(self, inner: Transport, sample: Sample) -> None:
        self._inner = inner
        self._sample = sample

    def fetch(
        self, request: Request, rules: Sequence[ErrorRule] = (), stop: threading.Event | None = None
    ) -> Answer:
        self._sample.request = self._sample.request or request
        answer = self._inner.fetch(request, rules, stop)
        self._sample.answer = self._sample.answer or answer
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
