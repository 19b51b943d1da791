"""``connect`` and ``disconnect``: credentials are checked before they are saved; comments are kept."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.command import UnifyCommand
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.shop import write_shop_spec
from tests.support.terminal import CTRL_C, ENTER, Terminal, run_on_terminal
from unify.config import connections_edit
from unify.config.connections import load_connections
from unify.errors import ConfigError, UnknownName
from unify.shell.history import contains_secret

SPEC = """\
name: shop
base_url: "{base_url}"
options:
  base_url: {required: true, description: Where the shop is}
  token: {secret: true, required: true, description: "Key of the API"}
  region: {description: Only this region}
auth: {type: bearer, token: "{token}"}
check: {request: GET /me, identity: login}
tables:
  - {name: orders, request: GET /orders, key: id}
"""
CANARY = "s3cret-canary"


@pytest.fixture
def unify(shared_unify: UnifyCommand) -> UnifyCommand:
    return shared_unify


@pytest.fixture
def shop(unify: UnifyCommand, api: FaultServer) -> FaultServer:
    write_shop_spec(unify, SPEC)
    api.serve("/me", lambda request: me(request.headers.get("authorization", "")))
    api.serve("/orders", MockResponse.json([{"id": 1}]))
    return api


def me(authorization: str) -> MockResponse:
    return (
        MockResponse.json({"login": "ada"})
        if authorization == f"Bearer {CANARY}"
        else MockResponse.error(401)
    )


def file(unify: UnifyCommand) -> Path:
    return unify.home / "connections.yaml"


class TestOneLine:
    def test_saves_credentials_that_the_api_accepts(self, unify: UnifyCommand, shop: FaultServer) -> None:
        unify.environment["SHOP_KEY"] = CANARY
        answer = unify(
            f"connect shop as eu with base_url = '{shop.url}', token = '${{SHOP_KEY}}'", "peek eu.orders"
        )
        assert (answer.exit_status, answer.stdout) == (0, "id\n1\n"), answer
        assert "authenticated as ada: 1 table (show tables from eu)" in answer.stderr
        assert file(unify).read_text() == (
            f'eu:\n  adapter: shop\n  options:\n    base_url: "{shop.url}"\n    token: ${{SHOP_KEY}}\n'
        )
        assert stat.S_IMODE(file(unify).stat().st_mode) == 0o600

    def test_saves_no_refused_credentials(self, unify: UnifyCommand, shop: FaultServer) -> None:
        answer = unify(f"connect shop with base_url = '{shop.url}', token = 'wrong-{CANARY}'")
        assert answer.exit_status == 1
        assert "shop is not saved" in answer.stderr
        assert answer.stderr.count("the credentials were refused") == 1, answer
        assert f"check option token of shop ({file(unify)}:" in answer.stderr
        assert CANARY not in answer.stderr
        assert not file(unify).exists()

    def test_lists_missing_options_and_never_prompts(self, unify: UnifyCommand, shop: FaultServer) -> None:
        answer = unify("connect shop", stdin="s3cret\n" * 9)
        assert answer.exit_status == 2
        assert "token: Key of the API" in answer.stderr
        assert "base_url: Where the shop is" in answer.stderr
        assert "connect shop as shop with base_url = '…', token = '…'" in answer.stderr
        assert not file(unify).exists()

    @pytest.mark.parametrize(
        ("statement", "message"),
        [
            ("connect", "specify one of the adapters"),
            ("connect shopp", "did you mean shop?"),
            ("connect shop with tokn = 'x'", "has no option tokn; did you mean token?"),
            ("connect shop as unify with token = 'x'", "this name is reserved"),
            ("connect shop with base_url = 'http://127.0.0.1:9', token = '${NOT_SET}'", "NOT_SET is not set"),
            ("disconnect nothing", "no connection nothing"),
        ],
    )
    def test_explains_mistakes(
        self, unify: UnifyCommand, shop: FaultServer, statement: str, message: str
    ) -> None:
        answer = unify(statement)
        assert answer.exit_status in (1, 2)
        assert message in answer.stderr
        assert not file(unify).exists()

    def test_refuses_a_name_in_use(self, unify: UnifyCommand, shop: FaultServer) -> None:
        unify.write_connections(
            "Shop: {adapter: shop, options: {base_url: 'http://127.0.0.1:9', token: x}}\n"
        )
        answer = unify(f"connect shop with base_url = '{shop.url}', token = '{CANARY}'")
        assert answer.exit_status == 2
        assert "connection shop exists already" in answer.stderr


class TestDisconnect:
    def test_keeps_the_rows_until_they_are_cleared(self, unify: UnifyCommand, shop: FaultServer) -> None:
        text = f"shop:\n  adapter: shop\n  options: {{base_url: '{shop.url}', token: {CANARY}}}\n"
        unify.write_connections(f"# mine\n{text}\n# the end\n")
        assert unify("count shop.orders").single_value == "1"

        answer = unify("disconnect SHOP; select count(*) from shop.orders")
        assert answer.single_value == "1", answer
        assert "the rows of shop.orders are kept (clear table shop.orders" in answer.stderr
        assert file(unify).read_text() == "# mine\n\n# the end\n"
        assert unify("clear table shop.orders").exit_status == 0
        assert unify("select count(*) from shop.orders").exit_status == 1


class TestTerminal:
    @pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
    def test_prompts_for_every_option_and_hides_secrets(
        self, unify: UnifyCommand, shop: FaultServer, term: str
    ) -> None:
        with guided(unify, "connect", term) as terminal:
            terminal.expect_text("Adapter:")
            terminal.type(f"shop{ENTER}")
            terminal.expect_text("its schema in SQL [shop]:")
            terminal.type(f"eu{ENTER}")
            terminal.expect_text("Where the shop is")
            terminal.type(f"{shop.url}{ENTER}")
            terminal.expect_text("Key of the API")
            terminal.type(f"{CANARY}{ENTER}")
            terminal.expect_text("Only this region")
            terminal.type(ENTER)
            terminal.expect_text("authenticated as ada")
            assert terminal.wait_for_end() == 0
            assert CANARY.encode() not in terminal.received
            assert (b"\x1b" in terminal.received) is (term != "dumb")
        saved = load_connections(file(unify)).by_name["eu"]
        assert dict(saved.options) == {"base_url": shop.url, "token": CANARY}

    def test_offers_a_variable_that_is_set(self, unify: UnifyCommand, shop: FaultServer) -> None:
        unify.environment["SHOP_TOKEN"] = CANARY
        with guided(unify, "connect shop as eu") as terminal:
            terminal.expect_text("Where the shop is")
            terminal.type(f"{shop.url}{ENTER}")
            terminal.expect_text("[${SHOP_TOKEN}]:")
            terminal.type(ENTER)
            terminal.expect_text("Only this region")
            terminal.type(f"north{ENTER}")
            assert terminal.wait_for_end() == 0
        saved = load_connections(file(unify)).by_name["eu"]
        assert saved.options["token"] == "${SHOP_TOKEN}"
        assert saved.options["region"] == "north"

    def test_prompts_only_for_options_missing_after_with(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        with guided(unify, f"connect shop as eu with token = '{CANARY}'") as terminal:
            terminal.expect_text("Where the shop is")
            terminal.type(f"{shop.url}{ENTER}")
            assert terminal.wait_for_end() == 0
        assert "eu" in load_connections(file(unify)).by_name

    def test_refused_credentials_can_be_saved(self, unify: UnifyCommand, shop: FaultServer) -> None:
        statement = f"connect shop with base_url = '{shop.url}', token = 'wrong'"
        for key, status, saved in (("n", 1, False), ("y", 0, True)):
            with guided(unify, statement) as terminal:
                terminal.expect_text("Save it anyway?")
                terminal.type(f"{key}{ENTER}")
                assert terminal.wait_for_end() == status
            assert file(unify).exists() is saved

    def test_ctrl_c_saves_nothing(self, unify: UnifyCommand, shop: FaultServer) -> None:
        with guided(unify, "connect shop as eu") as terminal:
            terminal.expect_text("Where the shop is")
            terminal.type(CTRL_C)
            assert terminal.wait_for_end() == 130
        assert not file(unify).exists()


class guided:
    """``unify -c STATEMENT`` on a terminal."""

    def __init__(self, unify: UnifyCommand, statement: str, term: str = "xterm-256color") -> None:
        command = [sys.executable, "-m", "unify", "-c", statement]
        environment = {**unify.environment, "TERM": term}
        self._opened = run_on_terminal(command, environment, unify.home, columns=160)

    def __enter__(self) -> Terminal:
        return self._opened.__enter__()

    def __exit__(self, *error: object) -> None:
        self._opened.__exit__(*error)  # type: ignore[arg-type]


YAML = """\
# Connections of the team

