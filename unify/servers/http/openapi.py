"""GET /openapi.json: the routes as an OpenAPI document."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unify.servers.statements.formats import ResultFormat
from unify.version import VERSION

PATH = "/openapi.json"

_ERROR = {
    "description": "Error",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}
_RESULT = {
    "description": "Rows, in the format of Accept",
    "headers": {
        "X-Unify-Note": {"description": "Age of the rows, and notices", "schema": {"type": "string"}},
        "X-Unify-Statement": {"description": "Row of unify.statements", "schema": {"type": "integer"}},
    },
    "content": {one.value: {} for one in ResultFormat},
}
_RUNNING = {
    "description": "The statement waits for loads; its result will be at Location",
    "headers": {"Location": {"schema": {"type": "string"}}, "Retry-After": {"schema": {"type": "integer"}}},
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Running"}}},
}
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "wait=N: answer 202 after N seconds without rows",
    "schema": {"type": "string", "examples": ["wait=10"]},
}
_STATEMENT_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_STATUSES = {"400": _ERROR, "401": _ERROR, "403": _ERROR, "502": _ERROR, "503": _ERROR}
_POST_QUERY = {
    "summary": "Run one SELECT, or a command such as show tables",
    "parameters": [
        _PREFER,
        {
            "name": "X-Unify-Max-Age",
            "in": "header",
            "description": "Wait for data this fresh: 5m, 0, none",
            "schema": {"type": "string"},
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "application/json": {"schema": {"$ref": "#/components/schemas/Query"}},
        },
    },
    "responses": {"200": _RESULT, "202": _RUNNING, **_STATUSES, "406": _ERROR, "408": _ERROR, "413": _ERROR},
}
_STATEMENT = {
    "get": {
        "summary": "The result of a statement; it can be fetched once, within five minutes",
        "parameters": [_STATEMENT_ID, _PREFER],
        "responses": {"200": _RESULT, "202": _RUNNING, **_STATUSES, "404": _ERROR},
    },
    "delete": {
        "summary": "Cancel a statement",
        "parameters": [_STATEMENT_ID],
        "responses": {"204": {"description": "Cancelled"}, "401": _ERROR, "404": _ERROR},
    },
}
_SCHEMAS = {
    "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
    "Query": {
        "type": "object",
        "required": ["sql"],
        "additionalProperties": False,
        "properties": {
            "sql": {"type": "string"},
            "params": {
                "description": "Values of ? in order, or of :name",
                "oneOf": [{"type": "array"}, {"type": "object"}, {"type": "null"}],
            },
        },
    },
    "Running": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "state": {"const": "running"},
            "loads": {"type": "array", "items": {"type": "object"}},
        },
    },
}
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Unify", "version": VERSION},
    "security": [{"token": []}],
    "paths": {
        "/query": {"post": _POST_QUERY},
        "/statements/{id}": _STATEMENT,
        "/health": {
            "get": {
                "summary": "Whether statements and loads can work",
                "security": [],
                "responses": {"200": {"description": "Yes"}, "503": {"description": "No"}},
            }
        },
        "/metrics": {
            "get": {"summary": "Metrics for Prometheus", "responses": {"200": {"description": "Metrics"}}}
        },
    },
    "components": {
        "schemas": _SCHEMAS,
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    },
}


def route() -> Route:
    """Return the route."""

    async def get_document(_request: Request) -> Response:
        return JSONResponse(DOCUMENT)

    return Route(PATH, get_document)
