"""Signing in from a statement: where an API wants a person to, and there is one.

An adapter opened for a statement, and what it asks, which is kept for ``unify.request_log``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from unify.adapters.http.request_log import RequestLog
from unify.errors import Interrupted, StoreError
from unify.interpreter.connections import ConnectionCatalog

if TYPE_CHECKING:
    from unify.adapters.base import Adapter, Check, Listeners, Traffic, UserPrompt
    from unify.config.connections import Connection
    from unify.interpreter.results import Watcher


def requires_sign_in(connections: ConnectionCatalog, connection: Connection) -> bool:
    """Does somebody have to sign in before anything of this connection can be read?"""
    from unify.adapters import registry

    spec = registry.spec_of(connection, connections.settings.specs)
    return spec is not None and spec.auth.is_interactive


def open_for_sign_in(connections: ConnectionCatalog, connection: Connection) -> Adapter:
    """The adapter of a connection, for questions about its credentials."""
    from unify.adapters import registry

    settings = connections.settings
    return registry.open_adapter(
        connection,
        settings.specs,
        connections.environment,
        tokens_folder=settings.token_folder,
        redactor=connections.redactor,
    )


def ensure_signed_in(connections: ConnectionCatalog, watcher: Watcher, name: str) -> None:
    """Have the person in front sign in to connection ``name``, where nobody has who has to.

    Without a person nothing happens: whatever asks the API will say what is missing.
    """
    connection = connections.connection(name)
    if not requires_sign_in(connections, connection):
        return
    person = watcher.user_prompt()
    if person is not None:
        with closing(open_for_sign_in(connections, connection)) as adapter:
            if not adapter.is_signed_in():
                sign_in(adapter, person, name)


def sign_in(adapter: Adapter, prompt: UserPrompt, name: str) -> None:
    """Raises Interrupted where the person would rather not."""
    try:
        adapter.sign_in(prompt)
    except KeyboardInterrupt:
        raise Interrupted(f"{name}: nobody has signed in") from None


def check_credentials(adapter: Adapter, watcher: Watcher, name: str) -> Check:
    """See ``signin.tried``; raises Interrupted where the person would rather not."""
    from unify.adapters import base

    try:
        return base.check_with_sign_in(adapter, watcher.user_prompt())
    except KeyboardInterrupt:
        raise Interrupted(f"{name}: nobody has signed in") from None


def open_adapter(
    connections: ConnectionCatalog, connection: str, listeners: Listeners | None = None
) -> Adapter:
    """The adapter of a connection. Raises ConfigError or UnresolvedSecret."""
    from unify.adapters import registry

    settings = connections.settings
    return registry.open_adapter(
        connections.connection(connection),
        settings.specs,
        connections.environment,
        listeners=listeners,
        limits_folder=settings.cache / "limits",
        tokens_folder=settings.token_folder,
        redactor=connections.redactor,
    )


@contextmanager
def open_recorded_adapter(connections: ConnectionCatalog, connection: str) -> Iterator[Adapter]:
    """``open_adapter`` for the block, with its requests kept however the block ends.

    A statement works on a full disk too; then ``unify.request_log`` does not tell of what it asked.
    """
    from unify.adapters.base import Listeners

    asked: list[Traffic] = []
    try:
        with closing(open_adapter(connections, connection, Listeners(asked.append))) as adapter:
            yield adapter
    finally:
        with suppress(StoreError):
            RequestLog(connections.settings.request_log).append([traffic.to_record() for traffic in asked])
