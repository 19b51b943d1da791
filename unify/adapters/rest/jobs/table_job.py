"""The requests of a job of the API: it is created, and polled until it is done."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from unify.adapters.http.messages import Request, Response
from unify.adapters.paging.base import PageRequest
from unify.adapters.rest.request_builder import RequestBuilder
from unify.adapters.spec.job import JobPoll, JobRequest, JobSpec
from unify.adapters.spec.model import AdapterSpec, ErrorRule, TableSpec
from unify.adapters.spec.paging import Paging
from unify.durations import format_duration
from unify.errors import BadResponse, SourceError

NOT_READY = ErrorRule(202, "end")  # the poll decides, not the retries of the client
FIRST_DELAY_S = 1.0  # doubled after each poll, up to `every`


class JobClient(Protocol):
    """Sends the requests of a job, and waits between them: an ``HttpClient``."""

    def fetch(
        self, request: Request, rules: Sequence[ErrorRule] = (), stop: threading.Event | None = None
    ) -> Response: ...
    def wait(self, seconds: float, stop: threading.Event) -> None: ...
    def time(self) -> float: ...


class TableJob:
    """The requests of the job of a table, for one connection."""

    def __init__(self, job: JobSpec, spec: AdapterSpec, options: Mapping[str, Any]) -> None:
        self._job = job
        self._create = _request_builder(job.create, spec, options)
        self._poll = _request_builder(job.poll, spec, options) if job.poll is not None else None

    def first_request(self, variables: Mapping[str, Any]) -> Request:
        return self._create.build_request(variables, PageRequest())

    def run(
        self,
        variables: Mapping[str, Any],
        rules: Sequence[ErrorRule],
        client: JobClient,
        stop: threading.Event,
    ) -> Mapping[str, Any]:
        """Create a job, wait until it is done, and return the values of its responses by variable.

        None as a value: the result is empty. Without any value: a rule of ``errors`` says so.

        Raises:
            SourceError: the job has failed, or takes longer than its timeout.
        """
        response = client.fetch(self.first_request(variables), rules, stop)
        if response.skipped:
            return {}
        values = _response_values(response, self._job.create.values, "job.create.values", required=True)
        poll = self._job.poll
        if poll is None or self._poll is None:
            return values
        request = self._poll.build_request({**variables, **values}, PageRequest())
        done = self._wait_until_done(request, poll, rules, client, stop)
        return {**values, **_response_values(done, poll.values, "job.poll.values", required=False)}

    def _wait_until_done(
        self,
        request: Request,
        poll: JobPoll,
        rules: Sequence[ErrorRule],
        client: JobClient,
        stop: threading.Event,
    ) -> Response:
        started_at, delay_s = client.time(), min(FIRST_DELAY_S, poll.every_s)
        while True:
            response = client.fetch(request, (NOT_READY, *rules), stop)
            state = _state(response, poll)
            if state == "done":
                return response
            if state == "failed":
                found = value_at(response, poll.status or "")
                raise SourceError(f"{response.request_line}: the job has failed: its state is {found}")
            if client.time() + delay_s - started_at > poll.timeout_s:
                limit = format_duration(poll.timeout_s)
                raise SourceError(
                    f"{response.request_line}: the job is not done after {limit}"
                    f"{_shown_state(response, poll)}; see job.poll.timeout in the spec"
                )
            client.wait(delay_s, stop)
            delay_s = min(2 * delay_s, poll.every_s)


def _request_builder(job: JobRequest, spec: AdapterSpec, options: Mapping[str, Any]) -> RequestBuilder:
    table = TableSpec(
        "job", (job.request,), params=job.params, headers=job.headers, body=job.body, form=job.form
    )
    return RequestBuilder(spec, table, options, Paging("none"))


def _state(response: Response, poll: JobPoll) -> str:
    """done, failed or running. Raises BadResponse without a state."""
    if poll.status is None:
        return "running" if response.status == NOT_READY.status else "done"
    found = value_at(response, poll.status)
    if found is None and response.status != NOT_READY.status:
        raise BadResponse(
            f"{response.request_line}: the response has no value at {poll.status}, job.poll.status"
        )
    text = str(found).casefold()
    if text in map(str.casefold, poll.done):
        return "done"
    return "failed" if text in map(str.casefold, poll.failed) else "running"


def _shown_state(response: Response, poll: JobPoll) -> str:
    return "" if poll.status is None else f"; its state is {value_at(response, poll.status)}"


def _response_values(
    response: Response, paths: Mapping[str, str], key: str, *, required: bool
) -> dict[str, Any]:
    values = {name: value_at(response, path) for name, path in paths.items()}
    for name, value in values.items():
        if required and value is None:
            raise BadResponse(
                f"{response.request_line}: the response has no value at {paths[name]}, {key}.{name}"
            )
    return values


def value_at(response: Response, path: str) -> Any:
    """The value at ``headers.NAME`` or at a path of the JSON body; a list for a path through a list."""
    part, _, name = path.partition(".")
    if part == "headers" and name:
        return response.headers.get(name.lower())
    try:
        body = msgspec.json.decode(response.body)
    except msgspec.DecodeError:
        return None
    return _member(body, path.split(".") if path != "$" else [])


def _member(value: Any, steps: Sequence[str]) -> Any:
    """Go down objects, and through the items of lists unless the step is a position."""
    for index, step in enumerate(steps):
        if isinstance(value, list) and step.isdigit():
            value = value[int(step)] if int(step) < len(value) else None
        elif isinstance(value, list):
            found = [_member(item, steps[index:]) for item in value]
            return [item for item in found if item is not None]
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value
