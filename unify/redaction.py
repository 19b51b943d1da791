"""Redaction: secrets are replaced by ``***`` before a text is shown, logged or stored.

A ``Redactor`` knows secrets by value and finds each in the forms in which an API may echo it: as it is;
percent-encoded; with escapes of JSON, Python or HTML, also nested; in hex; in Base64 at any of the three
alignments, in both alphabets; and cut short by an ellipsis. It also replaces what is a credential by its form
alone: a JSON Web Token, user information in a URL, a parameter or JSON member named like a credential.

The time taken is linear in the length of the text.
"""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from threading import Lock

from unify.errors import UnifyError

MASK = "***"
MIN_SECRET_CHARS = 4  # shorter values occur within ordinary words
MIN_LOWERED_BYTES = 8  # a shorter secret in lower case is often an ordinary word
MIN_LINE_CHARS = 16  # each longer line of a private key is a secret of its own
MIN_CUT_BYTES = 4  # of a secret beside an ellipsis
MAX_ELLIPSES = 20  # per text; messages have one or two
MAX_ESCAPE_LEVELS = 4  # a URL in JSON in JSON in a Python literal

Span = tuple[int, int]  # byte offsets, the end excluded

_ELLIPSIS = "…".encode()
_CREDENTIAL_NAMES = (
    "access_token",
    "api_key",
    "apikey",
    "auth_token",
    "client_secret",
    "id_token",
    "password",
    "private_token",
    "refresh_token",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
)
_JSON_MEMBER = re.compile(
    rb'(?i)"(?:%s)"\s?:\s?"((?:[^"\\]++|\\.)++)"' % "|".join(_CREDENTIAL_NAMES).encode()
)
_WEB_TOKEN = re.compile(rb"(?<![\w-])(eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]*+)")
_USER_INFO = re.compile(rb'(?<=://)([^/?#\s"<>\\]+)(?=@)')
_SIGNATURE = re.compile(rb"(?i)(?<=signature=)([\w+/=%-]{16,}+)")


