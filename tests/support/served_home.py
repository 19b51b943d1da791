"""A server of a home in this process, its log, and clients of it."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client.parser import text_string_to_metric_families

from tests.support.waiting import scaled_limit_s
from unify.config.settings import Settings
from unify.servers.event_log import EventLog
from unify.servers.main import ServeOptions, run_servers

Labels = frozenset[tuple[str, str]]


class EventStream(io.StringIO):
    """A text stream that tells when a text was written."""

    def __init__(self) -> None:
        super().__init__()
        self._written = threading.Condition()

    def write(self, text: str) -> int:
        with self._written:
            count = super().write(text)
            self._written.notify_all()
            return count

    def wait_for(self, text: str, timeout_s: float = 30.0) -> str:
        """Return the first line with ``text`` once it was written."""
        with self._written:
            assert self._written.wait_for(lambda: text in self.getvalue(), scaled_limit_s(timeout_s))
            return next(line for line in self.getvalue().splitlines() if text in line)


class ServedHome:
    """A server that runs; ``address`` is its URL."""

    def __init__(self, address: str, log: EventStream) -> None:
        self.address = address
        self.log = log
        self.port = int(address.rpartition(":")[2])
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, path: str, token: str = "", **headers: str) -> requests.Response:
        """GET a path; ``headers`` have underscores for hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        return self.session.get(f"{self.address}{path}", headers=sent, timeout=scaled_limit_s(30.0))

    def query(self, sql: object, token: str, **headers: str) -> requests.Response:
        """POST a statement as text, or as JSON if it is no text."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["Authorization"] = f"Bearer {token}"
        body = {"data": sql.encode()} if isinstance(sql, str) else {"json": sql}
        return self.session.post(
            f"{self.address}/query",
            headers=sent,
            timeout=scaled_limit_s(60.0),
            stream=True,
            **body,
        )

    def metrics(self, token: str = "") -> Mapping[str, Mapping[Labels, float]]:
        """Return the values of all samples by name and labels."""
        response = self.get("/metrics", token)
        assert response.status_code == 200, response.text
        return parse_metrics(response.text)

    @contextmanager
    def connect(self) -> Iterator[socket.socket]:
        """A connection for requests that no HTTP client sends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=scaled_limit_s(30.0)) as client:
            yield client


@contextmanager
def serve_home(settings: Settings, **options: object) -> Iterator[ServedHome]:
    """Serve a home over HTTP on a free port in a thread until the block ends."""
    with _run_servers(settings, {"http": "0", **options}) as (line, log):
        yield ServedHome(line.partition("address=")[2].partition(" ")[0], log)


@contextmanager
def serve_postgres(settings: Settings, **options: object) -> Iterator[tuple[int, EventStream]]:
    """Serve a home to PostgreSQL clients until the block ends; yields the port."""
    with _run_servers(settings, {"postgres": "0", **options}) as (line, log):
        url = line.partition("postgres=")[2].partition(" ")[0]
        yield int(url.removesuffix("/unify").rpartition(":")[2]), log


@contextmanager
def _run_servers(settings: Settings, options: Mapping[str, object]) -> Iterator[tuple[str, EventStream]]:
    """Run servers in a thread; yields the event of their start."""
    log, stop = EventStream(), threading.Event()
    given = ServeOptions(**options)  # type: ignore[arg-type]
    thread = threading.Thread(target=run_servers, args=(settings, given, EventLog(log), stop))
    thread.start()
    try:
        yield log.wait_for("server.started"), log
    finally:
        stop.set()
        thread.join(scaled_limit_s(30.0))
        assert not thread.is_alive()


def parse_metrics(text: str) -> dict[str, dict[Labels, float]]:
    """Parse the text format; every sample belongs to a family with HELP and TYPE, and occurs once."""
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        assert family.type in ("counter", "gauge", "histogram"), family.name
        for sample in family.samples:
            labels = frozenset(sample.labels.items())
            assert labels not in found.setdefault(sample.name, {}), sample
            found[sample.name][labels] = sample.value
    return found


def labels(**values: str) -> Labels:
    return frozenset(values.items())


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for 127.0.0.1 and its key; return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "unify")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths
