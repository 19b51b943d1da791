"""SCRAM-SHA-256 (RFC 5802, RFC 7677) with the users of the home, without channel binding.

The library scramp refuses the empty user name that libpq sends, so that the server's side is written here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets

from pygwire.messages import (
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    SASLInitialResponse,
    SASLResponse,
)

from unify.servers.passwords import ScramVerifier, make_unknown_verifier
from unify.servers.postgres.wire import MessageStream, ProtocolViolation
from unify.servers.users import User, UserStore

MECHANISM = "SCRAM-SHA-256"
NONCE_BYTES = 18
# client-first-message without channel binding: n,, or y,, and the name, which PostgreSQL ignores.
_CLIENT_FIRST = re.compile(r"(?P<header>[ny],(?:a=[^,]*)?,)(?P<bare>n=[^,]*,r=(?P<nonce>[!-+\--~]+)(?:,.*)?)")
_CLIENT_FINAL = re.compile(r"(?P<unsigned>c=(?P<header>[^,]+),r=(?P<nonce>[^,]+)(?:,.*)?),p=(?P<proof>[^,]+)")


class AuthenticationFailed(Exception):
    """No such user, or another password; the message does not tell which."""


class Authenticator:
    """Authenticates clients. Threads share it."""

    def __init__(self, users: UserStore) -> None:
        self._users = users
        self._unknown_key = secrets.token_bytes(32)  # for the salts of users that do not exist

    def authenticate(self, stream: MessageStream, name: str) -> User:
        """Run the exchange with a client. Raises AuthenticationFailed, ProtocolViolation, StoreError."""
        user = self._users.find_user(name)
        verifier = user.password if user is not None else None
        given = verifier or make_unknown_verifier(name, self._unknown_key)
        is_valid = _exchange(stream, given)
        if user is None or verifier is None or not is_valid:
            raise AuthenticationFailed(f'password authentication failed for user "{name[:64]}"')
        stream.send(AuthenticationOk())
        return user


def _exchange(stream: MessageStream, verifier: ScramVerifier) -> bool:
    """Return whether the client knows the password."""
    stream.send(AuthenticationSASL(mechanisms=[MECHANISM]))
    stream.flush()
    message = stream.read()
    if not isinstance(message, SASLInitialResponse) or message.mechanism != MECHANISM:
        raise ProtocolViolation(f"the client does not offer {MECHANISM}")
    first = _CLIENT_FIRST.fullmatch(_text(message.data))
    if first is None:
        raise ProtocolViolation("malformed first message of SCRAM")
    nonce = first["nonce"] + secrets.token_urlsafe(NONCE_BYTES)
    salt = base64.b64encode(bytes.fromhex(verifier.salt)).decode()
    server_first = f"r={nonce},s={salt},i={verifier.iterations}"
    stream.send(AuthenticationSASLContinue(data=server_first.encode()))
    stream.flush()
    message = stream.read()
    if not isinstance(message, SASLResponse):
        raise ProtocolViolation("expected the last message of SCRAM")
    final = _CLIENT_FINAL.fullmatch(_text(message.data))
    if final is None or final["nonce"] != nonce or _decode(final["header"]) != first["header"].encode():
        raise ProtocolViolation("malformed last message of SCRAM")
    signed = f"{first['bare']},{server_first},{final['unsigned']}".encode()
    if not _proves(verifier, signed, _decode(final["proof"])):
        return False
    signature = hmac.digest(bytes.fromhex(verifier.server_key), signed, hashlib.sha256)
    stream.send(AuthenticationSASLFinal(data=b"v=" + base64.b64encode(signature)))
    return True


def _proves(verifier: ScramVerifier, signed: bytes, proof: bytes) -> bool:
    """Whether the proof is the client's key, hidden by its signature of the messages."""
    stored_key = bytes.fromhex(verifier.stored_key)
    signature = hmac.digest(stored_key, signed, hashlib.sha256)
    if len(proof) != len(signature):
        return False
    client_key = bytes(one ^ other for one, other in zip(proof, signature, strict=True))
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), stored_key)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ProtocolViolation("a message of SCRAM is not UTF-8") from error


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ProtocolViolation("a value of SCRAM is not base64") from error
