"""POST /query, and GET and DELETE /statements/ID: SQL of clients."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from unify.errors import (
    CommandSyntaxError,
    DaemonUnreachable,
    Interrupted,
    LoadFailed,
    NotPermitted,
    QueryError,
    SourceError,
    UnifyError,
    UnknownName,
    UsageError,
)
from unify.interpreter.freshness import DEFAULT_MAX_AGE, MaxAge
from unify.servers.http.limits import note_progress
from unify.servers.http.responses import error_response
from unify.servers.statements.formats import ResultFormat, parse_accept
from unify.servers.statements.limits import StatementLimits
from unify.servers.statements.service import StatementService, TooManyStatements
from unify.servers.statements.statement import ClientStatement, StatementRequest
from unify.servers.users import User

PATH = "/query"
STATEMENT_PATH = "/statements/{id}"
PAGE_HEADER = "x-unify-page"  # the page reads the state for its owner, every few seconds
PROGRESS_INTERVAL_S = 5.0
MAX_WAIT_S = 3600.0
_WAIT = re.compile(r"(?:^|[,\s])wait=(\d{1,6})(?=$|[,;\s])")
_BODY_FORM = "the body must be SQL, or a JSON object with sql and params"
_STATUS: Mapping[type[UnifyError], int] = {  # the first class that fits
    NotPermitted: 403,
    QueryError: 400,
    UnknownName: 400,
    UsageError: 400,
    CommandSyntaxError: 400,
    LoadFailed: 502,
    SourceError: 502,
    Interrupted: 408,
    TooManyStatements: 503,
    DaemonUnreachable: 503,
}


class QueryBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /query as JSON. ``params``: values of ``?`` in order, or of ``:name``."""

    sql: str
    params: list[Any] | dict[str, Any] | None = None


def routes(service: StatementService, limits: StatementLimits) -> list[Route]:
    """Return the routes."""
    handlers = _QueryRoutes(service, limits)
    return [
        Route(PATH, handlers.post_query, methods=["POST"]),
        Route(STATEMENT_PATH, handlers.get_statement, methods=["GET"]),
        Route(STATEMENT_PATH, handlers.delete_statement, methods=["DELETE"]),
    ]


