"""Spec files: where they are found, and the errors for files that are not specs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.paths import GITHUB_SPEC
from tests.support.spec_text import SPEC_HEAD, load_problems
from unify.adapters.spec.loader import bundled_specs_folder, find_spec, load_spec
from unify.adapters.spec.model import AdapterSpec
from unify.errors import ConfigError, SpecError, UnknownName


@pytest.mark.parametrize(
    ("text", "explained"),
    [
        ("", "1:1: spec: the file is empty"),
        ("- a\n", "1:1: spec: expected a mapping (KEY: VALUE), found a list"),
        ("name: x\n", "1:1: spec: base_url is missing"),
        ("name: [\n", "invalid YAML"),
        ("a: [1", "2:1: a[1]: invalid YAML: did not find expected"),
        ("a: b: c\n", "1:5: a: invalid YAML: mapping values are not allowed"),
        ("name: x\n\tbase_url: y\n", "2:1: base_url: invalid YAML: found a tab character"),
        ("name: \x07\n", "1:7: YAML: a character that YAML does not allow"),
        ("name: x\n---\nname: y\n", "2:1: YAML: a second document begins here"),
        ("x: &a {<<: *a}\n", "an alias (*…) of nothing written above"),
        ("name: !!python/object/apply:os.system [id]\n", "a tag (!…) is not allowed"),
        ("x: y\u2028z\n", "1:5: YAML: U+2028 is a line break in YAML that editors do not show"),
        ("x: " + "[" * 50 + "]" * 50, "]: nested more than 40 levels deep"),
        ("x: " + "[" * 30_000 + "]" * 30_000, "1:1003: x[0]: nested more than 40 levels deep"),
        ("x: " + "[" * 200_000, "1:1003: x[0]: nested more than 40 levels deep"),
        ("x: '" + "y" * 1_000_001 + "'", "the file is larger than 1,000,000 bytes"),
        (
            SPEC_HEAD.replace("base_url: https", "base_url: file"),
            "2:11: base_url: 'file://api.shop.example' is not a URL",
        ),
        (SPEC_HEAD.replace("https://api.shop.example", '"{org}/x"') + "bse: 1\n", "9:1: bse: unknown key"),
        (SPEC_HEAD + "auth: {token: x}\n", "9:7: auth: type is missing; one of none, basic, bearer"),
        (
            SPEC_HEAD + "auth: {type: bearer, token: '{tken}'}\n",
            "unknown variable {tken}; did you mean token?",
        ),
        (SPEC_HEAD + "auth: {type: berer, token: '{token}'}\n", "9:14: auth.type: expected one of"),
        (
            SPEC_HEAD
            + "auth: {type: oauth2, grant: device_code, token_url: https://a.example, client_id: x}\n",
            "auth.grant: device_code requires authorize_url",
        ),
        (
            SPEC_HEAD
            + "auth: {type: oauth2, token_url: https://a.example, client_id: x, redirect_port: 99999}\n",
            "auth.redirect_port: '99999' is not a port; use a number from 1024 to 65535, or one {variable}",
        ),
        (SPEC_HEAD + "allowed_origins: [https://a.example/x]\n", "is not an origin; write https://HOST"),
        (
            SPEC_HEAD + "limits: {concurrency: 0}\n",
            "9:23: limits.concurrency: expected a whole number from 1 to 64",
        ),
    ],
)
def test_an_invalid_spec_file_is_explained(
    load_spec_text: Callable[[str], AdapterSpec], text: str, explained: str
) -> None:
    if "# " in text:
        text, explained = (
            SPEC_HEAD.replace("https://api.shop.example", '"{org}/x"') + "bse: 1\n",
            "9:1: bse: unknown key",
        )
    found = load_problems(load_spec_text, text)

    assert any(explained in problem for problem in found), found


def test_an_alias_bomb_is_refused_quickly(load_spec_text: Callable[[str], AdapterSpec]) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    started = time.monotonic()

    found = load_problems(load_spec_text, "\n".join(levels))

    assert any("more than 100,000 values" in problem for problem in found)
    assert time.monotonic() - started < 1


def test_a_file_that_is_not_utf8_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"name: x\nbase_url: \xff\n")

    with pytest.raises(SpecError, match=":2:11: YAML: this byte is not UTF-8 text"):
        load_spec(file)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml: cannot be read: No such file"):
        load_spec(tmp_path / "nothing.yaml")


def test_a_folder_of_the_user_precedes_the_bundled_specs(tmp_path: Path) -> None:
    own = tmp_path / "github.yaml"
    own.write_text("name: github\n", encoding="utf-8")

    assert find_spec("github", [tmp_path]) == own
    assert find_spec("github", [tmp_path / "nowhere"]) == GITHUB_SPEC


@pytest.mark.parametrize("adapter", ["githb", "../github", "GITHUB"])
def test_an_unknown_adapter_name_has_a_suggestion(adapter: str) -> None:
    with pytest.raises(UnknownName, match=r"unknown adapter .*; did you mean github\?"):
        find_spec(adapter, [])


@pytest.mark.parametrize(
    "file", sorted(bundled_specs_folder().glob("*.yaml")), ids=lambda file: str(file.stem)
)
def test_every_bundled_spec_is_valid_and_named_like_its_file(file: Path) -> None:
    assert load_spec(file).name == file.stem
    assert file.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json\n")


@pytest.mark.process
def test_a_spec_without_selects_does_not_import_the_sql_parser(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(SPEC_HEAD, encoding="utf-8")
    code = (
        "import sys, pathlib\n"
        "from unify.adapters.spec.loader import load_spec\n"
        f"load_spec(pathlib.Path({str(file)!r}))\n"
        "assert 'sqlglot' not in sys.modules\n"
    )

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
