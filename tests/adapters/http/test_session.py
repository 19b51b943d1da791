"""HTTP sessions: body sizes, encodings and TLS certificates."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer, MockResponse
from tests.support.http_client import ClientHarness, FakeClock
from unify.adapters.http.client import HttpClient
from unify.adapters.http.messages import ClientOptions, Request, Response, Timeouts
from unify.errors import (
    BadResponse,
    SourceError,
    Unreachable,
)


class TestSizes:
    def test_a_gzip_bomb_is_refused(self, client: ClientHarness) -> None:
        client.api.serve("/x", MockResponse.gzip_bomb(1024))

        error = client.fetch_error("/x")
        assert isinstance(error, BadResponse)
        assert "larger than 32 MB" in error.message

    @pytest.mark.parametrize("framing", ["length", "chunks", "close"])
    def test_a_large_body_is_refused(self, make_client: Callable[..., ClientHarness], framing: str) -> None:
        door = make_client(timeouts=Timeouts(max_body_bytes=1_000_000))
        door.api.serve("/x", MockResponse(body=b"[" + b" " * 1_500_000 + b"]", framing=framing))  # type: ignore[arg-type]

        assert isinstance(door.fetch_error("/x"), BadResponse)

    @pytest.mark.parametrize("framing", ["length", "chunks", "close"])
    def test_a_compressed_body_is_decompressed(self, client: ClientHarness, framing: str) -> None:
        value = list(range(20_000))
        client.api.serve("/x", MockResponse.json(value, framing=framing).gzipped())

        assert client.get("/x").body == MockResponse.json(value).body

    def test_deflate_is_read_with_and_without_zlib_header(self, client: ClientHarness) -> None:
        import zlib

        bare = zlib.compressobj(wbits=-15)
        client.api.serve(
            "/z", MockResponse(body=zlib.compress(b"[1]")).with_headers(Content_Encoding="deflate")
        )
        raw = bare.compress(b"[2]") + bare.flush()
        client.api.serve("/raw", MockResponse(body=raw).with_headers(Content_Encoding="deflate"))

        assert (client.get("/z").body, client.get("/raw").body) == (b"[1]", b"[2]")

    @pytest.mark.parametrize(
        ("body", "encoding"),
        [
            (b"no gzip at all", "gzip"),
            (MockResponse.json([1] * 999).gzipped().body[:-9], "gzip"),
            (b"x", "br"),
        ],
    )
    def test_invalid_compression_is_explained(
        self, client: ClientHarness, body: bytes, encoding: str
    ) -> None:
        client.api.serve("/x", MockResponse(body=body).with_headers(Content_Encoding=encoding))

        error = client.fetch_error("/x")
        assert isinstance(error, BadResponse)
        assert "compressed" in error.message


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority, certificates that it signed, and a self-signed one.

    good: for 127.0.0.1; other: for another host; old: expired; self: self-signed.
    """
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")

    def run(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    subject = ("-subj", "/CN=Test Authority", "-addext", "basicConstraints=critical,CA:TRUE")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "30",
        *subject,
        *usage,
    )
    itself = ("-subj", "/CN=itself", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "30")
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "self.key", "-out", "self.pem", *itself)
    for name, host, days in (
        ("good", "IP:127.0.0.1", "30"),
        ("other", "DNS:example.org", "30"),
        ("old", "IP:127.0.0.1", "-1"),
    ):
        (folder / f"{name}.cnf").write_text(f"subjectAltName={host}\n")
        run(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={name}",
        )
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", f"{name}.cnf", "-out", f"{name}.pem")
        run("x509", "-req", "-in", f"{name}.csr", *signed, "-days", days)
    return folder


class TestTLS:
    def fetch(self, certificates: Path, name: str, *, trusted: bool) -> Response:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        with FaultServer(tls=context) as api:
            api.serve("/x", MockResponse.json([1]))
            ca_file = str(certificates / "ca.pem") if trusted else None
            transport = HttpClient(ClientOptions(api.url, ca_file=ca_file), clock=FakeClock())
            try:
                return transport.fetch(Request("GET", f"{api.url}/x"))
            finally:
                transport.close()

    def test_a_certificate_of_a_trusted_authority_is_accepted(self, certificates: Path) -> None:
        assert self.fetch(certificates, "good", trusted=True).body == b"[1]"

    @pytest.mark.parametrize(
        ("name", "trusted"),
        [("good", False), ("other", True), ("old", True), ("self", False), ("self", True)],
        ids=["unknown", "wrong host", "expired", "self-signed", "self-signed beside a trusted authority"],
    )
    def test_any_other_certificate_is_refused_and_the_option_named(
        self, certificates: Path, name: str, trusted: bool
    ) -> None:
        with pytest.raises(SourceError, match="ca_file") as caught:
            self.fetch(certificates, name, trusted=trusted)
        assert "certificate is not trusted" in caught.value.message

    @pytest.mark.socket
    def test_an_endless_handshake_is_stopped(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"https://127.0.0.1:{listener.getsockname()[1]}/x"
            transport = HttpClient(
                ClientOptions(url), clock=FakeClock(), timeouts=Timeouts(total_s=0.3, connect_s=20.0)
            )
            started = time.monotonic()
            with pytest.raises(Unreachable, match=r"0\.3 s"):
                transport.fetch(Request("GET", url))
            assert time.monotonic() - started < 3 * 1.3
            transport.close()


class TestInformationalResponses:
    """Responses with status 1xx come before the response (RFC 9110, 15.2)."""

    def test_are_passed_over(self, client: ClientHarness) -> None:
        client.api.serve(
            "/x",
            MockResponse(
                raw=b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
                b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
                b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Last: 1\r\n\r\n[17]"
            ),
        )
        response = client.get("/x")
        assert (response.status, response.body, response.headers.get("x-last")) == (200, b"[17]", "1")
        assert response.headers.get("link") is None

    def test_101_is_no_response_to_a_request_that_asked_for_no_upgrade(self, client: ClientHarness) -> None:
        client.api.serve("/x", MockResponse(raw=b"HTTP/1.1 101 Switching Protocols\r\n\r\n[17]"))
        assert "returned 101" in client.fetch_error("/x").message


@pytest.mark.parametrize("length", ["-5", "zz", "0x", "-1"])
def test_chunks_of_invalid_length_are_named(client: ClientHarness, length: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    client.api.serve("/x", MockResponse(raw=head + length.encode() + b"\r\n[]\r\n0\r\n\r\n"))
    error = client.fetch_error("/x")
    assert isinstance(error, BadResponse)
    assert "chunks of invalid length" in error.message
