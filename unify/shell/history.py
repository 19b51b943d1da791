"""The history file of the prompt: private, without statements that contain a secret."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

# create secret (...), token = '...', password: '...', connect ... with ...
_SECRET_PATTERN = re.compile(
    r"\bcreate\s+(or\s+replace\s+)?((persistent|temporary)\s+)?secret\b"
    r"|\b\w*(secret|password|passwd|pwd|passphrase|token|api_?key|private_?key|credentials?)\w*['\"]?\s*"
    r"(=|:|:=|\s)\s*'[^']"
    r"|\$\w*(pw|pass)\w*\s*=\s*'[^']"
    # within a text: a connection string, an address with a password or a token
    r"|'[^']*\b(password|passwd|pwd|secret|\w*token|\w*key|sig|signature)\s*=\s*[^\s'&]"
    r"|://[^/\s'@]*:[^/\s'@]*@"
    r"|\A\s*connect\b.*\bwith\b",
    re.IGNORECASE | re.DOTALL,
)


def open_history(path: Path) -> History:
    """Return the history in ``path``; in memory if that is a device or pipe. Raises OSError."""
    if path.exists() and not path.is_file():  # often a link to /dev/null: keep no history
        return InMemoryHistory()
    return PrivateHistory(path)


class PrivateHistory(FileHistory):
    """A history file of mode 0600, whatever the umask."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
        super().__init__(os.fspath(path))

    def load_history_strings(self) -> Iterable[str]:
        """Return the statements, newest first, without duplicates."""
        return dict.fromkeys(super().load_history_strings())

    def store_string(self, string: str) -> None:
        if not contains_secret(string) and invalid_byte(string) is None:
            super().store_string(string)


def contains_secret(text: str) -> bool:
    """Whether a statement appears to contain a secret."""
    return _SECRET_PATTERN.search(text) is not None


def invalid_byte(text: str) -> int | None:
    """Return the first byte of typed ``text`` that is not UTF-8; terminals deliver it as a lone surrogate."""
    return next((ord(char) - 0xDC00 for char in text if "\udc80" <= char <= "\udcff"), None)
