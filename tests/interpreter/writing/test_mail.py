"""``export (SELECT) to mail``: planned, approved, sent once, listed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import openpyxl
import pytest
import yaml

from tests.support.command import CommandResult, UnifyCommand
from tests.support.fault_server import FaultServer
from tests.support.mail_server import PASSWORD, USER, Mailbox, run_mail_server
from unify.writes.store import WriteStore

pytestmark = [pytest.mark.process, pytest.mark.socket]


@dataclass
class Post:
    unify: UnifyCommand
    mailbox: Mailbox

    def __call__(self, *statements: str, args: tuple[str, ...] = ("--yes",)) -> CommandResult:
        return self.unify(*statements, args=args)

    def connect(self, **options: object) -> None:
        given = {"host": "127.0.0.1", "port": self.mailbox.port, "tls": "none", "from": "Unify <u@x.example>"}
        own = {"to": ["team@x.example", "@acme.example"], "user": USER, "password": "${MAIL_PASSWORD}"}
        mail = {"adapter": "smtp", "options": {**given, **own, **options}}
        self.unify.environment["MAIL_PASSWORD"] = PASSWORD
        self.unify.write_connections(yaml.safe_dump({"mail": mail}))


@pytest.fixture(scope="module")
def server() -> Iterator[Mailbox]:
    with run_mail_server(has_auth=True) as mailbox:
        yield mailbox


@pytest.fixture
def post(shared_unify: UnifyCommand, server: Mailbox) -> Post:
    server.mails.clear()
    server.replies.clear()
    made = Post(shared_unify, server)
    made.connect()
    return made


ROWS = "(select 1 as id, 'Süße <b>\"x\"</b>' as name, null as note union all select 2, 'b', 'c' order by 1)"


def test_a_script_without_yes_sends_nothing_and_shows_the_plan(post: Post) -> None:
    result = post(f"export {ROWS} to mail 'team@x.example' subject 'Open'", args=())

    assert result.exit_status == 2
    plan = "mail from Unify <u@x.example> to team@x.example: 'Open', 2 rows as html, "
    assert plan in result.stderr
    assert "nothing was sent; send it with --yes, or at a prompt: approve write" in result.stderr
    assert post.mailbox.mails == []


def test_a_table_is_shown_in_the_mail(post: Post) -> None:
    result = post(f"export {ROWS} to mail 'team@x.example', 'kim@acme.example' subject 'Offen: 2 Süße'")

    assert result.exit_status == 0, result
    [(sender, addresses, _)] = post.mailbox.mails
    assert (sender, addresses) == ("u@x.example", ["team@x.example", "kim@acme.example"])
    message = post.mailbox.message()
    assert (message["Subject"], message["To"]) == ("Offen: 2 Süße", "team@x.example, kim@acme.example")
    body, text = message.get_body(("html",)), message.get_body(("plain",))
    assert body is not None
    assert text is not None
    assert "Süße &lt;b&gt;&quot;x&quot;&lt;/b&gt;</td>" in body.get_content()
    assert text.get_content().splitlines() == [
        "id\tname\tnote",
        '1\tSüße <b>"x"</b>\t',
        "2\tb\tc",
        "",
        "2 rows",
    ]


def test_a_write_of_a_mail_is_listed_with_its_message_id(post: Post) -> None:
    post("export (select 1 as x) to mail 'team@x.example'")

    found = post(
        "select w.\"table\", w.mode, w.state, r.state as row_state, r.status, r.created->>'message_id' as id "
        "from unify.writes w join unify.write_rows r on r.write = w.id order by w.id desc limit 1",
        args=("--format", "json"),
    )

    assert found.exit_status == 0, found
    assert json.loads(found.stdout) == [
        {
            "table": "mails",
            "mode": "insert",
            "state": "done",
            "row_state": "created",
            "status": 250,
            "id": post.mailbox.message()["Message-ID"],
        }
    ]


@pytest.mark.parametrize("format", ["csv", "excel"])
def test_a_file_is_attached(post: Post, format: str) -> None:
    post("create or replace table numbers as select range as n, 'ü' as text from range(2000)")

    result = post(f"export numbers to mail 'team@x.example' as {format}")

    assert result.exit_status == 0, result
    [attachment] = post.mailbox.message().iter_attachments()
    data = attachment.get_payload(decode=True)
    assert isinstance(data, bytes)
    if format == "csv":
        assert attachment.get_content_type() == "text/csv"
        assert data.decode().splitlines()[:2] == ["n,text", "0,ü"]
        assert data.count(b"\n") == 2001
    else:
        sheet = openpyxl.load_workbook(BytesIO(data)).active
        assert sheet is not None
        assert (sheet.max_row, sheet["A2001"].value, sheet["B2"].value) == (2001, 1999, "ü")
    assert post.mailbox.message()["Subject"] == "Unify: 2,000 rows"


def test_explain_shows_the_plan_and_plans_nothing(post: Post) -> None:
    before = post("select count(*) from unify.writes").single_value

    result = post("explain export (select 1 as x) to mail 'team@x.example'")

    assert "to team@x.example: 'Unify: 1 row', 1 row as html" in result.stdout
    assert post("select count(*) from unify.writes").single_value == before
    assert post.mailbox.mails == []


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "(select 1) to mail 'x@other.example'",
            "x@other.example is not among the addresses of the option to",
        ),
        ("(select 1) to mail 'team@x.example\nBcc: x@y.example'", "is not one address"),
        ("(select 1) to mail 'team@x.example' subject 'a\nBcc: x@y.example'", "the subject contains a line"),
        ("(select 1) to mail 'team@x.example' subject ' '", "the subject needs 1 to 200 characters"),
        ("(select range from range(1001)) to mail 'team@x.example'", "a mail shows at most 1,000 rows"),
        ("(select repeat('x', 3000)) to mail 'team@x.example'", "more than the 2 kB of the option max_size"),
        ("(select repeat('x', 3000)) to mail 'team@x.example' as csv", "more than the 2 kB of the option"),
        ("(select 1) to post 'team@x.example'", "post is no connection of adapter smtp"),
        ("(select 1) to mail", 'expected "." and a table\'s name'),
        ("(select 1) to mail 'team@x.example' as pdf", "expected csv, excel or html"),
    ],
)
def test_what_must_not_be_sent_is_refused_before_it_is_planned(
    post: Post, statement: str, problem: str
) -> None:
    post.connect(max_size="2 kB")
    before = post("select count(*) from unify.writes").single_value

    result = post(f"export {statement}")

    assert result.exit_status == 1
    assert problem in result.stderr
    assert post("select count(*) from unify.writes").single_value == before
    assert post.mailbox.mails == []


def test_nothing_is_sent_in_a_transaction(post: Post) -> None:
    result = post("begin; export (select 1) to mail 'team@x.example'; rollback")

    assert "inside a transaction: what is sent cannot be rolled back" in result.stderr
    assert post.mailbox.mails == []


def test_a_lost_reply_is_unknown_and_sent_again_with_the_same_id_only_if_asked(post: Post) -> None:
    post.mailbox.replies.append("lost")

    result = post("export (select 1 as x) to mail 'team@x.example'")

    assert result.exit_status == 1
    assert "1 unknown" in result.stderr
    write = post("show writes").rows[1][0]
    assert len(post.mailbox.mails) == 1
    assert f"to send unknown rows again: retry write {write} unknown" in post(f"retry write {write}").stderr
    assert post(f"retry write {write} unknown").exit_status == 0
    first, second = (post.mailbox.message(number)["Message-ID"] for number in range(2))
    assert first == second


def test_a_passing_refusal_is_sent_again_once(post: Post) -> None:
    post.mailbox.replies.append("451 try again")

    result = post("export (select 1 as x) to mail 'team@x.example'")

    assert result.exit_status == 0, result
    assert len(post.mailbox.mails) == 1


def test_a_refusal_for_good_fails_the_statement(post: Post) -> None:
    post.mailbox.replies.append("554 spam")

    result = post("export (select 1 as x) to mail 'team@x.example'")

    assert result.exit_status == 1
    assert "row 1: the mail was refused: 554 spam" in result.stderr


def test_check_tests_the_sign_in(post: Post) -> None:
    assert post.unify.run("check", "mail").stdout == f"mail: ok, as {USER}\n"
    post.unify.environment["MAIL_PASSWORD"] = "wr0ng-canary"
    failed = post.unify.run("check", "mail")
    assert failed.exit_status == 1
    assert "user or password were refused" in failed.stdout
    assert "canary" not in failed.stdout + failed.stderr


def test_without_a_connection_the_way_is_shown(shared_unify: UnifyCommand, api: FaultServer) -> None:
    shared_unify.write_connections(
        f"crm: {{adapter: github, options: {{token: x, base_url: '{api.url}'}}}}\n"
    )

    result = shared_unify("export (select 1) to mail 'a@x.example'", args=["--yes"])

    assert "no connection sends mails; add one: connect smtp as mail" in result.stderr


def test_connect_tests_the_sign_in_and_tells_how_to_send(shared_unify: UnifyCommand, server: Mailbox) -> None:
    (shared_unify.home / "connections.yaml").unlink(missing_ok=True)
    shared_unify.environment["MAIL_PASSWORD"] = PASSWORD
    server.mails.clear()
    options = (
        f"host = '127.0.0.1', port = '{server.port}', tls = 'none', from = 'u@x.example', user = '{USER}'"
    )

    refused = shared_unify(f"connect smtp as mail with {options}, password = 'wr0ng-canary'")
    assert refused.exit_status == 1
    assert "mail is not saved: " in refused.stderr
    assert "canary" not in refused.stderr

    to = "to = 'team@x.example, @acme.example'"
    made = shared_unify(f"connect smtp as mail with {options}, {to}, password = '${{MAIL_PASSWORD}}'")
    assert f"authenticated as {USER} (export (SELECT …) to mail 'ADDRESS')" in made.stderr, made

    sent = shared_unify("export (select 1 as x) to mail 'b@acme.example'", args=["--yes"])
    assert sent.exit_status == 0, sent
    assert [addresses for _, addresses, _ in server.mails] == [["b@acme.example"]]
    outside = shared_unify("export (select 1 as x) to mail 'b@x.example'", args=["--yes"])
    assert "b@x.example" in outside.stderr
    assert outside.exit_status != 0


def test_the_text_of_a_mail_is_kept_until_it_is_delivered(post: Post) -> None:
    post.mailbox.replies.append("550 no")
    post(f"export {ROWS} to mail 'team@x.example' subject 'Kept'")
    write = post("show writes").rows[1][0]
    with WriteStore(post.unify.home / "writes.db") as store:
        refused = store.rows(int(write))[0].planned.values
        assert post(f"retry write {write}").exit_status == 0
        delivered = store.rows(int(write))[0].planned.values

    assert {"text", "html"} <= refused.keys()
    assert delivered.keys() == {"to", "subject", "id", "summary"}
