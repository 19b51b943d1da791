"""connections.yaml: what is accepted, how mistakes are explained, and where secrets come from."""

from __future__ import annotations

import copy
import os
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from unify.config.connections import Connections, environment_names, load_connections, resolve_option_values
from unify.config.secrets import Secret
from unify.durations import parse_duration
from unify.errors import ConfigError, UnresolvedSecret

CANARY = "canary-3f9c"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "connections.yaml"


def read(file: Path, text: str, mode: int = 0o600) -> Connections:
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return load_connections(file)


def test_a_connection_is_parsed(file: Path) -> None:
    found = read(
        file,
        "github:\n"
        "  adapter: github\n"
        "  options:\n"
        "    token: ${GITHUB_TOKEN}\n"
        "    org: duckdb\n"
        "    version: 1.10\n"
        "    archived: no\n"
        "  refresh: {pulls: 5 minutes}\n",
    )

    github = found.by_name["github"]
    assert github.adapter == "github"
    assert github.options == {
        "token": "${GITHUB_TOKEN}",
        "org": "duckdb",
        "version": "1.10",
        "archived": "no",
    }
    assert github.refresh == {"pulls": 300.0}
    assert github.location("options.org") == f"{file}:5: github.options.org"
    assert (found.errors, found.warnings) == ({}, ())


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "~\n"])
def test_a_file_without_connections_has_none(file: Path, text: str) -> None:
    assert read(file, text).by_name == {}


def test_no_file_means_no_connections(file: Path) -> None:
    assert load_connections(file).by_name == {}


def test_invalid_yaml_is_an_error_with_its_position(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(file, "github:\n  adapter: github\n  options: {token: 'x\n")

    assert str(caught.value).startswith(f"{file}:3:")
    assert "invalid YAML" in str(caught.value)


@pytest.mark.parametrize(
    "options", ["{token: ${TOKEN}}", "{host: h, token: ${TOKEN}, org: o}", "{ids: [${TOKEN}]}"]
)
def test_a_variable_without_quotes_in_a_flow_mapping_is_named(file: Path, options: str) -> None:
    with pytest.raises(ConfigError, match=r"connections.yaml:3:\d+: .*invalid YAML") as caught:
        read(file, f"github:\n  adapter: github\n  options: {options}\n")

    assert 'within {…} and […], write "${TOKEN}" in quotes' in str(caught.value)


@pytest.mark.parametrize(
    ("text", "explained"),
    [
        ("b:\n  adapter: x\n  optons: {}\n", ":3:3: b.optons: unknown key; did you mean options?"),
        ("b: {adapter: x, token: y}\n", "b.token: unknown key; does it belong under options:?"),
        ("b: {options: {}}\n", ":1:1: b: adapter is missing: which spec describes this system?"),
        ("b: {adapter: ../x}\n", "b.adapter: expected the name of an adapter, such as github"),
        ("b: github\n", "b: expected adapter: ADAPTER and options: below it"),
        ("main: {adapter: x}\n", "main: this name is reserved"),
        ("Memory: {adapter: x}\n", "Memory: this name is reserved"),
        ("b-c: {adapter: x}\n", "b-c: a connection's name has letters, digits and _"),
        ("GOOD: {adapter: x}\n", "differs from good only in case"),
        ("b: {adapter: x, adapter: y}\n", "b.adapter: duplicate key; it is first in line 1"),
        ("b: {adapter: x, options: {a: [[1]]}}\n", "b.options.a: expected a list of values"),
        ("b: {adapter: x, options: {a: {c: 1}}}\n", "b.options.a: expected one value, not a mapping"),
        ("b: {adapter: x, writable: maybe}\n", "b.writable: expected true or false"),
        ("b: {adapter: x, options: {a: }}\n", "b.options.a: has no value"),
        ("b: {adapter: x, options: [a]}\n", "b.options: expected lines of NAME: VALUE"),
        (
            "b: {adapter: x, options: {a: '${not good}'}}\n",
            "b.options.a: ${not good} is not a valid reference",
        ),
        ("b: {adapter: x, options: {a: '${vault:x}'}}\n", "is not a valid reference; write ${NAME}"),
        ("b: {adapter: x, options: {a: !!python/name:os.system x}}\n", "a tag (!…) is not allowed"),
        ("b: {adapter: x, refresh: {t: sometimes}}\n", "b.refresh.t: 'sometimes' is not a duration"),
        ("b: {adapter: x, refresh: {t: {every: x}}}\n", "b.refresh.t.every: 'x' is not a duration"),
        (
            "b: {adapter: x, refresh: {t: {shrink: no}}}\n",
            "b.refresh.t.shrink: 'no' is neither hold nor allow",
        ),
        ("b: {adapter: x, refresh: {t: {evry: 1h}}}\n", "b.refresh.t.evry: unknown key; did you mean every?"),
    ],
)
def test_an_invalid_connection_does_not_invalidate_the_others(file: Path, text: str, explained: str) -> None:
    found = read(file, "good: {adapter: github}\n" + text)

    assert list(found.by_name) == ["good"]
    (error,) = found.errors.values()
    assert explained.replace(":3:3", ":4:3").replace(":1:1", ":2:1").replace("line 1", "line 2") in str(error)


def test_every_mistake_of_a_connection_is_named(file: Path) -> None:
    found = read(file, "b:\n  adaptor: x\n  options: {a: [1], b: {}}\n")

    assert [line.split(": ")[1] for line in str(found.errors["b"]).splitlines()] == ["b.adaptor", "b"]


def test_a_connection_defined_twice_is_invalid(file: Path) -> None:
    found = read(file, "a: {adapter: x}\na: {adapter: y}\n")

    assert found.by_name == {}
    assert "duplicate key; it is first in line 1" in str(found.errors["a"])


def test_a_reference_inside_a_value_is_pointed_out(file: Path) -> None:
    found = read(file, "a: {adapter: x, options: {url: 'https://${HOST}/'}}\n")

    assert found.by_name["a"].options["url"] == "https://${HOST}/"
    assert "a reference must be the whole value" in found.warnings[0]


def test_a_file_others_can_change_is_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match="chmod go-w"):
        read(file, "a: {adapter: x}\n", mode=0o646)


