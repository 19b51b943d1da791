"""Every authentication method through command line and daemon, and a search for secrets in the output.

One home has a connection for each method. The server first verifies the credentials, then refuses every
request with a message that repeats it. Output, files and process arguments are searched for the secrets,
plain and in each encoding.
"""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from tests.support.auth_cases import AuthCase, AuthCaseServer, Row, auth_cases, canary_secret, header_check
from tests.support.command import CommandResult, InProcessCommand, UnifyCommand
from tests.support.echo_responses import ECHO_RESPONSES, echo
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.home_files import encoded_forms, read_files
from tests.support.oauth_server import CLIENT_ID, OAuthServer, run_oauth_server, write_browser_script
from tests.support.terminal import ENTER, Terminal, run_on_terminal
from unify.config.settings import Settings
from unify.status.client import StatusClient

pytestmark = pytest.mark.timeout(0)  # the module fixture takes most of the time
NETRC = "netrc-canary-41"
# Responses that end a load without a further attempt by the daemon.
FINAL_RESPONSES = [
    name
    for name in ECHO_RESPONSES
    if not name.startswith(("429", "5", "200 a text for rows", "200 names", "200 next"))
]
INTERACTIVE_GRANTS = {"authorization_code": "authorize", "device_code": "device"}


@dataclass
class CheckedHome:
    """A home with a connection for each auth method; ``outputs`` and ``process_arguments`` are searched."""

    unify: UnifyCommand
    auth_server: AuthCaseServer
    rows: list[AuthCase]
    oauth_servers: Mapping[str, OAuthServer]
    outputs: list[str] = field(default_factory=list)
    process_arguments: set[str] = field(default_factory=set)
    posted_paths: list[str] = field(default_factory=list)  # before the server refuses requests

    def run(self, *arguments: str, as_process: bool = False) -> CommandResult:
        command = self.unify
        if not as_process:
            command = InProcessCommand(self.unify.home)
            command.environment = self.unify.environment
        outcome = command.run(*arguments)
        self.outputs += [outcome.stdout, outcome.stderr]
        return outcome

    @contextmanager
    def terminal(self, *arguments: str) -> Iterator[Terminal]:
        command = [sys.executable, "-m", "unify", *arguments]
        with run_on_terminal(command, self.unify.environment, self.unify.home, columns=300) as terminal:
            yield terminal
            assert terminal.wait_for_end() == 0, terminal.screen

    def respond_with(self, responses: Mapping[str, str]) -> None:
        """Serve these members of ``ECHO_RESPONSES`` from now on, by name of the case."""
        self.auth_server.responses = {case: ECHO_RESPONSES[response] for case, response in responses.items()}
        for grant, oauth_server in self.oauth_servers.items():
            oauth_server.server.serve("/things", echo(ECHO_RESPONSES[responses[grant]]))

    def record_processes(self) -> None:
        self.process_arguments.update(read_process_arguments())


@pytest.fixture(
    scope="module", params=[1, pytest.param(len(FINAL_RESPONSES), marks=pytest.mark.slow)], ids=["1", "all"]
)
def checked_home(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CheckedHome]:
    folder = tmp_path_factory.mktemp("ways")
    home = folder / "home"
    home.mkdir(mode=0o700)
    unify = UnifyCommand(home)
    (folder / ".netrc").write_text(f"machine 127.0.0.1 login intruder password {NETRC}\n")
    (folder / ".netrc").chmod(0o600)
    unify.environment |= {"NETRC": str(folder / ".netrc"), "BROWSER": write_browser_script(home)}
    with (
        FaultServer() as server,
        run_oauth_server(canary_secret("code")) as code,
        run_oauth_server(canary_secret("device")) as device,
    ):
        rows = auth_cases()
        auth_server = AuthCaseServer(server, rows)
        addresses = {case.name: auth_server.base_url(case) for case in rows}
        for grant, oauth_server in zip(INTERACTIVE_GRANTS, (code, device), strict=True):
            auth: Row = {
                "type": "oauth2",
                "grant": grant,
                "client_id": CLIENT_ID,
                "client_secret": "{secret}",
            }
            auth |= {"token_url": "{url}/token", "authorize_url": f"{{url}}/{INTERACTIVE_GRANTS[grant]}"}
            secret = {"secret": canary_secret(grant.partition("_")[0].replace("authorization", "code"))}
            rows.append(
                AuthCase(
                    grant,
                    auth,
                    header_check("authorization", ""),
                    secret,
                    ("access-canary-1", "refresh-canary-1"),
                )
            )
            addresses[grant] = oauth_server.server.url
        _write(unify, rows, addresses)
        checked_home = CheckedHome(
            unify, auth_server, rows, dict(zip(INTERACTIVE_GRANTS, (code, device), strict=True))
        )
        try:
            use_connections(checked_home, rounds=request.param)
            yield checked_home
        finally:
            unify.stop_daemon()


