"""Every way of authenticating, through the real command line and daemon; and what is left behind by them.

One home has a connection for each way. Everything is asked twice: of a server that looks whether it is
proved who asks, and of one that refuses, and repeats what it was sent. Then everything that can be read
is searched for the secrets, as they are and as encodings write them.
"""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
import yaml

from tests.support.auth_cases import AuthCase, AuthCaseServer, Row, auth_cases, canary_secret, header_check
from tests.support.command import CommandResult, UnifyCommand
from tests.support.echo_responses import ECHO_RESPONSES, echo
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.leak_canaries import encoded_forms
from tests.support.oauth_server import CLIENT_ID, OAuthServer, run_oauth_server, write_browser_script
from tests.support.terminal import ENTER, Terminal, run_on_terminal
from unify.config.settings import Settings
from unify.status.client import StatusClient

pytestmark = pytest.mark.timeout(0)  # one fixture does the work of all
NETRC = "netrc-canary-41"
# Those that end a load at once, without a further attempt by the daemon.
FINAL_RESPONSES = [
    name
    for name in ECHO_RESPONSES
    if not name.startswith(("429", "5", "200 a text for rows", "200 names", "200 next"))
]
PEOPLE = {"authorization_code": "authorize", "device_code": "device"}


@dataclass
class House:
    """A home with a connection for each way, and what was seen and heard of it."""

    unify: UnifyCommand
    gate: AuthCaseServer
    rows: list[AuthCase]
    banks: Mapping[str, OAuthServer]
    heard: list[str] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)

    def run(self, *arguments: str) -> CommandResult:
        outcome = self.unify.run(*arguments)
        self.heard += [outcome.stdout, outcome.stderr]
        return outcome

    @contextmanager
    def terminal(self, *arguments: str) -> Iterator[Terminal]:
        command = [sys.executable, "-m", "unify", *arguments]
        with run_on_terminal(command, self.unify.environment, self.unify.home, columns=300) as terminal:
            yield terminal
            assert terminal.wait_for_end() == 0, terminal.screen

    def respond_with(self, responses: Mapping[str, str]) -> None:
        """Requests get these responses of ``ECHO_RESPONSES`` from now on, by name of the way."""
        self.gate.responses = {way: ECHO_RESPONSES[response] for way, response in responses.items()}
        for grant, bank in self.banks.items():
            bank.server.serve("/things", echo(ECHO_RESPONSES[responses[grant]]))

    def see_processes(self) -> None:
        self.listed.update(
            subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.splitlines()
        )


@pytest.fixture(
    scope="module", params=[1, pytest.param(len(FINAL_RESPONSES), marks=pytest.mark.slow)], ids=["1", "all"]
)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
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
        gate = AuthCaseServer(server, rows)
        addresses = {way.name: gate.base_url(way) for way in rows}
        for grant, bank in zip(PEOPLE, (code, device), strict=True):
            auth: Row = {
                "type": "oauth2",
                "grant": grant,
                "client_id": CLIENT_ID,
                "client_secret": "{secret}",
            }
            auth |= {"token_url": "{url}/token", "authorize_url": f"{{url}}/{PEOPLE[grant]}"}
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
            addresses[grant] = bank.server.url
        _write(unify, rows, addresses)
        house = House(unify, gate, rows, dict(zip(PEOPLE, (code, device), strict=True)))
        try:
            _live(house, rounds=request.param)
            yield house
        finally:
            unify.stop_daemon()


