"""JSON Web Tokens signed with the key of a connection, by the package PyJWT."""

from __future__ import annotations

import warnings
from typing import Any

from unify.adapters.auth.base import AuthConfig
from unify.adapters.http.messages import Authentication, AuthFlow, Request
from unify.errors import ConfigError

DEFAULT_LIFETIME_S = 300.0  # APIs allow ten minutes at most; the rest is for clocks that differ
_KEY_KINDS = {
    "HS256": "a shared secret",
    "RS256": "an RSA private key in PEM",
    "ES256": "a P-256 private key in PEM",
}


class JWTAuth(Authentication):
    """Sends a bearer token that is signed again after half its lifetime."""

    def __init__(self, settings: AuthConfig) -> None:
        self._algorithm = settings.text("algorithm", "RS256")
        self._key = settings.text("key")
        self._signing_key = load_signing_key(self._algorithm, self._key, settings.where)
        self._claims = dict(settings.render_fields("claims"))
        self._lifetime_s = int(settings.raw("lifetime") or DEFAULT_LIFETIME_S)
        self._header = {"kid": settings.text("key_id")} if "key_id" in settings else {}
        self._token = ""
        self._issued_at = 0

    def apply(self, request: Request, now: float) -> Request:
        if not self.is_ready(now):
            self._sign(now)
        return request.with_header("Authorization", f"Bearer {self._token}")

    def is_ready(self, now: float) -> bool:
        return bool(self._token) and self._issued_at <= now < self._issued_at + self._lifetime_s / 2

    def ensure_token(self, now: float) -> AuthFlow[None]:
        self._sign(now)
        yield from ()

    def secrets(self) -> tuple[str, ...]:
        return (self._key, self._token)

    def _sign(self, now: float) -> None:
        import jwt

        self._issued_at = int(now)
        claims = {**self._claims, "iat": self._issued_at, "exp": self._issued_at + self._lifetime_s}
        self._token = jwt.encode(claims, self._signing_key, self._algorithm, self._header)


def load_signing_key(algorithm: str, key: str, where: str, passphrase: str = "") -> Any:
    """The key in the form that ``algorithm`` signs with. Raises ConfigError, which never quotes the key."""
    if algorithm not in _KEY_KINDS:
        raise ConfigError(f"{where}: auth.algorithm must be HS256, RS256 or ES256, not {algorithm!r}")
    try:
        import jwt

        warnings.filterwarnings(
            "ignore", "The (HMAC|RSA) key is", UserWarning
        )  # users rarely choose its size
        prepare_key = jwt.get_algorithm_by_name(algorithm).prepare_key
        loaded = prepare_key(key if algorithm == "HS256" else _private_key(key, passphrase))
    except (ImportError, NotImplementedError) as error:  # PyJWT knows no RS256 without cryptography
        raise ConfigError(
            f"{where}: signing needs the packages PyJWT and cryptography; pip install 'unify-sql[jwt]'"
        ) from error
    except (jwt.InvalidKeyError, ValueError, TypeError):
        loaded = None
    if loaded is None or not (algorithm == "HS256" or hasattr(loaded, "sign")):
        # without the cause, which may quote the key
        hint = "; check auth.passphrase" if passphrase else ""
        raise ConfigError(
            f"{where}: auth.key is not {_KEY_KINDS[algorithm]}, as auth.algorithm {algorithm} needs{hint}"
        )
    return loaded


def _private_key(key: str, passphrase: str) -> Any:
    """The key as PyJWT reads it, decrypted."""
    pem = key.replace("\\n", "\n")  # environment variables and JSON files hold a key on one line
    if not passphrase:
        return pem
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(pem.encode(), passphrase.encode())
