"""Read the files of a home folder, and find secrets of the tests in them.

Every secret of the tests contains the word canary; no home folder may contain it after its test. The search
covers plain text, base64 at each of three offsets, and UTF-16; URL encoding does not change the word. The
configuration and the tokens issued by an API (mode 0600) are excluded.
"""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Iterator, Set
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import quote, quote_plus

CANARY = b"canary"
ALLOWED_PREFIXES = (
    "connections.yaml",
    "tokens",
    "specs",
)  # configuration, and tokens that have to be stored


def find_leaks(home: Path) -> list[str]:
    """Return the paths of files in a home folder that contain a secret of the tests."""
    return sorted(
        str(file.relative_to(home))
        for file, content in read_files(home)
        if not file.is_symlink()
        and not _is_allowed(file.relative_to(home))
        and any(form in content for form in _ENCODED_FORMS)
    )


def read_status(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield each path in a folder and in the folders within, with its own status; see ``read_files``."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            yield path, path.lstat()


def read_files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield the path and the content of each file in a folder and in the folders within.

    A process of the test may still end meanwhile: a file that it removes after it was listed, such as the
    ``-wal`` of SQLite, is left out.
    """
    for file in folder.rglob("*"):
        if file.is_file():
            with suppress(FileNotFoundError):
                yield file, file.read_bytes()


def _is_allowed(path: Path) -> bool:
    return any(part.startswith(ALLOWED_PREFIXES) for part in path.parts)


def _base64_encodings(word: bytes) -> list[bytes]:
    """Return the part of the base64 of a text that ``word`` determines, for each of three offsets."""
    found = []
    for before in range(3):
        code = base64.b64encode(b"\0" * before + word)
        first = (8 * before + 5) // 6  # earlier characters also depend on the text before
        last = (8 * (before + len(word))) // 6  # later ones depend on the text after
        found.append(code[first:last])
    return found


_ENCODED_FORMS = (CANARY, CANARY.decode().encode("utf-16-le"), *_base64_encodings(CANARY))


@cache
def encoded_forms(secret: str) -> Set[str]:
    """Return the forms of a secret in text: plain, escaped and encoded; of a private key, those of its lines.

    Of base64, the part that only the secret determines.
    """
    if "PRIVATE KEY" in secret:
        return {form for line in secret.splitlines()[1:-1] for form in encoded_forms(line)}
    raw = secret.encode()
    percent = quote(secret, safe="")
    first, *escaped = percent.split("%")
    forms = {secret, percent, quote(secret), quote_plus(secret), html.escape(secret), raw.hex()}
    forms |= {"%".join([first, *(part[:2].lower() + part[2:] for part in escaped)])}
    forms |= {json.dumps(secret)[1:-1], secret.replace("/", "\\/"), repr(secret)[1:-1]}
    forms |= {"".join(f"\\u{ord(char):04x}" for char in secret)}
    for offset in range(3):
        code = base64.b64encode(b"\0" * offset + raw).decode()
        inner = code[(8 * offset + 5) // 6 : 8 * (offset + len(raw)) // 6]
        forms |= {inner, quote(inner, safe=""), inner.replace("+", "-").replace("/", "_")}
    return forms
