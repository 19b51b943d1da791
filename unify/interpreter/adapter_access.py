"""Opens the adapter of a connection for a statement, and lets the user sign in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from unify.adapters.http.request_log import RequestLog
from unify.errors import Interrupted, StoreError
from unify.fs.memory import limit_memory
from unify.interpreter.connections import ConnectionCatalog

if TYPE_CHECKING:
    from unify.adapters.base import Adapter, Check, Traffic, UserPrompt
    from unify.config.connections import Connection
    from unify.interpreter.results import Watcher


@contextmanager
def open_adapter(connections: ConnectionCatalog, connection: Connection) -> Iterator[Adapter]:
    """Open the adapter of a connection and log its requests, also if the block raises.

    On a full disk the requests are missing in ``unify.requests``; the statement runs.
    Raises ConfigError or UnresolvedSecret.
    """
    from unify.adapters import registry
    from unify.adapters.base import Listeners

    settings = connections.settings
    requests: list[Traffic] = []
    adapter = registry.open_adapter(
        connection,
        settings.specs,
        connections.environment,
        listeners=Listeners(requests.append),
        limits_folder=settings.cache / "limits",
        tokens_folder=settings.token_folder,
        redactor=connections.redactor,
    )
    try:
        with closing(adapter), limit_memory(settings.worker_memory_bytes, connection.name):
            yield adapter
    finally:
        with suppress(StoreError):
            RequestLog(settings.request_log).append(
                [request.to_record(connection.name) for request in requests]
            )


def requires_sign_in(connections: ConnectionCatalog, connection: Connection) -> bool:
    """Whether the user has to sign in before the connection can be read."""
    from unify.adapters import registry
    from unify.adapters.options import choose_auth

    folders = connections.settings.specs
    summary = registry.spec_summary_of(connection, folders, connections.summaries_folder)
    if summary is None or not summary.signs_in:
        return False
    spec = registry.spec_of(connection, folders)
    assert spec is not None  # it has a summary
    defaults = {option.name: option.default for option in spec.options}
    return choose_auth(spec, {**defaults, **connection.options}).auth.is_interactive


def ensure_signed_in(connections: ConnectionCatalog, watcher: Watcher, name: str) -> None:
    """Sign the user in to connection ``name`` if required.

    Does nothing without a terminal; then the first request raises SignInNeeded.
    """
    connection = connections.connection(name)
    if not requires_sign_in(connections, connection):
        return
    prompt = watcher.user_prompt()
    if prompt is not None:
        with open_adapter(connections, connection) as adapter:
            if not adapter.is_signed_in():
                sign_in(adapter, prompt, name)


def sign_in(adapter: Adapter, prompt: UserPrompt, name: str) -> None:
    """Sign the user in. Raises Interrupted on Ctrl-C."""
    try:
        adapter.sign_in(prompt)
    except KeyboardInterrupt:
        raise Interrupted(f"{name}: sign-in was cancelled") from None


def check_credentials(adapter: Adapter, watcher: Watcher, name: str) -> Check:
    """Test the credentials, with a sign-in if required. Raises Interrupted on Ctrl-C."""
    from unify.adapters import base

    try:
        return base.check_with_sign_in(adapter, watcher.user_prompt())
    except KeyboardInterrupt:
        raise Interrupted(f"{name}: sign-in was cancelled") from None
