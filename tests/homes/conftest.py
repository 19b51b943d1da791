"""A home with a loaded table, a table of the user, a queue and a saved variable."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.publishing import KEYED, load
from tests.support.stores import create_home, settings_for_home
from unify.config.settings import Settings
from unify.fs.durable import private_umask
from unify.lake.lake import Lake
from unify.lake.saved_variables import SavedVariables
from unify.queue.queue import Queue

ROWS: list[tuple[object, ...]] = [(number, f"title {number}") for number in range(5000)]


@pytest.fixture(scope="session")
def filled_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = create_home(tmp_path_factory.mktemp("filled"))
    settings.create_folders()
    with private_umask(), Lake(settings) as lake:
        load(lake, KEYED, ROWS, key=("id",))
        lake.execute("create table words as select i, 'word ' || i as word from range(5000) r(i)")
        lake.execute("delete from words where i < 10")
        SavedVariables(settings.home / "variables").save_value(lake, "LIMIT", "INTEGER", "5")
    shutil.rmtree(settings.staging)
    with Queue(settings.queue) as queue:
        queue.schedules()
    return settings.home


@pytest.fixture
def filled(filled_template: Path, tmp_path: Path) -> Settings:
    """A copy of that home; ``main.words`` has deleted rows."""
    shutil.copytree(filled_template, tmp_path / "home")
    return settings_for_home(tmp_path / "home")


def data_file(settings: Settings, schema: str, table: str) -> Path:
    """Return the only file with rows of a table."""
    [path] = (path for path in (settings.data_path / schema / table).iterdir() if "delete" not in path.name)
    return path
