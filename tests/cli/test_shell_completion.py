"""Completion scripts for bash, zsh and fish."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.support.command import UnifyCommand


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_completion_scripts_contain_every_option_and_command(shell: UnifyCommand, shell_name: str) -> None:
    script = shell.run("completion", shell_name).stdout

    for word in ("--format", "--keep-going", "--max-age", "demo", "daemon", "status", "jsonl", "completion"):
        assert word.removeprefix("--") in script
    checker = shutil.which(shell_name)
    if checker:
        assert subprocess.run([checker, "-n"], input=script, text=True, timeout=60).returncode == 0


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed here")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("unify d", "demo daemon"),
        ("unify daemon st", "status start stop"),
        ("unify spec check good.y", "good.yaml"),
        ("unify completion ", "bash zsh fish"),
    ],
)
def test_fish_completes_the_command_line(shell: UnifyCommand, line: str, offered: str) -> None:
    (shell.home / "good.yaml").touch()
    script = shell.run("completion", "fish").stdout + f"\ncomplete -C '{line}'\n"

    done = subprocess.run(
        ["fish", "-N"], input=script, capture_output=True, text=True, timeout=60, cwd=shell.home, check=True
    )

    assert {found.partition("\t")[0] for found in done.stdout.splitlines()} == set(offered.split())


def test_zsh_offers_the_second_word_of_a_command(shell: UnifyCommand) -> None:
    script = shell.run("completion", "zsh").stdout

    assert "'*:: :->rest' && return\n    (( CURRENT == 2 )) && case $words[1] in\n" in script
    assert "        daemon) compadd run start stop status; return ;;\n" in script


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["unify", "--form"], "--format"),
        (["unify", "--format", "js"], "json jsonl"),
        (["unify", "de"], "demo"),
        (["unify", "daemon", "st"], "start stop status"),
        (["unify", "spec", "t"], "try test"),
        (["/opt/bin/unify", "de"], "demo"),
        (["unify", "-f", "rep"], "report.sql"),
    ],
)
def test_bash_completes(shell: UnifyCommand, words: list[str], offered: str) -> None:
    (shell.home / "report.sql").touch()
    (shell.home / "complete.bash").write_text(shell.run("completion", "bash").stdout)
    typed = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}"
    ask = f"source complete.bash; {typed}; _unify; echo ${{COMPREPLY[@]}}"

    done = subprocess.run(["bash", "-c", ask], cwd=shell.home, capture_output=True, text=True, timeout=60)

    assert (done.stdout.strip(), done.stderr) == (offered, "")
