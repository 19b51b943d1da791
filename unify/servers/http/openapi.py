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
    "content": {
        ResultFormat.JSON.value: {
            "schema": {
                "oneOf": [
                    {"type": "array", "items": {"type": "object"}},
                    {"type": "object", "properties": {"message": {"type": "string"}}},
                ]
            }
        },
        ResultFormat.JSON_LINES.value: {"schema": {"type": "string", "description": "An object a line"}},
        ResultFormat.CSV.value: {"schema": {"type": "string"}},
        ResultFormat.ARROW.value: {"schema": {"type": "string", "format": "binary"}},
        ResultFormat.TABLE.value: {
            "schema": {
                "type": "string",
                "description": "A line with names and types of the columns; then a list of texts and nulls "
                "a row, each value as DuckDB's text of it",
            }
        },
    },
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
_JSON_OBJECT = {
    "description": "A JSON object",
    "content": {"application/json": {"schema": {"type": "object"}}},
}
_HEALTH_BODY = {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}}
_HEALTH = {
    "summary": "Whether statements and loads can work; strangers see the status alone",
    "security": [{}, {"token": []}],
    "responses": {
        "200": {"description": "They can", "content": _HEALTH_BODY},
        "401": _ERROR,
        "503": {"description": "They cannot, for the reasons given", "content": _HEALTH_BODY},
    },
}
_METRICS = {
    "summary": "Metrics for Prometheus",
    "security": [{}, {"token": []}],
    "responses": {
        "200": {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}},
        "401": _ERROR,
    },
}
_PAGE = {"description": "The page", "content": {"text/html": {"schema": {"type": "string"}}}}
_POST_SESSION = {
    "summary": "The token of a session for the ticket in an address of unify ui, which is valid once",
    "security": [],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ticket"}}},
    },
    "responses": {
        "200": {
            "description": "The token, and the seconds of its life",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Session"}}},
        },
        "400": _ERROR,
        "401": _ERROR,
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
        "required": ["id", "state", "loads"],
        "properties": {
            "id": {"type": "string"},
            "state": {"const": "running"},
            "loads": {"type": "array", "items": {"$ref": "#/components/schemas/Load"}},
        },
    },
    "Load": {
        "type": "object",
        "required": ["table", "state", "rows", "pages"],
        "properties": {
            "table": {"type": "string"},
            "state": {"type": "string"},
            "rows": {"type": "integer"},
            "pages": {"type": "integer"},
        },
    },
    "Health": {
        "type": "object",
        "required": ["status"],
        "properties": {
            "status": {"enum": ["ok", "unavailable"]},
            "reasons": {"type": "array", "items": {"type": "string"}},
            "daemon": {"enum": ["running", "stopped"]},
            "lake": {"enum": ["readable", "unreadable"]},
            "queue": {"enum": ["readable", "unreadable"]},
            "tables": {
                "type": "object",
                "properties": {name: {"type": "integer"} for name in ("stored", "failed", "held", "overdue")},
            },
        },
    },
    "Ticket": {
        "type": "object",
        "required": ["ticket"],
        "additionalProperties": False,
        "properties": {"ticket": {"type": "string"}},
    },
    "Session": {
        "type": "object",
        "required": ["token", "seconds"],
        "properties": {"token": {"type": "string"}, "seconds": {"type": "number"}},
    },
}
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Unify", "version": VERSION},
    "security": [{"token": []}],
    "paths": {
        "/query": {"post": _POST_QUERY},
        "/statements/{id}": _STATEMENT,
        "/health": {"get": _HEALTH},
        "/metrics": {"get": _METRICS},
        "/openapi.json": {
            "get": {"summary": "This document", "responses": {"200": _JSON_OBJECT, "401": _ERROR}}
        },
        "/session": {"post": _POST_SESSION},
        "/": {"get": {"summary": "The page", "security": [], "responses": {"200": _PAGE}}},
        "/static/{name}": {
            "get": {
                "summary": "A file of the page",
                "security": [],
                "parameters": [
                    {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
                ],
                "responses": {"200": {"description": "Style, script or picture"}, "404": _ERROR},
            }
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
