"""Configuration files that others may have written: a connections.yaml found in a folder, and specs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.command import UNIFY_COMMAND, InProcessCommand, UnifyCommand
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.terminal import ENTER, run_on_terminal
from tests.support.waiting import wait_until
from unify.cli.environment import build_settings
from unify.config import trust
from unify.shell.invocation import Invocation

NOBODY = 65_534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")

SPEC = """\
name: things
base_url: "{base_url}"
options: {base_url: {}, token: {secret: true}}
auth: {type: bearer, token: "{token}"}
tables: [{name: t, request: GET /t, key: id}]
"""


@pytest.fixture
def unify(shared_unify: InProcessCommand) -> InProcessCommand:
    return shared_unify


class Folder:
    """A folder with a connections.yaml, in which the command runs; the home folder is another one."""

    def __init__(self, command: UnifyCommand, folder: Path, api: FaultServer) -> None:
        self.command = command
        self.path = folder
        self.file = folder / "connections.yaml"
        folder.mkdir()
        specs = command.home / "specs"
        specs.mkdir()
        self.spec = specs / "things.yaml"
        self.spec.write_text(SPEC)
        command.environment |= {"UNIFY_SPECS": str(specs), "THINGS_TOKEN": "sesame-0123456789"}
        self.write("${THINGS_TOKEN}", api.url)
        api.serve("/t", MockResponse.json([{"id": 1}]))

    def write(self, token: str, url: str) -> None:
        self.file.write_text(
            f"things:\n  adapter: things\n  options:\n    base_url: {url}\n    token: {token}\n"
        )
        self.file.chmod(0o600)


@pytest.fixture
def folder(unify: InProcessCommand, tmp_path: Path, api: FaultServer) -> Folder:
    made = Folder(unify, tmp_path / "cloned", api)
    unify.folder = made.path
    return made


class TestAScript:
    def test_does_not_use_a_new_file_that_reads_variables(self, folder: Folder, api: FaultServer) -> None:
        for arguments in (["-c", "select * from things.t"], ["-c", "show tables"], ["check"]):
            result = folder.command.run(*arguments)
            assert result.exit_status == 2
            assert f"{folder.file}: this file is new in this folder" in result.stderr
            assert "${THINGS_TOKEN}" in result.stderr
            assert "unify trust" in result.stderr
        assert api.requests == []

    def test_uses_it_after_unify_trust(self, folder: Folder) -> None:
        trusted = folder.command.run("trust")
        assert trusted.exit_status == 0
        assert f"{folder.file}: trusted" in trusted.stdout
        assert "things: adapter things, http://127.0.0.1" in trusted.stdout
        assert "sesame" not in trusted.stdout
        assert folder.command("select id from things.t").single_value == "1"

    def test_uses_it_if_it_is_named(self, folder: Folder) -> None:
        command = folder.command
        named = command("select id from things.t", args=["--connections", str(folder.file)])
        assert named.single_value == "1"
        command.environment["UNIFY_CONNECTIONS"] = "connections.yaml"
        assert command("select id from things.t").single_value == "1"

    def test_does_not_use_a_trusted_file_that_has_changed(self, folder: Folder, api: FaultServer) -> None:
        assert folder.command.run("trust").exit_status == 0
        folder.write("${THINGS_TOKEN}", "https://elsewhere.example")
        result = folder.command("select * from things.t")
        assert result.exit_status == 2
        assert f"{folder.file}: this file has changed since it was trusted" in result.stderr
        folder.write("${THINGS_TOKEN}", api.url)
        assert folder.command("select id from things.t").single_value == "1"

    def test_keeps_the_trust_when_it_connects_and_disconnects(self, folder: Folder, api: FaultServer) -> None:
        assert folder.command.run("trust").exit_status == 0
        options = f"base_url = '{api.url}', token = '${{THINGS_TOKEN}}'"
        assert folder.command(f"connect things as other with {options}").exit_status == 0
        assert folder.command("select id from other.t").single_value == "1"
        assert folder.command("disconnect other").exit_status == 0
        assert folder.command("select id from things.t").single_value == "1"

    def test_runs_statements_without_connections(self, folder: Folder) -> None:
        assert folder.command("select 1 as i").single_value == "1"

    def test_uses_a_new_file_without_references(self, folder: Folder, api: FaultServer) -> None:
        folder.write("not-a-reference", api.url)
        assert folder.command("select id from things.t").single_value == "1"

    def test_uses_the_file_of_the_home_folder(self, folder: Folder) -> None:
        folder.file.rename(folder.command.home / "connections.yaml")
        folder.command.folder = folder.command.home
        assert folder.command("select id from things.t").single_value == "1"


class TestATerminal:
    @pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 2), ("", 2)])
    def test_is_asked_once(self, folder: Folder, answer: str, status: int) -> None:
        words = [*UNIFY_COMMAND, "-c", "select count(*) as one_row from things.t"]
        with run_on_terminal(words, folder.command.environment, folder.path) as terminal:
            screen = terminal.expect_text("[y/N]")
            assert "reads ${THINGS_TOKEN}" in screen
            terminal.type(answer + ENTER)
            assert terminal.wait_for_end() == status
        again = folder.command("select count(*) as one_row from things.t")
        assert again.exit_status == status
        if status == 0:
            assert again.stderr == ""


def test_a_missing_file_cannot_be_trusted(unify: InProcessCommand) -> None:
    result = unify.run("trust", "nothing.yaml")
    assert result.exit_status == 2
    assert "nothing.yaml: file not found" in result.stderr


@needs_root
class TestAnotherUser:
    def test_its_connections_file_is_refused_even_without_references(
        self, folder: Folder, api: FaultServer
    ) -> None:
        folder.write("not-a-reference", api.url)
        os.chown(folder.file, NOBODY, -1)
        result = folder.command("select * from things.t")
        assert result.exit_status == 2
        assert "belongs to the user nobody" in result.stderr
        assert api.requests == []

    def test_a_trusted_file_that_changes_its_owner_is_not_trusted(self, folder: Folder) -> None:
        assert folder.command.run("trust").exit_status == 0
        os.chown(folder.file, NOBODY, -1)
        assert "belongs to the user nobody" in folder.command("select * from things.t").stderr
        assert folder.command.run("trust").exit_status == 0
        assert folder.command("select id from things.t").single_value == "1"

    def test_its_spec_is_refused(self, folder: Folder, api: FaultServer) -> None:
        folder.command.run("trust")
        os.chown(folder.spec, NOBODY, -1)
        result = folder.command("select * from things.t")
        assert result.exit_status != 0
        assert f"{folder.spec}: this spec belongs to the user nobody" in result.stderr
        tried = folder.command.run("spec", "try", str(folder.spec), "t", "--option", "token=x")
        assert "belongs to the user nobody" in tried.stderr
        assert api.requests == []


class TestTheDaemon:
    def test_does_not_load_from_a_trusted_file_that_has_changed(
        self, folder: Folder, api: FaultServer
    ) -> None:
        command = folder.command
        assert command.run("trust").exit_status == 0
        assert command("refresh table things.t every 2 seconds; select id from things.t").single_value == "1"
        folder.write("${THINGS_TOKEN}", "https://elsewhere.example")
        named = ["--connections", str(folder.file)]
        failed = "select count(*) from unify.loads where error like '%has changed since it was trusted%'"

        def has_failed() -> bool:
            return command(failed, args=named).single_value != "0"

        wait_until(has_failed)
        folder.write("${THINGS_TOKEN}", api.url)
        assert command("reload table things.t; select id from things.t").single_value == "1"


@pytest.mark.parametrize("place", ["file", "folder"])
def test_a_spec_that_everybody_can_change_is_refused(folder: Folder, api: FaultServer, place: str) -> None:
    folder.command.run("trust")
    path = folder.spec if place == "file" else folder.spec.parent
    path.chmod(0o777)
    result = folder.command("select * from things.t")
    assert result.exit_status != 0
    assert "every user" in result.stderr
    assert f"who could redirect your secrets; run chmod go-w {path}" in result.stderr
    assert api.requests == []


def test_the_sample_of_a_checkout_needs_no_question() -> None:
    checkout = Path(trust.__file__).parents[2]
    before = Path.cwd()
    os.chdir(checkout)
    try:
        settings = build_settings(Invocation(), {"UNIFY_HOME": "/nonexistent/home"})
    finally:
        os.chdir(before)
    assert settings.connections_found
    assert trust.find_problem(settings) == ""
