"""The commands of ``unify`` and the texts of ``--help``."""

from __future__ import annotations

from msgspec import Struct

USAGE = """\
unify [OPTIONS]                   interactive shell (a script on stdin when stdin is no terminal)
       unify -c "STATEMENTS"             run and exit; repeatable
       unify -f FILE                     run a script; - is stdin; repeatable
       unify demo [OPTIONS]              the shell on a bundled sample API, in a temporary home folder
       unify check [CONNECTION ...]      validate connections and credentials
       unify check --loads [CONNECTION ...]   report failed and overdue loads
       unify spec check FILE ...         validate adapter specs
       unify spec try FILE TABLE [--option NAME=VALUE ...] [--pages N]   fetch pages and show columns and rows
       unify spec try FILE TABLE --write [--rows ROWS]   show the requests that write rows; sends nothing
       unify spec test FILE ...          run the recorded cases of adapter specs
       unify spec import FILE ...        adapter spec from a manifest, an API description, curl or HAR
       unify daemon run|start|stop|status
       unify serve --http [HOST:]PORT    SQL, Prometheus metrics and health over HTTP
       unify serve --postgres [HOST:]PORT   SQL for PostgreSQL clients: psql, drivers, BI tools
       unify ui                          the page: tables, loads, schedules, writes, and a query box
       unify mcp [--http [HOST:]PORT]    tools for agents (Model Context Protocol) over stdio or HTTP
       unify user add|list|remove        users of the servers, and their tokens
       unify lake check [--deep] [--repair]   verify the home folder: catalog, data files, ledger, queue
       unify backup FILE                 write a verified backup of the home folder
       unify restore FILE                restore a backup into a new home folder
       unify trust [FILE ...]            use a connections.yaml that is new or changed in this folder
       unify completion bash|zsh|fish    print a completion script for the shell"""
EPILOG = """\
Rows go to stdout; progress, notices and errors go to stderr. Exit status: 0 success; 1 a statement or load
failed; 2 usage or configuration error; 130 interrupted.
Environment: UNIFY_HOME, UNIFY_CONNECTIONS, UNIFY_SPECS, UNIFY_TENANT, NO_COLOR, PAGER, EDITOR."""

SHELLS = ("bash", "zsh", "fish")


class CommandHelp(Struct, frozen=True):
    """The help of a command.

    ``summary``    its line in ``unify --help``.
    ``arguments``  its positional arguments, as argparse names them: nargs and metavar.
    """

    summary: str
    usage: str
    description: str
    arguments: tuple[str | int, str] | None = None
    choices: tuple[str, ...] | None = None


_DAEMON_USAGE = "unify daemon run|start|stop|status [OPTIONS]"
_DAEMON = """\
  run       run the daemon in the foreground, for a service manager
  start     start it in the background; a shell also does so when a load needs it
  stop      stop it; the next daemon continues its loads
  status    print whether it is running; exit status 1 if not"""

_USER_USAGE = "unify user add|list|remove [NAME] [--role reader|loader|writer] [OPTIONS]"
_USER = """\
  add NAME       add a user and print the token, once
  list           print names, roles and when they were added
  remove NAME    remove a user; the token is not valid any more"""

_LAKE_USAGE = "unify lake check [--deep] [--repair] [OPTIONS]"

