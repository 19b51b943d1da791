"""``unify spec try --write`` shows the requests that write rows, and sends nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import CommandResult, InProcessCommand

SPEC = """\
name: tracker
base_url: https://api.tracker.example/v2
options:
  token: {secret: true, required: true}
  team: {default: a}
auth: {type: bearer, token: "{token}"}
tables:
  - name: cards
    request: GET /cards
    key: id
    columns: {id: bigint, due: date}
    write:
      columns:
        name: {required: insert}
        board: {only: insert, required: insert}
        due:
        labels: {type: "varchar[]"}
      insert:
        request: POST /{team}/{board}/cards
        body: {name: "{name}", due: "{due}", labels: "{labels}", key: "{token}"}
        created: {id: id}
        settle: {find: GET /cards, params: {name: "{name}"}, same: name}
      update:
        request: PATCH /cards/{id}
        body: {name: "{name}", due: "{due}", labels: "{labels}"}
        idempotency: {header: Idempotency-Key}
      delete: {request: "DELETE /cards/{id}"}
      limits: {requests_per_minute: 60}
  - name: notes
    request: GET /notes
    write:
      columns: {text: {required: true}}
      insert:
        request: POST /notes/batch
        batch: {rows: 2}
        each: {n: "{row}", text: "{text}"}
        body: {notes: "{rows}"}
        outcomes: {done: results, failed: errors, by: n}
        divide: [400, 422]
  - {name: boards, request: GET /boards}
  - name: lists
    request: GET /lists
    key: id
    write:
      columns: {title: {}}
      update: {request: "PATCH /lists/{id}", body: {title: "{title}"}}
      delete: {request: "PATCH /lists/{id}", body: {open: false}, undo: {open: true, seen: "{seen}"}}
