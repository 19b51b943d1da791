"""What ``unify --help`` and each command's ``--help`` say."""

from __future__ import annotations

from dataclasses import dataclass

USAGE = """\
unify [OPTIONS]                   interactive shell (a script on stdin when stdin is no terminal)
       unify -c "STATEMENTS"             run and exit; repeatable
       unify -f FILE                     run a script; - is stdin; repeatable
       unify demo [OPTIONS]              the same shell on a bundled sample API, nothing left behind
       unify check [CONNECTION ...]      validate connections and credentials
       unify spec check FILE ...         validate adapter specs
       unify spec try FILE TABLE [--option NAME=VALUE ...]   fetch a page and show what comes of it
       unify spec test FILE ...          run the recorded cases of adapter specs
       unify daemon run|start|stop|status
       unify completion bash|zsh|fish    what the shell reads to complete unify's own command line"""
EPILOG = """\
Rows go to stdout, everything else to stderr. Exit status: 0 all done; 1 a statement or load failed;
2 usage or configuration; 130 interrupted.
Environment: UNIFY_HOME, UNIFY_CONNECTIONS, UNIFY_SPECS, UNIFY_TENANT, NO_COLOR."""


@dataclass(frozen=True, slots=True)
class CommandHelp:
    """What ``--help`` says of a command."""

    usage: str
    description: str


DEMO = CommandHelp(
    "unify demo [OPTIONS]",
    "The shell, or what -c and -f say, on a sample GitHub that runs on this machine: no account, no\n"
    "internet, and when it ends nothing is left behind.",
)
CHECK = CommandHelp(
    "unify check [CONNECTION ...] [OPTIONS]",
    "Asks each connection of connections.yaml, or those named, whether its credentials are taken; one\n"
    "line each. Exit status 1 if any fails.",
)
SPEC = CommandHelp(
    "unify spec check|try|test FILE ... [OPTIONS]",
    "  check FILE ...    validate adapter specs\n"
    "  try FILE TABLE    fetch a page and show what comes of it\n"
    "  test FILE ...     run the recorded cases of adapter specs",
)
SPEC_CHECK = CommandHelp(
    "unify spec check FILE ... [OPTIONS]",
    "Validates adapter specs: file:line:column: key: what is wrong, and the nearest right key. Nothing is\n"
    "asked of any API. Exit status 1 if any is wrong.",
)
SPEC_TRY = CommandHelp(
    "unify spec try FILE TABLE [--option NAME=VALUE ...] [OPTIONS]",
    "Fetches a page of a table as the spec FILE says, and shows the request, the columns and some rows.\n"
    "Nothing is stored. --option gives what a connection would: --option token='${GITHUB_TOKEN}'.",
)
SPEC_TEST = CommandHelp(
    "unify spec test FILE ... [OPTIONS]",
    "Runs the recorded cases of adapter specs: answers from a file go in, rows have to come out. Nothing\n"
    "is asked of any API. Exit status 1 if any fails.",
)
DAEMON = CommandHelp(
    "unify daemon run|start|stop|status [OPTIONS]",
    "  run       run it in the foreground, as a service does\n"
    "  start     start it in the background; any shell does so by itself\n"
    "  stop      stop it; its loads are continued by the next\n"
    "  status    say whether it runs; exit status 1 if not",
)
COMPLETION = CommandHelp(
    "unify completion bash|zsh|fish",
    "Prints what the shell reads to complete unify's own command line:\n"
    "  bash    source <(unify completion bash)\n"
    "  zsh     unify completion zsh > FOLDER/_unify, a folder of $fpath\n"
    "  fish    unify completion fish | source",
)
