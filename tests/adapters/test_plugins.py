"""Adapters in Python from installed packages, and the names that programs import from ``unify``."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import unify as package
from tests.support.command import UnifyCommand
from tests.support.paths import CHECKOUT
from unify.adapters import registry
from unify.adapters.base import Read
from unify.config.connections import Connection
from unify.errors import ConfigError, SourceError, UnresolvedSecret

DOCUMENT = CHECKOUT / "docs" / "python-adapters.md"
Install = Callable[..., None]

FAULTY = """
import unify
from unify.adapters.spec.elements import Option
from unify.adapters.base import Page
from unify.model import TableDef

class Faulty(unify.Adapter):
    takes = (Option("token", secret=True), Option("mode", default="rows"))

    def list_tables(self):
        assert self.options["token"] is None or self.options["mode"] == "rows"
        return [TableDef("things", key=("id",))]

    def pages(self, table, read):
        yield Page.of([{"id": 1}])
        mode = self.options["mode"]
        if mode == "raise":
            raise RuntimeError(f"cannot log in with {self.options['token'].reveal()}")
        if mode == "unauthorized":
            from unify.errors import Unauthorized
            raise Unauthorized(f"{self.options['token'].reveal()} was refused")
        if mode == "list":
            yield [{"id": 2}]
        if mode == "text":
            yield Page(['{"id": 2}'])
        if mode == "broken":
            yield Page([b'{"id": 2'])
        if mode == "lines":
            yield Page([b'{"id":\\n2}'])

    def check(self):
        return True
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def install(site: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that writes a package and its metadata into ``site``, as pip does."""
    monkeypatch.syspath_prepend(site)

    def put(module: str, code: str, points: dict[str, str], name: str = "") -> None:
        (site / f"{module}.py").write_text(code, encoding="utf-8")
        about = site / f"{name or module}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name or module}\nVersion: 1.0\n")
        lines = [f"{key} = {value}" for key, value in points.items()]
        (about / "entry_points.txt").write_text("\n".join(["[unify.adapters]", *lines, ""]))
        monkeypatch.delitem(sys.modules, module, raising=False)

    return put


def in_document(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


def read(connection: Connection, environment: dict[str, str] | None = None) -> list[bytes]:
    adapter = registry.open_adapter(connection, [], environment or {})
    return [row for page in adapter.pages("things", Read()) for row in page.rows]


class TestDocumentedExample:
    @pytest.fixture
    def work(self, tmp_path: Path, site: Path, install: Install, unify: UnifyCommand) -> UnifyCommand:
        """The command with the documented package, its connection and its database."""
        project = tomllib.loads(in_document("toml"))["project"]
        points = project["entry-points"]["unify.adapters"]
        install("hours_unify", in_document("python"), points, project["name"].replace("-", "_"))
        unify.environment["PYTHONPATH"] = str(site)
        database = tmp_path / "hours.db"
        unify.write_connections(in_document("yaml").replace("/home/ann/hours.db", str(database)))
        with sqlite3.connect(database) as tracker:
            tracker.execute("create table projects (id integer primary key, name text)")
            tracker.execute(
                "create table entries (id integer primary key, hours, note text, changed_at text)"
            )
            tracker.execute("insert into projects values (1, 'Unify'), (2, 'Garden')")
            tracker.executemany(
                "insert into entries values (?, '0.25', ?, ?)",
                [
                    (number, "läuft", f"2026-01-01 00:{number // 60:02}:{number % 60:02}")
                    for number in range(2500)
                ],
            )
            tracker.execute("pragma user_version = 7")
        tracker.close()
        return unify

    def test_has_the_documented_length(self) -> None:
        assert len(in_document("python").splitlines()) <= 60

    def test_loads_and_refreshes_tables_through_the_daemon(self, work: UnifyCommand, tmp_path: Path) -> None:
        counted = work("select count(*), sum(hours), max(note) from work.entries")
        assert counted.rows[1:] == [["2500", "625.00", "läuft"]], counted
        assert work("select name from work.projects order by id").rows[1:] == [["Unify"], ["Garden"]]

        with sqlite3.connect(tmp_path / "hours.db") as tracker:
            tracker.execute("update entries set note = 'changed', changed_at = '2026-02-01' where id = 5")
            tracker.execute("insert into entries values (2500, '1.5', 'new', '2026-02-02')")
            tracker.execute("delete from entries where id = 6")  # rows before the cursor are not read again
        tracker.close()
        assert work("refresh table work.entries").exit_status == 0
        counted = work("select count(*), count(*) filter (note <> 'läuft') from work.entries")
        assert counted.rows[1:] == [["2501", "2"]], counted

    def test_supports_describe_peek_and_check(self, work: UnifyCommand) -> None:
        assert work.run("check").stdout == "work: ok, as version 7\n"
        assert work("peek work.projects").rows[1:] == [["1", "Unify"], ["2", "Garden"]]
        described = work("describe work.entries")
        assert ["note", "", "Description of the work"] in [
            [row[0], row[1], row[-1]] for row in described.rows
        ], described

    def test_an_unknown_option_is_an_error_with_its_position(self, work: UnifyCommand) -> None:
        work.write_connections("work:\n  adapter: hours\n  options: {fil: /x}\n")
        result = work("select * from work.entries")
        assert result.exit_status == 2
        assert re.search(r"work.options.fil: unknown option.*file", result.stderr), result


class TestFaultyPackages:
    @pytest.fixture
    def faulty(self, install: Install) -> Callable[..., Connection]:
        install("faulty", FAULTY, {"faulty": "faulty:Faulty"})
        return lambda **options: Connection("mine", "faulty", options)

    @pytest.mark.parametrize(
        ("mode", "message"),
        [
            (
                "raise",
                r"things of mine \(package faulty 1\.0, faulty:Faulty\): RuntimeError: cannot log in with "
                r"\*\*\*, at faulty\.py:\d+$",
            ),
            ("unauthorized", r"^\*\*\* was refused"),
            ("list", r"pages\(\) returned list, not unify\.Page"),
            ("text", r"a row must be a JSON object as bytes"),
            ("broken", r"a row is not JSON"),
        ],
    )
    def test_fail_the_load_with_one_line(
        self, faulty: Callable[..., Connection], mode: str, message: str
    ) -> None:
        with pytest.raises(SourceError, match=message) as caught:
            read(faulty(token="s3cret-canary", mode=mode))
        assert "s3cret" not in caught.value.message

    def test_a_row_on_two_lines_becomes_one_line(self, faulty: Callable[..., Connection]) -> None:
        assert read(faulty(mode="lines")) == [b'{"id":1}', b'{"id": 2}']

    def test_an_invalid_check_result_is_an_error(self, faulty: Callable[..., Connection]) -> None:
        with pytest.raises(SourceError, match=r"check\(\) returned bool, not unify\.Check"):
            registry.open_adapter(faulty(), [], {}).check()

    def test_tables_are_listed_without_resolving_secrets(self, faulty: Callable[..., Connection]) -> None:
        connection = faulty(token="${T}", mode="raise")
        assert [table.name for table in registry.describe_adapter(connection, [])] == ["things"]
        with pytest.raises(UnresolvedSecret, match=r"mine\.options\.token"):
            registry.check_secrets(connection, [], {})

    def test_an_unusable_package_is_refused(self, install: Install) -> None:
        install("broken", "raise OSError('no such library')", {"broken": "broken:Any"})
        install("plain", "class Plain: pass", {"plain": "plain:Plain", "twice": "plain:Plain"})
        install("second", "", {"twice": "second:X"})
        for adapter, message in {
            "broken": "package broken 1.0, broken:Any: OSError: no such library",
            "plain": "an adapter must be a subclass of unify.Adapter",
            "twice": "provided by package plain 1.0, plain:Plain and package second 1.0, second:X",
            "nothing": "unknown adapter nothing.*installed packages provide broken, plain, twice",
        }.items():
            with pytest.raises(ConfigError, match=message):
                registry.describe_adapter(Connection("mine", adapter), [])


# PEP 249 gives these names to types and functions that are called otherwise.
DB_API_ALIASES = {"Binary": ("bytes",), "Date": ("date",), "Time": ("time",), "Timestamp": ("datetime",)}


class TestPublicNames:
    @pytest.mark.parametrize("name", [name for name in package.__all__ if not name.startswith("_")])
    def test_can_be_imported(self, name: str) -> None:
        found = getattr(package, name)
        assert getattr(found, "__name__", name).rpartition(".")[2] in (name, *DB_API_ALIASES.get(name, ()))

    def test_include_the_documented_names(self) -> None:
        promised = ["Adapter", "TableDef", "RESTAdapter", "Connection", "TableLoader", "LoaderJob"]
        assert {*promised, "LoaderStatus", "Interpreter"} <= set(package.__all__) <= set(dir(package))

    def test_another_name_is_an_error(self) -> None:
        with pytest.raises(AttributeError, match="no attribute 'Adaptor'"):
            package.Adaptor  # noqa: B018

    @pytest.mark.process
    def test_importing_the_package_imports_nothing_but_its_version(self) -> None:
        code = "import sys, unify; print(*[name for name in sys.modules if name.startswith('unify.')])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.stderr) == ("unify.version\n", "")
