"""``unify spec import``: files, standard input, reports, exit statuses."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.command import InProcessCommand
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.rest_tables import decode_rows
from unify.adapters.base import Read
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.loader import load_spec
from unify.config.secrets import Secret

CURL = "curl -H 'Authorization: Bearer canary-token' 'https://api.shop.example/v1/orders?page=1'\n"


@pytest.fixture
def command(empty_home: Path, tmp_path: Path) -> InProcessCommand:
    """The command in an empty folder; an import needs no home."""
    command = InProcessCommand(empty_home)
    command.folder = tmp_path / "work"
    command.folder.mkdir(mode=0o700)
    return command


def test_a_pasted_command_becomes_a_spec_that_passes_its_check(command: InProcessCommand) -> None:
    done = command.run("spec", "import", "-", stdin=CURL)

    assert done.exit_status == 0, done.stderr
    assert "shop.yaml: 1 table of 1 stream\n" in done.stdout
    assert "Next: unify spec try shop.yaml orders --option 'token=${TOKEN}'\n" in done.stdout
    assert [table.name for table in load_spec(command.folder / "shop.yaml").tables] == ["orders"]
    assert command.run("spec", "check", "shop.yaml").exit_status == 0


def test_an_existing_file_is_kept_without_force(command: InProcessCommand) -> None:
    path = command.folder / "shop.yaml"
    path.write_text("mine", encoding="utf-8")
    refused = command.run("spec", "import", "-", stdin=CURL)
    kept = path.read_text(encoding="utf-8")
    forced = command.run("spec", "import", "-", "--force", stdin=CURL)

    assert refused.exit_status == 2
    assert "shop.yaml: exists; --force replaces it" in refused.stderr
    assert kept == "mine"
    assert forced.exit_status == 0
    assert "orders" in path.read_text(encoding="utf-8")


def test_the_spec_goes_to_stdout_and_the_report_to_stderr(command: InProcessCommand) -> None:
    done = command.run("spec", "import", "-", "-o", "-", "--name", "mine", stdin=CURL)

    assert done.stdout.startswith(
        "# yaml-language-server: $schema=schema.json\n# Converted from a curl command\n"
    )
    assert "name: mine\n" in done.stdout
    assert "mine: 1 table of 1 stream\n" in done.stderr
    assert not list(command.folder.iterdir())


def test_a_report_as_json_has_what_is_left_and_exit_status_1(command: InProcessCommand) -> None:
    text = CURL + "curl -X DELETE https://api.shop.example/v1/orders/1\n"
    done = command.run("spec", "import", "-", "-o", "out.yaml", "--report", "json", stdin=text)
    report = json.loads(done.stdout)

    assert done.exit_status == 1
    assert report["file"] == "out.yaml"
    assert (report["taken"], report["streams"], report["tables"]) == (1, 2, ["orders"])
    assert report["left"] == [{"name": "DELETE /v1/orders/1", "reason": "DELETE does not read", "line": 2}]
    assert report["options"] == [
        {"name": "token", "description": "Access token", "secret": True, "required": True}
    ]
    assert report["auth"] == "bearer"


@pytest.mark.socket
def test_an_imported_table_reads_every_page(command: InProcessCommand) -> None:
    with FaultServer() as api:
        pages = {"1": [{"id": 1}, {"id": 2}], "2": [{"id": 3}]}
        api.serve(
            "/orders", lambda request: MockResponse.json({"orders": pages.get(request.query["page"], [])})
        )
        pasted = f"curl '{api.url}/orders?page=1&limit=2' -H 'X-Api-Key: canary-key'"
        command.run("spec", "import", "-", "--name", "shop", stdin=pasted)
        spec = load_spec(command.folder / "shop.yaml")
        adapter = RESTAdapter(spec, {"x_api_key": Secret("canary-key")})
        with closing(adapter):
            rows = decode_rows(adapter.pages("orders", Read()))

    assert rows == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert {request.headers["x-api-key"] for request in api.requests} == {"canary-key"}
    assert api.requests[0].query == {"limit": "2", "page": "1"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.yaml"], "missing.yaml: cannot be read: No such file or directory"),
        (["https://a.example/openapi.json"], "addresses are not fetched; download the document"),
        (
            ["-", "--tables", "order"],
            "no table or stream has this name; did you mean orders?",
        ),
        (["-", "--auth", "oauth2"], "--auth oauth2: the source does not offer it; use one of bearer, none"),
        (["-", "--option", "tokn=x"], "--option tokn: unknown option; did you mean token?"),
        (["-", "--option", "token=x"], "--option token: is a secret; a spec holds none"),
        (["-", "--from", "har"], "no request of the recording has a JSON response"),
        (["-", "--from", "openapi"], "no paths: it is no OpenAPI document"),
        (["-", "--from", "hra"], "--from: unknown value 'hra'"),
        (["-", "-o", "no/such/folder.yaml"], "no/such/folder.yaml: cannot be written: No such file"),
    ],
)
def test_what_cannot_be_read_or_written_is_exit_status_2(
    command: InProcessCommand, arguments: list[str], message: str
) -> None:
    done = command.run("spec", "import", *arguments, stdin=CURL)

    assert done.exit_status == 2
    assert message in done.stderr
    assert not list(command.folder.iterdir())


def test_help_names_formats_and_exit_statuses(command: InProcessCommand) -> None:
    done = command.run("spec", "import", "--help")

    assert "airbyte|openapi|dlt|postman|har|curl" in done.stdout
    assert "1 something is left" in done.stdout
