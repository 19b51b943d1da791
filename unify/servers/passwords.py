"""Passwords of users as SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677); the password is stored nowhere."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from msgspec import Struct

ITERATIONS = 4096  # as PostgreSQL; a token as password has 256 random bits
SALT_BYTES = 16
MIN_PASSWORD_CHARS = 12


class ScramVerifier(Struct, frozen=True):
    """What a server needs to verify a password. Bytes are in hexadecimal."""

    salt: str
    stored_key: str
    server_key: str
    iterations: int = ITERATIONS


def make_verifier(password: str) -> ScramVerifier:
    """Return the verifier of a password in ASCII, which SASLprep leaves as it is."""
    salt = secrets.token_bytes(SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", hashlib.sha256)
    server_key = hmac.digest(salted, b"Server Key", hashlib.sha256)
    return ScramVerifier(salt.hex(), hashlib.sha256(client_key).hexdigest(), server_key.hex())


def make_unknown_verifier(name: str, key: bytes) -> ScramVerifier:
    """Return a verifier that no password matches: its salt is that of ``name`` each time.

    A client cannot tell from it whether the user exists. ``key``: a secret of the server.
    """
    salt = hmac.digest(key, name.encode(), hashlib.sha256)[:SALT_BYTES]
    return ScramVerifier(salt.hex(), secrets.token_hex(32), secrets.token_hex(32))
