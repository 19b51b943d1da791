"""What was typed, kept for the next time: readable by its owner only, and without secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.history import FileHistory

# create secret (...), token = '...', password: '...': what follows is nobody's business.
_SECRET_PATTERN = re.compile(
    r"\bcreate\s+(or\s+replace\s+)?((persistent|temporary)\s+)?secret\b"
    r"|\b\w*(secret|password|passwd|token|api_?key|private_?key)\w*['\"]?\s*(=|:|:=|\s)\s*'[^']"
    r"|\A\s*connect\b.*\bwith\b",
    re.IGNORECASE | re.DOTALL,
)


class PrivateHistory(FileHistory):
    """A history file of mode 0600, whatever the umask."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
        super().__init__(os.fspath(path))

    def load_history_strings(self) -> Iterable[str]:
        """Newest first, each text once."""
        return dict.fromkeys(super().load_history_strings())

    def store_string(self, string: str) -> None:
        if not contains_secret(string):
            super().store_string(string)


def contains_secret(text: str) -> bool:
    """Whether a statement looks as if a secret stood in it."""
    return _SECRET_PATTERN.search(text) is not None
