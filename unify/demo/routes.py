"""Which answer belongs to which address: the sample API without a network.

Source  paths, parameters, defaults and error bodies: GitHub's REST documentation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from unify.demo import listing, searching
from unify.demo.data import Account, Issue, Repo, World
from unify.demo.issue_shapes import IssueShapes
from unify.demo.listing import Query
from unify.demo.shapes import Json, encode

DOCUMENTATION = "https://docs.github.com/rest"
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over the wire; ``resource`` is the quota it is counted on."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    resource: str = "core"


def problem(status: int, message: str) -> Answer:
    """An error in the words and the shape GitHub uses."""
    body = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status)}
    return Answer(status, encode(body).encode())


class Routes:
    """Answers requests for ``world``; ``url`` is the address clients reach it by."""

    def __init__(self, world: World, url: str) -> None:
        self.world = world
        self.url = url
        opened = {
            name: sum(issue.closed_at is None for issue in issues) for name, issues in world.issues.items()
        }
        self.shapes = IssueShapes(url, opened)
        self.accounts = {account.login: account for account in (*world.orgs, *world.users)}
        self.repos = {repo.full_name.lower(): repo for repo in world.repos}

    def answer(self, target: str) -> Answer:
        """The answer to ``GET target``, a path with an optional query."""
        parts = urlsplit(target)
        query = Query(self.url, parts.path, parts.query)
        for pattern, handle in _ROUTES:
            if found := pattern.fullmatch(parts.path):
                return handle(self, query, *(unquote(word) for word in found.groups())) or _NOT_FOUND
        return _NOT_FOUND

    # One method an address, in the order of _ROUTES; None means there is no such thing.

    def viewer(self, _query: Query) -> Answer:
        return _object(self.shapes.user(self.world.viewer))

    def viewer_repos(self, query: Query) -> Answer:
        return self._repos(query, self.world.repos, sort="full_name")

    def viewer_orgs(self, query: Query) -> Answer:
        return _page(query, self.world.orgs, self.shapes.simple_org)

    def organizations(self, query: Query) -> Answer:
        return _page_by_id(query, self.world.orgs, self.shapes.simple_org)

    def org(self, _query: Query, login: str) -> Answer | None:
        org = self._account(login, "Organization")
        if org is None:
            return None
        public = sum(repo.owner is org and not repo.private for repo in self.world.repos)
        return _object(self.shapes.org(org, public))

    def org_repos(self, query: Query, login: str) -> Answer | None:
        org = self._account(login, "Organization")
        return self._repos(query, self._owned_by(org), sort="created") if org else None

    def org_members(self, query: Query, login: str) -> Answer | None:
        org = self._account(login, "Organization")
        if org is None:
            return None
        members = {person.id: person for repo in self._owned_by(org) for person in repo.team}
        return _page(query, [members[identity] for identity in sorted(members)], self.shapes.simple_user)

    def users(self, query: Query) -> Answer:
        return _page_by_id(query, self.world.users, self.shapes.simple_user)

    def user(self, _query: Query, login: str) -> Answer | None:
        account = self.accounts.get(login.lower())
        return _object(self.shapes.user(account)) if account else None

    def user_repos(self, query: Query, login: str) -> Answer | None:
        account = self.accounts.get(login.lower())
        return self._repos(query, self._owned_by(account), sort="full_name") if account else None

    def repo(self, _query: Query, owner: str, name: str) -> Answer | None:
        repo = self._repo(owner, name)
        return _object(self.shapes.repo(repo)) if repo else None

    def pulls(self, query: Query, owner: str, name: str) -> Answer | None:
        repo = self._repo(owner, name)
        if repo is None:
            return None
        pulls = [issue for issue in self.world.issues[repo.full_name] if issue.pull]
        return _page(query, listing.pulls(pulls, query), self.shapes.pull)

    def pull(self, _query: Query, owner: str, name: str, number: str) -> Answer | None:
        issue = self._issue(owner, name, number)
        return _object(self.shapes.pull(issue)) if issue and issue.pull else None

    def issues(self, query: Query, owner: str, name: str) -> Answer | None:
        repo = self._repo(owner, name)
        if repo is None:
            return None
        return _page(query, listing.issues(self.world.issues[repo.full_name], query), self.shapes.issue)

    def issue(self, _query: Query, owner: str, name: str, number: str) -> Answer | None:
        issue = self._issue(owner, name, number)
        return _object(self.shapes.issue(issue)) if issue else None

    def commits(self, query: Query, owner: str, name: str) -> Answer | None:
        repo = self._repo(owner, name)
        if repo is None:
            return None
        if not self.world.commits[repo.full_name]:
            return problem(409, "Git Repository is empty.")
        return _page(query, listing.commits(self.world.commits[repo.full_name], query), self.shapes.commit)

    def contributors(self, query: Query, owner: str, name: str) -> Answer | None:
        repo = self._repo(owner, name)
        if repo is None:
            return None
        counted = Counter(
            commit.author.login for commit in self.world.commits[repo.full_name] if commit.author
        )
        if not counted:
            return Answer(204)
        return _page(
            query,
            counted.most_common(),
            lambda entry: self.shapes.contributor(self.accounts[entry[0]], entry[1]),
        )

    def assignees(self, query: Query, owner: str, name: str) -> Answer | None:
        repo = self._repo(owner, name)
        return _page(query, repo.team, self.shapes.simple_user) if repo else None

    def labels(self, query: Query, owner: str, name: str) -> Answer | None:
        repo = self._repo(owner, name)
        return _page(query, repo.labels, lambda label: self.shapes.label(repo, label)) if repo else None

    def milestones(self, query: Query, owner: str, name: str) -> Answer | None:
        repo = self._repo(owner, name)
        if repo is None:
            return None
        chosen = listing.milestones(repo.milestones, query)
        return _page(query, chosen, lambda milestone: self.shapes.milestone(repo, milestone))

    def search_repositories(self, query: Query) -> Answer:
        return self._found(query, searching.repos, self.world.repos, self.shapes.repo)

    def search_issues(self, query: Query) -> Answer:
        everything = [issue for issues in self.world.issues.values() for issue in issues]
        return self._found(query, searching.issues, everything, self.shapes.issue)

    def _account(self, login: str, kind: str) -> Account | None:
        account = self.accounts.get(login.lower())
        return account if account and account.kind == kind else None

    def _repo(self, owner: str, name: str) -> Repo | None:
        return self.repos.get(f"{owner}/{name}".lower())

    def _issue(self, owner: str, name: str, number: str) -> Issue | None:
        repo = self._repo(owner, name)
        issues = self.world.issues[repo.full_name] if repo else ()
        return issues[int(number) - 1] if 0 < int(number) <= len(issues) else None

    def _owned_by(self, owner: Account) -> list[Repo]:
        return [repo for repo in self.world.repos if repo.owner.id == owner.id]

    def _repos(self, query: Query, repos: Sequence[Repo], sort: str) -> Answer:
        return _page(query, listing.repos(repos, query, self.world.viewer, sort), self.shapes.repo)

    def _found(
        self,
        query: Query,
        search: Callable[[Sequence[Item], Query], Sequence[Item]],
        everything: Sequence[Item],
        shape: Callable[[Item], Json],
    ) -> Answer:
        """A page of search results: a list inside an object, of which GitHub shows the first thousand."""
        if not query.text("q"):
            return problem(422, "Validation Failed")
        found = search(everything, query)
        if query.start >= searching.SHOWN:
            return problem(422, "Only the first 1000 search results are available")
        shown = found[: searching.SHOWN]
        items = [shape(item) for item in query.part(shown)]
        body = {"total_count": len(found), "incomplete_results": False, "items": items}
        return Answer(200, encode(body).encode(), query.links(len(shown)), "search")


def _object(text: Json) -> Answer:
    return Answer(200, text.encode())


def _page(query: Query, items: Sequence[Item], shape: Callable[[Item], Json]) -> Answer:
    """The page of ``items`` asked for by ``page`` and ``per_page``, with its Link header."""
    rows = [shape(item) for item in query.part(items)]
    return Answer(200, encode(rows).encode(), query.links(len(items)))


def _page_by_id(query: Query, accounts: Sequence[Account], shape: Callable[[Account], Json]) -> Answer:
    """The accounts after the id ``since``: this list knows no page numbers."""
    rest = [account for account in accounts if account.id > query.number("since", 0)]
    shown = rest[: query.per_page]
    headers = query.links_by_id(shown[-1].id) if len(rest) > len(shown) else {}
    return Answer(200, encode([shape(account) for account in shown]).encode(), headers)


_NOT_FOUND = problem(404, "Not Found")
_REPO = "/repos/([^/]+)/([^/]+)"
_ROUTES: list[tuple[re.Pattern[str], Callable[..., Answer | None]]] = [
    (re.compile(pattern), handle)
    for pattern, handle in (
        ("/user", Routes.viewer),
        ("/user/repos", Routes.viewer_repos),
        ("/user/orgs", Routes.viewer_orgs),
        ("/organizations", Routes.organizations),
        ("/orgs/([^/]+)", Routes.org),
        ("/orgs/([^/]+)/repos", Routes.org_repos),
        ("/orgs/([^/]+)/members", Routes.org_members),
        ("/users", Routes.users),
        ("/users/([^/]+)", Routes.user),
        ("/users/([^/]+)/repos", Routes.user_repos),
        (_REPO, Routes.repo),
        (f"{_REPO}/pulls", Routes.pulls),
        (f"{_REPO}/pulls/([0-9]{{1,9}})", Routes.pull),
        (f"{_REPO}/issues", Routes.issues),
        (f"{_REPO}/issues/([0-9]{{1,9}})", Routes.issue),
        (f"{_REPO}/commits", Routes.commits),
        (f"{_REPO}/contributors", Routes.contributors),
        (f"{_REPO}/assignees", Routes.assignees),
        (f"{_REPO}/labels", Routes.labels),
        (f"{_REPO}/milestones", Routes.milestones),
        ("/search/repositories", Routes.search_repositories),
        ("/search/issues", Routes.search_issues),
    )
]
