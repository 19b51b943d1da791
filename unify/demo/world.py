"""Generates the sample data: the same on every machine and in every Python version.

All moments are between 2023 and the end of March 2026. Only ``Random.random`` is used, which Python keeps
stable between versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TypeVar

from unify.demo import words
from unify.demo.data import Account, Commit, Issue, IssueLabel, Milestone, Pull, Repo, SampleData

SEED = 20230117
FIRST_DATE = datetime(2023, 1, 17, 8, 30, tzinfo=UTC)
LAST_DATE = datetime(2026, 3, 31, 17, 0, tzinfo=UTC)
USER_COUNT = 84

Item = TypeVar("Item")


class SeededRandom:
    """Random numbers that are the same on every machine."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random

    def randbelow(self, limit: int) -> int:
        return int(self._random() * limit)

    def chance(self, probability: float) -> bool:
        return self._random() < probability

    def choice(self, items: Sequence[Item]) -> Item:
        return items[self.randbelow(len(items))]

    def sample(self, items: Sequence[Item], max_count: int) -> tuple[Item, ...]:
        """Return up to ``max_count`` distinct items, in their order."""
        picked = (
            {self.randbelow(len(items)) for _ in range(self.randbelow(max_count + 1))} if items else set()
        )
        return tuple(items[index] for index in sorted(picked))

    def timestamps(self, count: int, first: datetime, last: datetime) -> list[datetime]:
        """Return ``count`` moments between the two, in whole seconds."""
        span_s = (last - first).total_seconds()
        return [first + timedelta(seconds=int(self._random() * span_s)) for _ in range(count)]

    def random_time_after(self, start: datetime, days: float) -> datetime:
        """Return a moment within ``days`` after ``start``, not after LAST_DATE; early ones are likelier."""
        later = start + timedelta(seconds=int(60 + self._random() ** 3 * days * 86_400))
        return min(later, LAST_DATE)


def build_sample_data() -> SampleData:
    """Generate the sample data, in some hundredths of a second."""
    dice = SeededRandom(SEED)
    users = _build_users(dice)
    orgs = [_build_org(number, entry) for number, entry in enumerate(words.ORGS)]
    owners = {account.login: account for account in (*orgs, users[0])}
    repos = [
        _build_repo(dice, number, entry, owners[entry.owner], users)
        for number, entry in enumerate(words.REPOS)
    ]
    by_name = list(zip(repos, words.REPOS, strict=True))
    issues = {repo.full_name: _build_issues(dice, repo, entry) for repo, entry in by_name}
    commits = {repo.full_name: _build_commits(dice, repo, entry) for repo, entry in by_name}
    return SampleData(users[0], users, orgs, repos, issues, commits)