def test_a_file_others_can_read_is_a_warning(file: Path) -> None:
    found = read(file, "a: {adapter: x}\n", mode=0o644)

    assert list(found.by_name) == ["a"]
    assert "chmod 600" in found.warnings[0]


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_secret_that_others_can_read_is_a_warning(file: Path, mode: int, warned: bool) -> None:
    secret = file.with_name("token")
    secret.write_text("sesame")
    secret.chmod(mode)

    found = read(file, "a: {adapter: x, options: {token: '${file:token}'}}\n")

    assert [f"run chmod 600 {secret}" in warning for warning in found.warnings] == [True] * warned
    assert "sesame" not in "".join(found.warnings)


def test_a_folder_instead_of_a_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_connections(tmp_path)


# -- references --------------------------------------------------------------------------------------


def test_options_are_resolved_and_secret_ones_are_hidden(file: Path) -> None:
    connection = read(file, "g: {adapter: x, options: {token: '${T}', org: '${O}', more: a}}\n").by_name["g"]

    values = resolve_option_values(
        connection, [("token", True), ("org", False)], {"T": CANARY, "O": "duckdb"}
    )

    assert values == {"token": Secret(CANARY), "org": "duckdb", "more": Secret("a")}
    assert CANARY not in repr(values)
    assert environment_names(connection) == ("T", "O")


@pytest.mark.parametrize(("environment", "state"), [({}, "is not set"), ({"GITHUB_TOKEN": ""}, "is empty")])
def test_an_unset_variable_is_named_with_a_remedy(
    file: Path, environment: dict[str, str], state: str
) -> None:
    found = read(file, "g:\n  adapter: x\n  options:\n    token: ${GITHUB_TOKEN}\n")

    with pytest.raises(UnresolvedSecret) as caught:
        resolve_option_values(found.by_name["g"], [("token", True)], environment)

    assert str(caught.value) == (
        f"{file}:4: g.options.token: the environment variable GITHUB_TOKEN {state}; "
        "export GITHUB_TOKEN=… and try again"
    )


