"""The records of the sample API: accounts, repositories, issues, commits.

Moments are ISO 8601 text in UTC, as in the API's responses; they sort as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """A person or an organization; ``kind`` is ``User`` or ``Organization``."""

    id: int
    login: str
    kind: str
    name: str
    email: str | None
    location: str | None
    company: str | None
    bio: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class IssueLabel:
    id: int
    name: str
    color: str
    description: str | None
    default: bool


@dataclass(frozen=True, slots=True)
class Milestone:
    id: int
    number: int
    title: str
    creator: Account
    created_at: str
    due_on: str | None
    closed_at: str | None


@dataclass(frozen=True, slots=True)
class Repo:
    id: int
    owner: Account
    name: str
    description: str
    language: str | None
    private: bool
    topics: tuple[str, ...]
    stars: int
    forks: int
    size: int
    labels: tuple[IssueLabel, ...]
    milestones: tuple[Milestone, ...]
    team: tuple[Account, ...]
    created_at: str
    updated_at: str

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"


@dataclass(frozen=True, slots=True)
class Pull:
    """The members of a pull request beside those of its issue; its ``id`` differs, as on GitHub."""

    id: int
    head_ref: str
    head_sha: str
    base_sha: str
    draft: bool
    merged_at: str | None
    merge_sha: str | None
    reviewers: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue or, with ``pull``, a pull request. Both are numbered together in a repository."""

    id: int
    number: int
    repo: Repo
    title: str
    body: str | None
    author: Account
    assignees: tuple[Account, ...]
    labels: tuple[IssueLabel, ...]
    milestone: Milestone | None
    comments: int
    locked: bool
    created_at: str
    updated_at: str
    closed_at: str | None
    closed_by: Account | None
    state_reason: str | None
    pull: Pull | None

    @property
    def state(self) -> str:
        return "closed" if self.closed_at else "open"


@dataclass(frozen=True, slots=True)
class Commit:
    """``author`` is None where no account has the e-mail address of the commit."""

    sha: str
    repo: Repo
    author: Account | None
    author_name: str
    author_email: str
    message: str
    committed_at: str
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SampleData:
    """All records; issues and commits by the repository's full name, oldest first."""

    viewer: Account
    users: Sequence[Account]
    orgs: Sequence[Account]
    repos: Sequence[Repo]
    issues: Mapping[str, Sequence[Issue]]
    commits: Mapping[str, Sequence[Commit]]
