"""How somebody likes the prompt, kept in the home folder for the next time."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from unify.errors import StoreError, UsageError
from unify.text import did_you_mean

Keys = Literal["emacs", "vi"]
KEYS: tuple[Keys, ...] = get_args(Keys)
FILE = "preferences"  # in the home folder; a line each: NAME = VALUE


def keys_named(word: str) -> Keys:
    """Raises UsageError with the keys there are."""
    for keys in KEYS:
        if keys == word.strip().lower():
            return keys
    raise UsageError(f"keys = {word}: there is no such{did_you_mean(word, KEYS)} ({' or '.join(KEYS)})")


def kept_keys(home: Path) -> Keys:
    """The keys that were chosen last; those of emacs where none were, or nothing can be read."""
    try:
        lines = (home / FILE).read_text(encoding="utf-8").splitlines()
        return keys_named(dict(line.split(" = ", 1) for line in lines)["keys"])
    except (OSError, ValueError, KeyError, UsageError):
        return "emacs"


def keep_keys(home: Path, keys: Keys) -> None:
    """Have them the next time, too. Raises StoreError naming the file."""
    from unify.settings import private_folder
    from unify.store.durable import write_durably

    private_folder(home)
    path = home / FILE
    try:
        write_durably(path, f"keys = {keys}\n".encode())
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
