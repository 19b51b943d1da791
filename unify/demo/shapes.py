"""Accounts as JSON, member for member as GitHub's published schema has them, and how all JSON is made.

An object is text once made, so that a large one is put together from parts made before:
a pull request holds its repository twice and up to ten people.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

from unify.demo.data import Account

WEB_URL = "https://github.example"  # where people would look at these things; reserved, leads nowhere


class JsonText(str):
    """JSON text, ready to be put into a larger one."""

    __slots__ = ()


_encode_plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode(value: object) -> JsonText:
    """``value`` as JSON; what is JSON already stays as it is."""
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
    """Turns people and organizations into JSON; ``url`` is the address the API has."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._cache: dict[tuple[str, object], JsonText] = {}

    def encode_once(self, kind: str, identity: object, build: Callable[[], Mapping[str, object]]) -> JsonText:
        """The object made before under this identity, or else made now (twice at worst, by two threads)."""
        key = (kind, identity)
        if key not in self._cache:
            self._cache[key] = encode(build())
        return self._cache[key]

    def simple_user(self, account: Account | None) -> JsonText:
        """An account as it appears inside other objects."""
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
        """An account asked for by its login."""
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
        """An account in the list of those who committed to a repository."""
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
        """An organization asked for by its login."""
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
