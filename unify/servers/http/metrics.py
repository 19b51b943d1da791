"""GET /metrics: the metrics of the home, for Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from unify.servers.monitoring.exposition import CONTENT_TYPE
from unify.servers.monitoring.service import MonitoringService

PATH = "/metrics"
CHUNK_BYTES = 65_536  # bounds what a client that reads slowly makes the server keep


def route(monitoring: MonitoringService) -> Route:
    """Return the route."""

    async def get_metrics(_request: Request) -> Response:
        body = await monitoring.render_metrics()
        headers = {"Content-Length": str(len(body)), "Content-Type": CONTENT_TYPE}
        return StreamingResponse(_chunks(body), headers=headers)

    return Route(PATH, get_metrics)


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), CHUNK_BYTES):
        yield body[start : start + CHUNK_BYTES]
