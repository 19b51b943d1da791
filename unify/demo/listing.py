"""List requests: filters, order and pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode

from unify.demo.data import Account, Commit, Issue, Milestone, Repo

DEFAULT_PER_PAGE = 30
MAX_PER_PAGE = 100

Item = TypeVar("Item")


class ListQuery:
    """The parameters of one request, and the addresses of the other pages."""

    def __init__(self, url: str, path: str, query: str) -> None:
        self.resource_url = f"{url}{path}"
        self.parameters = dict(parse_qsl(query, keep_blank_values=True))
        self.page = max(1, self.get_number("page", 1))
        self.per_page = min(MAX_PER_PAGE, self.get_number("per_page", DEFAULT_PER_PAGE) or DEFAULT_PER_PAGE)

    def get_text(self, name: str, default: str = "") -> str:
        return self.parameters.get(name, default).strip()

    def get_number(self, name: str, default: int) -> int:
        """Return a parameter as a number; ``default`` if it is missing or not a number."""
        text = self.get_text(name)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else default

    @property
    def start(self) -> int:
        return (self.page - 1) * self.per_page

    def page_items(self, items: Sequence[Item]) -> Sequence[Item]:
        return items[self.start : self.start + self.per_page]

    def link_header(self, total: int) -> dict[str, str]:
        """Return the Link header for ``total`` rows; empty if they fit on one page."""
        last = max(1, -(-total // self.per_page))
        pages = []
        if self.page > 1:
            pages.append(("prev", min(self.page - 1, last)))
        if self.page < last:
            pages += [("next", self.page + 1), ("last", last)]
        if self.page > 1:
            pages.append(("first", 1))
        links = [f'<{self._page_url({"page": str(page)})}>; rel="{name}"' for name, page in pages]
        return {"Link": ", ".join(links)} if links else {}

    def link_header_by_id(self, last_id: int) -> dict[str, str]:
        """Return the Link header of a list that continues after an id; ``first`` is a URI template."""
        following = self._page_url({"since": str(last_id)})
        return {"Link": f'<{following}>; rel="next", <{self.resource_url}{{?since}}>; rel="first"'}

    def _page_url(self, changed: Mapping[str, str]) -> str:
        return f"{self.resource_url}?{urlencode({**self.parameters, **changed})}"


def sort_items(items: Sequence[Item], key: Callable[[Item], object], *, descending: bool) -> list[Item]:
    """Sort stably by ``key``."""
    return sorted(items, key=key, reverse=descending)  # type: ignore[arg-type]  # keys are text or numbers


def filter_repos(items: Sequence[Repo], query: ListQuery, viewer: Account, default_sort: str) -> list[Repo]:
    """Apply ``type``, ``visibility``, ``sort`` and ``direction``."""
    kept = [repo for repo in items if _repo_matches(repo, query, viewer)]
    sort = query.get_text("sort", default_sort)
    keys: dict[str, Callable[[Repo], str]] = {
        "created": lambda repo: repo.created_at,
        "updated": lambda repo: repo.updated_at,
        "pushed": lambda repo: repo.updated_at,
    }
    key = keys.get(sort, lambda repo: repo.full_name)
    direction = query.get_text("direction", "desc" if sort in keys else "asc")
    return sort_items(kept, key, descending=direction == "desc")


def _repo_matches(repo: Repo, query: ListQuery, viewer: Account) -> bool:
    by_kind = {
        "owner": repo.owner.id == viewer.id,
        "member": repo.owner.id != viewer.id,
        "public": not repo.private,
        "private": repo.private,
    }
    kind = query.get_text("type", "all")
    if "/user/" not in query.resource_url and kind in ("owner", "member"):
        kind = "all"  # the list of another owner: all are its own
    return by_kind.get(kind, True) and by_kind.get(query.get_text("visibility", "all"), True)


def filter_pulls(items: Sequence[Issue], query: ListQuery) -> list[Issue]:
    """Apply ``state``, ``head``, ``base``, ``sort`` and ``direction``."""
    kept = [issue for issue in _filter_by_state(items, query) if _matches_branches(issue, query)]
    sort = query.get_text("sort", "created")
    direction = query.get_text("direction", "desc" if sort == "created" else "asc")
    return sort_items(kept, _issue_key(sort), descending=direction == "desc")


def _matches_branches(issue: Issue, query: ListQuery) -> bool:
    base, head = query.get_text("base"), query.get_text("head")
    assert issue.pull is not None
    return base in ("", "main") and head in ("", f"{issue.repo.owner.login}:{issue.pull.head_ref}")


def filter_issues(items: Sequence[Issue], query: ListQuery) -> list[Issue]:
    """Apply ``state``, ``since``, ``labels``, ``creator``, ``assignee``, ``sort`` and ``direction``."""
    since = _normalize_timestamp(query.get_text("since"))
    labels = {name for name in query.get_text("labels").split(",") if name}
    kept = [
        issue
        for issue in _filter_by_state(items, query)
        if issue.updated_at >= since
        and labels <= {label.name for label in issue.labels}
        and query.get_text("creator") in ("", issue.author.login)
        and query.get_text("assignee") in ("", "*", *(person.login for person in issue.assignees))
    ]
    descending = query.get_text("direction", "desc") == "desc"
    return sort_items(kept, _issue_key(query.get_text("sort", "created")), descending=descending)


def _filter_by_state(items: Sequence[Issue], query: ListQuery) -> Sequence[Issue]:
    state = query.get_text("state", "open")
    return items if state == "all" else [issue for issue in items if issue.state == state]


def _issue_key(sort: str) -> Callable[[Issue], tuple[object, int]]:
    if sort == "updated":
        return lambda issue: (issue.updated_at, issue.number)
    if sort in ("comments", "popularity"):
        return lambda issue: (issue.comments, issue.number)
    return lambda issue: (issue.created_at, issue.number)


def filter_commits(items: Sequence[Commit], query: ListQuery) -> list[Commit]:
    """Apply ``since``, ``until`` and ``author``; newest first."""
    since, until = (
        _normalize_timestamp(query.get_text("since")),
        _normalize_timestamp(query.get_text("until")) or "9999",
    )
    author = query.get_text("author")
    return [
        commit
        for commit in reversed(items)
        if since <= commit.committed_at <= until
        and author in ("", commit.author_email, commit.author.login if commit.author else None)
    ]


def filter_milestones(items: Sequence[Milestone], query: ListQuery) -> list[Milestone]:
    """Apply ``state``; by default, open milestones."""
    state = query.get_text("state", "open")
    return [item for item in items if state in ("all", "closed" if item.closed_at else "open")]


def _normalize_timestamp(timestamp: str) -> str:
    """Return a moment in the form of the records: whole seconds, UTC, ``Z``."""
    whole = timestamp.partition(".")[0].removesuffix("Z").removesuffix("+00:00")
    return f"{whole}Z" if whole else ""
