"""The API of the benchmarks, and the lines they print."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from benchmarks import readme_session
from benchmarks.measure import Figure, Memory, Speed
from benchmarks.server import run_server
from benchmarks.tables import BenchmarkTable
from benchmarks.terminal_svg import Cell, render_svg


@pytest.mark.process
def test_the_api_serves_every_row_once_and_then_an_empty_page() -> None:
    with run_server([BenchmarkTable("small", "small", 250, 100)]) as address, requests.Session() as session:
        session.trust_env = False
        pages = [session.get(f"{address}/small?page={page}", timeout=30).json() for page in range(1, 5)]

    assert [len(page["items"]) for page in pages] == [100, 100, 50, 0]
    assert {(page["total"], page["pages"]) for page in pages} == {(250, 3)}
    assert len({row["id"] for page in pages for row in page["items"]}) == 250


@pytest.mark.process
def test_the_api_serves_changed_rows() -> None:
    with run_server([BenchmarkTable("small", "small", 250, 100)]) as address, requests.Session() as session:
        session.trust_env = False
        changed = session.get(f"{address}/small?page=1&since=2024-05-01", timeout=30).json()["items"]

    assert [row["number"] for row in changed] == [0, 100, 200]
    assert {row["updated_at"] for row in changed} == {"2024-06-01T00:00:00Z"}


def test_the_picture_in_readme_shows_the_recorded_session() -> None:
    shown = readme_session.picture_text(readme_session.PICTURE.read_text(encoding="utf-8"))
    readme = (readme_session.CHECKOUT / "README.md").read_text(encoding="utf-8")

    assert "docs/session.svg" in readme
    lines = [line.partition("> ")[2] for line in shown.splitlines()]
    for statement in readme_session.STATEMENTS:
        assert set(statement.splitlines()) <= set(lines)


@pytest.mark.slow
def test_the_picture_in_readme_contains_real_output(tmp_path: Path) -> None:
    shown = readme_session.picture_text(readme_session.PICTURE.read_text(encoding="utf-8"))
    recorded = readme_session.session_text(readme_session.record_session(tmp_path))

    assert readme_session.mask_times(recorded) == readme_session.mask_times(shown)


def test_a_terminal_picture_is_valid_svg_with_its_text() -> None:
    line = [Cell(char, "red", bold=True) for char in "a<b"] + [Cell("│"), Cell("█", "cyan"), Cell(" ")]

    svg = render_svg([line, []], "Title", "a<b")

    assert readme_session.picture_text(svg) == "a<b"
    assert '<text x="16.0"' in svg
    assert ">a&lt;b</text>" in svg
    assert svg.count("<path") == 1


def test_rows_have_the_documented_size() -> None:
    small = [len(row) for row in BenchmarkTable("small", "small", 100, 100).encode_rows()]
    large = [len(row) for row in BenchmarkTable("large", "large", 20, 100).encode_rows()]

    assert 550 < sum(small) / len(small) < 650
    assert 16_500 < sum(large) / len(large) < 17_500


def test_a_line_shows_the_ratio_and_the_promised_limit() -> None:
    assert " ".join(str(Speed("dlt", 1000, 2.0, 1.9, 0.1, 20)).split()) == (
        "dlt 500 rows/s 1.9 s of CPU Unify: 20.0 times (promised: 20)"
    )
    assert str(Figure("loading", 3.0, 2.0, 1.5)).endswith("1.5 times  (promised: 1.5)")
    assert "(promised: below 300)" in str(Memory("a worker", 181.0, 300))