def _write(unify: UnifyCommand, rows: list[AuthCase], addresses: Mapping[str, str]) -> None:
    """A spec and a connection for each way; secrets by variable, by file and as they are, in turn."""
    specs = unify.home / "specs"
    specs.mkdir()
    connections: Row = {}
    for number, way in enumerate(rows):
        url = addresses[way.name]
        auth = {
            key: value.replace("{url}", url) if isinstance(value, str) else value
            for key, value in way.auth.items()
        }
        spec = {
            "name": way.name,
            "base_url": url,
            "options": {name: {"secret": True} for name in way.secrets},
            "auth": auth,
            "paging": {"type": "none"},
            "check": {"request": "GET /me", "identity": "login"},
            "tables": [{"name": "things", "request": "GET /things", "key": "id"}],
        }
        (specs / f"{way.name}.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
        options = {name: _supplied(unify, number, way, name) for name in way.secrets}
        connections[way.name] = {"adapter": way.name, "options": options}
    unify.environment["UNIFY_SPECS"] = str(specs)
    unify.write_connections(yaml.safe_dump(connections))


def _supplied(unify: UnifyCommand, number: int, way: AuthCase, option: str) -> str:
    value, name = way.secrets[option], f"{way.name}_{option}".upper()
    if number % 3 == 0:
        unify.environment[name] = value
        return f"${{{name}}}"
    if number % 3 == 1:
        path = unify.home.parent / f"{name}.secret"  # outside the home, which is searched
        path.write_text(value)
        path.chmod(0o600)
        return f"${{file:{path}}}"
    return value


def _live(house: House, rounds: int) -> None:
    """All that can be done with the connections; the server is good at first.

    ``rounds``  of loads; in each, every connection gets another of ``FINAL_RESPONSES``.
    """
    house.gate.on_request = house.see_processes
    with house.terminal("--debug", "check", *PEOPLE) as terminal:
        terminal.wait_for_text(": ok, as ada", times=2)
        house.heard.append(terminal.screen)
    house.run("--debug", "check")
    names = [way.name for way in house.rows]
    each = " union all ".join(
        f"select '{name}' as way, count(*) as things from {name}.things" for name in names
    )
    house.run("--debug", "-c", f"{each} order by way")
    house.gate.responses = dict.fromkeys(names, lambda text: MockResponse.error(403, text))
    house.run("--debug", "check")
    for number in range(rounds):
        responses = [
            FINAL_RESPONSES[(2 * index + number) % len(FINAL_RESPONSES)] for index in range(len(names))
        ]
        house.respond_with(dict(zip(names, responses, strict=True)))
        loads = [word for name in names for word in ("-c", f"reload table {name}.things")]
        house.run("--debug", "--keep-going", *loads, "-c", f"peek {names[(number + 1) % len(names)]}.things")
    house.respond_with(dict.fromkeys(names, "500 text"))
    house.unify.environment["QUERY_KEY"] = canary_secret("query")
    spec = str(house.unify.home / "specs" / "key_query.yaml")
    house.run("--debug", "spec", "try", spec, "things", "--option", "key=${QUERY_KEY}")
    house.run("--debug", "-c", "explain select * from key_query.things where 1 = 0")
    for table in ("connections", "jobs", "loads", "requests", "settings", "tables"):
        house.run("--debug", "--format", "json", "-c", f"select * from unify.{table}")
    house.run("-c", "system status", "-c", "show jobs", "-c", "show connections", "-c", "explain select 1")
    with StatusClient(
        Settings(house.unify.home, house.unify.home / "connections.yaml").socket_folder
    ) as client:
        house.heard.append(repr(client.subscribe()) + repr(client.snapshot()) + repr(client.events(0.1)))
    with (
        house.terminal() as terminal
    ):  # what is typed here is seen here; that it is nowhere else is the point
        terminal.wait_for_text("unify>")
        terminal.type(f"connect bearer as other with token = '{canary_secret('bearer')}'{ENTER}")
        terminal.wait_for_text("Save it all the same?")
        terminal.type(f"n{ENTER}")
        terminal.wait_for_text("other is not saved")
        terminal.wait_for_text("unify>", times=2)
        terminal.type(f"exit{ENTER}")


class TestEveryWay:
    def test_is_accepted_by_a_server_that_looks(self, house: House) -> None:
        expected = [f"{way.name}: ok, as {way.name}, 41 requests left" for way in house.rows[:-2]]
        people = [f"{grant}: ok, as ada" for grant in PEOPLE]
        assert sorted(house.heard[1].splitlines()) == sorted([*expected, *people]), house.heard[1:3]
        counted = house.heard[3].splitlines()
        assert counted == ["way,things", *sorted(f"{way.name},2" for way in house.rows)], house.heard[4]
        assert house.gate.unauthenticated_requests == []

    def test_has_its_row_in_the_table(self, house: House) -> None:
        shown = {(way.auth["type"], way.auth.get("grant", way.auth.get("in", ""))) for way in house.rows}
        assert {kind for kind, _ in shown} == {
            *("none", "basic", "bearer", "api_key", "oauth2", "session", "aws_sigv4", "jwt")
        }
        grants = {"client_credentials", "refresh_token", "authorization_code", "device_code"}
        assert {more for kind, more in shown if kind == "oauth2"} == grants
        assert {more for kind, more in shown if kind == "api_key"} == {"", "query", "cookie"}

    def test_asks_for_a_token_once_for_all_processes(self, house: House) -> None:
        asked = [asked.path for asked in house.gate.server.requests if asked.method == "POST"]
        before = [path for path in asked if path.endswith(("/token", "/login"))]
        assert sorted(set(before)) == sorted(
            ["/client_credentials/token", "/refresh_token/token", "/session/login", "/session_form/login"]
        )
        assert len(before) == len(set(before))

    def test_is_told_in_a_sentence_when_it_is_refused(self, house: House) -> None:
        told = house.heard[5].splitlines()
        for way in house.rows[:-2]:
            (line,) = [line for line in told if line.startswith(f"{way.name}: ")]
            assert f"{house.gate.base_url(way)}/me" in line
            assert "answered 403 Forbidden" in line
            assert "these credentials may not read this; give them the permission, or check" in line


class TestSecrets:
    @pytest.mark.parametrize("before", ["", "a", "ab", "ann:"])
    def test_would_be_found(self, house: House, before: str) -> None:
        coded = base64.b64encode(f"{before}{canary_secret('basic')}:".encode()).decode()
        for text in (
            coded,
            quote(coded, safe=""),
            f"?key={quote(canary_secret('basic'))}",
            canary_secret("basic"),
        ):
            assert seen(f"x {text}", house) == ["basic.password"]

    def test_there_are_enough(self, house: House) -> None:
        assert len({value for way in house.rows for value in way.secrets.values()}) >= 12

    def test_are_nowhere_in_the_home_folder(self, house: House) -> None:
        found = []
        for path in house.unify.home.rglob("*"):
            if path.is_file() and path.name != "connections.yaml":
                data = path.read_bytes().decode("latin-1")
                found += [
                    f"{path}: {name}" for name in seen(data, house, tokens=path.parent.name != "tokens")
                ]
        assert found == []

    def test_are_in_nothing_that_is_said_with_debug(self, house: House) -> None:
        assert [name for text in house.heard for name in seen(text, house)] == []
        assert "***" in "".join(house.heard)
        assert "Traceback" in "".join(house.heard)

    def test_are_in_no_process_list(self, house: House) -> None:
        assert any("unify" in line for line in house.listed)
        assert [name for line in house.listed for name in seen(line, house)] == []

    def test_of_netrc_are_never_used(self, house: House) -> None:
        asked = repr(house.gate.server.requests)
        assert NETRC not in asked
        assert base64.b64encode(f"intruder:{NETRC}".encode()).decode() not in asked


def seen(text: str, house: House, *, tokens: bool = True) -> list[str]:
    """Which secrets ``text`` holds, in whatever coding."""
    secrets = {f"{way.name}.{name}": value for way in house.rows for name, value in way.secrets.items()}
    if tokens:
        secrets |= {f"{way.name} {token}": token for way in house.rows for token in way.issued_tokens}
    if "PRIVATE KEY" in text or ".eyJ" in text:
        return ["a private key, or what it has signed"]
    return [name for name, value in secrets.items() if any(form in text for form in encoded_forms(value))]
