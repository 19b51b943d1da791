"""Parses the command line to an Invocation.

Options can stand before or after a command. Statements (``-c``) and files (``-f``) run in the order given.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from msgspec import Struct, field

from unify.cli import usage
from unify.durations import parse_duration
from unify.errors import UsageError
from unify.render.formats.options import FORMATS
from unify.shell.invocation import ALL_OPERATIONS, Invocation, Step
from unify.sizes import parse_size
from unify.text import did_you_mean

ROW_OPERATIONS = (
    "insert",
    "update",
    "delete",
    "upsert",
    "restore",
)  # those of ``adapters.spec``, imported later
IMPORT_FORMATS = ("airbyte", "openapi", "dlt", "postman", "har", "curl")  # those of ``importers``, likewise
_FIRST_WORDS = frozenset(task.partition(" ")[0] for task in usage.COMMAND_HELP)
ROLES = ("reader", "loader", "writer")  # those of ``servers.users``, which is imported later


class HelpRequested(Exception):
    """``--help`` or ``--version`` was given; ``text`` is the text to print."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def parse_arguments(arguments: Sequence[str]) -> Invocation:
    """Parse the command line. Raises UsageError, or HelpRequested with the text to print."""
    if not any(argument in _FIRST_WORDS for argument in arguments):
        with suppress(UsageError, HelpRequested):  # whose text has to name the commands
            return _parse(arguments, with_commands=False)
    return _parse(arguments, with_commands=True)


def _parse(arguments: Sequence[str], *, with_commands: bool) -> Invocation:
    """Parse the command line; without commands, whose parsers take as long as all other steps."""
    repeatable = _RepeatableOptions()
    options = _build_option_parser(repeatable)
    _reject_unknown_options(arguments, options)
    values = vars(_build_parser(options, arguments, with_commands=with_commands).parse_args(arguments))
    values.pop("action", None)  # the second word of a command; ``task`` has both
    if (group := values.pop("group", "")) and "task" not in values:
        about = usage.COMMAND_HELP[group]
        words = "|".join(usage.second_words(group))
        raise UsageError(f"{group}: {words} is missing\nusage: {about.usage}\n\n{about.description}")
    return Invocation(
        **{**values, "words": tuple(values.get("words", ()))},
        steps=tuple(repeatable.steps),
        variables=tuple(repeatable.variables),
        specs=tuple(repeatable.specs),
        options=tuple(repeatable.options),
        tables=tuple(repeatable.tables),
    )


class _RepeatableOptions(Struct, frozen=True):
    """Values of options that can be given several times, in order, before and after a command."""

    steps: list[Step] = field(default_factory=list)
    variables: list[tuple[str, str]] = field(default_factory=list)
    specs: list[str] = field(default_factory=list)
    options: list[tuple[str, str]] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)


class _Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would print a message and exit."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(_rewrite_message(message))


class _AppendAction(argparse.Action):
    """Appends to a list outside argparse, which would start a new list at each command."""

    def __init__(self, option_strings: Sequence[str], dest: str, *, into: list[Any], **rest: Any) -> None:
        super().__init__(option_strings, dest, **rest)
        self.into = into

    def __call__(self, _parser: object, _namespace: object, value: Any, _option: str | None = None) -> None:
        self.into.append(value)


class _PrintAction(argparse.Action):
    """``--help`` and ``--version``."""

    def __init__(self, option_strings: Sequence[str], dest: str, **rest: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **rest)

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from unify.version import VERSION

        raise HelpRequested(
            f"unify {VERSION}\n" if "--version" in self.option_strings else _help_text(parser)
        )


def _help_text(parser: argparse.ArgumentParser) -> str:
    """Return the full help of ``unify``, or the usage of a command without the options all commands share."""
    if parser.prog == "unify":
        return re.sub(
            r"\n +\n", "\n", parser.format_help()
        )  # without argparse's empty metavar of the commands
    return f"usage: {parser.usage}\n\n{parser.description}\n\nunify --help lists the options.\n"


