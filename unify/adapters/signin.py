"""Signing in, for whoever has an adapter in hand and perhaps a person in front."""

from __future__ import annotations

from unify.adapters.base import Adapter, Check
from unify.adapters.person import Person
from unify.errors import SignInNeeded


def checked(adapter: Adapter, person: Person | None) -> Check:
    """What the API says of the credentials, once somebody has signed in where that is needed.

    Without a person it is a refusal that says what to do. Raises SourceError.
    """
    try:
        return adapter.check()
    except SignInNeeded as needed:
        if person is None:
            return Check(accepted=False, reason=needed.message)
    adapter.sign_in(person)
    return adapter.check()
