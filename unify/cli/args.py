"""The command line: what may be asked, and what was.

Options may stand before or after a subcommand. Statements (``-c``) and files (``-f``) run in the order
they were given.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

from unify.cli import usage
from unify.cli.usage import CommandHelp
from unify.errors import UsageError
from unify.render.formats.options import FORMATS
from unify.shell.invocation import Invocation, Step
from unify.text import did_you_mean

SHELLS = ("bash", "zsh", "fish")
# The words after ``unify``, each with those that may follow it.
COMMANDS = {
    "demo": (),
    "check": (),
    "spec": ("check", "try", "test"),
    "daemon": ("run", "start", "stop", "status"),
    "completion": SHELLS,
}


class HelpRequested(Exception):
    """--help or --version: ``text`` is all that was asked for."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def parse_arguments(arguments: Sequence[str]) -> Invocation:
    """Read the command line. Raises UsageError with what to do instead, or Help with what to print."""
    several = _RepeatableOptions()
    _reject_unknown_options(arguments, several)
    asked = vars(_build_parser(several).parse_args(arguments))
    asked.pop("action", None)  # the second word of a task of two
    words = tuple(asked.pop("words", ()))
    return Invocation(
        **asked,
        words=words,
        steps=tuple(several.steps),
        variables=tuple(several.variables),
        specs=tuple(several.specs),
        options=tuple(several.options),
    )


@dataclass(frozen=True, slots=True)
class _RepeatableOptions:
    """The options that may be given several times, in the order given, before and after a subcommand."""

    steps: list[Step] = field(default_factory=list)
    variables: list[tuple[str, str]] = field(default_factory=list)
    specs: list[str] = field(default_factory=list)
    options: list[tuple[str, str]] = field(default_factory=list)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in our words, as an exception."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(_rewrite_message(message))


class _AppendAction(argparse.Action):
    """Appends to a list that lives outside argparse, which would begin a new one at a subcommand."""

    def __init__(self, option_strings: Sequence[str], dest: str, *, into: list[Any], **rest: Any) -> None:
        super().__init__(option_strings, dest, **rest)
        self.into = into

    def __call__(self, _parser: object, _namespace: object, value: Any, _option: str | None = None) -> None:
        self.into.append(value)


class _PrintAction(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, **rest: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **rest)

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from unify.version import VERSION

        raise HelpRequested(
            f"unify {VERSION}\n" if "--version" in self.option_strings else _help_text(parser)
        )


def _help_text(parser: argparse.ArgumentParser) -> str:
    """All there is for ``unify`` itself; of a command what is its own, since all take the same options."""
    if parser.prog == "unify":
        return re.sub(
            r"\n +\n", "\n", parser.format_help()
        )  # argparse's head of the commands, which has no name
    return f"usage: {parser.usage}\n\n{parser.description}\n\nunify --help lists the options.\n"


