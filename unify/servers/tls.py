"""The certificate and key of a server."""

from __future__ import annotations

import ssl

from unify.errors import UsageError
from unify.fs.durable import read_regular_file
from unify.fs.paths import absolute_path


def load_certificate(cert: str, key: str) -> ssl.SSLContext:
    """Return the TLS settings of a server with the certificate chain and private key in these PEM files.

    TLS 1.2 and later. Raises UsageError: a file cannot be read, or the two do not belong together.
    """
    paths = [absolute_path(cert), absolute_path(key)]
    for option, path in zip(("--cert", "--key"), paths, strict=True):
        try:
            read_regular_file(path)
        except OSError as error:
            raise UsageError(f"{option} {path}: cannot be read ({error.strerror})") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(paths[0], paths[1], _refuse_password)
    except _EncryptedKey as error:
        raise UsageError(f"--key {paths[1]}: the key has a password; give one without") from error
    except ssl.SSLError as error:
        raise UsageError(
            f"--cert {paths[0]}, --key {paths[1]}: not a certificate and its private key in PEM format "
            f"({error.reason or 'unreadable'})"
        ) from error
    return context


class _EncryptedKey(Exception):
    """The key has a password; without this, OpenSSL asks for it at the terminal."""


def _refuse_password() -> str:
    raise _EncryptedKey
