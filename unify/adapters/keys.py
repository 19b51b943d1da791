"""What signs a JSON Web Token: a shared secret, or a private key through the package ``cryptography``."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING

from unify.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

Sign = Callable[[bytes], bytes]

_ES256_BYTES = 32  # of each of the two numbers that make a signature, as RFC 7518 has them


def signer(algorithm: str, key: str, where: str) -> Sign:
    """What signs bytes by ``algorithm`` with ``key``: a text for HS256, else a private key in PEM.

    Raises  ConfigError that starts with ``where`` and holds nothing of the key.
    """
    match algorithm:
        case "HS256":
            return lambda text: hmac.digest(key.encode(), text, "sha256")
        case "RS256" | "ES256":
            try:
                return _private(algorithm, key, where)
            except ImportError as error:
                raise ConfigError(
                    f"{where}: auth.algorithm {algorithm} needs the package cryptography; "
                    "pip install 'unify-sql[jwt]'"
                ) from error
        case _:
            raise ConfigError(f"{where}: auth.algorithm is HS256, RS256 or ES256, not {algorithm!r}")


def _private(algorithm: str, key: str, where: str) -> Sign:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pem = key.replace("\\n", "\n").encode()  # as environment variables and JSON files hold it on one line
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # without its cause, which may quote the key
        raise ConfigError(
            f"{where}: auth.key is no private key in PEM without a password (-----BEGIN PRIVATE KEY-----)"
        ) from None
    if algorithm == "RS256" and isinstance(private, RSAPrivateKey):
        return lambda text: _rs256(private, text)
    if algorithm == "ES256" and isinstance(private, EllipticCurvePrivateKey):
        if isinstance(private.curve, SECP256R1):
            return lambda text: _es256(private, text)
        raise ConfigError(f"{where}: auth.key is on the curve {private.curve.name}; ES256 needs P-256")
    wanted = "an RSA key" if algorithm == "RS256" else "an elliptic curve key"
    raise ConfigError(f"{where}: auth.key is not {wanted}, which auth.algorithm {algorithm} needs")


def _rs256(key: RSAPrivateKey, text: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    return key.sign(text, PKCS1v15(), SHA256())


def _es256(key: EllipticCurvePrivateKey, text: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    numbers = decode_dss_signature(key.sign(text, ECDSA(SHA256())))
    return b"".join(number.to_bytes(_ES256_BYTES, "big") for number in numbers)
