"""The editor of terminals without cursor control."""

from __future__ import annotations

import io
import sys

import pytest
from prompt_toolkit.history import InMemoryHistory

from unify.shell.plain_editor import PlainEditor


def test_an_unfinished_statement_is_shown_and_continued(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    r"""After ``select a,`` and ``\dt``, the statement goes on."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("from t;\nselect 1;\n"))
    history = InMemoryHistory()
    editor = PlainEditor(history)
    editor.type_next("select a,\nb")

    assert editor.read() == "select a,\nb\nfrom t;"
    assert editor.read() == "select 1;"
    assert history.get_strings() == ["select a,\nb\nfrom t;", "select 1;"]
    assert capsys.readouterr().err == "unify> select a,\n    -> b\n    -> unify> "
