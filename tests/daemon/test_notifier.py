"""Notifications of failures: by webhook and by mail, to servers on this machine."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.fault_server import FaultServer, MockResponse, unused_port
from tests.support.waiting import wait_until
from unify.daemon.log import DaemonLog
from unify.daemon.notifier import Notifier
from unify.load.environment import Environment

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Bench:
    """A notifier whose retries do not wait."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.log = DaemonLog(folder, 1)
        self.path = folder / "notify.yaml"
        self.waits: list[float] = []
        self.notifier = Notifier(self.path, Environment(environment), self.log, self._wait)

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return False

    def fail(self, error: str = "GET /pulls returned 500") -> None:
        self.notifier.report_failure("load.failed", "github.pulls", error, NOON)

    def log_text(self) -> str:
        return self.log.path.read_text(encoding="utf-8")

    def wait_for(self, event: str) -> None:
        wait_until(lambda: f" {event} " in self.log_text())


@pytest.fixture
def bench(tmp_path: Path, api: FaultServer) -> Iterator[Bench]:
    bench = Bench(tmp_path, {"HOOK_TOKEN": "Bearer s3cret-canary"})
    bench.path.write_text(
        f"webhook: {{url: '{api.url}/hook', headers: {{Authorization: '${{HOOK_TOKEN}}'}}}}\n", "utf-8"
    )
    bench.path.chmod(0o600)
    api.serve("/hook", MockResponse.json({}))
    yield bench
    bench.notifier.close(5)
    bench.log.close()


def test_a_failure_is_posted_to_the_webhook(bench: Bench, api: FaultServer) -> None:
    bench.fail()
    bench.wait_for("notify.sent")
    [request] = api.requests
    assert (request.method, request.headers["authorization"]) == ("POST", "Bearer s3cret-canary")
    assert json.loads(request.body) == {
        "event": "load.failed",
        "subject": "github.pulls",
        "error": "GET /pulls returned 500",
        "at": "2026-03-01T12:00:00+00:00",
        "text": "Unify: github.pulls failed: GET /pulls returned 500",
    }
    assert "s3cret-canary" not in bench.log_text()


def test_a_lasting_failure_is_reported_once_and_its_end_once(bench: Bench, api: FaultServer) -> None:
    for _ in range(3):
        bench.fail()
    for _ in range(2):
        bench.notifier.report_success("github.pulls", NOON)
    bench.notifier.report_success("github.issues", NOON)
    bench.fail()
    wait_until(lambda: bench.log_text().count("notify.sent") == 3)
    events = [json.loads(request.body)["event"] for request in api.requests]
    assert events == ["load.failed", "notify.recovered", "load.failed"]


def test_a_webhook_that_is_down_is_tried_four_times(bench: Bench, api: FaultServer) -> None:
    api.serve("/hook", MockResponse.error(503))
    bench.fail()
    bench.wait_for("notify.failed")
    assert len(api.requests) == 4
    assert bench.waits == [1.0, 10.0, 60.0]
    assert "status 503" in bench.log_text()


def test_a_webhook_that_recovers_receives_the_notification(bench: Bench, api: FaultServer) -> None:
    api.serve("/hook", MockResponse.error(503), MockResponse.json({}))
    bench.fail()
    bench.wait_for("notify.sent")
    assert len(api.requests) == 2


def test_a_redirect_is_not_followed(bench: Bench, api: FaultServer) -> None:
    api.serve("/hook", MockResponse(status=302).with_headers(Location=f"{api.url}/other"))
    bench.fail()
    bench.wait_for("notify.failed")
    assert {request.path for request in api.requests} == {"/hook"}


def test_a_failure_that_reached_nobody_is_reported_with_the_next_one(bench: Bench, api: FaultServer) -> None:
    settings = bench.path.read_text("utf-8")
    bench.path.unlink()
    bench.fail("before the file")
    bench.path.write_text("webhok: {}\n", "utf-8")
    bench.fail("with a mistake in the file")
    bench.wait_for("notify.invalid")
    bench.path.write_text(settings, "utf-8")
    api.serve("/hook", *[MockResponse.error(503)] * 4, MockResponse.json({}))
    bench.fail("while the webhook is down")
    bench.wait_for("notify.failed")
    bench.fail("at last")
    bench.wait_for("notify.sent")
    bench.fail("known")
    bench.notifier.close(5)
    errors = [json.loads(request.body)["error"] for request in api.requests]
    assert errors == [*["while the webhook is down"] * 4, "at last"]


def test_a_mistake_in_the_file_is_logged(bench: Bench) -> None:
    bench.path.write_text("webhok: {}\n", "utf-8")
    bench.fail()
    bench.wait_for("notify.invalid")
    assert "did you mean webhook?" in bench.log_text()


def test_nothing_is_sent_without_the_file(bench: Bench, api: FaultServer) -> None:
    bench.path.unlink()
    bench.fail()
    bench.notifier.close(5)
    assert api.requests == []


class Mailbox:
    """Keeps the messages that a mail server receives."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, list[str], str]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        del server, session
        content = envelope.content.decode() if isinstance(envelope.content, bytes) else ""
        self.messages.append((envelope.mail_from or "", list(envelope.rcpt_tos), content))
        return "250 OK"


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate of 127.0.0.1 that this process trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def write_mail(bench: Bench, port: int) -> None:
    bench.path.write_text(
        f"mail: {{host: 127.0.0.1, port: {port}, from: unify@example.org, to: data@example.org}}\n", "utf-8"
    )


def test_a_failure_is_sent_by_mail_over_tls(bench: Bench, certificate: ssl.SSLContext) -> None:
    mailbox = Mailbox()
    server = Controller(mailbox, "127.0.0.1", unused_port(), tls_context=certificate)
    server.start()
    try:
        write_mail(bench, server.port)
        bench.fail("first line\nsecond line")
        bench.wait_for("notify.sent")
    finally:
        server.stop()
    [(sender, recipients, content)] = mailbox.messages
    assert (sender, recipients) == ("unify@example.org", ["data@example.org"])
    assert "Subject: Unify: github.pulls failed: first line second line" in content


def test_a_mail_server_without_tls_receives_nothing(bench: Bench) -> None:
    mailbox = Mailbox()
    server = Controller(mailbox, "127.0.0.1", unused_port())
    server.start()
    try:
        write_mail(bench, server.port)
        bench.fail()
        bench.wait_for("notify.failed")
    finally:
        server.stop()
    assert mailbox.messages == []
    assert "STARTTLS" in bench.log_text()
