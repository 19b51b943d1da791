"""The system keyring, if the package ``keyring`` is installed and its backend works."""

from __future__ import annotations

import importlib
from typing import Any


class KeyringError(Exception):
    """The keyring cannot be used; the text says why and what to do, and never contains a password."""


def is_installed() -> bool:
    try:
        importlib.import_module("keyring")
    except ImportError:
        return False
    return True


def get_password(service: str, user: str) -> str | None:
    """The password, or None if there is no such entry. Raises KeyringError."""
    password = _call("get_password", service, user)
    return None if password is None else str(password)


def set_password(service: str, user: str, password: str) -> None:
    """Raises KeyringError."""
    _call("set_password", service, user, password)


def delete_password(service: str, user: str) -> None:
    """Raises KeyringError, also if there is no such entry."""
    _call("delete_password", service, user)


def _call(function: str, *arguments: str) -> Any:
    try:
        keyring = importlib.import_module("keyring")
    except ImportError as error:
        raise KeyringError("the Python package keyring is not installed; pip install keyring") from error
    try:
        return getattr(keyring, function)(*arguments)
    except Exception as error:  # noqa: BLE001 - each backend has its own, whose texts may hold the password
        raise KeyringError(f"the system keyring is not available ({type(error).__name__})") from None
