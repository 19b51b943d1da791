"""The redactor: each form of a secret that an API may echo, and the time it takes."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from time import process_time
from urllib.parse import quote, quote_plus

import pytest

from unify.errors import BadResponse
from unify.redaction import Redactor

SECRETS = (
    "cnry-basic/5f+2c=&%7e?x",
    'say "ü"\\ twice',
    "it's <b>&amp;</b>",
    "plain0123456789",
    "😀 smile 😀",
    "a%41b%42c%43",
    "back\\nslash\\",
)


def _json_escape(text: str) -> str:
    return json.dumps(text)[1:-1]


TEXT_FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "JSON": _json_escape,
    "JSON with every character escaped": lambda text: "".join(
        f"\\u{unit:04x}" for unit in memoryview(text.encode("utf-16-le")).cast("H")
    ),
    "JSON not ASCII": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON of PHP": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "Python text": lambda text: repr(text)[1:-1],
    "Python text with both quotes": lambda text: repr(text + "'\"")[1:-4],
    "Python bytes": lambda text: repr(text.encode())[2:-1],
    "percent": lambda text: quote(text, safe=""),
    "percent in lower case": lambda text: _lower_escapes(quote(text, safe="")),
    "percent as in a path": quote,
    "percent as in JavaScript": lambda text: quote(text, safe="!'()*~"),
    "percent as in a form": quote_plus,
    "percent for every byte": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "HTML": html.escape,
    "HTML by number": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "HTML by hexadecimal number": lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    "percent in JSON in JSON": lambda text: _json_escape(_json_escape(quote(text, safe=""))),
    "JSON in JSON in a Python text": lambda text: repr(_json_escape(_json_escape(text)))[1:-1],
}
BYTE_FORMS: dict[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "hex in upper case": lambda raw: raw.hex().upper(),
    "Base64": lambda raw: base64.b64encode(raw).decode(),
    "Base64 for addresses": lambda raw: base64.urlsafe_b64encode(raw).decode(),
    "Base64, percent-encoded": lambda raw: quote(base64.b64encode(raw).decode(), safe=""),
    "Base64 in JSON of PHP": lambda raw: base64.b64encode(raw).decode().replace("/", "\\/"),
}


def _lower_escapes(text: str) -> str:
    first, *escaped = text.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in escaped)])


class TestForms:
    @pytest.mark.parametrize("form", TEXT_FORMS)
    @pytest.mark.parametrize("secret", SECRETS)
    def test_a_secret_is_replaced_in_each_way_of_writing_text(self, secret: str, form: str) -> None:
        written = TEXT_FORMS[form](secret)
        assert Redactor([secret]).redact(f"before: {written} :after") == "before: *** :after"

    @pytest.mark.parametrize("form", BYTE_FORMS)
    @pytest.mark.parametrize("secret", SECRETS)
    def test_a_secret_is_replaced_in_each_way_of_writing_bytes(self, secret: str, form: str) -> None:
        written = BYTE_FORMS[form](secret.encode())
        assert Redactor([secret]).redact(f"before {written} after") == "before *** after"

    @pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
    @pytest.mark.parametrize("before", ["", "a", "ab", "ann:", "some user:"])
    @pytest.mark.parametrize("after", ["", "x", "yz", ":nonce"])
    @pytest.mark.parametrize("secret", SECRETS)
    def test_a_secret_within_base64_leaves_no_character_that_depends_on_it(
        self, secret: str, before: str, after: str, encode: Callable[[bytes], bytes]
    ) -> None:
        written = encode(f"{before}{secret}{after}".encode()).decode()
        shown = Redactor([secret]).redact(written)
        head, _, tail = shown.partition("***")
        assert len(head) <= 8 * len(before.encode()) // 6
        assert len(tail.rstrip("=")) <= (8 * len(after.encode()) + 5) // 6

    def test_of_several_secrets_each_is_replaced(self) -> None:
        shown = Redactor(["abcdef", "cdefgh", "abcdefgh"]).redact("abcdefgh abcdef cdefgh abcdefghi bcdefg")
        assert shown == "*** *** *** ***i bcdefg"

    def test_each_line_of_a_private_key_is_a_secret(self) -> None:
        lines = ["-----BEGIN PRIVATE KEY-----", "MIIEvQIBADANBgkqhkiG9w0B", "AQEFAASCBKcwggSjAgEAAoIB"]
        for written in ("\n".join(lines), "\\n".join(lines)):
            redactor = Redactor([written])
            assert redactor.redact(f"key {lines[1]} and {lines[2]}") == "key *** and ***"
            assert redactor.redact("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"

    def test_a_value_of_three_characters_is_not_replaced(self) -> None:
        assert Redactor(["abc", ""]).redact("OutOfMemoryException abc") == "OutOfMemoryException abc"

    def test_half_a_surrogate_pair_is_kept(self) -> None:
        assert Redactor(["secret"]).redact("\ud800 secret") == "\ud800 ***"

    @pytest.mark.parametrize("form", ["raw", "JSON", "percent", "percent for every byte", "HTML"])
    @pytest.mark.parametrize("length", [4, 9, 14])
    def test_a_secret_that_an_ellipsis_cuts_short_is_replaced(self, length: int, form: str) -> None:
        secret = "k3y/with-\u00fc&'quotes"
        written = TEXT_FORMS[form](secret[:length])
        assert Redactor([secret]).redact(f"got '{written}…' and …") == "got '***…' and …"

    @pytest.mark.parametrize("form", ["raw", "JSON", "percent", "percent for every byte", "HTML"])
    @pytest.mark.parametrize("length", [4, 9, 14])
    def test_the_end_of_a_secret_after_an_ellipsis_is_replaced(self, length: int, form: str) -> None:
        secret = "k3y/with-\u00fc&'quotes"
        written = TEXT_FORMS[form](secret[-length:])
        assert Redactor([secret]).redact(f"got '…{written}' and …") == "got '…***' and …"

    def test_other_text_is_unchanged(self) -> None:
        redactor = Redactor(SECRETS)
        for text in (
            "GET https://api.example.org/repos/a%2Fb/pulls?page=2&per_page=100&state=all",
            'expected a list, got {"items": [1, 2]} \\u00zz \\x %zz &unknown; …',
            "SELECT '100%' LIKE '%\\%%' -- C:\\new\\users",
        ):
            assert redactor.redact(text) == text


class TestCredentialsByForm:
    def test_a_signed_token(self) -> None:
        shown = Redactor().redact(
            "no: Bearer eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhcHAifQ.c2lnbmF0dXJl is old; eyJ is not"
        )
        assert shown == "no: Bearer *** is old; eyJ is not"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("GET http://ann:s3cret@x/y?z=a@b", "GET http://***@x/y?z=a@b"),
            ("http://ann:p@ss@x/", "http://***@x/"),
            ("postgres://ann:s3cret@db:5432/app", "postgres://***@db:5432/app"),
            ('"http://x", "ann@example.org"', '"http://x", "ann@example.org"'),
        ],
    )
    def test_a_password_in_a_url(self, text: str, expected: str) -> None:
        assert Redactor().redact(text) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("/x?token=abc&page=2", "/x?token=***&page=2"),
            ("/x?page=2&Access_Token=a%26b#top", "/x?page=2&Access_Token=***#top"),
            ("/x?api%20key=abc&a+b=c", "/x?api%20key=***&a+b=c"),
            ("/x?api+key=abc", "/x?api+key=***"),
            (
                "?next=https%3A%2F%2Fy%3Ftoken%3Dabc%26page%3D2",
                "?next=https%3A%2F%2Fy%3Ftoken%3D***%26page%3D2",
            ),
            ("--option token=VALUE", "--option token=VALUE"),
        ],
    )
    def test_a_parameter_named_like_a_credential(self, text: str, expected: str) -> None:
        assert Redactor(param_names=["api key"]).redact(text) == expected

    def test_a_member_named_like_a_credential(self) -> None:
        body = json.dumps({"message": "old", "refresh_token": 'r"1', "n": {"Password": "p"}, "token": ""})
        assert json.loads(Redactor().redact(body)) == {
            "message": "old",
            "refresh_token": "***",
            "n": {"Password": "***"},
            "token": "",
        }
        assert Redactor().redact(json.dumps({"echo": body})).count("***") == 2

    def test_a_signature_of_aws(self) -> None:
        header = f"AWS4-HMAC-SHA256 Credential=AKID/x, SignedHeaders=host, Signature={'0f' * 32}"
        assert Redactor().redact(header).endswith("SignedHeaders=host, Signature=***")


UNITS = [
    *("eyJ-", "eyJaaaaaaaaa.", "%41", "a%2541", "\\\\", "\\u0041x", "&amp;amp;", "http://", "http://a@"),
    *("?token=", '{"token":"', '"token":"\\', "Signature=a", SECRETS[0], SECRETS[0][:6] + "…", "…"),
    *(quote(SECRETS[0], safe=""), SECRETS[0][:-1], "a", '\\"%41&amp;', "lorem ipsum "),
]


class TestTime:
    """The time is linear in the length of the text, for any content."""

    @pytest.mark.parametrize("unit", UNITS)
    def test_eight_times_the_text_takes_about_eight_times_as_long(self, unit: str) -> None:
        seconds = [_redaction_s(_repeat(unit, size)) for size in (100_000, 800_000)]
        assert seconds[1] < 8 * seconds[0] * 2.5 + 0.2, seconds

    def test_two_megabytes_of_all_of_them(self) -> None:
        seconds = [
            _redaction_s("".join(_repeat(unit, size // len(UNITS)) for unit in UNITS))
            for size in (200_000, 2_000_000)
        ]
        assert seconds[1] < 10 * seconds[0] * 2.5 + 0.5, seconds


def _repeat(unit: str, size: int) -> str:
    return (unit * (size // len(unit) + 1))[:size]


def _redaction_s(text: str) -> float:
    redactor = Redactor(SECRETS)
    started = process_time()
    redactor.redact(text)
    return process_time() - started


def test_an_error_leaves_without_secrets() -> None:
    redactor = Redactor(["s3cret-token"])
    with pytest.raises(BadResponse) as caught, redactor.redact_errors():
        raise BadResponse("GET /x: got s3cret-token")
    assert (caught.value.message, str(caught.value)) == ("GET /x: got ***", "GET /x: got ***")


def test_a_secret_added_later_is_replaced_too() -> None:
    redactor = Redactor()
    redactor.add("fetched-token")
    redactor.add_param_names("k y")
    assert redactor.redact("fetched-token ?k%20y=1") == "*** ?k%20y=***"
