"""JobScopeReader: reads the result of a job as the pages of one scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unify.adapters.http.messages import Response
from unify.adapters.paging.base import PageRequest, Paginator
from unify.adapters.rest.scope_reader import ScopeReader
from unify.errors import BadResponse


class JobScopeReader(ScopeReader):
    """Reads the result of a job: the pages of one download, or one page for each of several files."""

    _values: Mapping[str, Any] = {}
    _files: Sequence[Mapping[str, Any]] = ()

    def paginate(self) -> Paginator:
        """Paginate the only download; or request all files after the first one, which knows them."""
        pages = super().paginate()
        page_requests = next(pages, ())
        while page_requests:
            page_info = yield page_requests
            if len(self._files) > 1:
                if not self._context.row_limit.is_reached:
                    yield [PageRequest()] * (len(self._files) - 1)
                return
            try:
                page_requests = pages.send(page_info)
            except StopIteration:
                return

    def _request_variables(self, number: int) -> Mapping[str, Any]:
        return self._files[number] if len(self._files) > 1 else self._variables

    def _fetch_response(self, page_request: PageRequest, number: int) -> Response:
        if number == 0 and not self._run_job():
            return Response(204, {}, b"", "", self._error_location())
        return super()._fetch_response(page_request, number)

    def _describe_request(self, page_request: PageRequest, number: int) -> str:  # noqa: ARG002
        return ""  # a later read has another job

    def _run_job(self) -> bool:
        """Run the job, and keep its values as variables; False: its result is empty."""
        source, context = self._source, self._context
        assert source.job is not None
        values = source.job.run(self._variables, source.error_rules, context.job_client, context.cancel_event)
        lists = {name: value for name, value in values.items() if isinstance(value, list)}
        self._variables.update(values)
        if len({len(found) for found in lists.values()}) > 1:
            raise BadResponse(
                f"{self._error_location()}: the lists of the job differ in length: {', '.join(lists)}"
            )
        self._files = [
            {**self._variables, **dict(zip(lists, items, strict=True))}
            for items in zip(*lists.values(), strict=True)
        ]
        if len(self._files) == 1:
            self._variables.update(self._files[0])
        used = source.request_builder.variable_names & values.keys()
        return all(values[name] not in (None, "", []) for name in used) and bool(values)
