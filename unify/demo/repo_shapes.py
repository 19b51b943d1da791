"""Repositories, commits, labels and milestones as JSON, after GitHub's published schema."""

from __future__ import annotations

from collections.abc import Mapping

from unify.demo.data import Commit, IssueLabel, Milestone, Repo
from unify.demo.shapes import WEB_URL, AccountSerializer, JsonText, encode

_REPO_PATHS = {
    "forks": "forks",
    "keys": "keys{/key_id}",
    "collaborators": "collaborators{/collaborator}",
    "teams": "teams",
    "hooks": "hooks",
    "issue_events": "issues/events{/number}",
    "events": "events",
    "assignees": "assignees{/user}",
    "branches": "branches{/branch}",
    "tags": "tags",
    "blobs": "git/blobs{/sha}",
    "git_tags": "git/tags{/sha}",
    "git_refs": "git/refs{/sha}",
    "trees": "git/trees{/sha}",
    "statuses": "statuses/{sha}",
    "languages": "languages",
    "stargazers": "stargazers",
    "contributors": "contributors",
    "subscribers": "subscribers",
    "subscription": "subscription",
    "commits": "commits{/sha}",
    "git_commits": "git/commits{/sha}",
    "comments": "comments{/number}",
    "issue_comment": "issues/comments{/number}",
    "contents": "contents/{+path}",
    "compare": "compare/{base}...{head}",
    "merges": "merges",
    "archive": "{archive_format}{/ref}",
    "downloads": "downloads",
    "issues": "issues{/number}",
    "pulls": "pulls{/number}",
    "milestones": "milestones{/number}",
    "notifications": "notifications{?since,all,participating}",
    "labels": "labels{/name}",
    "releases": "releases{/id}",
    "deployments": "deployments",
}


