"""``connect`` and ``disconnect``: test the credentials of a connection, then write it to connections.yaml.

Missing options are prompted for at a terminal; elsewhere they are an error that lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.adapters import registry
from unify.adapters.auth.token_cache import TokenCacheFolder
from unify.adapters.built_in import built_in_names, find_built_in, find_sender
from unify.adapters.options import check_options, check_plugin_options, known_options
from unify.adapters.spec import loader
from unify.config import connections_edit, keyring, trust
from unify.config.connections import Connection
from unify.config.secrets import parse_reference
from unify.errors import ConfigError, SignInNeeded, SourceError, UnifyError, UnknownName
from unify.interpreter import adapter_access
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.results import Message, Watcher
from unify.text import did_you_mean, format_count

if TYPE_CHECKING:
    from unify.adapters.base import Check
    from unify.adapters.spec.elements import Option

_KEYRING_SERVICE = "unify"
_YES_ANSWERS = frozenset({"y", "yes"})


class ConnectTarget(Struct, frozen=True):
    """An adapter to connect to: a spec, or a built-in adapter of a database or store.

    ``asked``   the options that a user is prompted for.
    ``known``   all options that a connection may set, by name.
    ``tables``  the number of its tables; None for a database or store, which has its own.
    ``next``    a statement that uses a connection with the name {name}.
    """

    name: str
    asked: Sequence[Option]
    known: Mapping[str, Option]
    check: Callable[[Connection], None]
    tables: int | None = None
    next: str = "show tables from {name}"


class ConnectionCommands:
    """Changes connections.yaml, interactively or by one statement."""

    def __init__(self, connections: ConnectionCatalog, watcher: Watcher) -> None:
        self.connections = connections
        self.watcher = watcher
        self.path = connections.settings.connections

    def connect(self, adapter: str | None, name: str | None, given_options: Mapping[str, str]) -> Message:
        """Add a connection if the API accepts its credentials, or sign in again to an existing one.

        Without ``given_options`` the user is prompted for all options, else for the missing required ones.
        Raises  ConfigError listing the missing options if there is no terminal; SourceError if the
                credentials are refused. Then nothing is saved.
        """
        if adapter is not None and name is None and not given_options and self._requires_sign_in(adapter):
            return self._sign_in_again(adapter)
        guided = adapter is None or not given_options
        target = self._find_target(adapter or self._prompt_adapter())
        name = self._choose_name(target, name, guided=guided)
        self._refuse_unknown_options(target, name, given_options)
        asked = self._prompt_missing_options(target, name, given_options, guided=guided)
        options = {**given_options, **asked}
        connection = connections_edit.preview_connection(self.path, name, target.name, options)
        target.check(connection)
        identity = self._test_credentials(connection)
        stored = {
            option: self._choose_stored_value(target, name, option, options[option], given_options)
            for option in options
        }
        with trust.keep_trust(self.connections.settings):
            connections_edit.add_connection(self.path, name, target.name, stored)
        self.connections.invalidate()
        tables = f": {format_count(target.tables, 'table')}" if target.tables is not None else ""
        return Message(f"{name} is saved in {self.path}{identity}{tables} ({target.next.format(name=name)})")

    def disconnect(self, name: str) -> str:
        """Remove a connection and its tokens; return its name as written. Raises UnknownName."""
        self._sign_out(name)
        with trust.keep_trust(self.connections.settings):
            known = connections_edit.remove_connection(self.path, name)
        TokenCacheFolder(self.connections.settings.token_folder, known).delete_all()
        self.connections.invalidate()
        return known

    def _find_target(self, adapter: str) -> ConnectTarget:
        """Raises UnknownName with the nearest name."""
        folders = self.connections.settings.specs
        built_in = find_built_in(adapter)
        if built_in is not None and adapter not in loader.known_specs(folders):
            options = built_in.adapter_class().takes
            known = {option.name: option for option in options}
            return ConnectTarget(
                adapter,
                built_in.asked_options(),
                known,
                lambda one: check_plugin_options(one, options),
                next="show tables from {name}; with writable: true in the file, statements may change it",
            )
        sender = find_sender(adapter)
        if sender is not None and adapter not in loader.known_specs(folders):
            options = sender.adapter_class.takes
            known = {option.name: option for option in options}
            return ConnectTarget(
                adapter,
                options,
                known,
                lambda one: check_plugin_options(one, options),
                next="export (SELECT …) to {name} 'ADDRESS'",
            )
        try:
            spec = loader.load_spec(loader.find_spec(adapter, folders))
        except UnknownName as error:
            hint = did_you_mean(adapter, built_in_names())
            raise UnknownName(f"unknown adapter {adapter}{hint}" if hint else error.message) from error
        return ConnectTarget(
            spec.name,
            spec.options,
            known_options(spec),
            lambda one: check_options(one, spec),
            len(spec.tables),
        )

    def _prompt_adapter(self) -> str:
        known = {*loader.known_specs(self.connections.settings.specs), *built_in_names()}
        self.watcher.notice("Available adapters: " + ", ".join(sorted(known)))
        answer = self._prompt("Adapter: ")
        if answer is None:
            names = ", ".join(sorted(known))
            raise ConfigError(
                f"connect ADAPTER as NAME with OPTION = '…': specify one of the adapters {names}"
            )
        return answer.strip()

    def _choose_name(self, target: ConnectTarget, name: str | None, *, guided: bool) -> str:
        """Return the name of the new connection. Raises ConfigError if it is in use or invalid."""
        default = target.name
        taken = {known.lower() for known in self.connections.names}
        if name is None and guided:
            number = 2
            while default.lower() in taken:
                default, number = f"{target.name}{number}", number + 1
            name = (self._prompt(f"Name of the connection, its schema in SQL [{default}]: ") or "").strip()
        name = name or default
        if name.lower() in taken:
            raise ConfigError(
                f"connection {name} exists already; connect {target.name} as another name, "
                f"or disconnect {name}"
            )
        connections_edit.preview_connection(self.path, name, target.name, {})
        return name

    def _refuse_unknown_options(
        self, target: ConnectTarget, name: str, given_options: Mapping[str, str]
    ) -> None:
        known = target.known
        for option in given_options:
            if option not in known:
                own = ", ".join(option.name for option in target.asked) or "none"
                hint = did_you_mean(option, known) or f"; its options are {own}"
                raise ConfigError(f"{name}: adapter {target.name} has no option {option}{hint}")

    def _prompt_missing_options(
        self, target: ConnectTarget, name: str, given_options: Mapping[str, str], *, guided: bool
    ) -> Mapping[str, str]:
        """Prompt for the options that were not given: all if ``guided``, else the required ones."""
        answers: dict[str, str] = {}
        unanswered: list[Option] = []
        for option in target.asked:
            if option.name in given_options or not (guided or option.needs_value):
                continue
            answer = self._prompt_option(target, option)
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
                        f"{name}: not saved, because options of {target.name} are missing:",
                        *lines,
                        f"write: connect {target.name} as {name} with {example}",
                    ]
                )
            )
        return answers

    def _prompt_option(self, target: ConnectTarget, option: Option) -> str:
        """Prompt for one option; "" omits it. A secret may be a reference."""
        variable = f"{target.name}_{option.name}".upper()
        default = option.default or ""
        if option.secret and self.connections.environment.get(variable):
            default = f"${{{variable}}}"
        hints = filter(
            None,
            [option.description, "a value, or ${NAME} for an environment variable" if option.secret else ""],
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
        """Test the credentials; return the identity, for the message. The user may save refused ones."""
        try:
            check = self._check_credentials(connection)
            reason = "" if check.accepted else check.reason or "the credentials were refused"
        except SourceError as error:
            check, reason = None, error.message
        if check is not None and not reason:
            return f", authenticated as {check.identity}" if check.identity else ""
        if self.watcher.user_prompt() is None:
            raise SourceError(f"{connection.name} is not saved: {reason}")
        self.watcher.notice(f"{connection.name}: {reason}")
        answer = self._prompt("Save it anyway? [no] ")
        if answer is None or answer.strip().lower() not in _YES_ANSWERS:
            raise SourceError(f"{connection.name} is not saved")
        return " without working credentials"

    def _check_credentials(self, connection: Connection) -> Check:
        if registry.is_relational(connection, self.connections.settings.specs):
            environment, redactor = self.connections.environment, self.connections.redactor
            with redactor.redact_errors():
                return registry.check_relational(connection, environment, redactor)
        with adapter_access.open_adapter(self.connections, connection) as adapter:
            return adapter_access.check_credentials(adapter, self.watcher, connection.name)

    def _requires_sign_in(self, name: str) -> bool:
        return self.connections.has(name) and adapter_access.requires_sign_in(
            self.connections, self.connections.connection(name)
        )

    def _sign_in_again(self, name: str) -> Message:
        """Raises SignInNeeded without a terminal."""
        connection = self.connections.connection(name)
        prompt = self.watcher.user_prompt()
        if prompt is None:
            raise SignInNeeded(f"{connection.name}: sign-in requires a terminal")
        with adapter_access.open_adapter(self.connections, connection) as adapter:
            adapter_access.sign_in(adapter, prompt, connection.name)
            check = adapter_access.check_credentials(adapter, self.watcher, connection.name)
        if not check.accepted:
            raise SourceError(f"{connection.name}: {check.reason or 'the credentials were refused'}")
        identity = f" as {check.identity}" if check.identity else ""
        return Message(f"{connection.name}: signed in{identity}")

    def _sign_out(self, name: str) -> None:
        """Delete the tokens of a connection, if it can be opened."""
        with suppress(UnifyError):
            connection = self.connections.connection(name)
            if adapter_access.requires_sign_in(self.connections, connection):
                with adapter_access.open_adapter(self.connections, connection) as adapter:
                    adapter.sign_out()

    def _choose_stored_value(
        self, target: ConnectTarget, name: str, option: str, value: str, given_options: Mapping[str, str]
    ) -> str:
        """Return the value to write; a secret typed at a prompt may be stored in the keyring instead."""
        described = target.known[option]
        if option in given_options or not described.secret or parse_reference(value) is not None:
            return value
        if not keyring.is_installed():
            return value
        answer = self._prompt(f"Store {option} in the system keyring instead of {self.path.name}? [yes] ")
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
