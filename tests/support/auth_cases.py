"""Every authentication method, each with its own secret, and a server that verifies the credentials.

The server verifies them with its own implementation, written from the RFCs and AWS's documentation.
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
from urllib.parse import parse_qs, quote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tests.support.echo_responses import EchoResponse, echo
from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest

Row = dict[str, Any]
RequestCheck = Callable[[RecordedRequest], bool]

RSA_KEY = rsa.generate_private_key(65537, 1024)  # 2,048 bits take 30 ms to read, in each adapter
EC_KEY = ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class AuthCase:
    """An authentication method and its check.

    ``auth``     as in a spec; ``{url}`` is the address of the API.
    ``secrets``  options of the connection; each is a canary.
    ``is_authenticated``   tells whether a request carries valid credentials.
    ``issued_tokens``   tokens that the API issues: canaries too, but stored.
    """

    name: str
    auth: Row
    is_authenticated: RequestCheck
    secrets: Mapping[str, str] = field(default_factory=dict)
    issued_tokens: tuple[str, ...] = ()
    add_routes: Callable[[FaultServer, str], None] = lambda _server, _path: None


def canary_secret(name: str) -> str:
    """Return a secret that every encoding changes."""
    return f"cnry-{name}/5f+2c=&%7e?x"


def header_check(name: str, value: str) -> RequestCheck:
    return lambda request: request.headers.get(name) == value


def basic_auth_value(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def auth_cases() -> list[AuthCase]:
    session = {"type": "session", "request": "POST /login", "token": "data.token"}
    return [
        AuthCase("nothing", {"type": "none"}, lambda request: "authorization" not in request.headers),
        AuthCase(
            "basic",
            {"type": "basic", "username": "ann", "password": "{password}"},
            header_check("authorization", basic_auth_value("ann", canary_secret("basic"))),
            {"password": canary_secret("basic")},
        ),
        AuthCase(
            "bearer",
            {"type": "bearer", "token": "{token}"},
            header_check("authorization", f"Bearer {canary_secret('bearer')}"),
            {"token": canary_secret("bearer")},
        ),
        AuthCase(
            "key_header",
            {"type": "api_key", "name": "X-API-Key", "value": "{key}"},
            header_check("x-api-key", canary_secret("header")),
            {"key": canary_secret("header")},
        ),
        AuthCase(
            "key_query",
            {"type": "api_key", "name": "api key", "value": "{key}", "in": "query"},
            lambda request: request.query.get("api key") == canary_secret("query"),
            {"key": canary_secret("query")},
        ),
        AuthCase(
            "key_cookie",
            {"type": "api_key", "name": "sid", "value": "{key}", "in": "cookie"},
            header_check("cookie", f"sid={canary_secret('cookie')}"),
            {"key": canary_secret("cookie")},
        ),
        _oauth_case("client_credentials", secret=canary_secret("client"), fields={"scope": "read write"}),
        _oauth_case("refresh_token", secret=canary_secret("client2"), refresh_token=canary_secret("refresh")),
        AuthCase(
            "session",
            {**session, "body": {"p": "{p}"}, "name": "X-Session", "value": "S {session}"},
            header_check("x-session", "S session-canary-1"),
            {"p": canary_secret("session")},
            ("session-canary-1",),
            _login_route(
                lambda request: request.json() == {"p": canary_secret("session")}, "session-canary-1"
            ),
        ),
        AuthCase(
            "session_form",
            {**session, "form": {"p": "{p}"}, "in": "cookie", "name": "s", "value": "{session}"},
            header_check("cookie", "s=session-canary-2"),
            {"p": canary_secret("form")},
            ("session-canary-2",),
            _login_route(
                lambda request: _form_fields(request) == {"p": canary_secret("form")}, "session-canary-2"
            ),
        ),
        AuthCase(
            "aws",
            {
                "type": "aws_sigv4",
                "access_key_id": "AKIDEXAMPLE",
                "secret_access_key": "{secret}",
                "session_token": "{temporary}",
                "region": "eu-west-1",
                "service": "ce",
            },
            _verify_sigv4,
            {"secret": canary_secret("aws"), "temporary": canary_secret("aws-session")},
        ),
        _jwt_case("HS256", canary_secret("jwt"), _verify_hmac),
        _jwt_case("RS256", pem_text(RSA_KEY), _verify_rsa),
        _jwt_case("ES256", pem_text(EC_KEY), _verify_ecdsa),
    ]


class AuthCaseServer:
    """An API with every method: ``/NAME/me`` and ``/NAME/things`` for requests with valid credentials.

    ``responses``     other responses, by name of a case; they contain the credentials of the request.
    ``unauthenticated_requests``   requests without valid credentials.
    ``on_request``    is called before each response.
    """

    def __init__(self, server: FaultServer, rows: list[AuthCase]) -> None:
        self.server = server
        self.responses: dict[str, EchoResponse] = {}
        self.unauthenticated_requests: list[str] = []
        self.on_request: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        for case in rows:
            server.serve(f"/{case.name}/me", self._responder(case, {"login": case.name}))
            server.serve(f"/{case.name}/things", self._responder(case, [{"id": 1}, {"id": 2}]))
            case.add_routes(server, f"/{case.name}")

    def base_url(self, case: AuthCase) -> str:
        return f"{self.server.url}/{case.name}"

    def _responder(self, case: AuthCase, body: Any) -> Callable[[RecordedRequest], MockResponse]:
        def respond(request: RecordedRequest) -> MockResponse:
            self.on_request()
            if case.name in self.responses:
                return echo(self.responses[case.name])(request)
            if not case.is_authenticated(request):
                with self._lock:
                    self.unauthenticated_requests.append(f"{case.name}: {request}")
                return MockResponse.error(401, "who are you?")
            return MockResponse.json(body).with_headers(X_RateLimit_Remaining="41")

        return respond


def pem_text(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()


def _form_fields(request: RecordedRequest) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def _oauth_case(grant: str, *, secret: str, refresh_token: str = "", fields: Row | None = None) -> AuthCase:
    token, auth = f"access-canary-{grant}", {"type": "oauth2", "grant": grant, "token_url": "{url}/token"}
    auth |= {"client_id": "app", "client_secret": "{secret}"}
    expected = {"grant_type": grant, **(fields or {})}
    secrets = {"secret": secret}
    if refresh_token:
        auth["refresh_token"] = "{refresh_token}"
        expected["refresh_token"] = secrets["refresh_token"] = refresh_token

    def issue_token(request: RecordedRequest) -> MockResponse:
        proof = basic_auth_value("app", quote(secret, safe=""))
        if request.headers.get("authorization") != proof or _form_fields(request) != expected:
            return MockResponse.json({"error": "invalid_client"}, status=401)
        return MockResponse.json({"access_token": token, "expires_in": 3600})

    scopes: Row = {"scopes": ["read", "write"]} if fields else {}
    return AuthCase(
        grant,
        {**auth, **scopes},
        header_check("authorization", f"Bearer {token}"),
        secrets,
        (token,),
        lambda server, path: server.serve(f"POST {path}/token", issue_token),
    )


def _login_route(is_known: RequestCheck, token: str) -> Callable[[FaultServer, str], None]:
    def log_in(request: RecordedRequest) -> MockResponse:
        return MockResponse.json({"data": {"token": token}}) if is_known(request) else MockResponse.error(401)

    return lambda server, path: server.serve(f"POST {path}/login", log_in)


def _jwt_case(algorithm: str, key: str, verify: Callable[[bytes, bytes], bool]) -> AuthCase:
    def is_authenticated(request: RecordedRequest) -> bool:
        text, _, proof = request.headers.get("authorization", "").removeprefix("Bearer ").rpartition(".")
        head, claims = [json.loads(decode_base64url(part)) for part in text.split(".")]
        is_valid = claims["iat"] <= request.received_at < claims["exp"] <= claims["iat"] + 120
        return (
            head == {"alg": algorithm, "typ": "JWT", "kid": "k1"}
            and claims["iss"] == "app"
            and is_valid
            and verify(text.encode(), decode_base64url(proof))
        )

    auth = {"type": "jwt", "algorithm": algorithm, "key": "{key}", "key_id": "k1", "lifetime": 120}
    return AuthCase(
        f"jwt_{algorithm.lower()}", {**auth, "claims": {"iss": "app"}}, is_authenticated, {"key": key}
    )


def decode_base64url(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _verify_hmac(text: bytes, proof: bytes) -> bool:
    return hmac.digest(canary_secret("jwt").encode(), text, "sha256") == proof


def _verify_rsa(text: bytes, proof: bytes) -> bool:
    try:
        RSA_KEY.public_key().verify(proof, text, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _verify_ecdsa(text: bytes, proof: bytes) -> bool:
    numbers = [int.from_bytes(part, "big") for part in (proof[:32], proof[32:])]
    try:
        EC_KEY.public_key().verify(encode_dss_signature(*numbers), text, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _verify_sigv4(request: RecordedRequest) -> bool:
    """Verify a signature as AWS documents it, for a request without query and body."""
    proof = request.headers.get("authorization", "")
    names = proof.partition("SignedHeaders=")[2].partition(",")[0]
    stamp = request.headers["x-amz-date"]
    scope = f"{stamp[:8]}/eu-west-1/ce/aws4_request"
    lines = "".join(f"{name}:{request.headers[name]}\n" for name in names.split(";"))
    path = urlsplit(request.target).path
    canonical = f"GET\n{path}\n\n{lines}\n{names}\n{hashlib.sha256(b'').hexdigest()}"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{canary_secret('aws')}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    expected = hmac.digest(key, text.encode(), "sha256").hex()
    return (
        names == "host;x-amz-date;x-amz-security-token"
        and request.headers["x-amz-security-token"] == canary_secret("aws-session")
        and proof
        == f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={names}, Signature={expected}"
    )
