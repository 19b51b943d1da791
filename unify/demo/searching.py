"""Search: words, and qualifiers such as ``is:open`` or ``repo:owner/name``."""

from __future__ import annotations

from collections.abc import Sequence

from unify.demo.data import Issue, Repo
from unify.demo.listing import ListQuery, sort_items

MAX_RESULTS = 1000  # results GitHub lets anybody page through, however many there are


def search_repos(items: Sequence[Repo], query: ListQuery) -> Sequence[Repo]:
    """Repositories whose name or description has every word and that fit every qualifier."""
    found = [repo for repo in items if all(_repo_matches(repo, word) for word in query.get_text("q").split())]
    descending = query.get_text("order", "desc") == "desc"
    if query.get_text("sort") == "updated":
        return sort_items(found, lambda repo: repo.updated_at, descending=descending)
    return sort_items(found, lambda repo: repo.stars, descending=descending)


def search_issues(items: Sequence[Issue], query: ListQuery) -> Sequence[Issue]:
    """Issues and pull requests whose title has every word and that fit every qualifier, newest first."""
    found = [
        issue for issue in items if all(_issue_matches(issue, word) for word in query.get_text("q").split())
    ]
    descending = query.get_text("order", "desc") == "desc"
    if query.get_text("sort") == "updated":
        return sort_items(found, lambda issue: (issue.updated_at, issue.id), descending=descending)
    return sort_items(found, lambda issue: (issue.created_at, issue.id), descending=descending)


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