def _write(unify: UnifyCommand, rows: list[AuthCase], addresses: Mapping[str, str]) -> None:
    """Write a spec and a connection for each method; secrets are variables, files or plain values."""
    specs = unify.home / "specs"
    specs.mkdir()
    connections: Row = {}
    for number, case in enumerate(rows):
        url = addresses[case.name]
        auth = {
            key: value.replace("{url}", url) if isinstance(value, str) else value
            for key, value in case.auth.items()
        }
        spec = {
            "name": case.name,
            "base_url": url,
            "options": {name: {"secret": True} for name in case.secrets},
            "auth": auth,
            "paging": {"type": "none"},
            "check": {"request": "GET /me", "identity": "login"},
            "tables": [{"name": "things", "request": "GET /things", "key": "id"}],
        }
        (specs / f"{case.name}.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
        options = {name: _option_value(unify, number, case, name) for name in case.secrets}
        connections[case.name] = {"adapter": case.name, "options": options}
    unify.environment["UNIFY_SPECS"] = str(specs)
    unify.write_connections(yaml.safe_dump(connections))


def _option_value(unify: UnifyCommand, number: int, case: AuthCase, option: str) -> str:
    value, name = case.secrets[option], f"{case.name}_{option}".upper()
    if number % 3 == 0:
        unify.environment[name] = value
        return f"${{{name}}}"
    if number % 3 == 1:
        path = unify.home.parent / f"{name}.secret"  # outside of the home, which is searched
        path.write_text(value)
        path.chmod(0o600)
        return f"${{file:{path}}}"
    return value


def use_connections(checked_home: CheckedHome, rounds: int) -> None:
    """Use every connection; the server accepts the credentials first and then echoes them in errors.

    In each of ``rounds`` loads, a connection receives another one of ``FINAL_RESPONSES``.
    """
    checked_home.auth_server.on_request = checked_home.record_processes
    with checked_home.terminal("--debug", "check", *INTERACTIVE_GRANTS) as terminal:
        terminal.expect_text(": ok, as ada", times=2)
        checked_home.outputs.append(terminal.screen)
    checked_home.run("--debug", "check", as_process=True)
    names = [case.name for case in checked_home.rows]
    each = " union all ".join(
        f"select '{name}' as way, count(*) as things from {name}.things" for name in names
    )
    checked_home.run("--debug", "-c", f"{each} order by way")
    requests = checked_home.auth_server.server.requests
    checked_home.posted_paths = [request.path for request in requests if request.method == "POST"]
    checked_home.auth_server.responses = dict.fromkeys(names, lambda text: MockResponse.error(403, text))
    checked_home.run("--debug", "check")
    for number in range(rounds):
        responses = [
            FINAL_RESPONSES[(2 * index + number) % len(FINAL_RESPONSES)] for index in range(len(names))
        ]
        checked_home.respond_with(dict(zip(names, responses, strict=True)))
        loads = [word for name in names for word in ("-c", f"reload table {name}.things")]
        checked_home.run(
            "--debug", "--keep-going", *loads, "-c", f"peek {names[(number + 1) % len(names)]}.things"
        )
    checked_home.respond_with(dict.fromkeys(names, "500 text"))
    checked_home.unify.environment["QUERY_KEY"] = canary_secret("query")
    spec = str(checked_home.unify.home / "specs" / "key_query.yaml")
    checked_home.run("--debug", "spec", "try", spec, "things", "--option", "key=${QUERY_KEY}")
    checked_home.run("--debug", "-c", "explain select * from key_query.things where 1 = 0")
    checked_home.respond_with(dict.fromkeys(names, "401 message"))
    system_tables = ("connections", "jobs", "loads", "requests", "settings", "tables")
    selects = [word for table in system_tables for word in ("-c", f"select * from unify.{table}")]
    checked_home.run("--debug", "--keep-going", "--format", "json", *selects)
    checked_home.run(
        "-c", "system status", "-c", "show jobs", "-c", "show connections", "-c", "explain select 1"
    )
    with StatusClient(
        Settings(checked_home.unify.home, checked_home.unify.home / "connections.yaml").socket_folder
    ) as client:
        checked_home.outputs.append(
            repr(client.subscribe()) + repr(client.snapshot()) + repr(client.events(0.1))
        )
    # the screen is not searched, since it shows the typed secret
    with checked_home.terminal() as terminal:
        terminal.expect_text("unify>")
        terminal.type(f"connect bearer as other with token = '{canary_secret('bearer')}'{ENTER}")
        terminal.expect_text("Save it anyway?")
        terminal.type(f"n{ENTER}")
        terminal.expect_text("other is not saved")
        terminal.expect_text("unify>", times=2)
        terminal.type(f"exit{ENTER}")


class TestEveryAuthMethod:
    def test_is_accepted_by_a_server_that_verifies_credentials(self, checked_home: CheckedHome) -> None:
        expected = [f"{case.name}: ok, as {case.name}, 41 requests left" for case in checked_home.rows[:-2]]
        interactive = [f"{grant}: ok, as ada" for grant in INTERACTIVE_GRANTS]
        assert sorted(checked_home.outputs[1].splitlines()) == sorted([*expected, *interactive]), (
            checked_home.outputs[1:3]
        )
        counted = checked_home.outputs[3].splitlines()
        assert counted == ["way,things", *sorted(f"{case.name},2" for case in checked_home.rows)], (
            checked_home.outputs[4]
        )
        assert checked_home.auth_server.unauthenticated_requests == []

    def test_has_a_case(self, checked_home: CheckedHome) -> None:
        shown = {
            (case.auth["type"], case.auth.get("grant", case.auth.get("in", ""))) for case in checked_home.rows
        }
        assert {kind for kind, _ in shown} == {
            *("none", "basic", "bearer", "api_key", "oauth2", "session", "aws_sigv4", "jwt")
        }
        grants = {"client_credentials", "refresh_token", "authorization_code", "device_code"}
        assert {more for kind, more in shown if kind == "oauth2"} == grants
        assert {more for kind, more in shown if kind == "api_key"} == {"", "query", "cookie"}

    def test_requests_one_token_for_all_processes(self, checked_home: CheckedHome) -> None:
        before = [path for path in checked_home.posted_paths if path.endswith(("/token", "/login"))]
        assert sorted(set(before)) == sorted(
            ["/client_credentials/token", "/refresh_token/token", "/session/login", "/session_form/login"]
        )
        assert len(before) == len(set(before))

    def test_reports_a_refusal_in_one_line(self, checked_home: CheckedHome) -> None:
        lines = checked_home.outputs[5].splitlines()
        for case in checked_home.rows[:-2]:
            (line,) = [line for line in lines if line.startswith(f"{case.name}: ")]
            assert f"{checked_home.auth_server.base_url(case)}/me" in line
            assert "returned 403 Forbidden" in line
            assert "the credentials lack the permission; grant it, or check" in line


class TestSecrets:
    @pytest.mark.parametrize("before", ["", "a", "ab", "ann:"])
    def test_in_any_encoding_are_found_by_the_search(self, checked_home: CheckedHome, before: str) -> None:
        coded = base64.b64encode(f"{before}{canary_secret('basic')}:".encode()).decode()
        for text in (
            coded,
            quote(coded, safe=""),
            f"?key={quote(canary_secret('basic'))}",
            canary_secret("basic"),
        ):
            assert find_secrets(f"x {text}", checked_home) == ["basic.password"]

    def test_number_at_least_twelve(self, checked_home: CheckedHome) -> None:
        assert len({value for case in checked_home.rows for value in case.secrets.values()}) >= 12

    def test_are_in_no_file_of_the_home_folder(self, checked_home: CheckedHome) -> None:
        found = []
        for path, content in read_files(checked_home.unify.home):
            if path.name != "connections.yaml":
                data = content.decode("latin-1")
                found += [
                    f"{path}: {name}"
                    for name in find_secrets(data, checked_home, tokens=path.parent.name != "tokens")
                ]
        assert found == []

    def test_are_in_no_debug_output(self, checked_home: CheckedHome) -> None:
        assert [name for text in checked_home.outputs for name in find_secrets(text, checked_home)] == []
        assert "***" in "".join(checked_home.outputs)
        assert "Traceback" in "".join(checked_home.outputs)

    def test_are_in_no_process_arguments(self, checked_home: CheckedHome) -> None:
        assert any("unify" in line for line in checked_home.process_arguments)
        assert [
            name for line in checked_home.process_arguments for name in find_secrets(line, checked_home)
        ] == []

    def test_of_netrc_are_never_sent(self, checked_home: CheckedHome) -> None:
        requests = repr(checked_home.auth_server.server.requests)
        assert NETRC not in requests
        assert base64.b64encode(f"intruder:{NETRC}".encode()).decode() not in requests


def read_process_arguments() -> Iterable[str]:
    """Return the arguments of every process; where there is no /proc, as ps lists them."""
    if not (processes := list(Path("/proc").glob("[0-9]*/cmdline"))):
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        return listed.stdout.splitlines()
    found = set()
    for process in processes:
        with suppress(OSError):  # it has ended
            found.add(process.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return found


def find_secrets(text: str, checked_home: CheckedHome, *, tokens: bool = True) -> list[str]:
    """Return the names of the secrets in ``text``, in any encoding."""
    secrets = {
        f"{case.name}.{name}": value for case in checked_home.rows for name, value in case.secrets.items()
    }
    if tokens:
        secrets |= {
            f"{case.name} {token}": token for case in checked_home.rows for token in case.issued_tokens
        }
    if "PRIVATE KEY" in text or ".eyJ" in text:
        return ["a private key or a token signed with it"]
    return [name for name, value in secrets.items() if any(form in text for form in encoded_forms(value))]
