"""Search requests: words, and qualifiers such as ``is:open`` or ``repo:owner/name``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unify.demo.data import Issue, Repo
from unify.demo.listing import Item, ListQuery, sort_items

MAX_RESULTS = 1000  # GitHub returns no more, whatever ``total_count`` says


def search_repos(items: Sequence[Repo], query: ListQuery) -> Sequence[Repo]:
    """Return the repositories that match every word and qualifier."""
    matches = [
        repo for repo in items if all(_repo_matches(repo, word) for word in query.get_text("q").split())
    ]
    return _sort(matches, query, lambda repo: repo.stars, lambda repo: repo.updated_at)


def search_issues(items: Sequence[Issue], query: ListQuery) -> Sequence[Issue]:
    """Return the issues and pull requests that match every word and qualifier."""
    words = query.get_text("q").split()
    matches = [issue for issue in items if all(_issue_matches(issue, word) for word in words)]
    return _sort(
        matches, query, lambda issue: (issue.created_at, issue.id), lambda issue: (issue.updated_at, issue.id)
    )


def _sort(
    items: Sequence[Item],
    query: ListQuery,
    default_key: Callable[[Item], object],
    updated_key: Callable[[Item], object],
) -> Sequence[Item]:
    key = updated_key if query.get_text("sort") == "updated" else default_key
    return sort_items(items, key, descending=query.get_text("order", "desc") == "desc")


def _repo_matches(repo: Repo, word: str) -> bool:
    name, colon, value = word.lower().partition(":")
    if not colon:
        return name in f"{repo.full_name} {repo.description}".lower()
    has = {
        "org": {repo.owner.login},
        "user": {repo.owner.login},
        "repo": {repo.full_name},
        "language": {(repo.language or "").lower()},
        "topic": set(repo.topics),
        "is": {"private" if repo.private else "public"},
    }
    return value in has.get(name, ())


def _issue_matches(issue: Issue, word: str) -> bool:
    name, colon, value = word.lower().partition(":")
    if not colon:
        return name in issue.title.lower()
    kind = {"pr", "pull-request"} if issue.pull else {"issue"}
    merged = {"merged"} if issue.pull and issue.pull.merged_at else set()
    has = {
        "is": {issue.state} | kind | merged,
        "type": kind,
        "state": {issue.state},
        "repo": {issue.repo.full_name},
        "org": {issue.repo.owner.login},
        "user": {issue.repo.owner.login},
        "author": {issue.author.login},
        "assignee": {person.login for person in issue.assignees},
        "label": {label.name for label in issue.labels},
    }
    return value.strip('"') in has.get(name, ())
