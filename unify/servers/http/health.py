"""GET /health: 200 if statements and loads can work, else 503, for load balancers and service managers.

Tables that failed, are held back or overdue are counted, and do not change the status: to start the server
again would not help them.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unify.servers.monitoring.monitor import HomeSummary
from unify.servers.monitoring.service import MonitoringService

PATH = "/health"


def route(monitoring: MonitoringService) -> Route:
    """Return the route. Who has no token although there are users sees the status only."""

    async def get_health(request: Request) -> Response:
        home = await monitoring.read_home()
        is_working = not home.problems
        content: dict[str, object] = {"status": "ok" if is_working else "unavailable"}
        if not request.scope["is_stranger"]:
            content |= _describe(home)
        return JSONResponse(content, 200 if is_working else 503)

    return Route(PATH, get_health)


def _describe(home: HomeSummary) -> dict[str, object]:
    tables = list(home.tables())
    return {
        "reasons": list(home.problems),
        "daemon": "running" if home.daemon.is_running else "stopped",
        "lake": "readable" if home.lake is not None else "unreadable",
        "queue": "readable" if home.queue is not None else "unreadable",
        "tables": {
            "stored": sum(table.stored is not None for table in tables),
            "failed": sum(table.failed for table in tables),
            "held": sum(table.held for table in tables),
            "overdue": sum(table.is_overdue for table in tables),
        },
    }
