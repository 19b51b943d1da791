"""Credentials are sent over http to this machine only, unless the connection allows it."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from tests.support.fault_server import FaultServer, MockResponse
from unify.adapters.base import Read
from unify.adapters.http.client import HttpClient
from unify.adapters.http.messages import ClientOptions, Request, is_unprotected
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.auth import Auth
from unify.adapters.spec.elements import Option
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.config.secrets import Secret
from unify.errors import ConfigError

AUTHS = {
    "bearer": Auth("bearer", {"token": "{token}"}),
    "basic": Auth("basic", {"username": "u", "password": "{token}"}),
    "api_key in the query": Auth("api_key", {"name": "key", "value": "{token}", "location": "query"}),
    "none, but a secret option": Auth("none"),
}


@pytest.mark.parametrize(
    ("url", "unprotected"),
    [
        ("https://api.example/x", False),
        ("http://api.example/x", True),
        ("HTTP://192.168.0.7:8080", True),
        ("http://10.0.0.1", True),
        ("http://127.0.0.1.example.com", True),
        ("http://localhost.example.com", True),
        ("http://127.0.0.1:99/x", False),
        ("http://127.8.9.1", False),
        ("http://[::1]:80", False),
        ("http://localhost", False),
        ("http://LOCALHOST.:80", False),
        ("http://api.localhost", False),
    ],
)
def test_http_is_protected_on_this_machine_only(url: str, unprotected: bool) -> None:
    assert is_unprotected(url) is unprotected


def open_adapter(auth: Auth, base_url: str, **options: str) -> RESTAdapter:
    spec = AdapterSpec(
        "api",
        "api.yaml",
        base_url,
        options=(Option("token", secret=True),),
        tables=(TableSpec("t", ("GET /t",)),),
        auth=auth,
    )
    values: dict[str, Any] = {"token": Secret("sesame-0123456789"), **options}
    return RESTAdapter(spec, values)


@pytest.mark.parametrize("auth", AUTHS.values(), ids=list(AUTHS))
def test_credentials_over_http_are_refused_before_the_first_request(auth: Auth) -> None:
    with pytest.raises(ConfigError, match=r"base_url: credentials are not sent .*allow_http: true"):
        open_adapter(auth, "http://api.example")
    open_adapter(auth, "https://api.example").close()
    open_adapter(auth, "http://127.0.0.1:1").close()
    open_adapter(auth, "http://api.example", allow_http="true").close()


def test_an_api_without_credentials_is_read_over_http(api: FaultServer) -> None:
    """The host is not this machine; the proxy is, and serves the request."""
    api.serve("/t", MockResponse.json([{"id": 1}]))
    spec = AdapterSpec("api", "api.yaml", "http://api.example", tables=(TableSpec("t", ("GET /t",)),))
    proxy = api.url.replace("//", "//user:password@")
    options = ClientOptions("", proxy=proxy)
    with closing(RESTAdapter(spec, {"proxy": Secret(proxy)}, client_options=options)) as adapter:
        pages = list(adapter.pages("t", Read()))
    assert [page.rows for page in pages] == [[b'{"id": 1}']]


def test_allow_http_is_true_or_false() -> None:
    with pytest.raises(ConfigError, match="allow_http: expected true or false"):
        open_adapter(AUTHS["bearer"], "http://api.example", allow_http="maybe")


def test_a_token_request_over_http_is_refused() -> None:
    client = HttpClient(ClientOptions("https://api.example", requires_tls=True))

    def flow() -> Any:
        yield Request("POST", "http://login.example/token", body=b"client_secret=x")

    with pytest.raises(ConfigError, match=r"http://login\.example/token: credentials are not sent"):
        client.run_auth_flow(flow())
    client.close()