def _build_parser(repeatable: _RepeatableOptions) -> argparse.ArgumentParser:
    options = _build_option_parser(repeatable)
    root = _Parser(
        prog="unify",
        usage=usage.USAGE,
        epilog=usage.EPILOG,
        parents=[options],
        add_help=False,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tasks = root.add_subparsers(title="commands", metavar="", prog="unify", parser_class=_Parser)
    _add_command(tasks, options, "demo", "try it on a sample API", usage.DEMO)
    check = _add_command(tasks, options, "check", "validate connections and credentials", usage.CHECK)
    check.add_argument("words", nargs="*", metavar="CONNECTION")
    spec = _add_command_group(tasks, "spec", "check, try and test specs", usage.SPEC)
    spec_check = _add_command(spec, options, "spec check", "validate adapter specs", usage.SPEC_CHECK)
    spec_check.add_argument("words", nargs="+", metavar="FILE")
    spec_try = _add_command(
        spec, options, "spec try", "fetch a page and show what comes of it", usage.SPEC_TRY
    )
    spec_try.add_argument("words", nargs=2, metavar="FILE TABLE")
    spec_test = _add_command(spec, options, "spec test", "run the recorded cases of specs", usage.SPEC_TEST)
    spec_test.add_argument("words", nargs="+", metavar="FILE")
    daemon = _add_command_group(tasks, "daemon", "the background loader", usage.DAEMON)
    _add_command(daemon, options, "daemon run", "run it in the foreground", usage.DAEMON)
    _add_command(daemon, options, "daemon start", "start it in the background", usage.DAEMON)
    _add_command(daemon, options, "daemon stop", "stop it; its loads are continued by the next", usage.DAEMON)
    _add_command(daemon, options, "daemon status", "say whether it runs; exit 1 if not", usage.DAEMON)
    completion = _add_command(
        tasks, options, "completion", "a script that completes all this", usage.COMPLETION
    )
    completion.add_argument("words", nargs=1, choices=SHELLS, metavar="|".join(SHELLS))
    return root


@dataclass(frozen=True, slots=True)
class CommandLineOption:
    """An option as a shell completes it: ``choices`` of its value; ``takes`` is what its value is called."""

    names: tuple[str, ...]
    help: str
    value_name: str = ""
    choices: tuple[str, ...] = ()


def known_options() -> tuple[CommandLineOption, ...]:
    """Every option there is."""
    return tuple(
        CommandLineOption(
            tuple(action.option_strings),
            action.help or "",
            "" if action.nargs == 0 else str(action.metavar or action.dest).upper(),
            tuple(action.choices or ()),
        )
        for action in _build_option_parser(_RepeatableOptions())._actions
    )


def _add_command_group(tasks: Any, word: str, help: str, command_help: CommandHelp) -> Any:
    """A command of two words: the second is an action of the first."""
    parser = tasks.add_parser(
        word,
        add_help=False,
        allow_abbrev=False,
        help=help,
        usage=command_help.usage,
        description=command_help.description,
    )
    parser.add_argument("-h", "--help", action=_PrintAction, default=argparse.SUPPRESS)
    actions = "|".join(COMMANDS[word])
    return parser.add_subparsers(
        metavar=actions, required=True, dest="action", prog=f"unify {word}", parser_class=_Parser
    )


def _add_command(
    tasks: Any, options: argparse.ArgumentParser, task: str, help: str, command_help: CommandHelp
) -> _Parser:
    parser = tasks.add_parser(
        task.rpartition(" ")[2],
        parents=[options],
        add_help=False,
        allow_abbrev=False,
        help=help,
        usage=command_help.usage,
        description=command_help.description,
    )
    parser.set_defaults(task=task)
    return cast("_Parser", parser)


def _build_option_parser(repeatable: _RepeatableOptions) -> argparse.ArgumentParser:
    """Every option, none with a default: an option not given must not undo one given before."""
    options = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    add = options.add_argument
    steps: dict[str, Any] = {"action": _AppendAction, "into": repeatable.steps}
    add("-c", metavar="STATEMENTS", type=_statements_step, help="run these and exit; repeatable", **steps)
    add("-f", metavar="FILE", type=_file_step, help="run a script; - is stdin; repeatable", **steps)
    add("--format", choices=FORMATS, help="default: box on a terminal, csv elsewhere")
    add("-o", "--output", metavar="FILE", help="write rows to FILE, in the format of its suffix")
    add("--no-header", dest="header", action="store_false", help="no column names")
    add("--null", metavar="TEXT", help="what stands for NULL")
    add("--max-rows", metavar="N", type=_parse_row_count, help="show at most N rows of a result")
    add("-q", "--quiet", action="store_true", help="no progress, no notices")
    add("--echo", action="store_true", help="show each statement on stderr before it runs")
    variables: dict[str, Any] = {"action": _AppendAction, "into": repeatable.variables}
    add("--var", metavar="NAME=VALUE", type=_parse_variable, help="set $NAME; repeatable", **variables)
    add("--keep-going", action="store_true", help="go on after a failed statement")
    add("--home", metavar="DIR", help="where tables, queue and daemon live")
    add("--connections", metavar="FILE", help="default: ./connections.yaml, else the home folder's")
    specs: dict[str, Any] = {"action": _AppendAction, "into": repeatable.specs}
    add("--specs", metavar="DIR", help="read adapter specs from here first; repeatable", **specs)
    supplied: dict[str, Any] = {"action": _AppendAction, "into": repeatable.options}
    add(
        "--option", metavar="NAME=VALUE", type=_parse_option, help="for spec try: an option of it", **supplied
    )
    add("--tenant", metavar="NAME", help="whose tables these are")
    add("--max-age", metavar="DURATION", help="wait for data this fresh; 0 always, none never")
    add("--no-wait", dest="wait", action="store_false", help="do not wait for loads")
    add("--debug", action="store_true", help="show where an error comes from")
    add("-h", "--help", action=_PrintAction, help="show this and exit")
    add("--version", action=_PrintAction, help="show the version and exit")
    return options


def _statements_step(text: str) -> Step:
    """Statements are UTF-8, whatever the locale has made of their bytes."""
    try:
        return Step("statements", os.fsencode(text).decode())
    except UnicodeError as error:
        raise argparse.ArgumentTypeError("the statements are not UTF-8") from error


def _file_step(path: str) -> Step:
    return Step("file", path)


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
        raise argparse.ArgumentTypeError("an option is written NAME=VALUE")  # the text may hold a secret
    return name, value


_HINT = " (unify --help shows what there is)"
_INVALID_CHOICE = re.compile(
    r"(?:argument (?P<where>.*): )?invalid choice: '(?P<given>.*)' \(choose from (?P<known>.*)\)"
)


def _reject_unknown_options(arguments: Sequence[str], repeatable: _RepeatableOptions) -> None:
    """Name an option that does not exist before argparse takes its value for a command."""
    known = [name for action in _build_option_parser(repeatable)._actions for name in action.option_strings]
    for argument in arguments:
        name = argument.partition("=")[0]
        if argument.startswith("--") and " " not in argument and name not in known and name != "--":
            raise UsageError(f"unknown option {name}{did_you_mean(name, known) or _HINT}")


def _rewrite_message(message: str) -> str:
    """argparse's sentence in our words, with the nearest thing there is."""
    choice = _INVALID_CHOICE.match(message)
    if not choice:
        return message.replace("unrecognized arguments:", "there is no place for") + _HINT
    given, known = choice["given"], re.findall(r"[\w-]+", choice["known"])
    if (choice["where"] or "").startswith("--"):
        return f"{choice['where']}: there is no {given!r}; there are {', '.join(known)}"
    if given.endswith(".sql"):
        return f"unify -f {given} runs a file; {given!r} alone is no command"
    if " " in given:
        return "statements go after -c: unify -c 'select 1'"
    there_are = f"; there are {', '.join(known)}" if choice["where"] else _HINT
    return f"there is no command {given!r}{did_you_mean(given, known) or there_are}"
