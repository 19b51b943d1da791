"""Signing in from a statement: where an API wants a person to, and there is one."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from unify.errors import Interrupted

if TYPE_CHECKING:
    from unify.adapters.base import Adapter, Check
    from unify.adapters.person import Person
    from unify.connections import Connection
    from unify.interpreter.results import Watcher
    from unify.interpreter.sources import Sources


def by_person(sources: Sources, connection: Connection) -> bool:
    """Does somebody have to sign in before anything of this connection can be read?"""
    from unify.adapters import registry

    spec = registry.spec_of(connection, sources.settings.specs)
    return spec is not None and spec.auth.by_person


def open_for_sign_in(sources: Sources, connection: Connection) -> Adapter:
    """The adapter of a connection, for questions about its credentials."""
    from unify.adapters import registry

    settings = sources.settings
    return registry.open_adapter(
        connection, settings.specs, sources.environment, tokens_folder=settings.tokens
    )


def ensure(sources: Sources, watcher: Watcher, name: str) -> None:
    """Have the person in front sign in to connection ``name``, where nobody has who has to.

    Without a person nothing happens: whatever asks the API will say what is missing.
    """
    connection = sources.connection(name)
    if not by_person(sources, connection):
        return
    person = watcher.person()
    if person is not None:
        with closing(open_for_sign_in(sources, connection)) as adapter:
            if not adapter.signed_in():
                sign_in(adapter, person, name)


def sign_in(adapter: Adapter, person: Person, name: str) -> None:
    """Raises Interrupted where the person would rather not."""
    try:
        adapter.sign_in(person)
    except KeyboardInterrupt:
        raise Interrupted(f"{name}: nobody has signed in") from None


def checked(adapter: Adapter, watcher: Watcher, name: str) -> Check:
    """See ``signin.checked``; raises Interrupted where the person would rather not."""
    from unify.adapters import signin

    try:
        return signin.checked(adapter, watcher.person())
    except KeyboardInterrupt:
        raise Interrupted(f"{name}: nobody has signed in") from None
