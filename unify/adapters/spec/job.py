"""The key ``job`` of a table: a job that the API carries out first, and whose result the request reads."""
# Annotations are not strings here: see model.

from collections.abc import Mapping
from typing import Annotated

from msgspec import Struct, field

from unify.adapters.spec.auth import FormFields, Json
from unify.adapters.spec.elements import Name
from unify.adapters.spec.formats import ColumnName, DottedPath, Duration, HeaderName, RequestLine
from unify.adapters.spec.schema import OneOrMore, doc

Values = Mapping[Name, DottedPath]


class JobRequest(Struct, frozen=True):
    """The request that creates a job."""

    request: Annotated[RequestLine, doc("Method and path.", "POST /reports")]
    params: Annotated[Mapping[ColumnName, Json], doc("Query parameters.", "{type: sales}")] = {}
    headers: Annotated[Mapping[HeaderName, str], doc("Headers besides the adapter's.", "{X-A: 1}")] = {}
    body: Annotated[Json, doc("JSON body of a POST.", '{from: "{cursor}"}')] = None
    form: Annotated[FormFields | None, doc("Form fields of a POST, instead of a body.", "{a: 1}")] = None
    values: Annotated[
        Values,
        doc("Variables from the response: paths in its body, or `headers.NAME`.", "{report: data.id}"),
    ] = {}


class JobPoll(JobRequest, frozen=True):
    """The request that is repeated until the job is done.

    Without ``status``, the job is done with the first response whose status code is not 202.
    """

    request: Annotated[RequestLine, doc("Method and path.", "GET /reports/{report}")]
    values: Annotated[
        Values,
        doc("Variables from the response of a job that is done; a list is one download each.", "{url: url}"),
    ] = {}
    status: Annotated[DottedPath | None, doc("Path of the state of the job.", "status")] = None
    done: Annotated[
        OneOrMore[str], doc("States of a job whose result is ready, equal in any case.", "COMPLETED")
    ] = ()
    failed: Annotated[OneOrMore[str], doc("States of a job that has failed.", "[FAILED, CANCELLED]")] = ()
    every_s: Annotated[Duration, doc("Longest time between two polls.", "1 minute", default="10 seconds")] = (
        field(name="every", default=10.0)
    )
    timeout_s: Annotated[
        Duration, doc("The load fails if the job takes longer.", "12 hours", default="2 hours")
    ] = field(name="timeout", default=7200.0)


class JobSpec(Struct, frozen=True):
    """A job for each scope of a load; the request of the table downloads its result."""

    create: Annotated[JobRequest, doc("Request that creates the job.", "{request: POST /reports}")]
    poll: Annotated[
        JobPoll | None, doc("Request that is repeated until it is done.", "{request: GET /reports/{report}}")
    ] = None

    @property
    def requests(self) -> Mapping[str, JobRequest]:
        """The requests by key, in the order in which they are sent."""
        return {"create": self.create, **({"poll": self.poll} if self.poll is not None else {})}

    @property
    def values(self) -> Mapping[str, str]:
        return {name: path for each in self.requests.values() for name, path in each.values.items()}
