"""An adapter opened for a statement, and what it asks, which is kept for ``unify.requests``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from unify.errors import StoreError
from unify.interpreter.sources import Sources
from unify.store.requestlog import RequestLog

if TYPE_CHECKING:
    from unify.adapters.base import Adapter, Listeners, Traffic


def open_adapter(sources: Sources, connection: str, listeners: Listeners | None = None) -> Adapter:
    """The adapter of a connection. Raises ConfigError or UnresolvedSecret."""
    from unify.adapters import registry

    settings = sources.settings
    return registry.open_adapter(
        sources.connection(connection),
        settings.specs,
        sources.environment,
        listeners=listeners,
        limits_folder=settings.cache / "limits",
        tokens_folder=settings.tokens,
    )


@contextmanager
def recorded(sources: Sources, connection: str) -> Iterator[Adapter]:
    """``open_adapter`` for the block, with its requests kept however the block ends.

    A statement works on a full disk too; then ``unify.requests`` does not tell of what it asked.
    """
    from unify.adapters.base import Listeners

    asked: list[Traffic] = []
    try:
        with closing(open_adapter(sources, connection, Listeners(asked.append))) as adapter:
            yield adapter
    finally:
        with suppress(StoreError):
            RequestLog(sources.settings.requests).append([traffic.record() for traffic in asked])
