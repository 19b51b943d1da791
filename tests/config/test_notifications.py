"""notify.yaml: its targets, references and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unify.config.notifications import (
    Mail,
    Notifications,
    Webhook,
    load_notifications,
    notification_variables,
)
from unify.errors import ConfigError, UnresolvedSecret


def write(folder: Path, text: str) -> Path:
    path = folder / "notify.yaml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def test_a_missing_file_has_no_targets(tmp_path: Path) -> None:
    assert load_notifications(tmp_path / "notify.yaml", {}) == Notifications()
    assert notification_variables(tmp_path / "notify.yaml") == ()


def test_references_are_resolved_and_known_as_secrets(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "webhook: {url: '${HOOK}', headers: {Authorization: '${TOKEN}', X-Team: data}}\n"
        "mail: {host: mail.example.org, port: 465, from: u@example.org, to: d@example.org}\n",
    )
    environment = {"HOOK": "https://hooks.example.org/s3cret", "TOKEN": "Bearer s3cret"}
    assert load_notifications(path, environment) == Notifications(
        Webhook("https://hooks.example.org/s3cret", {"Authorization": "Bearer s3cret", "X-Team": "data"}),
        Mail("mail.example.org", "u@example.org", "d@example.org", 465),
        ("https://hooks.example.org/s3cret", "Bearer s3cret"),
    )
    assert notification_variables(path) == ("HOOK", "TOKEN")


def test_an_unset_variable_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "webhook: {url: '${HOOK}'}\n")
    with pytest.raises(UnresolvedSecret, match=r"notify.yaml: webhook.url: .* HOOK is not set"):
        load_notifications(path, {})


def test_a_port_may_be_a_reference(tmp_path: Path) -> None:
    path = write(tmp_path, "mail: {host: h, port: '${PORT}', from: a, to: b}\n")
    mail = load_notifications(path, {"PORT": "2525"}).mail
    assert mail is not None
    assert mail.port == 2525


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("mail.port", "s3cret", "expected a port number"),
        ("mail.port", "65536", "expected a port number"),
        ("mail.port", "9" * 5000, "expected a port number"),
        ("mail.port", "\u0662\u0665", "expected a port number"),
        ("mail.to", "b\nBcc: s3cret", "expected one line"),
        ("webhook.url", "s3cret", "expected a URL"),
    ],
)
def test_a_wrong_value_of_a_reference_is_named_and_not_shown(
    tmp_path: Path, key: str, value: str, message: str
) -> None:
    values = {"mail.host": "h", "mail.port": "25", "mail.from": "a", "mail.to": "b", key: "${VALUE}"}
    sections: dict[str, dict[str, str]] = {}
    for name, text in values.items():
        section, _, rest = name.partition(".")
        sections.setdefault(section, {})[rest] = text
    path = write(tmp_path, json.dumps(sections))
    with pytest.raises(ConfigError) as error:
        load_notifications(path, {"VALUE": value})
    assert f"notify.yaml: {key}: the value of ${{VALUE}} is wrong: {message}" in error.value.message
    assert "s3cret" not in error.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "notify.yaml:1:1: webhook: expected webhook: or mail:"),
        ("[1]", "expected lines of NAME: VALUE"),
        ("webhok: {url: https://x}", ":1:1: webhok: unknown key; did you mean webhook?"),
        ("webhook: {uri: https://x}", ":1:11: webhook.uri: unknown key; did you mean url?"),
        ("webhook: {url: hooks.example.org}", "webhook.url: expected a URL that starts with https://"),
        ("webhook: {url: [a]}", "webhook.url: expected one value"),
        ("webhook: {headers: {A: b}}", "webhook.url: is missing"),
        ("webhook: {url: '${x y}'}", "webhook.url: ${x y} is not a valid reference"),
        ("mail: {host: h, from: a, to: b, port: x}", "mail.port: expected a port number"),
        ("mail: {host: h, from: a}", "mail.to: is missing"),
        ('mail: {host: h, from: a, to: "b\\nBcc: c"}', "mail.to: expected one line"),
        ("a: [", "invalid YAML"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load_notifications(path, {})
    assert message in error.value.message
    assert notification_variables(path) == ()
