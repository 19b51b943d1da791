"""The GitHub emulator of the npm package ``emulate``, with data created over its REST API."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.support.emulators import EMULATE
from tests.support.foreign_servers import free_port, install_npm_program, run_server

OWNER = "mona"  # the user whose token Unify has
AUTHORS = ("mona", "hubot", "lin", "søren")  # users who open issues and pull requests
OTHER_USER_COUNT = 6
Json = Any

# owner/name → issues, pull requests, files to commit; over a hundred of each in one, for paging
REPOS: dict[str, tuple[int, int, int]] = {
    "mona/lark": (104, 101, 101),
    "mona/quiet": (0, 0, 1),
    "mona/tern": (12, 5, 3),
    "birds/owl": (9, 9, 2),
    "birds/wren": (3, 1, 0),
    "fish/pike": (7, 2, 0),
}
EMPTY_REPO = "mona/hollow"  # without any commit


def token_for(login: str) -> str:
    return f"token-of-{login.encode('ascii', 'replace').decode()}"


class GitHubEmulator:
    """A running emulator, with plain requests to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.token = token_for(OWNER)
        self.session = requests.Session()
        self.session.trust_env = False

    def request(self, method: str, path: str, body: Json = None, login: str = OWNER) -> Json:
        """Send one request as ``login``; return the decoded body, fail on any error status."""
        headers = {"Authorization": f"Bearer {token_for(login)}"}
        response = self.session.request(method, self.url + path, json=body, headers=headers, timeout=30)
        assert response.ok, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def fetch_all(self, path: str) -> list[Json]:
        """Return all rows of ``path``, following Link headers."""
        rows: list[Json] = []
        address: str | None = self.url + path
        while address:
            response = self.session.get(
                address, headers={"Authorization": f"Bearer {self.token}"}, timeout=30
            )
            if response.status_code == 409:
                assert "empty" in response.json()["message"]
                return []
            assert response.ok, f"{address}: {response.status_code} {response.text}"
            rows += response.json()
            address = response.links.get("next", {}).get("url")
        return rows


@contextmanager
def run_emulator(folder: Path) -> Iterator[GitHubEmulator]:
    """Run the emulator on a free port of this machine, with users and empty repositories."""
    (folder / "seed.yaml").write_text(yaml.safe_dump(_seed_config()), encoding="utf-8")
    command = [install_npm_program(EMULATE), "start", "--port", str(free_port())]
    with run_server([*command, "--service", "github", "--seed", "seed.yaml"], folder) as url:
        emulator = GitHubEmulator(url)
        with emulator.session:
            yield emulator


def create_data(github: GitHubEmulator) -> None:
    """Commit files, open issues and pull requests, and close some, over the emulator's own REST API."""
    for name, (issues, pulls, files) in REPOS.items():
        if not name.startswith(f"{OWNER}/"):
            github.request("PUT", f"/repos/{name}/collaborators/{OWNER}", {"permission": "admin"})
        for number in range(files):
            _create_commit(github, name, number)
        github.request("POST", f"/repos/{name}/milestones", {"title": "1.0"})
        for number in range(issues):
            _create_issue(github, name, number)
        for number in range(pulls):
            _create_pull(github, name, number)
        if files:
            github.request("POST", f"/repos/{name}/releases", {"tag_name": "v1", "name": "The first"})


def _create_commit(emulator: GitHubEmulator, repo: str, number: int) -> None:
    content = base64.b64encode(f"file {number}\n".encode()).decode()
    body = {"message": f"Add file {number}\n\nWith a body — ünïcode.", "content": content}
    emulator.request("PUT", f"/repos/{repo}/contents/files/{number}.txt", body)


def _create_issue(emulator: GitHubEmulator, repo: str, number: int) -> None:
    body = {
        "title": f'Issue {number}: it\'s "quoted", has a comma and 日本語',
        "body": None if number % 5 == 0 else f"Body\r\nof {number}",
        "labels": ["bug", f"batch {number % 3}"][: number % 3],
        "assignees": [OWNER] if number % 4 == 0 else [],
        "milestone": 1 if number % 6 == 0 else None,
    }
    made = emulator.request("POST", f"/repos/{repo}/issues", body, AUTHORS[number % len(AUTHORS)])
    if number % 3 == 0:
        closed = {"state": "closed", "state_reason": "not_planned" if number % 2 else "completed"}
        emulator.request("PATCH", f"/repos/{repo}/issues/{made['number']}", closed)


def _create_pull(emulator: GitHubEmulator, repo: str, number: int) -> None:
    body = {"title": f"Pull {number}", "head": f"topic-{number}", "base": "main", "draft": number % 7 == 0}
    made = emulator.request("POST", f"/repos/{repo}/pulls", body, AUTHORS[number % len(AUTHORS)])
    if number % 3 == 0:
        emulator.request("PATCH", f"/repos/{repo}/pulls/{made['number']}", {"state": "closed"})
    elif number % 3 == 1 and number % 7:
        emulator.request("PUT", f"/repos/{repo}/pulls/{made['number']}/merge", {})


def _seed_config() -> Json:
    strangers = [f"stranger{number}" for number in range(OTHER_USER_COUNT)]
    people = [*AUTHORS, *strangers]
    names = [*REPOS, EMPTY_REPO]
    return {
        "tokens": {
            token_for(login): {"login": login, "scopes": ["repo", "user", "admin:org"]} for login in AUTHORS
        },
        "github": {
            "users": [
                {"login": login, "name": login.title(), "email": f"{login}@a.example"} for login in people
            ],
            "orgs": [
                {"login": login, "name": login.title(), "members": [{"login": OWNER, "role": "admin"}]}
                for login in ("birds", "fish")
            ],
            "repos": [
                {"owner": name.split("/")[0], "name": name.split("/")[1], "auto_init": name != EMPTY_REPO}
                for name in names
            ],
        },
    }
