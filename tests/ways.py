"""Every way of authenticating, each with a secret of its own and a server that looks whether it is proved.

The proofs are checked here by other means than those that make them: the RFCs and AWS's documentation, anew.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote_plus, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tests.faultserver import Asked, FaultServer, Reply

Row = dict[str, Any]
Proved = Callable[[Asked], bool]

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Way:
    """One row of the table.

    ``auth``     as a spec has it; ``{url}`` is the API's address.
    ``secrets``  what a connection supplies; every one of them is a canary.
    ``proved``   does a request to the API prove who asks?
    ``tokens``   what the API hands out on the way: canaries too, but kept.
    """

    name: str
    auth: Row
    proved: Proved
    secrets: Mapping[str, str] = field(default_factory=dict)
    tokens: tuple[str, ...] = ()
    routes: Callable[[FaultServer, str], None] = lambda _server, _path: None


def canary(name: str) -> str:
    """A secret that every encoding writes differently."""
    return f"cnry-{name}/5f+2c=&%7e?x"


def header(name: str, value: str) -> Proved:
    return lambda asked: asked.headers.get(name) == value


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def ways() -> list[Way]:
    session = {"type": "session", "request": "POST /login", "token": "data.token"}
    return [
        Way("nothing", {"type": "none"}, lambda asked: "authorization" not in asked.headers),
        Way(
            "basic",
            {"type": "basic", "username": "ann", "password": "{password}"},
            header("authorization", basic("ann", canary("basic"))),
            {"password": canary("basic")},
        ),
        Way(
            "bearer",
            {"type": "bearer", "token": "{token}"},
            header("authorization", f"Bearer {canary('bearer')}"),
            {"token": canary("bearer")},
        ),
        Way(
            "key_header",
            {"type": "api_key", "name": "X-API-Key", "value": "{key}"},
            header("x-api-key", canary("header")),
            {"key": canary("header")},
        ),
        Way(
            "key_query",
            {"type": "api_key", "name": "api key", "value": "{key}", "in": "query"},
            lambda asked: asked.query.get("api key") == canary("query"),
            {"key": canary("query")},
        ),
        Way(
            "key_cookie",
            {"type": "api_key", "name": "sid", "value": "{key}", "in": "cookie"},
            header("cookie", f"sid={canary('cookie')}"),
            {"key": canary("cookie")},
        ),
        _oauth("client_credentials", secret=canary("client"), fields={"scope": "read write"}),
        _oauth("refresh_token", secret=canary("client2"), refresh_token=canary("refresh")),
        Way(
            "session",
            {**session, "body": {"p": "{p}"}, "name": "X-Session", "value": "S {session}"},
            header("x-session", "S session-canary-1"),
            {"p": canary("session")},
            ("session-canary-1",),
            _login(lambda asked: asked.json() == {"p": canary("session")}, "session-canary-1"),
        ),
        Way(
            "session_form",
            {**session, "form": {"p": "{p}"}, "in": "cookie", "name": "s", "value": "{session}"},
            header("cookie", "s=session-canary-2"),
            {"p": canary("form")},
            ("session-canary-2",),
            _login(lambda asked: _fields(asked) == {"p": canary("form")}, "session-canary-2"),
        ),
        Way(
            "aws",
            {
                "type": "aws_sigv4",
                "access_key_id": "AKIDEXAMPLE",
                "secret_access_key": "{secret}",
                "session_token": "{temporary}",
                "region": "eu-west-1",
                "service": "ce",
            },
            _signed_for_aws,
            {"secret": canary("aws"), "temporary": canary("aws-session")},
        ),
        _jwt("HS256", canary("jwt"), _signed_by_text),
        _jwt("RS256", pem(RSA_KEY), _signed_by_rsa),
        _jwt("ES256", pem(EC_KEY), _signed_by_curve),
    ]


class Gate:
    """The API of every way: ``/NAME/me`` and ``/NAME/things`` for whoever proves who they are.

    ``spiteful``   from now on everything is refused, in words that repeat the whole request.
    ``unproved``   what came without proof while it was not.
    ``witness``    is called while a request waits for its answer.
    """

    def __init__(self, server: FaultServer, rows: list[Way]) -> None:
        self.server = server
        self.spiteful = False
        self.unproved: list[str] = []
        self.witness: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        for way in rows:
            server.serve(f"/{way.name}/me", self._answer(way, {"login": way.name}))
            server.serve(f"/{way.name}/things", self._answer(way, [{"id": 1}, {"id": 2}]))
            way.routes(server, f"/{way.name}")

    def url(self, way: Way) -> str:
        return f"{self.server.url}/{way.name}"

    def _answer(self, way: Way, body: Any) -> Callable[[Asked], Reply]:
        def answer(asked: Asked) -> Reply:
            self.witness()
            if self.spiteful:
                return Reply.error(403, " ".join([unquote_plus(asked.target), *asked.headers.values()]))
            if not way.proved(asked):
                with self._lock:
                    self.unproved.append(f"{way.name}: {asked}")
                return Reply.error(401, "who are you?")
            return Reply.json(body).with_headers(X_RateLimit_Remaining="41")

        return answer


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()


def _fields(asked: Asked) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}


def _oauth(grant: str, *, secret: str, refresh_token: str = "", fields: Row | None = None) -> Way:
    token, auth = f"access-canary-{grant}", {"type": "oauth2", "grant": grant, "token_url": "{url}/token"}
    auth |= {"client_id": "app", "client_secret": "{secret}"}
    wanted = {"grant_type": grant, **(fields or {})}
    secrets = {"secret": secret}
    if refresh_token:
        auth["refresh_token"] = "{refresh_token}"
        wanted["refresh_token"] = secrets["refresh_token"] = refresh_token

    def give(asked: Asked) -> Reply:
        proof = basic("app", quote(secret, safe=""))
        if asked.headers.get("authorization") != proof or _fields(asked) != wanted:
            return Reply.json({"error": "invalid_client"}, status=401)
        return Reply.json({"access_token": token, "expires_in": 3600})

    scopes: Row = {"scopes": ["read", "write"]} if fields else {}
    return Way(
        grant,
        {**auth, **scopes},
        header("authorization", f"Bearer {token}"),
        secrets,
        (token,),
        lambda server, path: server.serve(f"POST {path}/token", give),
    )


def _login(known: Proved, token: str) -> Callable[[FaultServer, str], None]:
    def log_in(asked: Asked) -> Reply:
        return Reply.json({"data": {"token": token}}) if known(asked) else Reply.error(401)

    return lambda server, path: server.serve(f"POST {path}/login", log_in)


def _jwt(algorithm: str, key: str, signed: Callable[[bytes, bytes], bool]) -> Way:
    def proved(asked: Asked) -> bool:
        text, _, proof = asked.headers.get("authorization", "").removeprefix("Bearer ").rpartition(".")
        head, claims = [json.loads(decoded(part)) for part in text.split(".")]
        lives = claims["iat"] <= asked.at < claims["exp"] <= claims["iat"] + 120
        return (
            head == {"alg": algorithm, "typ": "JWT", "kid": "k1"}
            and claims["iss"] == "app"
            and lives
            and signed(text.encode(), decoded(proof))
        )

    auth = {"type": "jwt", "algorithm": algorithm, "key": "{key}", "key_id": "k1", "lifetime": "2 minutes"}
    return Way(f"jwt_{algorithm.lower()}", {**auth, "claims": {"iss": "app"}}, proved, {"key": key})


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _signed_by_text(text: bytes, proof: bytes) -> bool:
    return hmac.digest(canary("jwt").encode(), text, "sha256") == proof


def _signed_by_rsa(text: bytes, proof: bytes) -> bool:
    try:
        RSA_KEY.public_key().verify(proof, text, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _signed_by_curve(text: bytes, proof: bytes) -> bool:
    numbers = [int.from_bytes(part, "big") for part in (proof[:32], proof[32:])]
    try:
        EC_KEY.public_key().verify(encode_dss_signature(*numbers), text, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _signed_for_aws(asked: Asked) -> bool:
    """As AWS documents "Create a signed request", for a request without query and body."""
    proof = asked.headers.get("authorization", "")
    names = proof.partition("SignedHeaders=")[2].partition(",")[0]
    stamp = asked.headers["x-amz-date"]
    scope = f"{stamp[:8]}/eu-west-1/ce/aws4_request"
    lines = "".join(f"{name}:{asked.headers[name]}\n" for name in names.split(";"))
    path = urlsplit(asked.target).path
    request = f"GET\n{path}\n\n{lines}\n{names}\n{hashlib.sha256(b'').hexdigest()}"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{canary('aws')}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    expected = hmac.digest(key, text.encode(), "sha256").hex()
    return (
        names == "host;x-amz-date;x-amz-security-token"
        and asked.headers["x-amz-security-token"] == canary("aws-session")
        and proof
        == f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={names}, Signature={expected}"
    )
