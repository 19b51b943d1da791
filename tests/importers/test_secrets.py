"""No secret of a source, and no value of a recorded response, is in a written spec or report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import InProcessCommand
from unify.importers.common.secrets import is_secret_name, is_secret_value

CURL = """\
curl -u canary-user:canary-pass 'https://api.shop.example/a?api_key=canary-key&x=1'
curl -H 'Authorization: Bearer canary-token' -H 'X-Api-Key: canary-key' -b 'sid=canary-cookie' https://api.shop.example/b
curl 'https://canary-user:canary-pass@api.shop.example/c' --json '{"auth": {"token": "canary-json"}, "n": 1}'
curl -d 'client_secret=canary-form&q=1' https://api.shop.example/d --oauth2-bearer canary-bearer
"""
HAR = {
    "log": {
        "entries": [
            {
                "request": {
                    "method": "POST",
                    "url": "https://api.shop.example/orders/8812345?session_id=canary-session&who=Canary%20Person",
                    "headers": [
                        {"name": "Cookie", "value": "sid=canary-cookie"},
                        {"name": "authorization", "value": "Basic Y2FuYXJ5LXVzZXI6Y2FuYXJ5LXBhc3M="},
                        {"name": "x-csrf-token", "value": "canary-csrf"},
                        {"name": "X-Account", "value": "ann.canary@shop.example"},
                    ],
                    "cookies": [{"name": "sid", "value": "canary-cookie"}],
                    "postData": {"text": json.dumps({"password": "canary-pass", "seen": "canary-answer-1"})},
                },
                "response": {
                    "status": 200,
                    "headers": [{"name": "Set-Cookie", "value": "sid=canary-new"}],
                    "content": {
                        "mimeType": "application/json",
                        "text": json.dumps(
                            {
                                "orders": [{"id": "canary-answer-1", "buyer": "Canary Person"}],
                                "next": "canary-next",
                            }
                        ),
                    },
                },
            }
        ]
    }
}
POSTMAN = {
    "info": {
        "name": "Shop",
        "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
    },
    "auth": {
        "type": "apikey",
        "apikey": [{"key": "key", "value": "X-Key"}, {"key": "value", "value": "canary-key"}],
    },
    "variable": [
        {"key": "token", "value": "canary-token"},
        {"key": "plain", "value": "canary-typed", "type": "secret"},
    ],
    "item": [
        {
            "name": "Orders",
            "request": {
                "method": "GET",
                "url": "https://api.shop.example/orders?access_token=canary-query&t={{token}}&p={{plain}}",
                "header": [{"key": "X-Secret", "value": "canary-header"}],
            },
            "response": [{"code": 200, "body": '[{"id": "canary-answer"}]'}],
        },
        {
            "name": "Search",
            "request": {
                "method": "POST",
                "url": "https://api.shop.example/search",
                "auth": {"type": "basic", "basic": [{"key": "password", "value": "canary-pass"}]},
                "body": {"mode": "raw", "raw": '{"apiKey": "canary-body"}'},
            },
        },
    ],
}
DLT = """\
source = rest_api_source({
    "client": {
        "base_url": "https://api.shop.example",
        "auth": {"type": "bearer", "token": "canary-token"},
        "headers": {"X-Api-Key": "canary-key"},
    },
    "resources": [{"name": "orders", "endpoint": {"path": "orders", "params": {"secret": "canary-param"}}}],
})
"""
AIRBYTE = """\
type: DeclarativeSource
streams:
  - type: DeclarativeStream
    name: orders
    retriever:
      type: SimpleRetriever
      requester:
        url_base: https://api.shop.example
        path: orders
        authenticator:
          type: BasicHttpAuthenticator
          username: "{{ config['user'] }}"
          password: "{{ config['pw'] or 'canary-or' }}"
        request_headers: {X-Token: "{{ config.get('token', 'canary-get') }}"}
      record_selector: {extractor: {field_path: []}}
spec:
  connection_specification:
    properties:
      user: {type: string}
      pw: {type: string, airbyte_secret: true, default: canary-default, examples: [canary-example]}
      token: {type: string, airbyte_secret: true, const: canary-const}
"""
OPENAPI = {
    "openapi": "3.0.0",
    "info": {"title": "Shop", "version": "1"},
    "servers": [{"url": "https://api.shop.example"}],
    "paths": {
        "/orders": {
            "get": {
                "parameters": [
                    {
                        "name": "api_key",
                        "in": "query",
                        "required": True,
                        "schema": {"default": "canary-default"},
                    },
                    {
                        "name": "X-Auth-Token",
                        "in": "header",
                        "required": True,
                        "schema": {"default": "canary-head"},
                    },
                ],
                "responses": {
                    "200": {"content": {"application/json": {"example": [{"id": "canary-answer"}]}}}
                },
            }
        }
    },
}
SOURCES = {
    "curl.sh": CURL,
    "session.har": json.dumps(HAR),
    "collection.json": json.dumps(POSTMAN),
    "pipeline.py": DLT,
    "manifest.yaml": AIRBYTE,
    "openapi.json": json.dumps(OPENAPI),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("report", ["text", "json"])
def test_no_secret_is_in_the_spec_or_the_report(
    empty_home: Path, tmp_path: Path, name: str, report: str
) -> None:
    command = InProcessCommand(empty_home)
    command.folder = tmp_path
    source, spec = tmp_path / name, tmp_path / "shop.yaml"
    source.write_text(SOURCES[name], encoding="utf-8")
    done = command.run("spec", "import", str(source), "--name", "shop", "--report", report)

    assert done.exit_status in (0, 1), done.stderr
    for text in (spec.read_text(encoding="utf-8"), done.stdout, done.stderr):
        assert "canary" not in text.lower()
        assert "Y2FuYXJ5" not in text


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "X-Api-Key",
        "apikey",
        "client_secret",
        "sessionid",
        "PHPSESSID",
        "x-csrf-token",
        "sig",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["page_token", "nextToken", "author", "sort_key", "state", "max_tokens"])
def test_names_that_hold_no_secret(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ghp_abcdefghijklmnopqrst", True),
        ("eyJhbGciOiJIUzI1NiJ9.e30.abc", True),
        ("3f786850e387550fdab836ed7e6dc881de23001b", True),
        ("123e4567-e89b-12d3-a456-426614174000", False),
        ("select id from boards where state = 'open'", False),
        ("updated_at", False),
    ],
)
def test_values_that_look_like_secrets(value: str, expected: bool) -> None:
    assert is_secret_value(value) is expected


def test_short_keys_and_addresses_of_webhooks_become_options(tmp_path: Path) -> None:
    commands = [
        "curl 'https://api.shop.example/v1/items?k=canary7&page=1'",
        "curl https://api.shop.example/hooks/T0canary/B1canary/x2canary",
    ]
    source = tmp_path / "copied.sh"
    source.write_text("\n".join(commands), encoding="utf-8")

    result = InProcessCommand(tmp_path).run("spec", "import", str(source), "-o", "-")

    assert "canary" not in result.stdout + result.stderr, result
    assert 'params: {k: "{k}"}' in result.stdout
    assert "request: GET /hooks/{hook}/{hook_2}/{hook_3}" in result.stdout
