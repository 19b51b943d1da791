"""The monitoring of a home for routes: one reader at a time, in a thread beside the event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, to_thread
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from unify.config.settings import Settings
from unify.servers.monitoring.exposition import MetricsRenderer
from unify.servers.monitoring.metrics import home_metrics
from unify.servers.monitoring.monitor import HomeMonitor, HomeSummary

CLOSE_TIMEOUT_S = 5.0

ResultT = TypeVar("ResultT")


class MonitoringService:
    """Reads the home when it is asked; nothing happens between two requests."""

    def __init__(self, settings: Settings) -> None:
        self._monitor = HomeMonitor(settings)
        self._renderer = MetricsRenderer()
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)
        self._lock = threading.Lock()
        self._limiter: CapacityLimiter | None = None  # of the event loop that asks first

    async def read_home(self) -> HomeSummary:
        """Return the state of the home."""
        return await self._run(self._monitor.read)

    async def render_metrics(self) -> bytes:
        """Return the metrics of the home and of this process, in the text format."""
        return await self._run(self._render)

    def close(self) -> bool:
        """Close the files, unless a reader still uses them; return whether it was done."""
        if not self._lock.acquire(timeout=CLOSE_TIMEOUT_S):
            return False
        self._monitor.close()
        return True

    def _render(self) -> bytes:
        return self._renderer.render(home_metrics(self._monitor.read())) + generate_latest(self._process)

    async def _run(self, function: Callable[[], ResultT]) -> ResultT:
        """Run a function in a thread; a request that is cancelled meanwhile leaves it there."""

        def run_alone() -> ResultT:
            with self._lock:
                return function()

        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(1)
        return await to_thread.run_sync(run_alone, abandon_on_cancel=True, limiter=self._limiter)
