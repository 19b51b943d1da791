"""What a write is planned for: the account of the connection, and how the table is written.

Both may change between a plan and its sending: ids of one account mean other rows in another one. Digests
are kept, and none of a secret, because tokens are renewed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from unify.adapters import registry
from unify.adapters.spec.model import AdapterSpec
from unify.adapters.spec.write import WriteLimits, WriteSpec
from unify.config.connections import Connection
from unify.model import WriteTarget


def describe_target(
    connection: Connection,
    folders: Sequence[Path],
    environment: Mapping[str, str],
    table: str,
    *,
    home: Path,
) -> WriteTarget:
    """Describe what rows of ``table`` are written to. Raises ConfigError, UnresolvedSecret."""
    write = replace(registry.describe_write(connection, folders, table), limits=WriteLimits())
    options = registry.public_option_values(connection, folders, environment)
    spec = registry.spec_of(connection, folders)
    if spec is not None:
        options = _options_of_account(spec, write, options)
    kept = {name: _digest(value) for name, value in sorted(options.items())}
    return WriteTarget(
        kept,
        _digest(_encoded(write, spec.base_url if spec is not None else "")),
        _digest(str(home.resolve())),
    )


def changed_part(planned: WriteTarget, current: WriteTarget, *, options_only: bool = False) -> str:
    """Say what differs: ``the option base_url``, ``how the table is written``; "" if nothing does."""
    names = sorted(planned.options.keys() | current.options.keys()) if planned.options else []
    for name in names:
        if planned.options.get(name) != current.options.get(name):
            return f"the option {name}"
    if options_only:
        return ""
    if planned.home and planned.home != current.home:
        return "the home folder"
    return "the spec of the table" if planned.spec and planned.spec != current.spec else ""


def _options_of_account(spec: AdapterSpec, write: WriteSpec, options: Mapping[str, str]) -> dict[str, str]:
    """Leave out the options that only reads use, such as a first day."""
    texts = _encoded(write, spec.base_url, dict(spec.headers), spec.auth, spec.options)
    return {name: value for name, value in options.items() if re.search(rf"\{{{name}\b", texts)}


def _encoded(*parts: object) -> str:
    return msgspec.json.encode(list(map(_without_defaults, parts))).decode()


def _without_defaults(value: object) -> object:
    """The same for a later version, whose specs have further keys."""
    if isinstance(value, msgspec.Struct):
        given = ((each, getattr(value, each.name)) for each in msgspec.structs.fields(value))
        return {each.encode_name: _without_defaults(one) for each, one in given if one != each.default}
    if isinstance(value, list | tuple):
        return list(map(_without_defaults, value))
    return value


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