class Redactor:
    """Replaces secrets in texts. Any thread may add secrets at any time, such as tokens as they are fetched.

    ``param_names``  further query parameters whose values are replaced.
    """

    def __init__(self, secrets: Iterable[str] = (), param_names: Iterable[str] = ()) -> None:
        self._lock = Lock()
        self._secrets: set[str] = set()
        self._literals: tuple[bytes, ...] = ()
        self._base64_cores: tuple[bytes, ...] = ()
        self._param_names = set(_CREDENTIAL_NAMES)
        self._params = _param_pattern(frozenset(self._param_names))
        self.add(*secrets)
        self.add_param_names(*param_names)

    def add(self, *secrets: str) -> None:
        with self._lock:
            known = {part for secret in secrets for part in _secret_parts(secret)}
            if not known <= self._secrets:
                self._secrets |= known
                raw = {form for secret in self._secrets for form in _decoded_forms(secret)}
                self._literals = tuple({form for secret in raw for form in _literal_forms(secret)})
                self._base64_cores = tuple({core for secret in raw for core in _base64_cores(secret)})

    def add_param_names(self, *names: str) -> None:
        with self._lock:
            if not self._param_names.issuperset(names):
                self._param_names.update(names)
                self._params = _param_pattern(frozenset(self._param_names))

    def redact(self, text: str) -> str:
        """Return ``text`` with every secret replaced by ``***``."""
        raw = text.encode("utf-8", "surrogatepass")
        spans = self._find_spans(raw, MAX_ESCAPE_LEVELS)
        if not spans:
            return text
        pieces: list[bytes] = []
        position = 0
        for start, end in spans:
            pieces += [raw[position:start], MASK.encode()]
            position = end
        return b"".join([*pieces, raw[position:]]).decode("utf-8", "surrogatepass")

    @contextmanager
    def redact_errors(self) -> Iterator[None]:
        """Remove secrets from a UnifyError that leaves the block, and causes that have one."""
        try:
            yield
        except UnifyError as error:
            error.message = self.redact(error.message)
            error.args = (error.message,)
            self._hide_causes(error)
            raise

    def _hide_causes(self, error: BaseException) -> None:
        """Cut the chain of causes, which a traceback shows, before an error of a library with a secret."""
        known: set[int] = set()
        while id(error) not in known:
            known.add(id(error))
            cause = error.__cause__ or error.__context__
            if cause is None:
                return
            if any(self.redact(text) != text for text in (str(cause), repr(cause))):
                error.__cause__ = error.__context__ = None
                return
            error = cause

    def _find_spans(self, text: bytes, levels: int) -> list[Span]:
        """Return the positions of secrets in ``text`` and in its decoded escapes, level by level."""
        spans = [*self._secret_spans(text), *self._credential_spans(text)]
        decoded = _ESCAPE.sub(_decode_escape, text) if levels else text
        if decoded != text:
            spans += _source_spans(self._find_spans(decoded, levels - 1), text)
        return _merge_spans(spans)

    def _secret_spans(self, text: bytes) -> Iterator[Span]:
        for literal in self._literals:
            if literal in text:
                yield from _find_all(text, literal)
        for core in self._base64_cores:
            if core in text:
                for start, end in _find_all(text, core):
                    yield _with_partial_characters(text, start, end)
        if _ELLIPSIS in text:
            yield from self._cut_spans(text)

    def _cut_spans(self, text: bytes) -> Iterator[Span]:
        """Secrets of which an ellipsis has left only the beginning or only the end."""
        forms = (*self._literals, *self._base64_cores)
        for start, end in islice(_find_all(text, _ELLIPSIS), MAX_ELLIPSES):
            for form in forms:
                before = text[max(start - len(form), 0) : start]
                after = text[end : end + len(form)]
                lengths = range(len(form) - 1, MIN_CUT_BYTES - 1, -1)
                if form[:MIN_CUT_BYTES] in before:
                    yield from ((start - n, start) for n in lengths if before.endswith(form[:n]))
                if form[-MIN_CUT_BYTES:] in after:
                    yield from ((end, end + n) for n in lengths if after.startswith(form[-n:]))

    def _credential_spans(self, text: bytes) -> Iterator[Span]:
        patterns = (
            (b"=", self._params),
            (b"eyJ", _WEB_TOKEN),
            (b"@", _USER_INFO),
            (b"ignature=", _SIGNATURE),
            (b'"', _JSON_MEMBER),
        )
        for marker, pattern in patterns:
            if marker in text:
                yield from (found.span(1) for found in pattern.finditer(text))


def _secret_parts(secret: str) -> Iterator[str]:
    """The secret; and, of a private key, each line: it may be written on one line or on several."""
    if len(secret) >= MIN_SECRET_CHARS:
        yield secret
    lines = secret.replace("\\n", "\n").splitlines()
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= MIN_LINE_CHARS and not line.startswith("-----"))


def _decoded_forms(secret: str) -> Iterator[bytes]:
    """The secret, and what remains of it where sequences in it that look like escapes are decoded."""
    text = secret.encode("utf-8", "surrogatepass")
    for _level in range(MAX_ESCAPE_LEVELS + 1):
        if len(text) >= MIN_SECRET_CHARS:
            yield text
        text = _ESCAPE.sub(_decode_escape, text)


def _literal_forms(secret: bytes) -> tuple[bytes, ...]:
    """The secret itself, in lower case as in a host name, with ``+`` for spaces as in a form, and in hex."""
    digits = secret.hex().encode()
    lower = secret.lower() if len(secret) >= MIN_LOWERED_BYTES else secret
    return (secret, lower, secret.replace(b" ", b"+"), digits, digits.upper())


