"""Reading notify.yaml in the home folder: where failures of loads and scripts are reported.

    webhook:
      url: ${NOTIFY_URL}
      headers: {Authorization: "${NOTIFY_TOKEN}"}
    mail:
      host: smtp.example.org
      from: unify@example.org
      to: data@example.org
      user: unify
      password: ${SMTP_PASSWORD}

Values may be references, as in connections.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct, field

from unify.config import yaml
from unify.config.secrets import EnvironmentVariable, UnresolvedReference, parse_reference, resolve_reference
from unify.config.yaml import MappingEntry, MappingNode, ScalarNode, YamlNode
from unify.errors import ConfigError, Problem, UnresolvedSecret
from unify.text import did_you_mean

MAX_PORT_DIGITS = 5
SMTP_PORT, SMTPS_PORT, SUBMISSION_PORT = 25, 465, 587
_REQUIRED = {"webhook": ("url",), "mail": ("host", "from", "to")}
_KNOWN = {
    "webhook": ("url", "headers"),
    "mail": ("host", "port", "user", "password", "from", "to"),
}


class Webhook(Struct, frozen=True):
    """A URL that receives each notification as JSON."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Mail(Struct, frozen=True):
    """A mail server and the addresses of each notification. ``to`` are separated by commas."""

    host: str
    sender: str
    to: str
    port: int = SUBMISSION_PORT
    user: str = ""
    password: str = ""


class Notifications(Struct, frozen=True):
    """The targets of notifications, with resolved values. ``secrets`` are the values of references."""

    webhook: Webhook | None = None
    mail: Mail | None = None
    secrets: tuple[str, ...] = ()


def load_notifications(path: Path, environment: Mapping[str, str]) -> Notifications:
    """Read ``path``; a missing file has no targets.

    Raises:
        ConfigError: the file is invalid; UnresolvedSecret: a reference cannot be resolved.
    """
    if not path.exists():
        return Notifications()
    values = _NotificationsReader(path).values()
    secrets = {key: _resolve(path, key, text, environment) for key, text in values.items()}
    for key, value in secrets.items():
        if problem := _find_mistake(key, value):
            raise ConfigError(f"{path}: {key}: the value of {values[key]} is wrong: {problem}")
    referenced = tuple(secrets[key] for key, text in values.items() if parse_reference(text) is not None)
    headers = {
        key.removeprefix("webhook.headers."): value
        for key, value in secrets.items()
        if key.startswith("webhook.headers.")
    }
    webhook = Webhook(secrets["webhook.url"], headers) if "webhook.url" in secrets else None
    mail = (
        Mail(
            secrets["mail.host"],
            secrets["mail.from"],
            secrets["mail.to"],
            int(secrets.get("mail.port", str(SUBMISSION_PORT))),
            secrets.get("mail.user", ""),
            secrets.get("mail.password", ""),
        )
        if "mail.host" in secrets
        else None
    )
    return Notifications(webhook, mail, referenced)


def notification_variables(path: Path) -> tuple[str, ...]:
    """Return the environment variables that the file refers to; none if it is missing or invalid."""
    if not path.exists():
        return ()
    try:
        references = map(parse_reference, _NotificationsReader(path).values().values())
    except ConfigError:
        return ()  # unify check and the daemon's log report it
    return tuple(found.name for found in references if isinstance(found, EnvironmentVariable))


def _resolve(path: Path, key: str, text: str, environment: Mapping[str, str]) -> str:
    reference = parse_reference(text)
    if reference is None:
        return text
    try:
        return resolve_reference(reference, environment, path.parent)
    except UnresolvedReference as error:
        raise UnresolvedSecret(f"{path}: {key}: {error}") from error


def _find_mistake(key: str, value: str) -> str:
    """Return what is wrong with a resolved value, without quoting it; "" if nothing is."""
    if "\n" in value or "\r" in value:
        return "expected one line"
    if key == "webhook.url" and not value.startswith(("https://", "http://")):
        return "expected a URL that starts with https://"
    is_port = value.isascii() and value.isdigit() and len(value) <= MAX_PORT_DIGITS and 0 < int(value) < 65536
    if key == "mail.port" and not is_port:
        return "expected a port number"
    return ""


def literal_keys(path: Path) -> tuple[str, ...]:
    """Return the keys that hold a secret in plain text; none if the file is missing or invalid."""
    try:
        values = _NotificationsReader(path).values() if path.exists() else {}
    except ConfigError:
        return ()
    secret = [key for key in values if key.startswith(("webhook.", "mail.password"))]
    return tuple(key for key in secret if parse_reference(values[key]) is None)


class _NotificationsReader:
    """Validates the file and returns its values by dotted key."""

    def __init__(self, path: Path) -> None:
        self._document = yaml.read_yaml(path)
        self._problems: list[Problem] = list(self._document.problems)

    def values(self) -> Mapping[str, str]:
        """Return the values as written. Raises ConfigError naming every mistake."""
        root = self._document.root
        values = dict(self._scalars("", root)) if root is not None else {}
        for section in _KNOWN:
            given = {key.partition(".")[2] for key in values if key.startswith(f"{section}.")}
            missing = [key for key in _REQUIRED[section] if given and key not in given]
            for key in missing:
                self._add_problem(root, f"{section}.{key}", "is missing")
        if not values and not self._problems:
            self._add_problem(root, "webhook", "expected webhook: or mail:")
        if self._problems:
            raise ConfigError("\n".join(map(str, self._problems)))
        return values

    def _scalars(self, prefix: str, node: YamlNode) -> Iterator[tuple[str, str]]:
        if not isinstance(node, MappingNode):
            self._add_problem(node, prefix.rstrip("."), "expected lines of NAME: VALUE")
            return
        for entry in node.entries.values():
            key = f"{prefix}{entry.key}"
            if not self._is_known(prefix, entry):
                continue
            if prefix == "" or key == "webhook.headers":
                yield from self._scalars(f"{key}.", entry.value)
            elif isinstance(entry.value, ScalarNode) and entry.value.value is not None:
                yield key, self._checked_value(key, entry.value)
            else:
                self._add_problem(entry.value, key, "expected one value")

    def _is_known(self, prefix: str, entry: MappingEntry) -> bool:
        known = tuple(_KNOWN) if prefix == "" else _KNOWN.get(prefix.rstrip("."))
        if known is None or entry.key in known:  # names of headers are free
            return True
        hint = did_you_mean(entry.key, known) or f"; known are {', '.join(known)}"
        self._add_problem(entry, f"{prefix}{entry.key}", f"unknown key{hint}")
        return False

    def _checked_value(self, key: str, node: ScalarNode) -> str:
        try:
            reference = parse_reference(node.text)
        except ValueError as error:
            self._add_problem(node, key, str(error))
            return node.text
        if reference is None and (problem := _find_mistake(key, node.text)):
            self._add_problem(node, key, problem)
        return node.text

    def _add_problem(self, node: MappingEntry | YamlNode | None, key: str, text: str) -> None:
        line, column = (node.line, node.column) if node is not None else (1, 1)
        self._problems.append(Problem(self._document.path, line, column, key, text))
