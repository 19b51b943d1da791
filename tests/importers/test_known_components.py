"""Components in Python are known by their class and the digest of their file; nothing of it is run."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from unify.importers.airbyte import known
from unify.importers.common.documents import read_source
from unify.importers.convert import ImportResult, convert
from unify.importers.model import ImportSettings

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
    monkeypatch.setattr(known, "KNOWN", {("Login", digest): known.KNOWN[next(iter(known.KNOWN))]})
    result = run(tmp_path, PYTHON)

    assert result.report.left == ()
    assert 'auth: {type: basic, username: "{user}", password: "{password}"}' in result.text


def test_a_component_whose_file_has_changed_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(PYTHON.encode()).hexdigest()
    monkeypatch.setattr(known, "KNOWN", {("Login", digest): known.KNOWN[next(iter(known.KNOWN))]})
    result = run(tmp_path, PYTHON + "\n")

    assert [(each.name, each.reason) for each in result.report.left] == [("orders", "Custom Login (Python)")]
    assert result.text == ""


def test_the_digests_are_those_of_sha256() -> None:
    assert all(len(digest) == 64 and int(digest, 16) for _, digest in known.KNOWN)
