"""Finds values that are, or may be, secrets: they become options, and their values are not written."""

from __future__ import annotations

import re

# Words of a name that holds a secret: X-Api-Key, client_secret, sessionid, Authorization …
_SECRET_NAME = re.compile(
    r"auth(?!or(?!iz))|token|secret|passw|pwd|passphrase|api[-_ ]?key|apikey|access[-_ ]?key|"
    r"private[-_ ]?key|"
    r"subscription[-_ ]?key|app[-_ ]?key|credential|cookie|session|sess_?id|csrf|xsrf|signature|bearer|jwt|"
    r"(?:^|[-_.])(?:key|sid|sig|pin|otp|pat|hmac)$",
    re.IGNORECASE,
)
# Names with such a word that hold a position, a flag or a count.
_NO_SECRET = re.compile(
    r"page[-_]?token|next[-_]?token|continuation[-_]?token|sync[-_]?token|token[-_]?type|max[-_]?tokens|"
    r"(?:endpoint|url|uri)$|idempotency[-_]?key|partition[-_]?key|sort[-_]?key|primary[-_]?key|key[-_]?type|session[-_]?type",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"eyJ[A-Za-z0-9_-]{8,}\.|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_|glpat-|xox[abeoprs]-|(?:sk|pk|rk)[-_]"
    r"[A-Za-z0-9_-]{10,}|AKIA[A-Z0-9]{12,}|AIza[A-Za-z0-9_-]{20,}|ya29\.|-----BEGIN|SG\.[A-Za-z0-9_-]{16,}"
)
_RANDOM = re.compile(r"[A-Za-z0-9+/_=-]{28,}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_EMAIL = re.compile(r"[^@\s/]+@[^@\s/]+\.[A-Za-z]{2,}")


def is_secret_name(name: str) -> bool:
    """Whether a header, parameter or member of this name holds a secret."""
    return bool(_SECRET_NAME.search(name)) and not _NO_SECRET.search(name)


def is_secret_value(value: str) -> bool:
    """Whether a value looks like a token: a known prefix, or a long random text that is no UUID."""
    text = value.strip()
    if _SECRET_VALUE.search(text):
        return True
    return " " not in text and any(map(_is_random, _RANDOM.findall(text)))


def _is_random(text: str) -> bool:
    """Whether a long word has letters and digits, and is no UUID."""
    has_both = any(map(str.isdigit, text)) and any(map(str.isalpha, text))
    return has_both and not _UUID.fullmatch(text)


def is_personal(value: str) -> bool:
    """Whether a value names a person, such as a mail address."""
    return bool(_EMAIL.fullmatch(value.strip()))


def is_secret(name: str, value: str) -> bool:
    """Whether a value must not be written, by its name or by its form."""
    return is_secret_name(name) or is_secret_value(value)