def format_timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def fake_sha(*parts: object) -> str:
    """Return forty hexadecimal digits that depend on ``parts`` only."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:40]


def _build_users(dice: SeededRandom) -> list[Account]:
    people = [_build_viewer()]
    logins = {words.VIEWER}
    while len(people) < USER_COUNT:
        first, last = dice.choice(words.FIRST_NAMES), dice.choice(words.LAST_NAMES)
        login = _to_ascii(f"{first}-{last}" if dice.chance(0.4) else f"{first[0]}{last}")
        if login in logins:
            continue
        logins.add(login)
        people.append(
            Account(
                id=4_100_000 + len(people) * 7_919,
                login=login,
                kind="User",
                name=f"{first} {last}",
                email=f"{login}@people.example" if dice.chance(0.6) else None,
                location=dice.choice(words.LOCATIONS) if dice.chance(0.7) else None,
                company=f"@{dice.choice(words.ORGS).login}" if dice.chance(0.5) else None,
                bio=None,
                created_at=format_timestamp(FIRST_DATE - timedelta(days=dice.randbelow(3_000))),
            )
        )
    return people


def _build_viewer() -> Account:
    bio = "The person whose token this is"
    email = f"{words.VIEWER}@people.example"
    created_at = format_timestamp(FIRST_DATE - timedelta(days=400))
    return Account(4_100_000, words.VIEWER, "User", "Demo Reader", email, None, None, bio, created_at)


def _build_org(number: int, entry: words.OrgTemplate) -> Account:
    return Account(
        id=9_500_000 + number * 104_729,
        login=entry.login,
        kind="Organization",
        name=entry.name,
        email=f"hello@{entry.login}.example",
        location=entry.location,
        company=None,
        bio=entry.description,
        created_at=format_timestamp(FIRST_DATE - timedelta(days=300 + 40 * number)),
    )


def _build_repo(
    dice: SeededRandom, number: int, entry: words.RepoTemplate, owner: Account, people: Sequence[Account]
) -> Repo:
    identity = 610_000_000 + number * 1_299_709
    first = number * 5 % len(people)
    team = tuple((*people[first:], *people[:first])[: 8 + number % 4])
    labels = tuple(IssueLabel(identity * 9 + index, *label) for index, label in enumerate(words.LABELS))
    created = FIRST_DATE + timedelta(days=number * 11)
    return Repo(
        id=identity,
        owner=owner,
        name=entry.name,
        description=entry.description,
        language=entry.language,
        private=entry.private,
        topics=entry.topics,
        stars=0 if entry.private else dice.randbelow(entry.pulls * 40 + 3),
        forks=dice.randbelow(entry.pulls + 1),
        size=entry.commits * 37,
        labels=labels,
        milestones=tuple(_build_milestone(identity, index, team[index], created) for index in range(3)),
        team=team,
        created_at=format_timestamp(created),
        updated_at=format_timestamp(LAST_DATE - timedelta(hours=number * 3)),
    )


def _build_milestone(repo_id: int, index: int, creator: Account, created: datetime) -> Milestone:
    due = created + timedelta(days=180 * (index + 1))
    return Milestone(
        id=repo_id // 100 + index,
        number=index + 1,
        title=f"{index + 1}.0",
        creator=creator,
        created_at=format_timestamp(created + timedelta(days=index)),
        due_on=format_timestamp(due) if index < 2 else None,
        closed_at=format_timestamp(due + timedelta(days=4)) if index == 0 else None,
    )


def _build_issues(dice: SeededRandom, repo: Repo, entry: words.RepoTemplate) -> list[Issue]:
    count = entry.pulls + entry.issues
    pulls_left = entry.pulls
    issues = []
    for index, created in enumerate(
        sorted(dice.timestamps(count, FIRST_DATE + timedelta(days=170), LAST_DATE))
    ):
        is_pull = dice.chance(pulls_left / (count - index))
        pulls_left -= is_pull
        issues.append(_build_issue(dice, repo, entry.subjects, index + 1, created, pull=is_pull))
    return issues


def _build_issue(
    dice: SeededRandom, repo: Repo, subjects: Sequence[str], number: int, created: datetime, *, pull: bool
) -> Issue:
    opening = dice.choice(words.PULL_VERBS if pull else words.ISSUE_OPENINGS)
    closed = dice.random_time_after(created, 90 if pull else 400) if dice.chance(0.85) else None
    closed = closed if closed is not None and closed < LAST_DATE else None
    comments = 0 if dice.chance(0.3) else dice.randbelow(24)
    touched = dice.random_time_after(closed or created, 60) if comments else closed or created
    identity = 2_600_000_000 + repo.id % 1_000_000 * 1_000 + number  # beyond 32 bits, as on GitHub
    return Issue(
        id=identity,
        number=number,
        repo=repo,
        title=f"{opening} {dice.choice(subjects)} {dice.choice(words.CIRCUMSTANCES)}",
        body=dice.choice(words.BODIES) or None,
        author=dice.choice(repo.team),
        assignees=dice.sample(repo.team, 2),
        labels=dice.sample(repo.labels, 3),
        milestone=dice.choice(repo.milestones) if dice.chance(0.3) else None,
        comments=comments,
        locked=dice.chance(0.01),
        created_at=format_timestamp(created),
        updated_at=format_timestamp(touched),
        closed_at=format_timestamp(closed) if closed else None,
        closed_by=dice.choice(repo.team) if closed else None,
        state_reason=None if pull or not closed else dice.choice(("completed", "completed", "not_planned")),
        pull=_build_pull(dice, repo, number, identity, closed) if pull else None,
    )


def _build_pull(dice: SeededRandom, repo: Repo, number: int, issue_id: int, closed: datetime | None) -> Pull:
    merged = closed is not None and dice.chance(0.86)
    return Pull(
        id=issue_id - 900_000_000,
        head_ref=f"{dice.choice(('fix', 'feature', 'chore'))}/{number}",
        head_sha=fake_sha(repo.full_name, "head", number),
        base_sha=fake_sha(repo.full_name, "base", number),
        draft=closed is None and dice.chance(0.2),
        merged_at=format_timestamp(closed) if merged and closed else None,
        merge_sha=fake_sha(repo.full_name, "merge", number) if merged else None,
        reviewers=dice.sample(repo.team, 2) if closed is None else (),
    )


def _build_commits(dice: SeededRandom, repo: Repo, entry: words.RepoTemplate) -> list[Commit]:
    commits: list[Commit] = []
    for index, moment in enumerate(
        sorted(dice.timestamps(entry.commits, FIRST_DATE + timedelta(days=160), LAST_DATE))
    ):
        author = dice.choice(repo.team)
        known = dice.chance(0.95)
        commits.append(
            Commit(
                sha=fake_sha(repo.full_name, "commit", index),
                repo=repo,
                author=author if known else None,
                author_name=author.name,
                author_email=author.email or f"{author.id}+{author.login}@users.noreply.example",
                message=_build_message(dice, entry.subjects),
                committed_at=format_timestamp(moment),
                parents=(commits[-1].sha,) if commits else (),
            )
        )
    return commits


def _build_message(dice: SeededRandom, subjects: Sequence[str]) -> str:
    subject = f"{dice.choice(words.PULL_VERBS)} {dice.choice(subjects)}"
    return f"{subject}\n\n{dice.choice(words.BODIES)}".rstrip()


_ASCII_LETTERS = str.maketrans({"ł": "l", "ø": "o", "á": "a", "í": "i", "ë": "e"})


def _to_ascii(name: str) -> str:
    return name.lower().translate(_ASCII_LETTERS)
