"""What signs a JSON Web Token: a shared secret, or a private key through the package ``cryptography``."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from unify.adapters.auth.base import AuthConfig
from unify.adapters.http.messages import Authentication, Request
from unify.durations import parse_duration
from unify.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey


DEFAULT_LIFETIME_S = 300.0  # of a token; APIs allow ten minutes at most, clocks differ by less than the rest


class JWTAuth(Authentication):
    """A JSON Web Token of our own making, sent as a bearer token and made anew before it expires."""

    def __init__(self, settings: AuthConfig) -> None:
        algorithm = settings.text("algorithm", "RS256")
        self._key = settings.text("key")
        self._sign = build_signer(algorithm, self._key, settings.where)
        self._claims = dict(settings.render_fields("claims"))
        self._lifetime_s = _lifetime_s(settings)
        self._header = {"alg": algorithm, "typ": "JWT"}
        if "key_id" in settings:
            self._header["kid"] = settings.text("key_id")

    def apply(self, request: Request, now: float) -> Request:
        issued = int(now)
        claims = {**self._claims, "iat": issued, "exp": issued + int(self._lifetime_s)}
        signing = f"{_encode_segment(self._header)}.{_encode_segment(claims)}"
        return request.with_header(
            "Authorization", f"Bearer {signing}.{_base64url(self._sign(signing.encode()))}"
        )

    def secrets(self) -> tuple[str, ...]:
        return (self._key,)


def _lifetime_s(settings: AuthConfig) -> float:
    written = settings.raw("lifetime")
    if written is None:
        return DEFAULT_LIFETIME_S
    if isinstance(written, int | float):
        return float(written)
    try:
        return parse_duration(settings.text("lifetime"))
    except ValueError as error:
        raise ConfigError(f"{settings.where}: auth.lifetime: {error}") from error


def _encode_segment(value: Mapping[str, object]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


SignFunction = Callable[[bytes], bytes]

_ES256_INTEGER_BYTES = 32  # of each of the two numbers that make a signature, as RFC 7518 has them


def build_signer(algorithm: str, key: str, where: str) -> SignFunction:
    """What signs bytes by ``algorithm`` with ``key``: a text for HS256, else a private key in PEM.

    Raises  ConfigError that starts with ``where`` and holds nothing of the key.
    """
    match algorithm:
        case "HS256":
            return lambda text: hmac.digest(key.encode(), text, "sha256")
        case "RS256" | "ES256":
            try:
                return _private_key_signer(algorithm, key, where)
            except ImportError as error:
                raise ConfigError(
                    f"{where}: auth.algorithm {algorithm} needs the package cryptography; "
                    "pip install 'unify-sql[jwt]'"
                ) from error
        case _:
            raise ConfigError(f"{where}: auth.algorithm is HS256, RS256 or ES256, not {algorithm!r}")


def _private_key_signer(algorithm: str, key: str, where: str) -> SignFunction:
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
        return lambda text: _sign_rs256(private, text)
    if algorithm == "ES256" and isinstance(private, EllipticCurvePrivateKey):
        if isinstance(private.curve, SECP256R1):
            return lambda text: _sign_es256(private, text)
        raise ConfigError(f"{where}: auth.key is on the curve {private.curve.name}; ES256 needs P-256")
    wanted = "an RSA key" if algorithm == "RS256" else "an elliptic curve key"
    raise ConfigError(f"{where}: auth.key is not {wanted}, which auth.algorithm {algorithm} needs")


def _sign_rs256(key: RSAPrivateKey, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    return key.sign(data, PKCS1v15(), SHA256())


def _sign_es256(key: EllipticCurvePrivateKey, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    numbers = decode_dss_signature(key.sign(data, ECDSA(SHA256())))
    return b"".join(number.to_bytes(_ES256_INTEGER_BYTES, "big") for number in numbers)
