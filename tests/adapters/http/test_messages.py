"""How messages name requests."""

from __future__ import annotations

import pytest

from unify.adapters.http.messages import Request, origin_of, without_param
from unify.errors import (
    ConfigError,
)
from unify.redaction import Redactor


class TestAddresses:
    @pytest.mark.parametrize(
        ("url", "origin"),
        [
            ("HTTPS://API.Example.org:443/x?y", "https://api.example.org"),
            ("http://api.example.org:80", "http://api.example.org"),
            ("http://[::1]:8080/x", "http://[::1]:8080"),
            ("https://user:pw@example.org./", "https://example.org"),
            ("https://example.org@evil.example/", "https://evil.example"),
        ],
    )
    def test_an_origin_is_scheme_host_and_port(self, url: str, origin: str) -> None:
        assert origin_of(url) == origin

    @pytest.mark.parametrize("url", ["", "example.org", "file:///etc/passwd", "http://", "http://x:99999/"])
    def test_an_invalid_url_has_no_origin(self, url: str) -> None:
        with pytest.raises(ConfigError):
            origin_of(url)

    def test_a_parameter_of_the_url_is_replaced(self) -> None:
        request = Request("GET", "http://x/y?key=old&page=2", (("key", "mid"), ("q", "a b"))).with_param(
            "key", "new"
        )

        assert request.full_url == "http://x/y?page=2&q=a%20b&key=new"
        assert without_param("http://x/y?key=1", "key") == "http://x/y"

    @pytest.mark.parametrize("form", ["s3cret/+=", "s3cret%2F%2B%3D", "czNjcmV0Lys9"])
    def test_a_url_contains_no_secret_in_any_encoding(self, form: str) -> None:
        veil = Redactor(["s3cret/+="])
        assert "***" in veil.redact(f"http://x/{form}/y")
        assert form not in veil.redact(f"http://x/{form}/y")
