"""Components in Python are known by their class and the digest of their file; nothing of it is run."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from unify.importers.airbyte import known
from unify.importers.common.documents import read_source
from unify.importers.convert import ImportResult, convert
from unify.importers.model import ImportSettings

BASIC = next(rewrite for (name, _), rewrite in known.KNOWN.items() if name == "CustomAuthenticator")
PYTHON = 'raise SystemExit("this file is never run")\n'
MANIFEST = """\
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
          type: CustomAuthenticator
          class_name: source_shop.components.Login
          username: "{{ config['user'] }}"
          password: "{{ config['password'] }}"
      record_selector: {extractor: {field_path: [orders]}}
"""


def run(folder: Path, python: str) -> ImportResult:
    (folder / "components.py").write_text(python, encoding="utf-8")
    (folder / "manifest.yaml").write_text(MANIFEST, encoding="utf-8")
    return convert([read_source(str(folder / "manifest.yaml"))], ImportSettings("shop"))


def test_a_known_component_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(PYTHON.encode()).hexdigest()
    monkeypatch.setattr(known, "KNOWN", {("Login", digest): BASIC})
    result = run(tmp_path, PYTHON)

    assert result.report.left == ()
    assert 'auth: {type: basic, username: "{user}", password: "{password}"}' in result.text


def test_a_component_whose_file_has_changed_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(PYTHON.encode()).hexdigest()
    monkeypatch.setattr(known, "KNOWN", {("Login", digest): BASIC})
    result = run(tmp_path, PYTHON + "\n")

    assert [(each.name, each.reason) for each in result.report.left] == [("orders", "Custom Login (Python)")]
    assert result.text == ""


def test_the_digests_are_those_of_sha256() -> None:
    assert all(len(digest) == 64 and int(digest, 16) for _, digest in known.KNOWN)


MORE = """\
type: DeclarativeSource
definitions:
  log_in: &log_in
    type: CustomAuthenticator
    class_name: source_shop.components.ServerToServerOauthAuthenticator
    client_id: "{{ config['client_id'] }}"
    client_secret: "{{ config['client_secret'] }}"
    account_id: "{{ config['account_id'] }}"
    authorization_endpoint: https://shop.example/oauth/token
  requester: &requester {url_base: https://api.shop.example, path: rows, authenticator: *log_in}
streams:
  - type: DeclarativeStream
    name: routes
    retriever:
      type: SimpleRetriever
      requester: *requester
      record_selector: {extractor: {class_name: source_shop.components.IVRRoutesRecordExtractor}}
  - type: DeclarativeStream
    name: days
    retriever:
      type: SimpleRetriever
      requester: *requester
      record_selector:
        extractor:
          class_name: source_shop.components.ObjectDpathExtractor
          field_path: [days]
          inject_key_as_field: day
    transformations:
      - class_name: source_shop.components.DateTimeTransformer
        fields: [{path: [made], value: "{{ record.made }}"}]
"""


def test_known_components_become_keys_of_the_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(PYTHON.encode()).hexdigest()
    monkeypatch.setattr(
        known, "KNOWN", {(name, digest): rewrite for (name, _), rewrite in known.KNOWN.items()}
    )
    monkeypatch.setattr(f"{__name__}.MANIFEST", MORE)
    result = run(tmp_path, PYTHON)

    assert result.report.left == ()
    for line in (
        'extra: {grant_type: account_credentials, account_id: "{account_id}"}',
        "rows: ivrs.menus.routes",
        "columns: {ivr_id: {from: $.ivrs.id}, ivr_menu_id: {from: $.ivrs.menus.id}}",
        "rows: days.*",
        "rows_name: day",
        "strftime(strptime(made::varchar, '%a, %d %b %Y %H:%M:%S %z')::timestamptz",
    ):
        assert line in result.text
