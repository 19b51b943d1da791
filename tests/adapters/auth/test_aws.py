"""AWS Signature Version 4."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime
from typing import Any, ClassVar

from tests.support.authenticated_api import KEY, OPTIONS
from unify.adapters.auth.factory import build_authentication
from unify.adapters.http.messages import Request
from unify.adapters.spec.auth import Auth


class TestSignatureV4:
    """AWS's own examples: docs.aws.amazon.com, "Signature Version 4 test suite"."""

    keys: ClassVar = {
        "access_key_id": "AKIDEXAMPLE",
        "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "region": "us-east-1",
        "service": "service",
    }
    at = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()

    def signature(self, request: Request) -> str:
        signed = build_authentication(Auth("aws_sigv4", self.keys), {}, "c").apply(request, self.at)
        assert signed.headers["x-amz-date"] == "20150830T123600Z"
        return signed.headers["Authorization"].rpartition("Signature=")[2]

    def test_get_vanilla(self) -> None:
        request = Request("GET", "https://example.amazonaws.com/")
        assert self.signature(request) == "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"

    def test_an_empty_session_token_is_not_sent(self) -> None:
        settings = {**self.keys, "session_token": "{session_token}"}
        request = Request("GET", "https://example.amazonaws.com/")
        found = build_authentication(Auth("aws_sigv4", settings), {"session_token": None}, "c").apply(
            request, self.at
        )
        assert found.headers["Authorization"].endswith(
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        )
        found = build_authentication(Auth("aws_sigv4", settings), {"session_token": "t"}, "c").apply(
            request, self.at
        )
        assert found.headers["x-amz-security-token"] == "t"

    def test_get_vanilla_query_order(self) -> None:
        request = Request(
            "GET", "https://example.amazonaws.com/", (("Param2", "value2"), ("Param1", "value1"))
        )
        assert self.signature(request) == "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"

    def test_post_vanilla(self) -> None:
        request = Request("POST", "https://example.amazonaws.com/")
        assert self.signature(request) == "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"

    def test_a_json_web_token_has_issuer_and_lifetime(self) -> None:
        auth = Auth(
            "jwt", {"algorithm": "HS256", "key": "{key}", "key_id": "k1", "claims": {"iss": "{user}"}}
        )
        header = (
            build_authentication(auth, OPTIONS, "c")
            .apply(Request("GET", "http://x"), 1000.5)
            .headers["Authorization"]
        )
        head, claims, signature = header.removeprefix("Bearer ").split(".")

        def read(part: str) -> Any:
            return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))

        assert read(head) == {"alg": "HS256", "typ": "JWT", "kid": "k1"}
        assert read(claims) == {"iss": "ann", "iat": 1000, "exp": 1300}
        expected = hmac.digest(KEY.encode(), f"{head}.{claims}".encode(), "sha256")
        assert base64.urlsafe_b64decode(signature + "=") == expected
