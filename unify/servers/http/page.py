"""GET /: the page, whose files are in ``static``; POST /session: its token for a ticket of ``unify ui``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unify.servers.http.responses import error_response
from unify.servers.sessions import SESSION_LIFETIME_S, OwnerSessions

PATH = "/"
STATIC_PATH = "/static/{name}"
SESSION_PATH = "/session"
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# The page uses its own files alone: a value of a row that a browser took for markup could do nothing.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class TicketBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /session."""

    ticket: str


def routes(sessions: OwnerSessions) -> list[Route]:
    """Return the routes; the files are read now."""
    found = _read_files()

    async def get_page(_request: Request) -> Response:
        return _file_response("index.html", found)

    async def get_file(request: Request) -> Response:
        return _file_response(request.path_params["name"], found)

    async def post_session(request: Request) -> Response:
        try:
            body = msgspec.json.decode(await request.body(), type=TicketBody)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return error_response(400, f"the body must be a JSON object with ticket: {error}")
        token = sessions.exchange(body.ticket)
        if token is None:
            message = "this address was used already, or is older than ten minutes; run unify ui again"
            return error_response(401, message)
        return JSONResponse({"token": token, "seconds": SESSION_LIFETIME_S})

    return [
        Route(PATH, get_page),
        Route(STATIC_PATH, get_file),
        Route(SESSION_PATH, post_session, methods=["POST"]),
    ]


def _read_files() -> Mapping[str, bytes]:
    folder = files("unify.servers.http").joinpath("static")
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}


def _file_response(name: str, found: Mapping[str, bytes]) -> Response:
    suffix = name[name.rfind(".") :]
    if name not in found or suffix not in MEDIA_TYPES:
        return error_response(404, "Not Found")
    return Response(found[name], media_type=MEDIA_TYPES[suffix], headers=HEADERS)
