"""The response to each path, without a network.

Paths, parameters, defaults and error bodies follow GitHub's REST documentation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from unify.demo import listing, searching
from unify.demo.data import Account, Issue, Repo, SampleData
from unify.demo.issue_shapes import IssueSerializer
from unify.demo.listing import ListQuery
from unify.demo.shapes import JsonText, encode

DOCUMENTATION = "https://docs.github.com/rest"
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class DemoResponse:
    """A response; ``resource`` names the quota it counts against."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    resource: str = "core"


def error_response(status: int, message: str) -> DemoResponse:
    """Return an error response in GitHub's format."""
    body = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status)}
    return DemoResponse(status, encode(body).encode())


class Routes:
    """Responds to requests for ``data``; ``url`` is the server's own address."""

    def __init__(self, data: SampleData, url: str) -> None:
        self.data = data
        self.url = url
        open_issues = {
            name: sum(issue.closed_at is None for issue in issues) for name, issues in data.issues.items()
        }
        self.serializer = IssueSerializer(url, open_issues)
        self.accounts = {account.login: account for account in (*data.orgs, *data.users)}
        self.repos = {repo.full_name.lower(): repo for repo in data.repos}

    def handle_get(self, target: str) -> DemoResponse:
        """Return the response to ``GET target``, a path with an optional query."""
        parts = urlsplit(target)
        query = ListQuery(self.url, parts.path, parts.query)
        for pattern, handle in _ROUTES:
            if match := pattern.fullmatch(parts.path):
                return handle(self, query, *map(unquote, match.groups())) or _NOT_FOUND
        return _NOT_FOUND

    # One method for each path, in the order of _ROUTES; None means 404.

    def viewer(self, _query: ListQuery) -> DemoResponse:
        return _object_response(self.serializer.user(self.data.viewer))

    def viewer_repos(self, query: ListQuery) -> DemoResponse:
        return self._repos_page(query, self.data.repos, sort="full_name")

    def viewer_orgs(self, query: ListQuery) -> DemoResponse:
        return _page_response(query, self.data.orgs, self.serializer.simple_org)

    def organizations(self, query: ListQuery) -> DemoResponse:
        return _page_by_id_response(query, self.data.orgs, self.serializer.simple_org)

    def org(self, _query: ListQuery, login: str) -> DemoResponse | None:
        org = self._account(login, "Organization")
        if org is None:
            return None
        public = sum(repo.owner is org and not repo.private for repo in self.data.repos)
        return _object_response(self.serializer.org(org, public))

    def org_repos(self, query: ListQuery, login: str) -> DemoResponse | None:
        org = self._account(login, "Organization")
        return self._repos_page(query, self._repos_owned_by(org), sort="created") if org else None

    def org_members(self, query: ListQuery, login: str) -> DemoResponse | None:
        org = self._account(login, "Organization")
        if org is None:
            return None
        members = {person.id: person for repo in self._repos_owned_by(org) for person in repo.team}
        return _page_response(
            query, [members[identity] for identity in sorted(members)], self.serializer.simple_user
        )

    def users(self, query: ListQuery) -> DemoResponse:
        return _page_by_id_response(query, self.data.users, self.serializer.simple_user)

    def user(self, _query: ListQuery, login: str) -> DemoResponse | None:
        account = self.accounts.get(login.lower())
        return _object_response(self.serializer.user(account)) if account else None

    def user_repos(self, query: ListQuery, login: str) -> DemoResponse | None:
        account = self.accounts.get(login.lower())
        return self._repos_page(query, self._repos_owned_by(account), sort="full_name") if account else None

    def repo(self, _query: ListQuery, owner: str, name: str) -> DemoResponse | None:
        repo = self._repo(owner, name)
        return _object_response(self.serializer.repo(repo)) if repo else None

    def pulls(self, query: ListQuery, owner: str, name: str) -> DemoResponse | None:
        repo = self._repo(owner, name)
        if repo is None:
            return None
        pulls = [issue for issue in self.data.issues[repo.full_name] if issue.pull]
        return _page_response(query, listing.filter_pulls(pulls, query), self.serializer.pull)

    def pull(self, _query: ListQuery, owner: str, name: str, number: str) -> DemoResponse | None:
        issue = self._issue(owner, name, number)
        return _object_response(self.serializer.pull(issue)) if issue and issue.pull else None

    def issues(self, query: ListQuery, owner: str, name: str) -> DemoResponse | None:
        repo = self._repo(owner, name)
        if repo is None:
            return None
        return _page_response(
            query, listing.filter_issues(self.data.issues[repo.full_name], query), self.serializer.issue
        )

    def issue(self, _query: ListQuery, owner: str, name: str, number: str) -> DemoResponse | None:
        issue = self._issue(owner, name, number)
        return _object_response(self.serializer.issue(issue)) if issue else None

    def commits(self, query: ListQuery, owner: str, name: str) -> DemoResponse | None:
        repo = self._repo(owner, name)
        if repo is None:
            return None
        if not self.data.commits[repo.full_name]:
            return error_response(409, "Git Repository is empty.")
        return _page_response(
            query, listing.filter_commits(self.data.commits[repo.full_name], query), self.serializer.commit
        )

    def contributors(self, query: ListQuery, owner: str, name: str) -> DemoResponse | None:
        repo = self._repo(owner, name)
        if repo is None:
            return None
        counted = Counter(
            commit.author.login for commit in self.data.commits[repo.full_name] if commit.author
        )
        if not counted:
            return DemoResponse(204)
        return _page_response(
            query,
            counted.most_common(),
            lambda entry: self.serializer.contributor(self.accounts[entry[0]], entry[1]),
        )

    def assignees(self, query: ListQuery, owner: str, name: str) -> DemoResponse | None:
        repo = self._repo(owner, name)
        return _page_response(query, repo.team, self.serializer.simple_user) if repo else None

    def labels(self, query: ListQuery, owner: str, name: str) -> DemoResponse | None:
        repo = self._repo(owner, name)
        return (
            _page_response(query, repo.labels, lambda label: self.serializer.label(repo, label))
            if repo
            else None
        )

    def milestones(self, query: ListQuery, owner: str, name: str) -> DemoResponse | None:
        repo = self._repo(owner, name)
        if repo is None:
            return None
        chosen = listing.filter_milestones(repo.milestones, query)
        return _page_response(query, chosen, lambda milestone: self.serializer.milestone(repo, milestone))

    def search_repositories(self, query: ListQuery) -> DemoResponse:
        return self._search_page(query, searching.search_repos, self.data.repos, self.serializer.repo)

    def search_issues(self, query: ListQuery) -> DemoResponse:
        everything = [issue for issues in self.data.issues.values() for issue in issues]
        return self._search_page(query, searching.search_issues, everything, self.serializer.issue)

    def _account(self, login: str, kind: str) -> Account | None:
        account = self.accounts.get(login.lower())
        return account if account and account.kind == kind else None

    def _repo(self, owner: str, name: str) -> Repo | None:
        return self.repos.get(f"{owner}/{name}".lower())

    def _issue(self, owner: str, name: str, number: str) -> Issue | None:
        repo = self._repo(owner, name)
        issues = self.data.issues[repo.full_name] if repo else ()
        return issues[int(number) - 1] if 0 < int(number) <= len(issues) else None

    def _repos_owned_by(self, owner: Account) -> list[Repo]:
        return [repo for repo in self.data.repos if repo.owner.id == owner.id]

    def _repos_page(self, query: ListQuery, repos: Sequence[Repo], sort: str) -> DemoResponse:
        return _page_response(
            query, listing.filter_repos(repos, query, self.data.viewer, sort), self.serializer.repo
        )

    def _search_page(
        self,
        query: ListQuery,
        search: Callable[[Sequence[Item], ListQuery], Sequence[Item]],
        candidates: Sequence[Item],
        serialize: Callable[[Item], JsonText],
    ) -> DemoResponse:
        """Return a page of search results: a list in an object, limited to MAX_RESULTS."""
        if not query.get_text("q"):
            return error_response(422, "Validation Failed")
        results = search(candidates, query)
        if query.start >= searching.MAX_RESULTS:
            return error_response(422, "Only the first 1000 search results are available")
        shown = results[: searching.MAX_RESULTS]
        items = [serialize(item) for item in query.page_items(shown)]
        body = {"total_count": len(results), "incomplete_results": False, "items": items}
        return DemoResponse(200, encode(body).encode(), query.link_header(len(shown)), "search")


def _object_response(text: JsonText) -> DemoResponse:
    return DemoResponse(200, text.encode())


def _page_response(
    query: ListQuery, items: Sequence[Item], serialize: Callable[[Item], JsonText]
) -> DemoResponse:
    """Return the page of ``items`` that ``page`` and ``per_page`` select, with its Link header."""
    rows = [serialize(item) for item in query.page_items(items)]
    return DemoResponse(200, encode(rows).encode(), query.link_header(len(items)))


def _page_by_id_response(
    query: ListQuery, accounts: Sequence[Account], serialize: Callable[[Account], JsonText]
) -> DemoResponse:
    """Return the accounts after the id ``since``; this list has no page numbers."""
    rest = [account for account in accounts if account.id > query.get_number("since", 0)]
    shown = rest[: query.per_page]
    headers = query.link_header_by_id(shown[-1].id) if len(rest) > len(shown) else {}
    return DemoResponse(200, encode([serialize(account) for account in shown]).encode(), headers)


_NOT_FOUND = error_response(404, "Not Found")
_REPO = "/repos/([^/]+)/([^/]+)"
_ROUTES: list[tuple[re.Pattern[str], Callable[..., DemoResponse | None]]] = [
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
