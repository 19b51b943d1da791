"""Mails as they are sent: addresses and subjects are checked, texts are encoded."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from msgspec.structs import replace

from unify.adapters.mail.message import (
    Attachment,
    MailContent,
    address_problem,
    build_message,
    content_problem,
    is_allowed,
    new_message_id,
    sender_problem,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTENT = MailContent(("a@x.example", "b@x.example"), "Zwei Süße", "Größe\n.\n", "<1@x.example>")


def parsed(content: MailContent, sender: str = "Unify ü <u@x.example>") -> EmailMessage:
    return message_from_bytes(build_message(content, sender, NOON), policy=policy.default)


def test_headers_and_text_arrive_as_they_were_given() -> None:
    message = parsed(CONTENT)

    assert {name: str(message[name]) for name in ("From", "To", "Subject", "Message-ID")} == {
        "From": "Unify ü <u@x.example>",
        "To": "a@x.example, b@x.example",
        "Subject": "Zwei Süße",
        "Message-ID": "<1@x.example>",
    }
    assert message["Date"].datetime == NOON
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content().splitlines() == ["Größe", "."]


def test_html_has_a_text_beside_it_and_a_file_keeps_its_bytes() -> None:
    file = Attachment("result.csv", "text/csv", base64.b64encode(b"a\xc3\xbc\r\n\x00").decode())
    message = parsed(replace(CONTENT, html="<p>ü</p>", attachment=file))

    [attachment] = message.iter_attachments()
    body, text = message.get_body(("html",)), message.get_body(("plain",))
    assert body is not None
    assert text is not None
    assert (body.get_content().strip(), text.get_content().split()) == ("<p>ü</p>", ["Größe", "."])
    assert attachment.get_filename() == "result.csv"
    assert attachment.get_payload(decode=True) == b"a\xc3\xbc\r\n\x00"


def test_a_message_is_ascii_in_lines_of_a_length_that_smtp_allows() -> None:
    data = build_message(replace(CONTENT, text="ü" * 5000, html="x" * 5000), "u@x.example", NOON)

    assert data.isascii()
    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert b"\n" not in data.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "@x.example",
        "a@",
        "a@x@y",
        "a b@x.example",
        "a@x.example\r\nBcc: b@y.example",
        "a@x.example\n",
        "a@x.example, b@y.example",
        "A <a@x.example>",
        "a@x.example\x00",
        "a@x.example\u2028",
        '"a b"@x.example',
        "ü@x.example",
        "a@bücher.example",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    assert "is not" in address_problem(address)
    assert content_problem(replace(CONTENT, to=(address,)), ()) != ""


@pytest.mark.parametrize("address", ["a@x.example", "a+b_c'd@x.example", "a@xn--bcher-kva.example"])
def test_an_address_is_accepted(address: str) -> None:
    assert address_problem(address) == ""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (replace(CONTENT, subject="a\nBcc: b@y.example"), "the subject contains a line break"),
        (replace(CONTENT, subject="a\rb"), "the subject contains a line break"),
        (replace(CONTENT, subject=" "), "the subject needs 1 to 200 characters"),
        (replace(CONTENT, subject="x" * 201), "the subject needs 1 to 200 characters"),
        (replace(CONTENT, to=()), "a mail has 1 to 50 addresses"),
        (replace(CONTENT, to=("a@x.example",) * 51), "a mail has 1 to 50 addresses"),
        (replace(CONTENT, to=("a@x.example", "a@y.example")), "a@y.example is not among the addresses"),
    ],
)
def test_a_mail_that_must_not_be_sent_is_explained(content: MailContent, problem: str) -> None:
    assert problem in content_problem(content, ("@x.example",))
    assert content_problem(CONTENT, ("@x.example",)) == ""


def test_addresses_may_be_limited_to_some_and_to_domains() -> None:
    allowed = ("Team@x.example", "@acme.example")

    assert is_allowed("team@X.example", allowed)
    assert is_allowed("kim@ACME.example", allowed)
    assert not is_allowed("kim@x.example", allowed)
    assert not is_allowed("kim@notacme.example", allowed)
    assert not is_allowed("kim@acme.example.evil.example", allowed)
    assert is_allowed("anyone@x.example", ())


def test_a_sender_may_have_a_name() -> None:
    assert sender_problem("Unify <unify@x.example>") == ""
    assert sender_problem("unify@x.example") == ""
    assert "line break" in sender_problem("unify@x.example\r\nBcc: b@y.example")
    assert "is not" in sender_problem("Unify")


def test_each_mail_has_an_id_in_the_domain_of_the_sender() -> None:
    first, second = (new_message_id("Unify <u@x.example>") for _ in range(2))

    assert first != second
    assert first.endswith("@x.example>")
