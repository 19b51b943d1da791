"""A mail as it is sent: addresses are checked, headers are built, the body is encoded."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from email import policy
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid, parseaddr

from msgspec import Struct, convert

MAX_SUBJECT_CHARS = 200
MAX_ADDRESSES = 50
_CONTROL = re.compile("[\x00-\x1f\x7f\x80-\x9f\u2028\u2029]")
_NOT_IN_ADDRESS = re.compile(r"[\s<>,;:\"\\()\[\]]")


class Attachment(Struct, frozen=True):
    """A file. ``content`` is in Base64."""

    name: str
    type: str
    content: str


class MailContent(Struct, frozen=True):
    """A mail to be sent, as the values of a row. ``to`` are bare addresses; ``id`` is the Message-ID.

    ``summary``  what it contains, for the plan.
    """

    to: Sequence[str]
    subject: str
    text: str
    id: str
    html: str = ""
    attachment: Attachment | None = None
    summary: str = ""


def content_of(values: Mapping[str, object]) -> MailContent:
    """The mail of a row that was planned."""
    return convert(values, MailContent)


def new_message_id(sender: str) -> str:
    """A Message-ID in the domain of ``sender``. A mail that is sent again has the same one."""
    domain = parseaddr(sender)[1].rpartition("@")[2]
    return make_msgid(domain=domain or "localhost")


def address_problem(address: str) -> str:
    """What is wrong with a bare address; "" if nothing is."""
    if _CONTROL.search(address) or _NOT_IN_ADDRESS.search(address):
        return f"{address!r} is not one address, such as team@example.org"
    if not address.isascii():
        return f"{address!r} is not in ASCII; a domain of other letters is written xn--…"
    try:
        parsed = Address(addr_spec=address)
    except (MessageError, ValueError, IndexError):
        parsed = Address()
    if not parsed.username or not parsed.domain:
        return f"{address!r} is not an address, such as team@example.org"
    return ""


def sender_problem(sender: str) -> str:
    """What is wrong with a sender: ``a@b`` or ``Name <a@b>``; "" if nothing is."""
    if _CONTROL.search(sender):
        return "it contains a line break or another control character"
    return address_problem(parseaddr(sender)[1])


def is_allowed(address: str, allowed: Sequence[str]) -> bool:
    """Whether ``allowed`` has the address, or ``@domain`` with its domain, in any case; or is empty."""
    folded = address.lower()
    return not allowed or any(
        folded == each.lower() or (each.startswith("@") and folded.endswith(each.lower())) for each in allowed
    )


def content_problem(content: MailContent, allowed: Sequence[str]) -> str:
    """Why a mail must not be sent; "" if it may be."""
    if not content.to or len(content.to) > MAX_ADDRESSES:
        return f"a mail has 1 to {MAX_ADDRESSES} addresses"
    for address in content.to:
        if problem := address_problem(address):
            return problem
        if not is_allowed(address, allowed):
            return f"{address} is not among the addresses of the option to: {', '.join(allowed)}"
    if _CONTROL.search(content.subject):
        return "the subject contains a line break or another control character"
    if not content.subject.strip() or len(content.subject) > MAX_SUBJECT_CHARS:
        return f"the subject needs 1 to {MAX_SUBJECT_CHARS} characters"
    return ""


def build_message(content: MailContent, sender: str, at: datetime) -> bytes:
    """The mail in the form of RFC 5322, in ASCII, with CRLF."""
    message = EmailMessage(policy=policy.SMTP)
    name, address = parseaddr(sender)
    message["From"] = Address(display_name=name, addr_spec=address)
    message["To"] = [Address(addr_spec=each) for each in content.to]
    message["Subject"] = content.subject
    message["Date"] = format_datetime(at)
    message["Message-ID"] = content.id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    message.set_content(content.text, cte="quoted-printable")
    if content.html:
        message.add_alternative(content.html, subtype="html", cte="quoted-printable")
    if (file := content.attachment) is not None:
        main, _, sub = file.type.partition("/")
        message.add_attachment(
            base64.b64decode(file.content),
            maintype=main,
            subtype=sub,
            filename=file.name,
            params={"charset": "utf-8"} if main == "text" else None,
        )
    return message.as_bytes()
