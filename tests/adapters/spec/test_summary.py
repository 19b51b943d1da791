"""Summaries of specs are cached between processes and used only for an unchanged file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unify import __version__
from unify.adapters.spec import loader
from unify.adapters.spec.loader import (
    SpecSummary,
    bundled_specs_folder,
    load_spec,
    load_summary,
    summarize_spec,
)
from unify.fs import durable

SPEC = """
name: shop
base_url: http://127.0.0.1:9
options: {token: {description: From the settings page, secret: true, default: canary-default}}
tables:
  - {name: orders, request: GET /orders, key: id, refresh: {every: 15 minutes}, columns: {id: bigint}}
  - {name: search, request: GET /search, live: {}, filters: {q: {required: true}}}
views:
  - {name: recent, query: select id from orders}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "outlines"


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Treat specs as unchanged for a long time; clear the caches in memory before and after a test."""
    monkeypatch.setattr(durable, "new_files_since_ns", lambda: 2**62)
    clear_caches()
    yield
    clear_caches()


def clear_caches() -> None:
    """Clear the caches in memory, which a new process does not have."""
    loader._cached_spec.cache_clear()
    loader._cached_summary.cache_clear()


def fail_on_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "load_spec", lambda path: pytest.fail(f"{path} was read again"))


def cached_summary(monkeypatch: pytest.MonkeyPatch, spec: Path, folder: Path) -> SpecSummary:
    """Return the summary as another process reads it from the cache."""
    clear_caches()
    with monkeypatch.context() as patch:
        fail_on_read(patch)
        return load_summary(spec, folder)


def test_the_cached_summary_of_every_bundled_spec_is_equal(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for spec in bundled_specs_folder().glob("*.yaml"):
        load_summary(spec, folder)

        assert cached_summary(monkeypatch, spec, folder) == summarize_spec(load_spec(spec))


def test_tables_live_tables_and_views_are_distinguished(spec: Path, folder: Path) -> None:
    found = load_summary(spec, folder)

    assert [(table.name, table.refresh_every_s) for table in found.tables] == [
        ("orders", 900.0),
        ("search", None),
    ]
    assert found.live == {"search"}
    assert [view.name for view in found.views] == ["recent"]


def test_a_replaced_spec_of_the_same_size_and_time_is_read(spec: Path, folder: Path) -> None:
    load_summary(spec, folder)
    before = spec.stat()
    other = spec.with_suffix(".new")
    other.write_text(SPEC.replace("orders", "bazaar"), encoding="utf-8")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(spec)
    clear_caches()

    assert load_summary(spec, folder).tables[0].name == "bazaar"


def test_a_spec_changed_within_the_last_second_is_not_cached(
    spec: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "new_files_since_ns", lambda: spec.stat().st_mtime_ns - 1)

    load_summary(spec, folder)

    assert not folder.exists()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda data: data[:-100],
    "no json": lambda data: b"\0" * len(data),
    "another shape": lambda _: b'{"version": 1}',
    "a wrong type": lambda data: data.replace(b'"refresh_every_s":900.0', b'"refresh_every_s":"often"'),
    "another version of Unify": lambda data: data.replace(__version__.encode(), b"0.0.0"),
    "another spec": lambda data: data.replace(b"shop.yaml", b"mall.yaml"),
}


@pytest.mark.parametrize("damaged", DAMAGES.values(), ids=DAMAGES)
def test_an_invalid_cache_file_is_replaced(
    spec: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, damaged: Callable[[bytes], bytes]
) -> None:
    found = load_summary(spec, folder)
    [file] = folder.iterdir()
    whole = file.read_bytes()
    assert damaged(whole) != whole
    file.write_bytes(damaged(whole))
    clear_caches()

    assert load_summary(spec, folder) == found
    assert file.read_bytes() == whole
    assert cached_summary(monkeypatch, spec, folder) == found


def test_the_cache_is_private_and_contains_no_secret(spec: Path, folder: Path) -> None:
    load_summary(spec, folder)

    [file] = folder.iterdir()
    assert b"canary" not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_a_writable_cache_the_spec_is_read(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")

    assert load_summary(spec, tmp_path / "file" / "outlines").live == {"search"}
