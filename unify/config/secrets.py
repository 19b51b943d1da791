"""Secrets, and the references to them in connections.yaml."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Never

from msgspec import Struct

from unify.config import keyring

_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_FILE_BYTES = 65_536  # ten times the longest private key in use
REFERENCE_FORMS = "${NAME}, ${keyring:SERVICE/USER} or ${file:PATH}"


class Secret:
    """A string that prints as ``Secret(***)``; ``reveal()`` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, _form: str) -> str:
        return repr(self)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        import hmac

        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_encode(self._text), _encode(other._text))

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: object) -> Secret:
        return self

    def __reduce_ex__(self, _protocol: object) -> Never:
        raise TypeError("a Secret is never pickled: send the reference and resolve it where it is used")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


class EnvironmentVariable(Struct, frozen=True):
    """``${NAME}``: an environment variable."""

    name: str


class KeyringEntry(Struct, frozen=True):
    """``${keyring:SERVICE/USER}``: an entry of the operating system's keyring."""

    service: str
    user: str


class SecretFile(Struct, frozen=True):
    """``${file:PATH}``: the content of a file, stripped of white space."""

    path: str


SecretReference = EnvironmentVariable | KeyringEntry | SecretFile


class UnresolvedReference(Exception):
    """A reference cannot be resolved. The message says why and what to do; it never contains a value."""


def parse_reference(text: str) -> SecretReference | None:
    """Parse a value that is a reference as a whole; None for a literal value.

    Raises:
        ValueError: a ``${...}`` in none of the three forms.
    """
    if not (text.startswith("${") and text.endswith("}")):
        return None
    inner = text[2:-1]
    kind, colon, rest = inner.partition(":")
    if not colon and _VARIABLE_NAME.fullmatch(inner):
        return EnvironmentVariable(inner)
    if colon and kind == "keyring":
        service, _, user = rest.rpartition("/")
        if service and user:
            return KeyringEntry(service, user)
    if colon and kind == "file" and rest.strip():
        return SecretFile(rest.strip())
    raise ValueError(f"{text} is not a valid reference; write {REFERENCE_FORMS}")


def resolve_reference(reference: SecretReference, environment: Mapping[str, str], folder: Path) -> str:
    """Resolve a reference; relative paths start at ``folder``. Raises UnresolvedReference."""
    match reference:
        case EnvironmentVariable(name):
            return _read_variable(name, environment)
        case KeyringEntry(service, user):
            return _read_keyring(service, user)
        case SecretFile(path):
            return _read_file(folder / Path(path).expanduser())


def _read_variable(name: str, environment: Mapping[str, str]) -> str:
    value = environment.get(name)
    if value:
        return value
    state = "is not set" if value is None else "is empty"
    raise UnresolvedReference(f"the environment variable {name} {state}; export {name}=… and try again")


def _read_keyring(service: str, user: str) -> str:
    try:
        value = keyring.get_password(service, user)
    except keyring.KeyringError as error:
        raise UnresolvedReference(f"{error}; or use ${{NAME}} or ${{file:PATH}}") from error
    if not value:
        raise UnresolvedReference(f"the keyring has no entry {service}/{user}; keyring set {service} {user}")
    return value


def _read_file(path: Path) -> str:
    try:
        with open(path, "rb", opener=_open_nonblocking) as file:
            status = os.fstat(file.fileno())
            _check_file(path, status)
            raw = file.read(_MAX_FILE_BYTES + 1)
        text = raw.decode("utf-8").strip()
    except OSError as error:
        raise UnresolvedReference(f"the file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnresolvedReference(f"the file {path} is not UTF-8 text") from error
    if len(raw) > _MAX_FILE_BYTES:
        raise UnresolvedReference(
            f"the file {path} is larger than {_MAX_FILE_BYTES:,} bytes, which is too large for a secret"
        )
    if not text:
        raise UnresolvedReference(f"the file {path} is empty")
    return text


def _open_nonblocking(path: str, flags: int) -> int:
    """Open without blocking, so that a named pipe can be rejected."""
    return os.open(path, flags | os.O_NONBLOCK)


def _check_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnresolvedReference(f"{path} is not a regular file")
    if status.st_mode & stat.S_IWOTH:
        raise UnresolvedReference(
            f"the file {path} can be written by all users; run chmod o-w {path} and replace the secret"
        )
