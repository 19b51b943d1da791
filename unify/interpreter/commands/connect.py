"""``connect`` and ``disconnect``: a connection set up, tried, and only then written down.

At a terminal whatever is missing is asked for; elsewhere it is an error that lists it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from unify.adapters.options import check_options, known_options
from unify.adapters.spec import loader
from unify.config import connections_edit, keyring
from unify.config.connections import Connection
from unify.config.secrets import parse_reference
from unify.errors import ConfigError, SignInNeeded, SourceError, UnifyError
from unify.interpreter import adapter_access
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.results import Message, Watcher
from unify.text import did_you_mean, format_count

if TYPE_CHECKING:
    from unify.adapters.base import Check
    from unify.adapters.spec.model import AdapterSpec, Option

_KEYRING_SERVICE = "unify"
_YES_ANSWERS = frozenset({"y", "yes"})


class ConnectionCommands:
    """Changes connections.yaml, by question and answer or by one line."""

    def __init__(self, connections: ConnectionCatalog, watcher: Watcher) -> None:
        self.connections = connections
        self.watcher = watcher
        self.path = connections.settings.connections

    def connect(self, adapter: str | None, name: str | None, given_options: Mapping[str, str]) -> Message:
        """Set up a connection: options in one line, or asked for; saved when the API takes them.

        With the name of one that is there, and that a person signs in to: sign in again.

        Raises  ConfigError listing what is missing where nobody can be asked; SourceError where the
                credentials are refused. Then nothing is saved.
        """
        if adapter is not None and name is None and not given_options and self._requires_sign_in(adapter):
            return self._sign_in_again(adapter)
        asked = adapter is None or not given_options
        spec = self._load_spec(adapter or self._prompt_adapter())
        name = self._choose_name(spec, name, guided=asked)
        self._refuse_unknown_options(spec, name, given_options)
        options = {**given_options, **self._prompt_missing_options(spec, name, given_options, guided=asked)}
        connection = connections_edit.preview_connection(self.path, name, spec.name, options)
        check_options(connection, spec)
        told = self._test_credentials(connection)
        stored = {
            option: self._choose_stored_value(spec, name, option, options[option], given_options)
            for option in options
        }
        connections_edit.add_connection(self.path, name, spec.name, stored)
        self.connections.invalidate()
        tables = format_count(len(spec.tables), "table")
        return Message(f"{name} is saved in {self.path}{told}: {tables} (show tables from {name})")

    def disconnect(self, name: str) -> str:
        """Forget a connection and who signed in; its name as written. Raises UnknownName with the nearest."""
        self._sign_out(name)
        known = connections_edit.remove_connection(self.path, name)
        self.connections.invalidate()
        return known

    def _load_spec(self, adapter: str) -> AdapterSpec:
        return loader.load_spec(loader.find_spec(adapter, self.connections.settings.specs))

    def _prompt_adapter(self) -> str:
        known = loader.known_specs(self.connections.settings.specs)
        self.watcher.notice("Adapters: " + ", ".join(sorted(known)))
        answer = self._prompt("Which one? ")
        if answer is None:
            names = ", ".join(sorted(known))
            raise ConfigError(f"connect ADAPTER as NAME with OPTION = '…': which adapter? There are {names}")
        return answer.strip()

    def _choose_name(self, spec: AdapterSpec, name: str | None, *, guided: bool) -> str:
        """The new connection's name. Raises ConfigError where it is taken or cannot be one."""
        free = spec.name
        taken = {known.lower() for known in self.connections.names}
        if name is None and guided:
            number = 2
            while free.lower() in taken:
                free, number = f"{spec.name}{number}", number + 1
            answer = self._prompt(f"Its name in SQL, before the dot [{free}]: ")
            name = (answer or "").strip() or free
        name = name or free
        if name.lower() in taken:
            raise ConfigError(
                f"there is a connection {name} already; "
                f"connect {spec.name} as another name, or disconnect {name}"
            )
        connections_edit.preview_connection(self.path, name, spec.name, {})
        return name

    def _refuse_unknown_options(self, spec: AdapterSpec, name: str, given_options: Mapping[str, str]) -> None:
        known = known_options(spec)
        for option in given_options:
            if option not in known:
                own = ", ".join(option.name for option in spec.options) or "none"
                hint = did_you_mean(option, known) or f"; its options are {own}"
                raise ConfigError(f"{name}: adapter {spec.name} has no option {option}{hint}")

    def _prompt_missing_options(
        self, spec: AdapterSpec, name: str, given_options: Mapping[str, str], *, guided: bool
    ) -> Mapping[str, str]:
        """Answers for the options that were not given: the required ones, or at a guided set-up all."""
        answers: dict[str, str] = {}
        unanswered: list[Option] = []
        for option in spec.options:
            if option.name in given_options or not (guided or option.needs_value):
                continue
            answer = self._prompt_option(spec, option)
            if answer:
                answers[option.name] = answer
            elif option.needs_value:
                unanswered.append(option)
        if unanswered:
            lines = [f"  {option.name}: {option.description or 'required'}" for option in unanswered]
            example = ", ".join(f"{option.name} = '…'" for option in unanswered)
            raise ConfigError(
                "\n".join(
                    [
                        f"{name}: nothing is saved, because options of {spec.name} are missing:",
                        *lines,
                        f"write: connect {spec.name} as {name} with {example}",
                    ]
                )
            )
        return answers

    def _prompt_option(self, spec: AdapterSpec, option: Option) -> str:
        """The answer for one option: "" to leave it out. A secret may be a reference to where it is."""
        variable = f"{spec.name}_{option.name}".upper()
        default = option.default or ""
        if option.secret and self.connections.environment.get(variable):
            default = f"${{{variable}}}"
        hints = filter(
            None, [option.description, "a value or ${NAME} of the environment" if option.secret else ""]
        )
        question = (
            f"{option.name} ({'; '.join(hints)})" if option.description or option.secret else option.name
        )
        shown = f" [{default}]" if default else "" if option.required else " [none]"
        answer = self._prompt(f"{question}{shown}: ", secret=option.secret)
        if answer is None or answer.strip():
            return (answer or "").strip()
        return default if default != option.default else ""

    def _test_credentials(self, connection: Connection) -> str:
        """Ask the API whether it takes the credentials; as whom. A person may save what was not taken."""
        try:
            check = self._check_credentials(connection)
            reason = "" if check.accepted else check.reason or "the credentials were refused"
        except SourceError as error:
            check, reason = None, error.message
        if check is not None and not reason:
            return f", known there as {check.identity}" if check.identity else ""
        if self.watcher.user_prompt() is None:
            raise SourceError(f"{connection.name} is not saved: {reason}")
        self.watcher.notice(f"{connection.name}: {reason}")
        answer = self._prompt("Save it all the same? [no] ")
        if answer is None or answer.strip().lower() not in _YES_ANSWERS:
            raise SourceError(f"{connection.name} is not saved")
        return ", untried"

    def _check_credentials(self, connection: Connection) -> Check:
        with closing(adapter_access.open_for_sign_in(self.connections, connection)) as adapter:
            return adapter_access.check_credentials(adapter, self.watcher, connection.name)

    def _requires_sign_in(self, name: str) -> bool:
        return self.connections.has(name) and adapter_access.requires_sign_in(
            self.connections, self.connections.connection(name)
        )

    def _sign_in_again(self, name: str) -> Message:
        """Raises SignInNeeded where nobody can be asked."""
        connection = self.connections.connection(name)
        person = self.watcher.user_prompt()
        if person is None:
            raise SignInNeeded(f"{connection.name}: signing in takes a person, and this is no terminal")
        with closing(adapter_access.open_for_sign_in(self.connections, connection)) as adapter:
            adapter_access.sign_in(adapter, person, connection.name)
            check = adapter_access.check_credentials(adapter, self.watcher, connection.name)
        if not check.accepted:
            raise SourceError(f"{connection.name}: {check.reason or 'the credentials were refused'}")
        known = f", known there as {check.identity}" if check.identity else ""
        return Message(f"{connection.name}: signed in{known}")

    def _sign_out(self, name: str) -> None:
        """A connection that cannot be opened any more can be taken out all the same."""
        with suppress(UnifyError):
            connection = self.connections.connection(name)
            if adapter_access.requires_sign_in(self.connections, connection):
                with closing(adapter_access.open_for_sign_in(self.connections, connection)) as adapter:
                    adapter.sign_out()

    def _choose_stored_value(
        self, spec: AdapterSpec, name: str, option: str, value: str, given_options: Mapping[str, str]
    ) -> str:
        """What is written for an option; a secret somebody typed may go into the keyring instead."""
        described = known_options(spec)[option]
        if option in given_options or not described.secret or parse_reference(value) is not None:
            return value
        if not keyring.is_installed():
            return value
        answer = self._prompt(
            f"Keep {option} in this system's keyring rather than in {self.path.name}? [yes] "
        )
        if answer is None or (answer.strip() and answer.strip().lower() not in _YES_ANSWERS):
            return value
        user = f"{name}.{option}"
        try:
            keyring.set_password(_KEYRING_SERVICE, user, value)
        except keyring.KeyringError as error:
            self.watcher.notice(f"{option} is stored in {self.path.name}: {error}")
            return value
        return f"${{keyring:{_KEYRING_SERVICE}/{user}}}"

    def _prompt(self, question: str, *, secret: bool = False) -> str | None:
        return self.watcher.ask_user(question, secret=secret)