"""
Try = Callable[..., CommandResult]


@pytest.fixture
def try_write(empty_home: Path, tmp_path: Path) -> Try:
    path = tmp_path / "tracker.yaml"
    path.write_text(SPEC, encoding="utf-8")
    command = InProcessCommand(empty_home)
    return lambda table, *arguments: command.run("spec", "try", str(path), table, *arguments)


def test_the_requests_of_every_operation_are_shown(try_write: Try) -> None:
    done = try_write("cards", "--write", "--option", "token=s3cretvalue")

    assert done.exit_status == 0, done.stderr
    assert done.stdout == (
        "insert: 1 row in 1 request\n"
        "POST https://api.tracker.example/v2/a/board%201/cards\n"
        "  Content-Type: application/json\n"
        "  auth: bearer *** (from token)\n"
        '  {"name":"name 1","due":"2026-01-31","labels":["labels 1"],"key":"***"}\n'
        "  done: a status of 200 to 299; the response has id\n"
        "  if the response is lost: the row is looked for with GET /cards, by name\n"
        "  at most 60 requests a minute\n"
        "\n"
        "update: 1 row in 1 request\n"
        "PATCH https://api.tracker.example/v2/cards/1\n"
        "  Idempotency-Key: WRITE-1-0\n"
        "  Content-Type: application/json\n"
        "  auth: bearer *** (from token)\n"
        '  {"name":"name 1","due":"2026-01-31","labels":["labels 1"]}\n'
        "  done: a status of 200 to 299\n"
        "  if the response is lost: it is sent again with the same Idempotency-Key\n"
        "  at most 60 requests a minute\n"
        "\n"
        "delete: 1 row in 1 request\n"
        "DELETE https://api.tracker.example/v2/cards/1\n"
        "  auth: bearer *** (from token)\n"
        "  done: a status of 200 to 299\n"
        "  if the response is lost: it is sent again\n"
        "  at most 60 requests a minute\n"
        "\n"
        "nothing was sent\n"
    )


def test_rows_of_a_csv_fill_batches(try_write: Try, tmp_path: Path) -> None:
    file = tmp_path / "notes.csv"
    file.write_text("text\nfirst\n2026-03-01\n03\n", encoding="utf-8")

    done = try_write("notes", "--write", "--rows", str(file))

    assert done.exit_status == 0, done.stderr
    assert "insert: 3 rows in 2 requests\n" in done.stdout
    assert '  {"notes":[{"n":"1","text":"first"},{"n":"2","text":"2026-03-01"}]}\n' in done.stdout
    assert '  {"notes":[{"n":"3","text":"03"}]}\n' in done.stdout
    assert "each row has its outcome in results or errors, by n; a batch with status 400, 422" in done.stdout
    assert "the row is unknown, and not sent again" in done.stdout


@pytest.mark.parametrize("form", ["text", "json", "jsonl"])
def test_rows_are_given_as_json(try_write: Try, tmp_path: Path, form: str) -> None:
    text = '{"name": "x", "board": "b", "due": null, "labels": [1.10]}'
    rows = text if form == "text" else str(tmp_path / f"rows.{form}")
    (tmp_path / "rows.json").write_text(f"[{text}]", encoding="utf-8")
    (tmp_path / "rows.jsonl").write_text(f"{text}\n", encoding="utf-8")

    done = try_write("cards", "--write=insert", "--rows", rows)

    assert done.exit_status == 0, done.stderr
    assert '{"name":"x","due":null,"labels":[1.10],"key":"***"}' in done.stdout
    assert "update:" not in done.stdout


def test_an_update_takes_the_stored_row_with_its_new_values(try_write: Try) -> None:
    done = try_write("cards", "--write", "update", "--rows", '[{"id": 7, "board": "b", "due": null}]')

    assert "PATCH https://api.tracker.example/v2/cards/7\n" in done.stdout
    assert '  {"due":null}\n' in done.stdout


def test_a_row_is_restored_as_it_was_stored(try_write: Try) -> None:
    done = try_write("lists", "--write", "--rows", '[{"id": 7, "title": "Oil", "seen": 5}]')

    assert "PATCH https://api.tracker.example/v2/lists/7" in done.stdout
    assert '  {"open":false}\n' in done.stdout
    assert '  {"open":true,"seen":5}\n' in done.stdout
    assert '  {"open":true,"seen":"seen 1"}\n' in try_write("lists", "--write", "restore").stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["cards", "--write=insert", "--rows", '[{"name": null, "board": "b"}]'], 1, "name is NULL and"),
        (["cards", "--write=insert", "--rows", '[{"name": "x"}]'], 1, "insert requires board"),
        (["cards", "--write=insert", "--rows", '[{"nam": "x"}]'], 1, "did you mean name?"),
        (["cards", "--write=update", "--rows", '[{"name": "x"}]'], 1, "row 1: id of its key is NULL"),
        (["cards", "--write", "--rows", "[1]"], 2, "expected a list of objects"),
        (["cards", "--write", "--rows", "[{]"], 2, "--rows: expected rows as JSON"),
        (["cards", "--write", "--rows", "no.json"], 1, "no.json cannot be read"),
        (["cards", "--write", "--rows", "no.csv"], 1, "no.csv cannot be read"),
        (["cards", "--rows", "[]"], 2, "--rows: only with --write"),
        (["cards", "--write", "upsert"], 2, "there is no upsert; it can insert, update, delete"),
        (["cards", "--write", "patch"], 2, "--write: unknown value 'patch'; use one of insert"),
        (["cards", "--write", "restore"], 2, "there is no restore; it can insert, update, delete"),
        (["boards", "--write"], 2, "boards has no key write; it can write cards, notes, lists"),
        (["cards", "--write", "--option", "tokn=x"], 2, "unknown option; its options are token, team"),
    ],
)
def test_what_cannot_be_sent_is_explained(
    try_write: Try, arguments: list[str], status: int, message: str
) -> None:
    done = try_write(*arguments)

    assert done.exit_status == status, done
    assert message in done.stdout + done.stderr
