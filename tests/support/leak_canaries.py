"""Every secret of the tests contains the word canary; no home folder may contain it after its test.

The search covers plain text, base64 at each of three offsets, and UTF-16; URL encoding does not change the
word. The configuration and the tokens issued by an API (mode 0600) are excluded.
"""

from __future__ import annotations

import base64
import html
import json
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
        for file in home.rglob("*")
        if file.is_file()
        and not file.is_symlink()
        and not _is_allowed(file.relative_to(home))
        and _contains_canary(file)
    )


def _is_allowed(path: Path) -> bool:
    return any(part.startswith(ALLOWED_PREFIXES) for part in path.parts)


def _contains_canary(file: Path) -> bool:
    data = file.read_bytes()
    return any(form in data for form in _ENCODED_FORMS)


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


def encoded_forms(secret: str) -> set[str]:
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
