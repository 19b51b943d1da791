"""A refused request names the options of the connection that feed its credentials."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.authenticated_api import MakeAdapter
from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from unify.adapters.base import Read
from unify.adapters.spec.auth import Auth
from unify.adapters.spec.elements import Option
from unify.adapters.spec.paging import Paging
from unify.errors import Unauthorized

OPTIONS = (Option("user"), Option("secret", secret=True), Option("key", secret=True))


def failure(make: MakeAdapter, auth: Auth) -> str:
    adapter = make(auth, Paging("none"), options=OPTIONS)
    with pytest.raises(Unauthorized) as caught:
        list(adapter.pages("things", Read()))
    return caught.value.message.partition("; check ")[2]


@pytest.mark.parametrize(
    ("auth", "hint"),
    [
        (Auth("bearer", {"token": "{secret}"}), "option secret of api (header Authorization)"),
        (
            Auth("basic", {"username": "{user}", "password": "{secret}"}),
            "option user of api (header Authorization), option secret of api (header Authorization)",
        ),
        (
            Auth("api_key", {"name": "X-Id", "value": "{secret}"}),
            "option secret of api (header X-Id)",
        ),
        (
            Auth("api_key", {"name": "token", "value": "{secret}", "in": "query"}),
            "option secret of api (parameter token)",
        ),
        (Auth("none"), ""),
    ],
)
def test_a_refused_request_names_options_and_where_they_are_sent(
    auth: Auth, hint: str, api: FaultServer, make_adapter: MakeAdapter
) -> None:
    api.serve("/things", MockResponse.error(401))
    extra = "option key of api (header X-Extra)"  # of every request of this adapter
    assert failure(make_adapter, auth) == ", ".join(filter(None, [hint, extra]))


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        ("invalid_client", "option user of api (token request), option secret of api (token request)"),
        ("invalid_scope", "auth.scopes in the spec"),
        (
            "access_denied",
            "option user of api (token request), option secret of api (token request), auth.scopes in the "
            "spec; fields that the server requires, such as audience, go into auth.extra",
        ),
    ],
)
def test_a_refused_token_request_names_the_options_of_its_error(
    error: str, hint: str, api: FaultServer, make_adapter: MakeAdapter
) -> None:
    api.serve("POST /token", MockResponse.json({"error": error}, status=403))
    settings: dict[str, Any] = {"token_url": f"{api.url}/token", "client_id": "{user}", "scopes": ["read"]}
    assert failure(make_adapter, Auth("oauth2", {**settings, "client_secret": "{secret}"})) == hint


def test_fields_in_the_query_of_the_token_endpoint_are_also_sent_in_the_body_if_required(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    def respond(request: RecordedRequest) -> MockResponse:
        if b"audience=https%3A%2F%2Fa.example" not in request.body:
            return MockResponse.json({"error": "access_denied"}, status=403)
        return MockResponse.json({"access_token": "tok-0123456789"})

    api.serve("POST /token", respond)
    api.serve("/things", MockResponse.json([{"id": 1}]))
    url = f"{api.url}/token?audience=https%3A%2F%2Fa.example"
    auth = Auth("oauth2", {"token_url": url, "client_id": "{user}", "client_secret": "{secret}"})
    adapter = make_adapter(auth, Paging("none"))
    assert sum(len(page.rows) for page in adapter.pages("things", Read())) == 1
