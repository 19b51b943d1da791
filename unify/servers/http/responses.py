"""Errors as JSON: ``{"error": "…"}``."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with a message for people."""
    return JSONResponse({"error": message}, status, headers)


def render_http_exception(_request: Request, error: Exception) -> Response:
    """The response to an unknown path or method."""
    assert isinstance(error, HTTPException)
    return error_response(error.status_code, error.detail, error.headers)


def render_disconnect(_request: Request, _error: Exception) -> Response:
    """The response to a client that has gone before its request was complete; nobody reads it."""
    return error_response(400, "the request is not complete", {"Connection": "close"})


def render_internal_error(_request: Request, _error: Exception) -> Response:
    """The response to an unexpected error, which the log describes."""
    message = "internal error; the log of the server has the details"
    return error_response(500, message, {"Connection": "close"})
