"""Bearer tokens: ``unify.NAME.SECRET``, made once, stored as a salted scrypt hash.

The secret has 256 random bits, so that no guess finds it, and a stolen file of hashes is useless. A token
that was verified is remembered by a keyed digest, so that scrypt runs once a token and not once a request.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from msgspec import Struct

TOKEN_PREFIX = "unify"
SECRET_BYTES = 32
SALT_BYTES = 16
HASH_BYTES = 32
MAX_TOKEN_CHARS = 200
SCRYPT_N, SCRYPT_R, SCRYPT_P = 4096, 8, 1  # 4 MB and about 10 ms


class TokenHash(Struct, frozen=True):
    """A hash with its parameters, so that those of new tokens can be raised. Bytes are in hexadecimal."""

    salt: str
    digest: str
    n: int = SCRYPT_N
    r: int = SCRYPT_R
    p: int = SCRYPT_P

    def matches(self, secret: str) -> bool:
        """Whether it is the hash of ``secret``; the time does not depend on where they differ."""
        return hmac.compare_digest(self._hash(secret), bytes.fromhex(self.digest))

    def _hash(self, secret: str) -> bytes:
        return _scrypt(secret, bytes.fromhex(self.salt), self.n, self.r, self.p)


# Compared with for an unknown name, so that the time does not tell which names exist.
UNKNOWN_NAME_HASH = TokenHash("00" * SALT_BYTES, "00" * HASH_BYTES)


def create_token(name: str) -> tuple[str, TokenHash]:
    """Return a new token of user ``name``, and its hash."""
    secret, salt = secrets.token_urlsafe(SECRET_BYTES), secrets.token_bytes(SALT_BYTES)
    digest = _scrypt(secret, salt, SCRYPT_N, SCRYPT_R, SCRYPT_P)
    return f"{TOKEN_PREFIX}.{name}.{secret}", TokenHash(salt.hex(), digest.hex())


def split_token(token: str) -> tuple[str, str] | None:
    """Return name and secret of a token; None if it has another form."""
    prefix, _, rest = token.partition(".")
    name, _, secret = rest.partition(".")
    is_token = prefix == TOKEN_PREFIX and name and secret and token.isascii()
    return (name, secret) if is_token and len(token) <= MAX_TOKEN_CHARS else None


def _scrypt(secret: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, dklen=HASH_BYTES)