# By command; one of two words follows the command of its first word.
COMMAND_HELP = {
    "demo": CommandHelp(
        "run the shell on a sample API",
        "unify demo [OPTIONS]",
        "Runs the shell, or the statements of -c and -f, on a sample GitHub API on this machine. Needs no\n"
        "account and no internet. The home folder is temporary and is deleted at the end.",
    ),
    "check": CommandHelp(
        "validate connections and credentials",
        "unify check [--loads] [CONNECTION ...] [OPTIONS]",
        "Tests the credentials of each connection in connections.yaml, or of those named, and prints a\n"
        "line for each. Exit status 1 if any fails.\n"
        "With --loads, sends no request and prints a line for each table that was loaded. Exit status 1 if\n"
        "the last load of a table failed or was held back, or if a scheduled refresh is overdue.",
        ("*", "CONNECTION"),
    ),
    "spec": CommandHelp(
        "validate, try and test adapter specs",
        "unify spec check|try|test|import FILE ... [OPTIONS]",
        "  check FILE ...    validate adapter specs\n"
        "  try FILE TABLE    show columns and rows of one page, or the requests that write rows\n"
        "  test FILE ...     run the recorded cases of adapter specs\n"
        "  import FILE ...   write a spec from an Airbyte manifest, OpenAPI, dlt, Postman, HAR or curl",
    ),
    "spec check": CommandHelp(
        "validate adapter specs",
        "unify spec check FILE ... [OPTIONS]",
        "Validates adapter specs and prints each error as file:line:column: key: message. Sends no\n"
        "requests. Exit status 1 if there are errors.",
        ("+", "FILE"),
    ),
    "spec try": CommandHelp(
        "fetch one page and show its columns and rows",
        "unify spec try FILE TABLE [--option NAME=VALUE ...] [--pages N | --write [OPERATION]] [OPTIONS]",
        "Fetches one page of a table of the spec FILE and shows the request, the columns and some rows;\n"
        "with --pages N so many pages, and how they end.\n"
        "Stores nothing. --option supplies an option of the connection: --option token='${GITHUB_TOKEN}'.\n"
        "With --write, shows the requests of insert, update, delete, upsert and restore (of a deleted row),\n"
        "or of the OPERATION, and sends nothing; secret options may be left out. The rows are examples, or\n"
        'those of --rows: JSON such as \'[{"title": "x"}]\', or a file of JSON, JSON lines or CSV. Rows to\n'
        "update, delete or restore are stored rows, with the new values of the columns that an update sets.",
        (2, "FILE TABLE"),
    ),
    "spec test": CommandHelp(
        "run the recorded cases of adapter specs",
        "unify spec test FILE ... [OPTIONS]",
        "Runs the recorded cases of adapter specs: reads responses from files and compares the rows.\n"
        "Sends no requests. Exit status 1 if a case fails.",
        ("+", "FILE"),
    ),
    "spec import": CommandHelp(
        "write a spec from a foreign description of an API",
        "unify spec import FILE ... [--from FORMAT] [--name NAME] [-o FILE|-] [--tables GLOB] [OPTIONS]",
        "Converts a description of an API to NAME.yaml: an Airbyte manifest, an OpenAPI document, a dlt\n"
        "rest_api configuration, a Postman collection, a HAR recording or curl commands. FILE is a file, or\n"
        "- for standard input. Sends no requests, runs no code of the files and writes no secrets. The spec\n"
        "is validated before it is written. Prints a report: tables, what is left and why, options.\n"
        "  --from FORMAT          airbyte|openapi|dlt|postman|har|curl; default: found from the content\n"
        "  --name NAME            name of the adapter\n"
        "  -o FILE                file to write; - is stdout, the report then goes to stderr\n"
        "  --tables GLOB          tables to take, with their parents; repeatable\n"
        "  --auth NAME            one of several ways to authenticate\n"
        "  --option NAME=VALUE    default of an option\n"
        "  --live                 also single objects (GET /x/{id}), as live tables with a required filter\n"
        "  --report text|json     form of the report\n"
        "  --force                replace a file that exists\n"
        "Exit status: 0 everything is taken; 1 something is left; 2 a file cannot be read or written.",
        ("+", "FILE"),
    ),
    "daemon": CommandHelp("manage the background loader", _DAEMON_USAGE, _DAEMON),
    "daemon run": CommandHelp("run it in the foreground", _DAEMON_USAGE, _DAEMON),
    "daemon start": CommandHelp("start it in the background", _DAEMON_USAGE, _DAEMON),
    "daemon stop": CommandHelp("stop it", _DAEMON_USAGE, _DAEMON),
    "daemon status": CommandHelp("print its status", _DAEMON_USAGE, _DAEMON),
    "serve": CommandHelp(
        "serve SQL over HTTP and to PostgreSQL clients; metrics and health",
        "unify serve [--http [HOST:]PORT] [--postgres [HOST:]PORT] [--cert FILE --key FILE]\n"
        "             [--bytes SIZE] [--seconds N] [--open-metrics] [OPTIONS]",
        "Runs in the foreground until SIGINT or SIGTERM, and writes events to stderr. Loads what statements\n"
        "of users with the role loader need. Needs pip install 'unify-sql[serve]' for --http, and\n"
        "'unify-sql[postgres-server]' for --postgres.\n"
        "  --postgres      psql, JDBC, ODBC, drivers and BI tools: SELECT and commands, by a user\n"
        "  POST /query     one SELECT, or a command such as show tables, by a user (unify user add NAME);\n"
        "                  rows as JSON, JSON lines, CSV or Arrow, by Accept\n"
        "  GET /metrics    metrics of daemon, queue, loads, tables and lake, for Prometheus\n"
        "  GET /           the page; sign in with the token of a user\n"
        "  GET /health     200 if the daemon runs and the lake can be read, else 503 with the reasons\n"
        "  --http          by default 127.0.0.1, which only this machine can reach; port 0 is a free one.\n"
        "                  Another host needs --cert, --key and a user (unify user add NAME)\n"
        "  --cert, --key   PEM files of the certificate chain and the private key, for TLS\n"
        "  --open-metrics  /metrics needs no token, although there are users; on loopback addresses only\n"
        "  --bytes, --seconds  maximum size of a result (10 GB), and time limit of a statement (1 hour)\n"
        "Exit status: 0 stopped by a signal; 2 usage error, such as a port that is in use.",
    ),
    "ui": CommandHelp(
        "open the page in a browser",
        "unify ui [--http PORT] [OPTIONS]",
        "Serves the page of this home on 127.0.0.1, prints its address and opens it in the browser of this\n"
        "desktop. The address signs in the owner of the home; it works once, within ten minutes. Runs in\n"
        "the foreground until Ctrl-C. Needs pip install 'unify-sql[serve]'.\n"
        "  --http          the port; by default a free one",
    ),
    "mcp": CommandHelp(
        "serve agents: tools of the Model Context Protocol",
        "unify mcp [--http [HOST:]PORT [--cert FILE --key FILE]] [--rows N] [--bytes SIZE] [--seconds N]\n"
        "             [--calls N] [--schemas S,...] [--allow-writes propose] [OPTIONS]",
        "Serves list_tables, describe_table, query, explain, load, refresh and job to an agent over stdin\n"
        "and stdout, or over HTTP to users (unify user add NAME). The limits are yours; an agent can only\n"
        "lower them. Each call is a row of unify.agent_calls. Needs pip install 'unify-sql[mcp]'.\n"
        "  --rows, --bytes, --seconds  of one answer: 200 rows, 64 kB, 30 s\n"
        "  --calls         API requests that agents may cause until the server ends: 100\n"
        "  --schemas       the schemas that can be read; by default all\n"
        "  --allow-writes propose  adds propose_write: the plan waits for approve write N in a shell",
    ),
    "user": CommandHelp("manage the users of the servers", _USER_USAGE, _USER),
    "user add": CommandHelp(
        "add a user and print the token",
        "unify user add NAME [--role reader|loader|writer] [--schemas S,...] [--password] [OPTIONS]",
        "Adds a user of unify serve and prints the token once; only salted hashes are stored. Programs send\n"
        "it as Authorization: Bearer TOKEN, PostgreSQL clients as the password. The default role is reader.\n"
        "  reader    reads stored rows and metrics\n"
        "  loader    also causes loads\n"
        "  writer    also writes to systems\n"
        "  --schemas the schemas that the user can read; by default all\n"
        "  --password  ask for another password for PostgreSQL clients, or read it from standard input",
        (1, "NAME"),
    ),
    "user list": CommandHelp("print the users", _USER_USAGE, _USER),
    "user remove": CommandHelp(
        "remove a user",
        "unify user remove NAME [OPTIONS]",
        "Removes a user. The token is not valid any more, also for servers that run.",
        (1, "NAME"),
    ),
    "lake": CommandHelp(
        "verify the home folder",
        _LAKE_USAGE,
        "  check     verify catalog, data files, ledger, queue and permissions",
    ),
    "lake check": CommandHelp(
        "verify catalog, data files, ledger, queue and permissions",
        _LAKE_USAGE,
        "Verifies the home folder, also while its daemon runs: the catalog, every data file that it names,\n"
        "the ledger against the tables, the queue, saved variables, staged rows and permissions. Prints a\n"
        "line for each fault with the command that repairs it, and a summary. Sends no requests.\n"
        "  --deep      read the data files whole and compare checksums, not only sizes and footers\n"
        "  --repair    remove staged rows that no load needs, restore permissions, replace a damaged queue,\n"
        "              and request a reload of each table with a damaged file. Deletes no data file.\n"
        "Exit status: 0 no fault; 1 faults found; 2 usage error.",
    ),
    "backup": CommandHelp(
        "write a verified backup of the home folder",
        "unify backup FILE [--force] [--with-tokens] [--without-connections] [OPTIONS]",
        "Writes one archive (ZIP) of the home folder as of one moment, also while loads run: stored tables\n"
        "with their history, schedules, scripts, pauses, saved variables, preferences, and connections.yaml\n"
        "and notify.yaml if they are in the home folder. Reads the archive back before it gets its name.\n"
        "  --force                 replace FILE\n"
        "  --with-tokens           include the tokens of sign-ins\n"
        "  --without-connections   leave out connections.yaml and notify.yaml\n"
        "Exit status: 0 written and verified; 1 nothing written; 2 usage error.",
        (1, "FILE"),
    ),
    "restore": CommandHelp(
        "restore a backup into a new home folder",
        "unify restore FILE [--force] [--with-connections | --without-connections] [--home DIR] [OPTIONS]",
        "Restores a backup into a home folder that is empty or missing. Every file is verified before any\n"
        "is put in place; then the home is checked as by unify lake check. connections.yaml and notify.yaml\n"
        "decide where secrets are sent: at a terminal, unify asks whether to use them. If not, and in a\n"
        "script, they are restored as connections.yaml.restored and notify.yaml.restored.\n"
        "  --force                 move a home folder that is there aside, to DIR.before-restore-TIME\n"
        "  --with-connections      use connections.yaml and notify.yaml of the archive, without a question\n"
        "  --without-connections   do not use them, without a question\n"
        "Exit status: 0 restored without a fault; 1 not restored, or a fault found; 2 usage error.",
        (1, "FILE"),
    ),
    "trust": CommandHelp(
        "use a connections.yaml that is new or changed in this folder",
        "unify trust [FILE ...]",
        "Allows a connections.yaml that is found in a folder to use variables and secrets; by default the\n"
        "one in this folder. Prints what each of its connections reads. At a terminal, unify asks; a script\n"
        "needs this command, or --connections FILE. A file that changes has to be trusted again, because\n"
        "the change may have come with a repository; until then, the daemon loads nothing from it. connect\n"
        "and disconnect keep the trust. Remove the file's line from HOME/trusted to undo it.",
        ("*", "FILE"),
    ),
    "completion": CommandHelp(
        "print a completion script for the shell",
        "unify completion bash|zsh|fish",
        "Prints a script that makes the shell complete the arguments of unify:\n"
        "  bash    source <(unify completion bash)\n"
        "  zsh     unify completion zsh > FOLDER/_unify, a folder of $fpath\n"
        "  fish    unify completion fish | source",
        (1, "|".join(SHELLS)),
        SHELLS,
    ),
}


def second_words(command: str) -> tuple[str, ...]:
    """Return the words that can follow a command of one word: ``check``, ``try``, ``test`` after ``spec``."""
    actions = tuple(name.partition(" ")[2] for name in COMMAND_HELP if name.startswith(f"{command} "))
    return actions or COMMAND_HELP[command].choices or ()


COMMANDS = {name: second_words(name) for name in COMMAND_HELP if " " not in name}