class RepoSerializer(AccountSerializer):
    """Serializes repositories, commits, labels and milestones.

    ``open_issues`` counts open issues and pull requests, by the repository's full name.
    """

    def __init__(self, url: str, open_issues: Mapping[str, int]) -> None:
        super().__init__(url)
        self.open_issues = open_issues

    def repo(self, repo: Repo) -> JsonText:
        return self.encode_once("repo", repo.id, lambda: self._repo_members(repo))

    def _repo_members(self, repo: Repo) -> dict[str, object]:
        page = f"{WEB_URL}/{repo.full_name}"
        host = WEB_URL.removeprefix("https://")
        open_issues = self.open_issues[repo.full_name]
        return {
            "id": repo.id,
            "node_id": f"R_kgDO{repo.id:08x}",
            "name": repo.name,
            "full_name": repo.full_name,
            "private": repo.private,
            "owner": self.simple_user(repo.owner),
            "html_url": page,
            "description": repo.description,
            "fork": False,
            **self._repo_urls(repo),
            "created_at": repo.created_at,
            "updated_at": repo.updated_at,
            "pushed_at": repo.updated_at,
            "git_url": f"git://{host}/{repo.full_name}.git",
            "ssh_url": f"git@{host}:{repo.full_name}.git",
            "clone_url": f"{page}.git",
            "svn_url": page,
            "homepage": None,
            "size": repo.size,
            "stargazers_count": repo.stars,
            "watchers_count": repo.stars,
            "language": repo.language,
            "has_issues": True,
            "has_projects": True,
            "has_downloads": True,
            "has_wiki": False,
            "has_pages": False,
            "has_discussions": False,
            "forks_count": repo.forks,
            "mirror_url": None,
            "archived": False,
            "disabled": False,
            "open_issues_count": open_issues,
            "license": self._license(repo),
            "allow_forking": True,
            "is_template": False,
            "web_commit_signoff_required": False,
            "topics": repo.topics,
            "visibility": "private" if repo.private else "public",
            "forks": repo.forks,
            "open_issues": open_issues,
            "watchers": repo.stars,
            "default_branch": "main",
            "permissions": {"admin": False, "maintain": False, "push": False, "triage": False, "pull": True},
        }

    def _repo_urls(self, repo: Repo) -> dict[str, str]:
        own = f"{self.url}/repos/{repo.full_name}"
        return {"url": own, **{f"{name}_url": f"{own}/{path}" for name, path in _REPO_PATHS.items()}}

    def _license(self, repo: Repo) -> dict[str, str] | None:
        if repo.private:
            return None
        return {
            "key": "apache-2.0",
            "name": "Apache License 2.0",
            "spdx_id": "Apache-2.0",
            "url": f"{self.url}/licenses/apache-2.0",
            "node_id": "MDc6TGljZW5zZTI=",
        }

    def label(self, repo: Repo, label: IssueLabel) -> JsonText:
        return self.encode_once("label", label.id, lambda: self._label_members(repo, label))

    def _label_members(self, repo: Repo, label: IssueLabel) -> dict[str, object]:
        return {
            "id": label.id,
            "node_id": f"LA_kwDO{label.id:010x}",
            "url": f"{self.url}/repos/{repo.full_name}/labels/{label.name.replace(' ', '%20')}",
            "name": label.name,
            "color": label.color,
            "default": label.default,
            "description": label.description,
        }

    def milestone(self, repo: Repo, milestone: Milestone | None) -> JsonText:
        if milestone is None:
            return encode(None)
        return self.encode_once("milestone", milestone.id, lambda: self._milestone_members(repo, milestone))

    def _milestone_members(self, repo: Repo, milestone: Milestone) -> dict[str, object]:
        own = f"{self.url}/repos/{repo.full_name}/milestones/{milestone.number}"
        return {
            "url": own,
            "html_url": f"{WEB_URL}/{repo.full_name}/milestone/{milestone.number}",
            "labels_url": f"{own}/labels",
            "id": milestone.id,
            "node_id": f"MI_kwDO{milestone.id:08x}",
            "number": milestone.number,
            "title": milestone.title,
            "description": None,
            "creator": self.simple_user(milestone.creator),
            "open_issues": 0 if milestone.closed_at else milestone.id % 20,
            "closed_issues": milestone.id % 50,
            "state": "closed" if milestone.closed_at else "open",
            "created_at": milestone.created_at,
            "updated_at": milestone.closed_at or milestone.created_at,
            "due_on": milestone.due_on,
            "closed_at": milestone.closed_at,
        }

    def commit(self, commit: Commit) -> JsonText:
        return self.encode_once("commit", commit.sha, lambda: self._commit_members(commit))

    def _commit_members(self, commit: Commit) -> dict[str, object]:
        own = f"{self.url}/repos/{commit.repo.full_name}"
        person = {"name": commit.author_name, "email": commit.author_email, "date": commit.committed_at}
        tree = commit.sha[::-1]
        return {
            "sha": commit.sha,
            "node_id": f"C_kwDO{commit.sha[:16]}",
            "commit": {
                "author": person,
                "committer": person,
                "message": commit.message,
                "tree": {"sha": tree, "url": f"{own}/git/trees/{tree}"},
                "url": f"{own}/git/commits/{commit.sha}",
                "comment_count": 0,
                "verification": {
                    "verified": False,
                    "reason": "unsigned",
                    "signature": None,
                    "payload": None,
                    "verified_at": None,
                },
            },
            "url": f"{own}/commits/{commit.sha}",
            "html_url": f"{WEB_URL}/{commit.repo.full_name}/commit/{commit.sha}",
            "comments_url": f"{own}/commits/{commit.sha}/comments",
            "author": self.simple_user(commit.author),
            "committer": self.simple_user(commit.author),
            "parents": [
                {
                    "sha": parent,
                    "url": f"{own}/commits/{parent}",
                    "html_url": f"{WEB_URL}/{commit.repo.full_name}/commit/{parent}",
                }
                for parent in commit.parents
            ],
        }
