"""Preferences of the prompt, saved in the home folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from unify.errors import StoreError, UsageError
from unify.text import did_you_mean

Keys = Literal["emacs", "vi"]
KEYS: tuple[Keys, ...] = get_args(Keys)
FILE_NAME = "preferences"  # in the home folder; a line each: NAME = VALUE


def parse_keys(text: str) -> Keys:
    """Return the key bindings of this name. Raises UsageError."""
    for keys in KEYS:
        if keys == text.strip().lower():
            return keys
    raise UsageError(f"keys = {text}: unknown value{did_you_mean(text, KEYS)} ({' or '.join(KEYS)})")


def read_keys(home: Path) -> Keys:
    """Return the saved key bindings; emacs if there are none or they cannot be read."""
    try:
        from unify.fs.durable import read_regular_file

        lines = read_regular_file(home / FILE_NAME).decode().splitlines()
        return parse_keys(dict(line.split(" = ", 1) for line in lines)["keys"])
    except (OSError, ValueError, KeyError, UsageError):
        return "emacs"


def save_keys(home: Path, keys: Keys) -> None:
    """Save the key bindings. Raises StoreError naming the file."""
    from unify.config.settings import create_private_folder
    from unify.fs.durable import atomic_write

    create_private_folder(home)
    path = home / FILE_NAME
    try:
        atomic_write(path, f"keys = {keys}\n".encode())
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
