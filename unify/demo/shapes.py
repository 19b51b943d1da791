"""Accounts as JSON, after GitHub's published schema; and JSON encoding.

An object is encoded once and reused inside larger ones: a pull request holds its repository twice and up to
ten people.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

from unify.demo.data import Account

WEB_URL = "https://github.example"  # a reserved domain


class JsonText(str):
    """Encoded JSON."""

    __slots__ = ()


_encode_plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode(value: object) -> JsonText:
    """Encode ``value``; JsonText within it is kept."""
    if isinstance(value, JsonText):
        return value
    if isinstance(value, Mapping):
        return JsonText(
            "{" + ",".join(f"{_encode_plain(name)}:{encode(member)}" for name, member in value.items()) + "}"
        )
    if isinstance(value, (list, tuple)):
        return JsonText("[" + ",".join(map(encode, value)) + "]")
    return JsonText(_encode_plain(value))


class AccountSerializer:
    """Serializes accounts; ``url`` is the address of the API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._cache: dict[tuple[str, object], JsonText] = {}

    def encode_once(self, kind: str, identity: object, build: Callable[[], Mapping[str, object]]) -> JsonText:
        """Return the cached object, or build it (two threads may build it twice)."""
        key = (kind, identity)
        if key not in self._cache:
            self._cache[key] = encode(build())
        return self._cache[key]

    def simple_user(self, account: Account | None) -> JsonText:
        """Return an account as a member of another object."""
        if account is None:
            return encode(None)
        return self.encode_once("simple_user", account.id, lambda: self._simple_user_members(account))

    def simple_users(self, accounts: Iterable[Account]) -> list[JsonText]:
        return [self.simple_user(account) for account in accounts]

    def _simple_user_members(self, account: Account) -> dict[str, object]:
        own = f"{self.url}/users/{account.login}"
        return {
            "login": account.login,
            "id": account.id,
            "node_id": f"U_kgDO{account.id:08x}",
            "avatar_url": f"https://avatars.github.example/u/{account.id}?v=4",
            "gravatar_id": "",
            "url": own,
            "html_url": f"{WEB_URL}/{account.login}",
            "followers_url": f"{own}/followers",
            "following_url": f"{own}/following{{/other_user}}",
            "gists_url": f"{own}/gists{{/gist_id}}",
            "starred_url": f"{own}/starred{{/owner}}{{/repo}}",
            "subscriptions_url": f"{own}/subscriptions",
            "organizations_url": f"{own}/orgs",
            "repos_url": f"{own}/repos",
            "events_url": f"{own}/events{{/privacy}}",
            "received_events_url": f"{own}/received_events",
            "type": account.kind,
            "user_view_type": "public",
            "site_admin": False,
        }

    def user(self, account: Account) -> JsonText:
        """Return an account as a response of its own."""
        return encode({
            **self._simple_user_members(account),
            "name": account.name,
            "company": account.company,
            "blog": "",
            "location": account.location,
            "email": account.email,
            "hireable": None,
            "bio": account.bio,
            "twitter_username": None,
            "public_repos": account.id % 40,
            "public_gists": account.id % 7,
            "followers": account.id % 300,
            "following": account.id % 50,
            "created_at": account.created_at,
            "updated_at": account.created_at,
        })  # fmt: skip

    def contributor(self, account: Account, contributions: int) -> JsonText:
        """Return an entry of a repository's contributors."""
        return encode({**self._simple_user_members(account), "contributions": contributions})

    def simple_org(self, org: Account) -> JsonText:
        return self.encode_once("simple_org", org.id, lambda: self._simple_org_members(org))

    def _simple_org_members(self, org: Account) -> dict[str, object]:
        own = f"{self.url}/orgs/{org.login}"
        return {
            "login": org.login,
            "id": org.id,
            "node_id": f"O_kgDO{org.id:08x}",
            "url": own,
            "repos_url": f"{own}/repos",
            "events_url": f"{own}/events",
            "hooks_url": f"{own}/hooks",
            "issues_url": f"{own}/issues",
            "members_url": f"{own}/members{{/member}}",
            "public_members_url": f"{own}/public_members{{/member}}",
            "avatar_url": f"https://avatars.github.example/u/{org.id}?v=4",
            "description": org.bio,
        }

    def org(self, org: Account, public_repos: int) -> JsonText:
        """Return an organization as a response of its own."""
        return encode({
            **self._simple_org_members(org),
            "name": org.name,
            "company": None,
            "blog": f"https://{org.login}.example",
            "location": org.location,
            "email": org.email,
            "twitter_username": None,
            "is_verified": org.id % 2 == 0,
            "has_organization_projects": True,
            "has_repository_projects": True,
            "public_repos": public_repos,
            "public_gists": 0,
            "followers": org.id % 900,
            "following": 0,
            "html_url": f"{WEB_URL}/{org.login}",
            "type": "Organization",
            "archived_at": None,
            "created_at": org.created_at,
            "updated_at": org.created_at,
        })  # fmt: skip