a:                      # first
  adapter: github
  options:
    token: ${A}         # a reference

# The second one
"b":
  adapter: jira
  # a comment within
  options: {url: 'x'}


c: {adapter: slack}
# the end
"""


class TestTheFile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "connections.yaml"
        path.write_text(YAML, encoding="utf-8")
        path.chmod(0o640)
        path.chmod(0o600)
        return path

    def test_gets_a_connection_at_its_end(self, path: Path) -> None:
        odd = {
            "token": "${file:~/a b}",
            "note": 'say "yes": # no',
            "key": "${keyring:unify/d.key}",
            "n": "007",
        }
        added = connections_edit.add_connection(path, "d", "github", odd)
        assert path.read_text().startswith(YAML)
        assert "    key: ${keyring:unify/d.key}\n" in path.read_text()
        assert dict(added.options) == odd
        assert set(load_connections(path).by_name) == {"a", "b", "c", "d"}

    @pytest.mark.parametrize("name", ["a", "b", "c"])
    def test_loses_only_the_removed_connection(self, path: Path, name: str) -> None:
        assert connections_edit.remove_connection(path, name.upper()) == name
        left = path.read_text()
        assert set(load_connections(path).by_name) == {"a", "b", "c"} - {name}
        assert all(comment in left for comment in ("# Connections of", "# The second", "# the end"))

    def test_keeps_its_mode_and_leaves_no_other_file(self, path: Path) -> None:
        path.chmod(0o400)
        connections_edit.add_connection(path, "d", "github", {})
        assert stat.S_IMODE(path.stat().st_mode) == 0o400
        assert list(path.parent.iterdir()) == [path]

    def test_is_edited_by_one_process_at_a_time(self, path: Path) -> None:
        """Ten connects, then ten disconnects, all at once: each one counts."""
        names = [f"n{number}" for number in range(10)]
        edits: dict[str, Callable[[str], object]] = {
            "added": lambda name: connections_edit.add_connection(path, name, "github", {}),
            "removed": lambda name: connections_edit.remove_connection(path, name),
        }
        for edit, expected in zip(edits.values(), ({"a", "b", "c", *names}, {"a", "b", "c"}), strict=True):
            with ThreadPoolExecutor(10) as pool:
                list(pool.map(edit, names))
            assert set(load_connections(path).by_name) == expected
        assert list(path.parent.iterdir()) == [path]

    def test_that_is_a_symbolic_link_stays_one(self, path: Path, tmp_path: Path) -> None:
        link = tmp_path / "link.yaml"
        link.symlink_to(path)
        connections_edit.add_connection(link, "d", "github", {})
        assert link.is_symlink()
        assert "d" in load_connections(path).by_name

    @pytest.mark.parametrize(
        "text", ["{a: {adapter: github}}\n", "a: {adapter: github}\n...\n", "- a\n", "a: [\n"]
    )
    def test_of_another_form_is_not_changed(self, path: Path, text: str) -> None:
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"connections\.yaml"):
            connections_edit.add_connection(path, "d", "github", {})
        assert path.read_text() == text
        assert list(path.parent.iterdir()) == [path]

    def test_explains_which_names_are_allowed(self, path: Path) -> None:
        for name, message in (
            ("my-shop", "letters, digits and _"),
            ("lake", "reserved"),
            ("A", "SQL names ignore case"),
        ):
            with pytest.raises(ConfigError, match=message):
                connections_edit.preview_connection(path, name, "github", {})
        with pytest.raises(UnknownName, match="no connection d"):
            connections_edit.remove_connection(path, "d")
        assert path.read_text() == YAML

    def test_an_invalid_connection_does_not_affect_others(self, path: Path) -> None:
        path.write_text("broken: 5\n")
        connections_edit.add_connection(path, "d", "github", {})
        assert path.read_text().startswith("broken: 5\n\nd:")
        connections_edit.remove_connection(path, "broken")
        assert path.read_text() == "\nd:\n  adapter: github\n"


def test_a_statement_with_credentials_is_not_in_the_history() -> None:
    assert contains_secret("connect shop as eu with key = 'x'")
    assert contains_secret("  CONNECT shop\n with key = 'x'")
    assert not contains_secret("connect shop as eu")
