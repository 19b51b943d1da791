"""Apache Superset on loopback, with its metadata in SQLite, and a client of its REST API."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.support.command import clean_environment
from tests.support.foreign_servers import free_port, install_python_program, run_server

# Superset 6.1 needs rich and cachetools without declaring them, and an older flask-caching than it allows.
SUPERSET = "apache-superset==6.1.0"
OTHER_REQUIREMENTS = ("flask-caching<2.4", "rich", "cachetools", "psycopg2-binary")
ADMIN, ADMIN_PASSWORD = "admin", "a password of superset"
TIMEOUT_S = 120.0
_CONFIGURATION = """\
SECRET_KEY = "a key that only tests use"
SQLALCHEMY_DATABASE_URI = "sqlite:///{folder}/superset.db"
WTF_CSRF_ENABLED = False
TALISMAN_ENABLED = False
RATELIMIT_ENABLED = False
FEATURE_FLAGS = {{"ESTIMATE_QUERY_COST": True}}
"""


class SupersetClient:
    """Requests of the REST API as the administrator. An unsuccessful one fails the test with its answer."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/v1"
        self._session = requests.Session()
        self._session.trust_env = False
        body = {"username": ADMIN, "password": ADMIN_PASSWORD, "provider": "db", "refresh": False}
        token = self.post("/security/login", body)["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        response = self._session.get(self._url + path, params=parameters, timeout=TIMEOUT_S)
        return self._check(response)

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        return self._check(self._session.post(self._url + path, json=body, timeout=TIMEOUT_S))

    def close(self) -> None:
        self._session.close()

    def _check(self, response: requests.Response) -> dict[str, Any]:
        assert response.ok, f"{response.request.method} {response.request.url}: {response.text}"
        answer: dict[str, Any] = response.json()
        return answer


@contextmanager
def run_superset(folder: Path) -> Iterator[SupersetClient]:
    """Run a new Superset until the block ends; skips the test where it cannot be installed."""
    program = install_python_program(SUPERSET, "superset", *OTHER_REQUIREMENTS)
    configuration = folder / "superset_config.py"
    configuration.write_text(_CONFIGURATION.format(folder=folder), encoding="utf-8")
    environment = {
        "SUPERSET_CONFIG_PATH": str(configuration),
        "SUPERSET_HOME": str(folder),
        "FLASK_APP": "superset.app:create_app()",
    }
    for arguments in (["db", "upgrade"], _create_admin(), ["init"]):
        _run([str(program), *arguments], folder, environment)
    command = [program, "run", "--host", "127.0.0.1", "--port", str(free_port()), "--with-threads"]
    with run_server(command, folder, environment) as url:
        client = SupersetClient(url)
        try:
            yield client
        finally:
            client.close()


def _create_admin() -> Sequence[str]:
    options = {"username": ADMIN, "password": ADMIN_PASSWORD, "email": "admin@example.com"}
    options |= {"firstname": "Ann", "lastname": "Admin"}
    return [
        "fab",
        "create-admin",
        *(word for name, value in options.items() for word in (f"--{name}", value)),
    ]


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        command,
        env=clean_environment(folder, environment),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
