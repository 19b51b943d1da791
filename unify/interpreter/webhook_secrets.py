"""The secrets that sign requests to the addresses of syncs and watches: references, never values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from unify.config.secrets import EnvironmentVariable, UnresolvedReference, parse_reference, resolve_reference
from unify.errors import ConfigError, QueryError

DEFAULT_SECRET = "${UNIFY_WEBHOOK_SECRET}"
_NO_REFERENCE = "the secret of an address is a reference, such as secret '${WEBHOOK_SECRET}'"


def check_secret(secret: str) -> str:
    """Return the reference as typed, or the default for "". Raises QueryError if it is none."""
    try:
        is_reference = parse_reference(secret or DEFAULT_SECRET) is not None
    except ValueError as error:
        raise QueryError(str(error)) from error
    if not is_reference:
        raise QueryError(_NO_REFERENCE)
    return secret or DEFAULT_SECRET


def environment_variable(secret: str) -> str:
    """Return the environment variable that a reference names; "" for none."""
    reference = parse_reference(secret) if secret else None
    return reference.name if isinstance(reference, EnvironmentVariable) else ""


def resolve_secret(secret: str, environment: Mapping[str, str], home: Path) -> str:
    """Return the value of a reference. Raises ConfigError if it has none."""
    reference = parse_reference(secret)
    if reference is None:
        raise QueryError(_NO_REFERENCE)
    try:
        return resolve_reference(reference, environment, home)
    except UnresolvedReference as error:
        raise ConfigError(f"the secret of the address: {error}") from error