def test_a_secret_comes_from_a_file_beside_connections_yaml(file: Path) -> None:
    secret = file.with_name("token.txt")
    secret.write_text(f"  {CANARY}\n", encoding="utf-8")
    secret.chmod(0o600)
    connection = read(file, "g: {adapter: x, options: {token: '${file:token.txt}'}}\n").by_name["g"]

    assert resolve_option_values(connection, [("token", True)], {}) == {"token": Secret(CANARY)}


@pytest.mark.parametrize(
    ("prepare", "explained"),
    [
        (lambda path: None, "cannot be read: No such file"),
        (lambda path: path.write_text("  \n"), "is empty"),
        (lambda path: (path.write_text("x"), path.chmod(0o666)), "can be written by all users"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "is not UTF-8 text"),
        (lambda path: path.write_text("x" * 70_000), "is larger than 65,536 bytes"),
        (lambda path: path.mkdir(), "Is a directory"),
        (os.mkfifo, "is not a regular file"),
    ],
)
def test_an_unusable_secret_file_is_explained(
    file: Path, prepare: Callable[[Path], object], explained: str
) -> None:
    prepare(file.with_name("token.txt"))
    connection = read(file, "g: {adapter: x, options: {token: '${file:token.txt}'}}\n").by_name["g"]

    with pytest.raises(UnresolvedSecret, match=r"g\.options\.token") as caught:
        resolve_option_values(connection, [("token", True)], {})

    assert explained in str(caught.value)


def test_a_secret_comes_from_the_keyring(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = types.ModuleType("keyring")
    stored = {("https://api.github.com", "me"): CANARY}
    keyring.get_password = lambda service, user: stored.get((service, user))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    options = "{token: '${keyring:https://api.github.com/me}', b: '${keyring:github/me}'}"
    text = f"g: {{adapter: x, options: {options}}}\n"
    connection = read(file, text).by_name["g"]

    with pytest.raises(UnresolvedSecret, match=r"g\.options\.b: the keyring has no entry github/me"):
        resolve_option_values(connection, [("token", True)], {})

    stored["github", "me"] = "b"
    assert resolve_option_values(connection, [("token", True)], {})["token"] == Secret(CANARY)


def test_a_missing_keyring_package_is_explained(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    connection = read(file, "g: {adapter: x, options: {token: '${keyring:a/b}'}}\n").by_name["g"]

    with pytest.raises(UnresolvedSecret, match="pip install keyring"):
        resolve_option_values(connection, [("token", True)], {})


# -- secrets -----------------------------------------------------------------------------------------


def test_a_secret_is_only_shown_by_reveal() -> None:
    secret = Secret(CANARY)

    assert [str(secret), repr(secret), f"{secret}", f"{secret:>5}", f"{[secret]}"] == [
        *["Secret(***)"] * 4,
        "[Secret(***)]",
    ]
    assert secret.reveal() == CANARY
    assert (secret == Secret(CANARY), secret == Secret("other"), secret == CANARY) == (True, False, False)
    assert len({secret, Secret(CANARY), copy.deepcopy(secret)}) == 1


def test_a_secret_is_never_pickled() -> None:
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(Secret(CANARY))


# -- durations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5 minutes", 300),
        ("15m", 900),
        ("1 hour", 3600),
        ("30s", 30),
        ("2 days", 172_800),
        ("1h 30m", 5400),
        ("1h30m", 5400),
        ("1.5 hours", 5400),
        ("500ms", 0.5),
        ("1 WEEK", 604_800),
        ("90", 90),
        (0, 0),
    ],
)
def test_durations_are_parsed_in_common_forms(text: str | int, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "5 fortnights", "-5m", "1 hour ago", "1e9", "inf", "9" * 12 + "w"]
)
def test_an_invalid_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it like 30s, 15 minutes|longer than a century"):
        parse_duration(text)
