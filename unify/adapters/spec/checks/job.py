"""Checks that the keys of ``job`` are consistent, and that the variables in its texts exist."""

from __future__ import annotations

from unify.adapters.spec import template
from unify.adapters.spec.checks.values import validate_variables
from unify.adapters.spec.job import JobPoll, JobRequest, JobSpec
from unify.adapters.spec.model import TableSpec
from unify.adapters.spec.parse import ProblemReport
from unify.config.yaml import NodePath

JOB_TEXTS = ("request", "params", "headers", "body", "form")


def job_texts(job: JobSpec | None) -> list[object]:
    """Every text of the requests of a job."""
    return [getattr(each, key) for each in job.requests.values() for key in JOB_TEXTS] if job else []


def validate_job(table: TableSpec, known: set[str] | None, path: NodePath, report: ProblemReport) -> None:
    """Report the problems of the key ``job`` of the table at ``path``. ``known`` are its other variables."""
    job, here = table.job, (*path, "job")
    if job is None:
        return
    if table.live is not None:
        report.add_problem(here, "a live table reads no job: each query would create one")
    for name in job.values:
        if known is not None and name in known:
            report.add_problem(here, f"{name} is a variable already; rename the value")
    available = known
    for key, request in job.requests.items():
        _validate_request(request, available, (*here, key), report)
        available = None if available is None else available | set(request.values)
    if job.poll is not None:
        _validate_poll(job.poll, (*here, "poll"), report)
    downloads = [table.requests, dict(table.params), dict(table.headers), table.body, dict(table.form or {})]
    if not set(job.values) & set(template.variable_names_in(downloads)):
        report.add_problem(here, "the request of the table uses no value of the job, such as its URL")


def _validate_request(
    request: JobRequest, known: set[str] | None, path: NodePath, report: ProblemReport
) -> None:
    for key in JOB_TEXTS:
        validate_variables(getattr(request, key), (*path, key), known, report, body=key == "body")
    is_get = request.request.startswith("GET ")
    for key in ("body", "form"):
        if is_get and getattr(request, key) is not None:
            report.add_problem((*path, key), "a GET request has no body; use POST /…")
    if request.body is not None and request.form is not None:
        report.add_problem((*path, "form"), "expected body or form, not both")


def _validate_poll(poll: JobPoll, path: NodePath, report: ProblemReport) -> None:
    if poll.status is not None and not poll.done:
        report.add_problem(path, "status requires done: the states of a job whose result is ready")
    if poll.status is None and (poll.done or poll.failed):
        report.add_problem((*path, "done" if poll.done else "failed"), "requires status")
    if poll.every_s < 1:
        report.add_problem((*path, "every"), "expected one second or more")