class _QueryRoutes:
    def __init__(self, service: StatementService, limits: StatementLimits) -> None:
        self._service = service
        self._limits = limits

    async def post_query(self, request: Request) -> Response:
        """Run a statement: its rows, or 202 where they take longer than ``Prefer: wait``."""
        try:
            wanted = self._read_request(request, await request.body())
            statement = self._service.submit(wanted, asyncio.get_running_loop())
        except UnifyError as error:
            return _error_response(error)
        return await self._respond(request, statement, _wait_s(request))

    async def get_statement(self, request: Request) -> Response:
        """Return the rows of a statement, or 202 while it runs."""
        statement = self._find(request)
        if statement is None:
            return _unknown_statement()
        return await self._respond(request, statement, _wait_s(request) or 0.0)

    async def delete_statement(self, request: Request) -> Response:
        """Cancel a statement and drop its result."""
        statement = self._find(request)
        if statement is None:
            return _unknown_statement()
        self._service.forget(statement)
        return Response(status_code=204)

    def _read_request(self, request: Request, body: bytes) -> StatementRequest:
        user: User = request.scope["user"]
        format = parse_accept(request.headers.get("accept", ""))
        if format is None:
            formats = ", ".join(one.value for one in ResultFormat)
            raise UsageError(f"Accept: {request.headers['accept'][:200]}: available are {formats}")
        sql, params = _read_body(request, body)
        return StatementRequest(
            sql=sql,
            restriction=user.restriction(),
            parameters=params,
            format=format,
            max_age=_max_age(request, user),
            limits=self._limits,
            user=user.name,
            application=request.headers.get("user-agent", "")[:100],
            address=request.client.host if request.client is not None else "",
            is_recorded=not (user.is_owner and PAGE_HEADER in request.headers),
        )

    def _find(self, request: Request) -> ClientStatement | None:
        statement = self._service.find(request.path_params["id"])
        is_own = statement is not None and statement.request.user == request.scope["user"].name
        return statement if is_own else None

    async def _respond(self, request: Request, statement: ClientStatement, wait_s: float | None) -> Response:
        """Return the result when it begins. ``wait_s``: None: wait for it, and cancel if the client goes."""
        is_ready = await self._wait_until_ready(request, statement, wait_s)
        if is_ready is None:
            self._service.forget(statement)
            return error_response(408, "the client is gone")  # which nobody reads
        if not is_ready:
            return _running_response(statement)
        if statement.pipe.is_complete and statement.pipe.error is not None:
            self._service.forget(statement)
            assert isinstance(statement.pipe.error, UnifyError)
            return _error_response(statement.pipe.error)
        if not statement.claim():  # another request has begun to fetch it
            return _unknown_statement()
        media_type = statement.request.format.value
        if statement.message is not None:
            media_type = ResultFormat.JSON.value
        chunks = self._send_chunks(request, statement)
        return StreamingResponse(chunks, media_type=media_type, headers=_result_headers(statement))

    async def _wait_until_ready(
        self, request: Request, statement: ClientStatement, wait_s: float | None
    ) -> bool | None:
        """Whether the result begins within the time; None: the client is gone."""
        if statement.pipe.readable.is_set():
            return True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (MAX_WAIT_S if wait_s is None else wait_s)
        ready = asyncio.ensure_future(statement.pipe.readable.wait())
        gone = asyncio.ensure_future(_wait_for_disconnect(request))
        try:
            while not ready.done():
                left_s = deadline - loop.time()
                if left_s <= 0:
                    return False
                note_progress(request.scope)
                await asyncio.wait(
                    (ready, gone),
                    timeout=min(left_s, PROGRESS_INTERVAL_S),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if gone.done() and not ready.done():
                    return None
            return True
        finally:
            for task in (ready, gone):
                task.cancel()

    async def _send_chunks(self, request: Request, statement: ClientStatement) -> AsyncIterator[bytes]:
        """Yield the chunks. A result that fails halfway ends the connection: it is not complete."""
        try:
            async with contextlib.aclosing(statement.pipe.read()) as chunks:
                async for chunk in chunks:
                    yield chunk
                    note_progress(request.scope)
        finally:
            self._service.forget(statement)


async def _wait_for_disconnect(request: Request) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(0.1)


def _read_body(request: Request, body: bytes) -> tuple[str, list[Any] | dict[str, Any] | None]:
    """Return SQL and parameters. Raises UsageError."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if media_type == ResultFormat.JSON.value:
            decoded = msgspec.json.decode(body, type=QueryBody)
            sql, params = decoded.sql, decoded.params
        else:
            sql, params = body.decode("utf-8"), None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{_BODY_FORM}: {error}") from error
    if not sql.strip():
        raise UsageError(f"{_BODY_FORM}; it is empty")
    return sql, params


def _max_age(request: Request, user: User) -> MaxAge:
    """Return the age of X-Unify-Max-Age. A reader reads what is stored, however old."""
    given = request.headers.get("x-unify-max-age")
    if not user.restriction().may_load:
        if given is not None:
            raise NotPermitted("X-Unify-Max-Age: refreshes need the role loader")
        return MaxAge(never=True)
    return DEFAULT_MAX_AGE if given is None else MaxAge.parse(given, "X-Unify-Max-Age:")


def _wait_s(request: Request) -> float | None:
    """Return the seconds of ``Prefer: wait=N`` (RFC 7240)."""
    match = _WAIT.search(request.headers.get("prefer", ""))
    return None if match is None else min(float(match[1]), MAX_WAIT_S)


def _result_headers(statement: ClientStatement) -> dict[str, str]:
    headers = {"X-Unify-Statement": str(statement.number)} if statement.number else {}
    notes = [statement.note, *statement.notices]
    text = "; ".join(note for note in notes if note)
    if text:
        headers["X-Unify-Note"] = text.encode("ascii", "backslashreplace").decode()[:1000].replace("\n", " ")
    return headers


def _running_response(statement: ClientStatement) -> Response:
    loads = [
        {"table": str(one.table), "state": one.state.value, "rows": one.rows, "pages": one.pages}
        for one in statement.progress
    ]
    content = {"id": statement.id, "state": "running", "loads": loads}
    headers = {"Location": f"/statements/{statement.id}", "Retry-After": "1"}
    return JSONResponse(content, 202, headers)


def _unknown_statement() -> Response:
    message = "there is no such statement; its result was fetched already, or has expired"
    return error_response(404, message)


def _error_response(error: UnifyError) -> Response:
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    if isinstance(error, UsageError) and error.message.startswith("Accept:"):
        status = 406
    return error_response(status, error.message, {"Retry-After": "5"} if status == 503 else None)
