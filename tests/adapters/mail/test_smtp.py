"""One SMTP session: which replies mean sent, refused, to be sent again, unknown."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.fault_server import unused_port
from tests.support.mail_server import PASSWORD, USER, Mailbox, run_mail_server
from unify.adapters.base import Listeners, LostResponse
from unify.adapters.mail.adapter import MAILS, SmtpAdapter
from unify.config.secrets import Secret
from unify.errors import ConfigError, ResponseLost, ServerFault, SourceError, Unauthorized, Unreachable
from unify.model import PlannedRow, RowOutcome, RowState

pytestmark = pytest.mark.socket

MAIL = {
    "to": ["a@x.example", "b@x.example"],
    "subject": "Hi",
    "text": ".\n..\nend",
    "id": "<1@x.example>",
    "summary": "1 row as csv",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Mailbox]:
    with run_mail_server() as mailbox:
        yield mailbox


@pytest.fixture
def mailbox(server: Mailbox) -> Mailbox:
    server.mails.clear()
    server.replies.clear()
    server.refused.clear()
    return server


def adapter(number: int, **options: str | Secret) -> SmtpAdapter:
    given = {
        "host": "127.0.0.1",
        "port": str(number),
        "tls": "none",
        "from": "Unify <u@x.example>",
        **options,
    }
    return SmtpAdapter("mail", given, Listeners())


def send(port: int, values: Mapping[str, object] = MAIL, **options: str | Secret) -> RowOutcome:
    with adapter(port, **options).open_writer(MAILS) as writer:
        [outcome] = writer.send("insert", [PlannedRow(1, "insert", values)], "key")
    return outcome


def test_a_mail_is_sent_to_all_addresses(mailbox: Mailbox) -> None:
    outcome = send(mailbox.port)

    assert outcome == RowOutcome(1, RowState.CREATED, 250, {"message_id": "<1@x.example>"}, "queued as 17")
    [(sender, addresses, content)] = mailbox.mails
    assert (sender, addresses) == ("u@x.example", ["a@x.example", "b@x.example"])
    assert mailbox.message().get_content().split() == [".", "..", "end"]
    assert b"Bcc" not in content


def test_a_mail_is_sent_to_none_if_an_address_is_refused(mailbox: Mailbox) -> None:
    mailbox.refused["b@x.example"] = "550 5.1.1 no such user"

    outcome = send(mailbox.port)

    assert (outcome.state, outcome.status) == (RowState.REJECTED, 550)
    assert outcome.message == "b@x.example was refused: 550 5.1.1 no such user"
    assert mailbox.mails == []


def test_a_mail_that_is_refused_after_its_last_dot_is_not_sent(mailbox: Mailbox) -> None:
    mailbox.replies.append("554 spam")

    outcome = send(mailbox.port)

    assert (outcome.state, outcome.message) == (RowState.REJECTED, "the mail was refused: 554 spam")


@pytest.mark.parametrize("at", ["address", "end"])
def test_a_passing_refusal_is_sent_again_later(mailbox: Mailbox, at: str) -> None:
    if at == "address":
        mailbox.refused["a@x.example"] = "451 greylisted"
    else:
        mailbox.replies.append("452 disk full")

    with pytest.raises(ServerFault) as caught:
        send(mailbox.port)

    assert caught.value.retryable
    assert mailbox.mails == []


def test_a_reply_that_is_lost_after_the_last_dot_tells_nothing(mailbox: Mailbox) -> None:
    mailbox.replies.append("lost")

    with pytest.raises(ResponseLost):
        send(mailbox.port)

    assert len(mailbox.mails) == 1
    with adapter(mailbox.port).open_writer(MAILS) as writer:
        assert writer.lost_response("insert", (), 1) is LostResponse.UNKNOWN


def test_without_a_server_nothing_was_sent() -> None:
    with pytest.raises(Unreachable):
        send(unused_port())


def test_a_mail_larger_than_the_server_accepts_is_refused_before_it_is_sent() -> None:
    with run_mail_server(size=500) as mailbox:
        outcome = send(mailbox.port, {**MAIL, "text": "x" * 1000})

    assert outcome.state is RowState.REJECTED
    assert "the server accepts 500" in outcome.message
    assert mailbox.mails == []


class TestAuthentication:
    def test_a_user_signs_in(self) -> None:
        with run_mail_server(has_auth=True) as mailbox:
            assert send(mailbox.port, user=USER, password=Secret(PASSWORD)).state is RowState.CREATED
            assert adapter(mailbox.port, user=USER, password=Secret(PASSWORD)).check().identity == USER
            assert mailbox.sign_ins == 2

    def test_a_wrong_password_is_refused_without_showing_it(self) -> None:
        with run_mail_server(has_auth=True) as mailbox, pytest.raises(Unauthorized) as caught:
            send(mailbox.port, user=USER, password=Secret("wr0ng-canary"))

        assert "check the options user and password" in caught.value.message
        assert "canary" not in caught.value.message

    def test_a_server_without_sign_in_is_a_mistake_in_the_configuration(self, mailbox: Mailbox) -> None:
        with pytest.raises(ConfigError, match="does not support a sign-in"):
            send(mailbox.port, user=USER, password=Secret(PASSWORD))


class TestEncryption:
    @pytest.fixture
    def certificate(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
        """A certificate of 127.0.0.1 that this process trusts."""
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        made = ["openssl", "req", "-x509", *curve, "-nodes", "-days", "2", *subject]
        subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    @pytest.mark.process
    def test_starttls_encrypts(self, certificate: ssl.SSLContext) -> None:
        with run_mail_server(tls=certificate) as mailbox:
            assert send(mailbox.port, tls="starttls").state is RowState.CREATED

    @pytest.mark.process
    def test_a_certificate_that_is_not_trusted_is_refused(
        self, certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SSL_CERT_FILE")
        with run_mail_server(tls=certificate) as mailbox, pytest.raises(SourceError) as caught:
            send(mailbox.port, tls="starttls")

        assert not caught.value.retryable
        assert mailbox.mails == []

    def test_a_server_without_starttls_gets_no_mail(self, mailbox: Mailbox) -> None:
        with pytest.raises(ConfigError, match="does not support STARTTLS"):
            send(mailbox.port, tls="starttls")

        assert mailbox.mails == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"from": "nobody"}, "options.from: 'nobody' is not"),
        ({"from": "a@x.example\nBcc: b@y.example"}, "options.from: it contains a line break"),
        ({"to": "team"}, "options.to: 'team' is not"),
        ({"tls": "ssl"}, "options.tls: expected one of starttls, implicit, none, found 'ssl'"),
        ({"port": "70000"}, "options.port: '70000' is not a port"),
        ({"max_size": "much"}, "options.max_size: 'much' is not a size"),
        ({"max_size": "1 GB"}, "options.max_size: at most 50 MB"),
        ({"host": "mail.x.example", "user": "u"}, "options.tls: a password is not sent to another machine"),
    ],
)
def test_a_wrong_option_is_explained(options: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        adapter(25, **options)

    assert problem in caught.value.message


def test_a_mail_that_is_too_large_is_refused_with_its_size() -> None:
    with adapter(25, max_size="2 kB").open_writer(MAILS) as writer:
        problem = writer.check("insert", PlannedRow(1, "insert", {**MAIL, "text": "x" * 3000}))

    assert "the mail has 3.3 kB, more than the 2 kB of the option max_size" in problem
