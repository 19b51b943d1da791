"""Components in Python whose meaning is known: they become components that a manifest can say.

A component is known by its class and the SHA-256 of the file components.py that defines it. The file is
never run; one that differs in a single byte is unknown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from unify.importers.airbyte.manifest import Component
from unify.importers.common.documents import PositionedMapping, line_of
from unify.importers.model import Json

Rewrite = Callable[[Component], Component]
_MAX_FILE = 2_000_000  # bytes of components.py


def _basic(component: Component) -> Component:
    """Basic authentication whose header is built by hand."""
    return {**component, "type": "BasicHttpAuthenticator"}


def _key_or_oauth(component: Component) -> Component:
    """Either an API key or OAuth, by what the connection has."""
    offers = {"api_key": component.get("api_auth"), "oauth": component.get("oauth")}
    return {"type": "SelectiveAuthenticator", "authenticators": offers}


# By class, and SHA-256 of components.py.
KNOWN: Mapping[tuple[str, str], Rewrite] = {
    ("CustomAuthenticator", "25943af7d89aa206d1e19724a535722a9b687216b1bcf3d15c3580d5a6e2c935"): _basic,
    ("CustomAuthenticator", "030ac88ab5843c13c5e75303ec13cf0b868f78673e50daea66b4da12e34b1162"): _basic,
    (
        "AuthenticatorRetently",
        "f018d04255f867b9419591433212ed42b7148824f1441d891dfb047f8c095a6a",
    ): _key_or_oauth,
}


def components_digest(folder: Path | None) -> str:
    """The SHA-256 of components.py beside a manifest, or in the package beside it; "" without one."""
    if folder is None:
        return ""
    for path in (folder / "components.py", *sorted(folder.glob("source_*/components.py"))):
        if path.is_file() and path.stat().st_size <= _MAX_FILE:
            return hashlib.sha256(path.read_bytes()).hexdigest()
    return ""


def replace_known(value: Json, digest: str) -> Json:
    """A component tree with the known components replaced."""
    match value:
        case list():
            return [replace_known(item, digest) for item in value]
        case Mapping():
            found = PositionedMapping({key: replace_known(item, digest) for key, item in value.items()})
            found.line = line_of(value)
            name = str(found.get("class_name", "")).rpartition(".")[2]
            rewrite = KNOWN.get((name, digest)) if name else None
            if rewrite is None:
                return found
            plain = {key: item for key, item in found.items() if key not in ("class_name", "type")}
            known = PositionedMapping(rewrite(plain))
            known.line = found.line
            return known
        case _:
            return value