def _base64_cores(secret: bytes) -> Iterator[bytes]:
    """Return the characters of Base64 that depend only on the secret, whatever its position in the text."""
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + secret)
        core = encoded[(8 * offset + 5) // 6 : 8 * (offset + len(secret)) // 6]
        if len(core) >= MIN_SECRET_CHARS:
            yield core
            yield core.replace(b"+", b"-").replace(b"/", b"_")


def _with_partial_characters(text: bytes, start: int, end: int) -> Span:
    """The span with the characters of Base64 around it, which hold some bits of the secret too."""
    if start and _is_base64(text[start - 1 : start]):
        start -= 1
    if _is_base64(text[end : end + 1]):
        end += 1
    while text[end : end + 1] == b"=":
        end += 1
    return start, end


def _is_base64(char: bytes) -> bool:
    return char.isalnum() or char in (b"+", b"/", b"-", b"_")


@lru_cache(maxsize=64)
def _param_pattern(names: frozenset[str]) -> re.Pattern[bytes]:
    """``?name=VALUE``: the name may be percent-encoded."""
    alternatives = "|".join("".join(map(_encoded_char_pattern, name)) for name in sorted(names))
    return re.compile(rf'(?i)(?<=[?&])(?:{alternatives})=([^&#\s"<>\\]+)'.encode())


def _encoded_char_pattern(char: str) -> str:
    if char.isalnum() and char.isascii():
        return char
    encoded = "".join(f"%{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
    return f"(?:{re.escape(char)}|{encoded}{'|[+]' if char == ' ' else ''})"


_ESCAPE = re.compile(
    rb"(?s)(?:%[0-9A-Fa-f]{2})++|(?:\\u[0-9A-Fa-f]{4})++|(?:\\x[0-9A-Fa-f]{2})++|\\[^ux]"
    rb"|&(?:amp|apos|gt|lt|quot|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});"
)
_CONTROL_CHARS = {b"\\b": b"\b", b"\\f": b"\f", b"\\n": b"\n", b"\\r": b"\r", b"\\t": b"\t"}
_ENTITIES = {b"&amp;": b"&", b"&apos;": b"'", b"&gt;": b">", b"&lt;": b"<", b"&quot;": b'"'}


def _decode_escape(match: re.Match[bytes]) -> bytes:
    text = match[0]
    match text[:2]:
        case b"\\u":
            units = bytes.fromhex(text.replace(b"\\u", b"").decode())
            return units.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")
        case b"\\x":
            return bytes.fromhex(text.replace(b"\\x", b"").decode())
        case b"&#":
            digits = text[2:-1].lower()
            code = int(digits[1:], 16) if digits.startswith(b"x") else int(digits)
            return chr(code).encode("utf-8", "surrogatepass") if code <= sys.maxunicode else text
    match text[:1]:
        case b"%":
            return bytes.fromhex(text.replace(b"%", b"").decode())
        case b"&":
            return _ENTITIES[text]
        case _:
            return _CONTROL_CHARS.get(text, text[1:])


def _find_all(text: bytes, part: bytes) -> Iterator[Span]:
    start = text.find(part)
    while start >= 0:
        end = start + len(part)
        yield start, end
        start = text.find(part, end)


def _source_spans(spans: Iterable[Span], source: bytes) -> Iterator[Span]:
    """Return the positions in ``source`` of ``spans`` of the decoded text; an escape counts as a whole.

    ``spans``  in order, without overlaps.
    """
    # The bytes of each escape, and of what it stands for. A run of escapes may be long: decode it once.
    escapes = ((*found.span(), len(_decode_escape(found))) for found in _ESCAPE.finditer(source))
    escape = next(escapes, None)
    shift = 0  # position in source, less that in the decoded text

    def locate(position: int) -> Span:
        """The bytes of ``source`` that the byte at ``position`` comes from. Positions must not decrease."""
        nonlocal escape, shift
        while escape is not None and position >= escape[0] - shift:
            start, end, length = escape
            if position < start - shift + length:
                return start, end
            shift += end - start - length
            escape = next(escapes, None)
        return position + shift, position + shift + 1

    for start, end in spans:
        first, last = locate(start), locate(end - 1)
        yield first[0], last[1]


def _merge_spans(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, with those that overlap or touch joined."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
