"""Reports failures of loads and scripts to the targets of notify.yaml, in a thread.

A table or script is reported when it fails after a success, and when it succeeds after a failure, so that a
table that is refreshed every minute is reported once; a daemon that starts reports a lasting failure again.
A failure that reached no target, because there was none or none answered, is reported with the next one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from unify.config.notifications import SMTP_PORT, SMTPS_PORT, Mail, Notifications, Webhook, load_notifications
from unify.daemon.log import DaemonLog
from unify.errors import SourceError, UnifyError
from unify.load.environment import Environment

RETRY_WAITS_S = (1.0, 10.0, 60.0)  # before the second and later attempts of one notification
TIMEOUT_S = 20.0  # of one attempt
RECOVERED = "notify.recovered"
MAX_PENDING = 1000  # further ones are dropped, and logged


class Notification(Struct, frozen=True):
    """``event`` is that of the daemon's log; ``subject`` a table or script."""

    event: str
    subject: str
    error: str
    at: str

    @property
    def text(self) -> str:
        """One line for people."""
        verb = self.event.rpartition(".")[2].replace("_", " ")
        return f"Unify: {self.subject} {verb}" + (f": {self.error}" if self.error else "")


class Notifier:
    """Delivers notifications. The file is read for each, so that changes apply without a restart.

    ``wait``  waits for a number of seconds, or until the notifier is closed; returns whether it is closed.
    """

    def __init__(
        self,
        path: Path,
        environment: Environment,
        log: DaemonLog,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._path = path
        self._environment = environment
        self._log = log
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self._pending: SimpleQueue[Notification | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._reported: set[str] = set()  # failing subjects; both threads change it

    def report_failure(self, event: str, subject: str, error: str, at: datetime) -> None:
        """Report that a table or script failed, unless that is reported already."""
        if subject not in self._reported and self._submit(
            Notification(event, subject, error, at.isoformat(timespec="seconds"))
        ):
            self._reported.add(subject)

    def report_success(self, subject: str, at: datetime) -> None:
        """Report that a table or script has succeeded whose failure was reported."""
        if subject in self._reported:
            self._reported.discard(subject)
            self._submit(Notification(RECOVERED, subject, "", at.isoformat(timespec="seconds")))

    def _submit(self, notification: Notification) -> bool:
        """Whether the notification will be delivered if a target answers."""
        if not self._path.exists():
            return False
        if self._pending.qsize() >= MAX_PENDING:
            self._log.write_event("notify.dropped", subject=notification.subject)
            return False
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)
            self._thread.start()
        self._pending.put(notification)
        return True

    def close(self, within_s: float) -> None:
        """Deliver what is pending, without retries, for at most ``within_s``."""
        self._closed.set()
        self._pending.put(None)
        if self._thread is not None:
            self._thread.join(within_s)

    def _run(self) -> None:
        while (notification := self._pending.get()) is not None:
            if not self._deliver_to_all(notification) and notification.event != RECOVERED:
                self._reported.discard(notification.subject)

    def _deliver_to_all(self, notification: Notification) -> bool:
        """Deliver to each target; return whether one has accepted it."""
        try:
            targets = load_notifications(self._path, self._environment.all_values())
        except UnifyError as error:
            self._log.write_event("notify.invalid", error=error.message)
            return False
        self._log.add_secrets(targets.secrets)
        by_webhook = targets.webhook is not None and self._deliver("webhook", notification, targets)
        by_mail = targets.mail is not None and self._deliver("mail", notification, targets)
        return by_webhook or by_mail

    def _deliver(self, target: str, notification: Notification, targets: Notifications) -> bool:
        for wait_s in (*RETRY_WAITS_S, None):
            try:
                if target == "webhook" and targets.webhook is not None:
                    post_webhook(targets.webhook, notification)
                elif targets.mail is not None:
                    send_mail(targets.mail, notification)
            except (OSError, ValueError, UnifyError) as error:
                failure = str(error) or type(error).__name__
            else:
                self._log.write_event("notify.sent", target=target, subject=notification.subject)
                return True
            if wait_s is None or self._wait(wait_s):
                break
        self._log.write_event("notify.failed", target=target, subject=notification.subject, error=failure)
        return False


def post_webhook(webhook: Webhook, notification: Notification) -> None:
    """POST the notification as JSON; ``text`` is what chat services show. Raises SourceError, OSError."""
    from unify.adapters.http.messages import ClientOptions, Request, Timeouts
    from unify.adapters.http.session import HttpSession

    body = msgspec.json.encode({**asdict(notification), "text": notification.text})
    headers = {**webhook.headers, "Content-Type": "application/json"}
    session = HttpSession(ClientOptions(webhook.url), Timeouts(total_s=TIMEOUT_S))
    try:
        response = session.send(
            Request("POST", webhook.url, headers=headers, body=body), webhook.url, threading.Event()
        )
    finally:
        session.close()
    if response.error is not None or response.end_reason:
        raise SourceError(f"no response: {response.error or response.end_reason}")
    if response.status is None or not 200 <= response.status < 300:
        raise SourceError(f"the webhook answered with status {response.status}")


def send_mail(mail: Mail, notification: Notification) -> None:
    """Send the notification as a mail; TLS is required except on port 25. Raises OSError, SMTPException."""
    import smtplib  # 14 ms, which would delay each start of the daemon
    import ssl
    from email.message import EmailMessage

    message = EmailMessage()
    message["From"], message["To"] = mail.sender, mail.to
    message["Subject"] = " ".join(notification.text.split())[:200]
    message.set_content(f"{notification.text}\n\n{notification.event}, {notification.at}\n")
    context = ssl.create_default_context()
    with (
        smtplib.SMTP_SSL(mail.host, mail.port, timeout=TIMEOUT_S, context=context)
        if mail.port == SMTPS_PORT
        else smtplib.SMTP(mail.host, mail.port, timeout=TIMEOUT_S)
    ) as server:
        if mail.port not in (SMTPS_PORT, SMTP_PORT):
            server.starttls(context=context)
        if mail.user:
            server.login(mail.user, mail.password)
        server.send_message(message)
