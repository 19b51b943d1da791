"""``unify demo``: the shell on the bundled sample API, in a temporary home folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from unify.config.settings import Settings
from unify.errors import UnifyError, UsageError
from unify.render.messages import Messages
from unify.shell.invocation import Invocation

SERVER_EXIT_TIMEOUT_S = 5.0  # the server exits within milliseconds after its stdin is closed
TOKEN_ENVIRONMENT_VARIABLE = "UNIFY_DEMO_TOKEN"
TOKEN = "sample-api-token"  # not a secret, and not a word that redaction would hide in addresses
_READY_PREFIX = "listening on "
_WELCOME = """\
A sample GitHub API, connection "github". All data is deleted when you exit.
Try: show tables;   select number, title, user_login from github.pulls limit 10;"""


def run_demo(
    invocation: Invocation,
    environment: Mapping[str, str],
    messages: Messages,
    run_shell: Callable[[Settings, Mapping[str, str]], int],
) -> int:
    """Run the shell on the sample API, then stop daemon and server and delete the folder."""
    if invocation.home or invocation.connections or invocation.tenant:
        raise UsageError("unify demo uses a temporary home folder; remove --home, --connections and --tenant")
    with _exit_on_signals(), _temporary_home() as home, _run_server() as url:
        settings = _write_configuration(home, url, invocation)
        if not invocation.steps and sys.stdin is not None and sys.stdin.isatty():
            messages.notice(_WELCOME)
        try:
            with_token = {**environment, TOKEN_ENVIRONMENT_VARIABLE: TOKEN}
            return run_shell(settings, with_token)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # do not interrupt the cleanup
            _stop_daemon(settings, messages)
            # outside home if the path of home is too long for a socket
            shutil.rmtree(settings.socket_folder, ignore_errors=True)


def _write_configuration(home: Path, url: str, invocation: Invocation) -> Settings:
    """Write connections.yaml with one connection, its token in the environment."""
    settings = Settings(
        home=home,
        connections=home / "connections.yaml",
        specs=tuple(Path(folder).absolute() for folder in invocation.specs),
    )
    text = (
        "github:\n  adapter: github\n  options:\n"
        f"    base_url: {json.dumps(url)}\n    token: ${{{TOKEN_ENVIRONMENT_VARIABLE}}}\n"
    )
    with open(os.open(settings.connections, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return settings


@contextmanager
def _temporary_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="unify-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _run_server() -> Iterator[str]:
    """Run the sample API in a session of its own, out of reach of Ctrl-C, and yield its address."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "unify.demo.server", "--port", "0", "--token", TOKEN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line.startswith(_READY_PREFIX):
                raise UnifyError("the sample API did not start; run python -m unify.demo.server to see why")
            yield line.removeprefix(_READY_PREFIX).strip()
        finally:
            process.stdin.close()
            try:
                process.wait(SERVER_EXIT_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _stop_daemon(settings: Settings, messages: Messages) -> None:
    from unify.status.launch import stop_daemon

    try:
        stop_daemon(settings)
    except UnifyError as error:  # reported without changing the exit status of the shell
        messages.error(error)


@contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that the block cleans up."""
    before = {number: signal.signal(number, _raise_exit) for number in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_exit(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
