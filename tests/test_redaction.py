"""The one HTTP door: what it sends, how long it waits, and where it never goes."""

from __future__ import annotations

import json

from unify.redaction import Redactor


def test_a_secret_is_not_seen_within_json() -> None:
    secret = 'say "ü"\\'
    told = Redactor([secret]).redact(
        f"{json.dumps({'p': secret})} {json.dumps({'p': secret}, ensure_ascii=False)}"
    )
    assert told == '{"p": "***"} {"p": "***"}'


def test_a_signed_token_is_not_shown_whoever_made_it() -> None:
    told = Redactor().redact(
        "no: Bearer eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhcHAifQ.c2lnbmF0dXJl is old; eyJ is not"
    )
    assert told == "no: Bearer *** is old; eyJ is not"


def test_a_password_in_an_address_is_not_shown() -> None:
    assert Redactor().redact("GET http://ann:s3cret@x/y?z=a@b") == "GET http://***@x/y?z=a@b"