def _argument_formatter(prog: str) -> argparse.HelpFormatter:
    """The formatter that checks each added option. Without a width it would import shutil, 2 ms."""
    return argparse.HelpFormatter(prog, width=80)


def _build_parser(
    options: argparse.ArgumentParser, arguments: Sequence[str], *, with_commands: bool
) -> argparse.ArgumentParser:
    """Return the parser of the command line; only commands that ``arguments`` name get their options."""
    root = _Parser(
        prog="unify",
        usage=usage.USAGE,
        epilog=usage.EPILOG,
        parents=[options],
        add_help=False,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if not with_commands:
        return root
    commands: Any = root.add_subparsers(title="commands", metavar="", prog="unify", parser_class=_Parser)
    groups: dict[str, Any] = {"": commands}
    for task, about in usage.COMMAND_HELP.items():
        group, _, word = task.rpartition(" ")
        actions = () if about.choices else usage.second_words(task)
        parser = groups[group].add_parser(
            word,
            parents=[options] if word in arguments and not actions else [],
            add_help=False,
            allow_abbrev=False,
            help=about.summary,
            usage=about.usage,
            description=about.description,
        )
        if actions:
            parser.add_argument("-h", "--help", action=_PrintAction, default=argparse.SUPPRESS)
            parser.set_defaults(group=task)
            groups[task] = parser.add_subparsers(
                metavar="|".join(actions),
                dest="action",
                prog=f"unify {task}",
                parser_class=_Parser,
            )
            continue
        parser.set_defaults(task=task)
        if about.arguments:
            nargs, metavar = about.arguments
            parser.add_argument("words", nargs=nargs, metavar=metavar, choices=about.choices)
    return root


class CommandLineOption(Struct, frozen=True):
    """An option for shell completion. ``value_name`` is "" for a switch."""

    names: tuple[str, ...]
    help: str
    value_name: str = ""
    choices: tuple[str, ...] = ()


def known_options() -> tuple[CommandLineOption, ...]:
    """Return every option."""
    return tuple(
        CommandLineOption(
            tuple(action.option_strings),
            action.help or "",
            "" if action.nargs == 0 else str(action.metavar or action.dest).upper(),
            tuple(action.choices or ()),
        )
        for action in _build_option_parser(_RepeatableOptions())._actions
    )


def _build_option_parser(repeatable: _RepeatableOptions) -> argparse.ArgumentParser:
    """Return a parser of all options, without defaults: a default would override a value given earlier."""
    options = _Parser(add_help=False, argument_default=argparse.SUPPRESS, formatter_class=_argument_formatter)
    add = options.add_argument

    def add_repeatable(name: str, into: list[Any], **rest: Any) -> None:
        add(name, action=_AppendAction, into=into, **rest)

    _add_statement_options(add, add_repeatable, repeatable)
    _add_home_options(add)
    _add_server_options(add)
    _add_file_options(add, add_repeatable, repeatable)
    _add_import_options(add, add_repeatable, repeatable)
    _add_try_options(add)
    _add_session_options(add)
    return options


def _add_statement_options(
    add: Callable[..., Any], add_repeatable: Callable[..., Any], repeatable: _RepeatableOptions
) -> None:
    """The statements to run, their output, and what they may do."""
    add_repeatable(
        "-c", repeatable.steps, metavar="STATEMENTS", type=_statements_step, help="run and exit; repeatable"
    )
    add_repeatable(
        "-f", repeatable.steps, metavar="FILE", type=_file_step, help="run a script; - is stdin; repeatable"
    )
    add("--format", choices=FORMATS, help="default: box on a terminal, csv elsewhere")
    add("-o", "--output", metavar="FILE", help="write rows to FILE in the format of its suffix")
    add("--no-header", dest="header", action="store_false", help="omit column names")
    add("--null", metavar="TEXT", help="text of NULL")
    add("--max-rows", metavar="N", type=_parse_row_count, help="show at most N rows of a result")
    add("-q", "--quiet", action="store_true", help="omit progress and notices")
    add("--echo", action="store_true", help="write each statement to stderr before it runs")
    add_repeatable(
        "--var",
        repeatable.variables,
        metavar="NAME=VALUE",
        type=_parse_variable,
        help="set $NAME; repeatable",
    )
    add("--keep-going", action="store_true", help="continue after a failed statement")
    add("--strict", action="store_true", help="treat a load that discards rows as an error")
    add("--yes", action="store_true", help="do what a command would ask about, such as remove")
    add("--max-writes", metavar="N", type=_parse_row_count, help="rows that one statement may write")
    add("--max-deletes", metavar="N", type=_parse_row_count, help="rows that one statement may delete")


def _add_home_options(add: Callable[..., Any]) -> None:
    """The options of check, lake check, backup and restore."""
    add("--loads", action="store_true", help="for check: report the last load of each table")
    add("--deep", action="store_true", help="for lake check: read the data files whole")
    add("--repair", action="store_true", help="for lake check: repair what can be repaired without loss")
    add("--force", action="store_true", help="for backup, restore, spec import: replace what is there")
    add("--with-tokens", action="store_true", help="for backup: include the tokens of sign-ins")
    add(
        "--without-connections",
        dest="with_connections",
        action="store_false",
        help="for backup and restore: leave out connections.yaml and notify.yaml",
    )
    add(
        "--with-connections",
        dest="with_connections",
        action="store_true",
        help="for restore: use connections.yaml and notify.yaml of the archive",
    )


def _add_file_options(
    add: Callable[..., Any], add_repeatable: Callable[..., Any], repeatable: _RepeatableOptions
) -> None:
    """The home folder, connections and specs."""
    add("--home", metavar="DIR", help="folder of tables, queue and daemon")
    add("--connections", metavar="FILE", help="default: ./connections.yaml, else the home folder's")
    add_repeatable(
        "--specs", repeatable.specs, metavar="DIR", help="folder of adapter specs, read first; repeatable"
    )
    add_repeatable(
        "--option",
        repeatable.options,
        metavar="NAME=VALUE",
        type=_parse_option,
        help="for spec try: an option of the connection; for spec import: a default",
    )


def _add_try_options(add: Callable[..., Any]) -> None:
    """The options of ``spec try``."""
    add(
        "--pages",
        metavar="N",
        type=_parse_page_count,
        help="for spec try: fetch N pages, and show how they end",
    )
    add(
        "--write",
        nargs="?",
        const=ALL_OPERATIONS,
        choices=(*ROW_OPERATIONS, ALL_OPERATIONS),
        help="for spec try: show the requests that write rows, and send nothing",
    )
    add("--rows", metavar="FILE", help="for spec try --write: rows as JSON, or a file; for mcp: number")


def _add_session_options(add: Callable[..., Any]) -> None:
    """Tenant, freshness and waiting, and the options of every command."""
    add("--tenant", metavar="NAME", help="use a separate home folder of this name")
    add("--max-age", metavar="DURATION", help="wait for data this fresh; 0 always, none never")
    add(
        "--wait",
        dest="wait_limit_s",
        metavar="DURATION",
        type=_parse_wait,
        help="wait for loads at most this long; they go on",
    )
    add("--no-wait", dest="wait", action="store_false", help="do not wait for loads")
    add("--debug", action="store_true", help="show tracebacks of errors")
    add("-h", "--help", action=_PrintAction, help="show this help and exit")
    add("--version", action=_PrintAction, help="show the version and exit")


def _add_import_options(
    add: Callable[..., Any], add_repeatable: Callable[..., Any], repeatable: _RepeatableOptions
) -> None:
    """The options of ``spec import``."""
    add("--from", dest="from_format", choices=IMPORT_FORMATS, help="for spec import: format of the files")
    add("--name", metavar="NAME", help="for spec import: name of the adapter")
    add_repeatable(
        "--tables",
        repeatable.tables,
        metavar="GLOB",
        help="for spec import: tables to take, with their parents; repeatable",
    )
    add("--auth", metavar="NAME", help="for spec import: authentication, if the source offers several")
    add("--live", action="store_true", help="for spec import: GET /x/{id} becomes a live table")
    add("--report", choices=("text", "json"), help="for spec import: form of the report")


def _add_server_options(add: Callable[..., object]) -> None:
    """Add the options of serve, user add and mcp."""
    add("--http", metavar="[HOST:]PORT", help="for serve: address of the HTTP server")
    add("--postgres", metavar="[HOST:]PORT", help="for serve: address of the server for PostgreSQL clients")
    add("--cert", metavar="FILE", help="for serve: certificate chain for TLS, PEM")
    add("--key", metavar="FILE", help="for serve: private key for TLS, PEM")
    add("--open-metrics", action="store_true", help="for serve: answer /metrics without a token")
    add("--schemas", type=_parse_names, metavar="S,...", help="for user add and mcp: the schemas to be read")
    add("--bytes", type=_parse_bytes, metavar="SIZE", help="for serve and mcp: maximum size of a result")
    add("--seconds", type=_parse_wait, metavar="N", help="for serve and mcp: time limit of a statement")
    add("--calls", type=_parse_row_count, metavar="N", help="for mcp: API requests that agents may cause")
    add(
        "--allow-writes",
        choices=("propose",),
        metavar="propose",
        help="for mcp: agents may plan writes; a person approves them",
    )
    add("--role", choices=ROLES, help="for user add: what the user may do; default: reader")
    add(
        "--password",
        action="store_true",
        help="for user add: ask for a password for PostgreSQL clients; default: the token",
    )


def _statements_step(text: str) -> Step:
    """Decode statements as UTF-8, whatever the locale."""
    try:
        return Step("statements", os.fsencode(text).decode())
    except UnicodeError as error:
        raise argparse.ArgumentTypeError("the statements are not UTF-8") from error


def _file_step(path: str) -> Step:
    return Step("file", path)


def _parse_page_count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of pages")
    return int(text)


def _parse_wait(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parse_names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of names, such as github,stripe")
    return names


def _parse_bytes(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parse_row_count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows")
    return int(text)


def _parse_variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    name = name.removeprefix("$")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _parse_option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError("must be NAME=VALUE")  # the text is not shown: it may hold a secret
    return name, value


_HINT = " (see unify --help)"
_INVALID_CHOICE = re.compile(
    r"(?:argument (?P<where>.*): )?invalid choice: '(?P<given>.*)' \(choose from (?P<known>.*)\)"
)


def _reject_unknown_options(arguments: Sequence[str], options: argparse.ArgumentParser) -> None:
    """Report an unknown option before argparse takes its value for a command. Raises UsageError."""
    known = [name for action in options._actions for name in action.option_strings]
    for argument in arguments:
        name = argument.partition("=")[0]
        if argument.startswith("--") and " " not in argument and name not in known and name != "--":
            raise UsageError(f"unknown option {name}{did_you_mean(name, known) or _HINT}")


def _rewrite_message(message: str) -> str:
    """Rewrite a message of argparse, with the closest command or value."""
    choice = _INVALID_CHOICE.match(message)
    if not choice:
        return message.replace("unrecognized arguments:", "unknown argument") + _HINT
    given, known = choice["given"], re.findall(r"[\w-]+", choice["known"])
    values = ", ".join(known)
    if (choice["where"] or "").startswith("--"):
        return f"{choice['where']}: unknown value {given!r}; use one of {values}"
    if given.endswith(".sql"):
        return f"unknown command {given!r}; to run a file, use unify -f {given}"
    if " " in given:
        return "unexpected argument; to run statements, use unify -c 'select 1'"
    hint = f"; use one of {values}" if choice["where"] else _HINT
    return f"unknown command {given!r}{did_you_mean(given, known) or hint}"
