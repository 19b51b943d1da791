"""Posts JSON to an address, signed as the Standard Webhooks specification says (standardwebhooks.com)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from unify.adapters.http.errors import TransportErrorMapper
from unify.adapters.http.messages import ClientOptions, Request, Timeouts, origin_of
from unify.adapters.http.session import HttpSession
from unify.errors import SourceError
from unify.redaction import Redactor

TIMEOUT_S = 10.0
RETRY_WAITS_S = (1.0, 4.0)
_KEY_PREFIX = "whsec_"  # of a key in base64


def post_signed(
    address: str,
    body: bytes,
    *,
    id: str,
    secret: str,
    now: datetime,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Post ``body`` until the server accepts it, three times at most. Raises SourceError.

    ``id``  the same for each attempt, so that the receiver can recognise a repeated one.
    """
    headers = {"Content-Type": "application/json", **signature_headers(body, id=id, secret=secret, now=now)}
    for wait_s in (*RETRY_WAITS_S, None):
        try:
            _post(Request("POST", address, headers=headers, body=body))
        except SourceError:
            if wait_s is None:
                raise
            sleep(wait_s)
        else:
            return


def signature_headers(body: bytes, *, id: str, secret: str, now: datetime) -> dict[str, str]:
    """Return the headers with the identifier, the time and the signature of both and the body."""
    timestamp = str(int(now.timestamp()))
    signed = b".".join((id.encode(), timestamp.encode(), body))
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _key(secret: str) -> bytes:
    if secret.startswith(_KEY_PREFIX):
        with suppress(ValueError):  # not base64, or not even ASCII: the text itself is the key
            return base64.b64decode(secret.removeprefix(_KEY_PREFIX), validate=True)
    return secret.encode()


def _post(request: Request) -> None:
    """Send once. Raises SourceError, which names the server only: the path may be a secret."""
    timeouts = Timeouts(total_s=TIMEOUT_S)
    session = HttpSession(ClientOptions(request.url), timeouts)
    try:
        response = session.send(request, request.url, threading.Event())
    finally:
        session.close()
    mapper, server = TransportErrorMapper(Redactor(), timeouts), origin_of(request.url)
    if response.error is not None:
        raise mapper.map_error(response.error, f"POST {server}", request.url)
    if response.end_reason:
        raise mapper.deadline_error(f"POST {server}")
    if response.status is None or not 200 <= response.status < 300:
        raise SourceError(f"POST {server}: status {response.status}")
