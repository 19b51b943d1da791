"""Rows are written to Kinto and json-server, with what their answers have in them beside a status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import yaml

from tests.support.command import CommandResult, UnifyCommand
from tests.support.foreign_servers import free_port, install_npm_program, install_python_program, run_server

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]  # the first run installs the packages

KINTO = "kinto==26.5.0"
KINTO_SETTINGS = """\
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = %(http_port)s
[app:main]
use = egg:kinto
kinto.includes = kinto.plugins.default_bucket
kinto.storage_backend = kinto.core.storage.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.userid_hmac_secret = some-text
kinto.default_bucket_hmac_secret = some-other-text
multiauth.policies = basicauth
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = INFO
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = plain
[formatter_plain]
format = %(message)s
"""
RECORDS = "/buckets/default/collections/birds/records"
COLUMNS = {"id": {"required": "insert", "only": ["insert", "upsert"]}, "name": None, "grams": None}
DATA = {"data": {"name": "{name}", "grams": "{grams}"}}
WITH_ID = {"data": {"id": "{id}", **DATA["data"]}}
KINTO_SPEC: dict[str, Any] = {
    "name": "shelf",
    "base_url": "{base_url}",
    "options": {"base_url": {"required": True}, "user": {"required": True}},
    "auth": {"type": "basic", "username": "{user}", "password": "x"},
    "tables": [
        {
            "name": "birds",
            "request": f"GET {RECORDS}",
            "rows": "data",
            "key": "id",
            "write": {
                "columns": COLUMNS,
                "insert": {
                    "request": f"POST {RECORDS}",
                    "body": WITH_ID,
                    "returned": "data",
                    "created": {"id": "id"},
                },
                "update": {"request": f"PATCH {RECORDS}/{{id}}", "body": DATA},
                "upsert": {"request": f"PUT {RECORDS}/{{id}}", "body": WITH_ID},
                "delete": {"request": f"DELETE {RECORDS}/{{id}}"},
            },
        },
        {
            "name": "flock",
            "request": f"GET {RECORDS}",
            "rows": "data",
            "key": "id",
            "write": {
                "columns": {**COLUMNS, "id": {"required": "insert"}},
                "insert": {
                    "request": "POST /batch",
                    "batch": {"rows": 25},
                    "each": {"path": f"/v1{RECORDS}/{{id}}", "body": WITH_ID},
                    "body": {
                        "defaults": {"method": "PUT", "headers": {"If-None-Match": "*"}},
                        "requests": "{rows}",
                    },
                    "outcomes": {
                        "done": "responses",
                        "status": "status",
                        "id": "body.data.id",
                        "message": "body.message",
                    },
                },
            },
        },
    ],
}
POSTS_SPEC: dict[str, Any] = {
    "name": "blog",
    "base_url": "{base_url}",
    "options": {"base_url": {"required": True}},
    "paging": {"type": "none"},
    "tables": [
        {
            "name": "posts",
            "request": "GET /posts",
            "key": "id",
            "write": {
                "columns": {"id": {"only": "insert"}, "title": None},
                "insert": {
                    "request": "POST /posts",
                    "body": {"id": "{id}", "title": "{title}"},
                    "created": {"id": "id"},
                },
                "update": {"request": "PATCH /posts/{id}", "body": {"title": "{title}"}},
                "delete": {"request": "DELETE /posts/{id}"},
            },
        },
        {
            "name": "lists",
            "request": "GET /posts",
            "write": {
                "columns": {"title": None},
                "insert": {
                    "request": "POST /posts",
                    "batch": {"rows": 10},
                    "each": {"title": "{title}"},
                    "body": "{rows}",
                    "outcomes": {"done": "rows", "id": "id"},
                },
            },
        },
    ],
}


class Target:
    """Statements about a connection ``there`` to a server, with plain requests to it."""

    def __init__(self, unify: UnifyCommand, spec: dict[str, Any], url: str, **options: str) -> None:
        self._unify = unify
        self.url = url
        specs = unify.home / "specs"
        specs.mkdir(exist_ok=True)
        (specs / f"{spec['name']}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), "utf-8")
        unify.environment["UNIFY_SPECS"] = str(specs)
        writes = [table["name"] for table in spec["tables"]]
        entry = {"adapter": spec["name"], "options": {"base_url": url, **options}, "writes": writes}
        unify.write_connections(yaml.safe_dump({"there": entry}))

    def __call__(self, *statements: str) -> CommandResult:
        return self._unify(*statements, args=["--yes", "--max-deletes", "5", "--format", "json"])

    def outcomes(self, statement: str) -> list[tuple[str, str]]:
        """State and message of each row of a statement, whether it succeeds or not."""
        self(statement)
        last = "(select max(id) from unify.writes)"
        found = self(f"select state, message from unify.write_rows where write = {last} order by row")
        return [(row["state"], row["message"] or "") for row in json.loads(found.stdout)]


@pytest.fixture(scope="module")
def kinto_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("kinto")
    (folder / "kinto.ini").write_text(KINTO_SETTINGS, encoding="utf-8")
    program = install_python_program(KINTO, "kinto")
    port = str(free_port())
    with run_server([program, "start", "--ini", "kinto.ini", "--port", port], folder) as url:
        yield f"{url}/v1"


@pytest.fixture(scope="module")
def json_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("json-server")
    (folder / "db.json").write_text(json.dumps({"posts": [{"id": 1, "title": "First"}]}))
    command = [install_npm_program("json-server@0.17.4"), "--port", str(free_port()), "db.json"]
    with run_server(command, folder) as url:
        yield url


class TestKinto:
    @pytest.fixture
    def kinto(self, shared_unify: UnifyCommand, kinto_url: str, request: pytest.FixtureRequest) -> Target:
        return Target(shared_unify, KINTO_SPEC, kinto_url, user=request.node.name)  # a bucket of its own

    def names(self, kinto: Target, request: pytest.FixtureRequest) -> dict[str, str]:
        with requests.Session() as session:
            session.trust_env = False
            auth = (request.node.name, "x")
            found = session.get(f"{kinto.url}{RECORDS}", auth=auth, timeout=30).json()["data"]
        return {row["id"]: row["name"] for row in found}

    def test_rows_are_inserted_updated_and_deleted(
        self, kinto: Target, request: pytest.FixtureRequest
    ) -> None:
        values = "values ('owl', 'Owl', 400), ('wren', 'Wren', 9.5)"
        made = kinto.outcomes(f"insert into there.birds (id, name, grams) {values}")
        assert [state for state, _ in made] == ["created", "created"]

        assert kinto.outcomes("update there.birds set name = 'Tawny owl' where id = 'owl'") == [
            ("updated", "")
        ]
        assert kinto.outcomes("delete from there.birds where id = 'wren'") == [("deleted", "")]
        assert self.names(kinto, request) == {"owl": "Tawny owl"}

    def test_a_success_that_returns_an_older_row_has_written_nothing(
        self, kinto: Target, request: pytest.FixtureRequest
    ) -> None:
        insert = "insert into there.birds (id, name) values "
        assert kinto.outcomes(f"{insert}('owl', 'Owl')") == [("created", "")]

        [(state, message)] = kinto.outcomes(f"{insert}('owl', 'Another')")

        assert state == "rejected"
        assert "the system has this row already and kept it" in message
        assert self.names(kinto, request) == {"owl": "Owl"}

    def test_each_row_of_a_batch_has_the_status_within_the_response(
        self, kinto: Target, request: pytest.FixtureRequest
    ) -> None:
        assert kinto.outcomes("insert into there.birds (id, name) values ('b7', 'First')") == [
            ("created", "")
        ]

        rows = "select 'b' || range, 'Bird ' || range from range(30)"
        made = kinto.outcomes(f"insert into there.flock (id, name) {rows}")

        assert [number for number, (state, _) in enumerate(made) if state != "created"] == [7]
        assert made[7][0] == "rejected"
        assert "Resource was modified meanwhile" in made[7][1]
        names = self.names(kinto, request)
        assert len(names) == 30
        assert names["b7"] == "First"


class TestJSONServer:
    @pytest.fixture
    def blog(self, shared_unify: UnifyCommand, json_server_url: str) -> Target:
        return Target(shared_unify, POSTS_SPEC, json_server_url)

    def test_rows_are_inserted_updated_and_deleted(self, blog: Target) -> None:
        result = blog("insert into there.posts (title) values ('Second') returning *")
        [row] = json.loads(result.stdout)
        number = row["id"] if "id" in row else row["created"]["id"]

        assert blog.outcomes(f"update there.posts set title = 'Two' where id = {number}") == [("updated", "")]
        assert blog.outcomes(f"delete from there.posts where id = {number}") == [("deleted", "")]

    def test_a_failure_of_the_server_tells_nothing(self, blog: Target) -> None:
        [(state, message)] = blog.outcomes("insert into there.posts (id, title) values (1, 'Again')")

        assert state == "unknown"
        assert "nothing tells what became of it" in message

    def test_a_success_without_the_rows_is_none(self, blog: Target) -> None:
        made = blog.outcomes("insert into there.lists (title) values ('a'), ('b')")

        assert made == [("unknown", "the response has no such row")] * 2
