"""Issues and pull requests as JSON, after GitHub's published schema."""

from __future__ import annotations

from unify.demo.data import Issue, Pull
from unify.demo.repo_shapes import RepoSerializer
from unify.demo.shapes import WEB_URL, JsonText, encode

REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")


class IssueSerializer(RepoSerializer):
    """Serializes issues and pull requests."""

    def issue(self, issue: Issue) -> JsonText:
        """Return a row of ``/issues``; a pull request has a ``pull_request`` member."""
        return self.encode_once("issue", issue.id, lambda: self._issue_members(issue))

    def pull(self, issue: Issue) -> JsonText:
        """Return a row of ``/pulls``."""
        pull = issue.pull
        assert pull is not None
        return self.encode_once("pull", pull.id, lambda: self._pull_members(issue, pull))

    def _issue_members(self, issue: Issue) -> dict[str, object]:
        own = f"{self.url}/repos/{issue.repo.full_name}/issues/{issue.number}"
        kind = "pull" if issue.pull else "issues"
        return {
            "url": own,
            "repository_url": f"{self.url}/repos/{issue.repo.full_name}",
            "labels_url": f"{own}/labels{{/name}}",
            "comments_url": f"{own}/comments",
            "events_url": f"{own}/events",
            "html_url": f"{WEB_URL}/{issue.repo.full_name}/{kind}/{issue.number}",
            "id": issue.id,
            "node_id": f"{'PR' if issue.pull else 'I'}_kwDO{issue.id:010x}",
            **self._common_members(issue),
            "closed_by": self.simple_user(issue.closed_by),
            "type": None,
            **self._pull_reference(issue),
            "reactions": self._reactions(issue, own),
            "timeline_url": f"{own}/timeline",
            "performed_via_github_app": None,
            "state_reason": issue.state_reason,
            "sub_issues_summary": {"total": 0, "completed": 0, "percent_completed": 0},
            "comments": issue.comments,
        }

    def _common_members(self, issue: Issue) -> dict[str, object]:
        return {
            "number": issue.number,
            "title": issue.title,
            "user": self.simple_user(issue.author),
            "labels": [self.label(issue.repo, label) for label in issue.labels],
            "state": issue.state,
            "locked": issue.locked,
            "active_lock_reason": "resolved" if issue.locked else None,
            "assignee": self.simple_user(issue.assignees[0] if issue.assignees else None),
            "assignees": self.simple_users(issue.assignees),
            "milestone": self.milestone(issue.repo, issue.milestone),
            "created_at": issue.created_at,
            "updated_at": issue.updated_at,
            "closed_at": issue.closed_at,
            "author_association": "MEMBER" if issue.author.id % 3 else "CONTRIBUTOR",
            "body": issue.body,
        }

    def _pull_reference(self, issue: Issue) -> dict[str, object]:
        if issue.pull is None:
            return {}
        page = f"{WEB_URL}/{issue.repo.full_name}/pull/{issue.number}"
        reference = {
            "url": f"{self.url}/repos/{issue.repo.full_name}/pulls/{issue.number}",
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "merged_at": issue.pull.merged_at,
        }
        return {"draft": issue.pull.draft, "pull_request": reference}

    def _reactions(self, issue: Issue, own: str) -> dict[str, object]:
        counts = {name: issue.id // (index + 3) % 4 // 3 for index, name in enumerate(REACTIONS)}
        return {"url": f"{own}/reactions", "total_count": sum(counts.values()), **counts}

    def _pull_members(self, issue: Issue, pull: Pull) -> dict[str, object]:
        repo = f"{self.url}/repos/{issue.repo.full_name}"
        own = f"{repo}/pulls/{issue.number}"
        as_issue = f"{repo}/issues/{issue.number}"
        page = f"{WEB_URL}/{issue.repo.full_name}/pull/{issue.number}"
        addresses = {
            "commits": f"{own}/commits",
            "review_comments": f"{own}/comments",
            "review_comment": f"{repo}/pulls/comments{{/number}}",
            "comments": f"{as_issue}/comments",
            "statuses": f"{repo}/statuses/{pull.head_sha}",
        }
        links = {"self": own, "html": page, "issue": as_issue, **addresses}
        return {
            "url": own,
            "id": pull.id,
            "node_id": f"PR_kwDO{pull.id:010x}",
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "issue_url": as_issue,
            **{f"{name}_url": address for name, address in addresses.items()},
            **self._common_members(issue),
            "merged_at": pull.merged_at,
            "merge_commit_sha": pull.merge_sha,
            "requested_reviewers": self.simple_users(pull.reviewers),
            "requested_teams": [],
            "head": self._branch(issue, pull.head_ref, pull.head_sha),
            "base": self._branch(issue, "main", pull.base_sha),
            "_links": {name: {"href": address} for name, address in links.items()},
            "auto_merge": None,
            "draft": pull.draft,
        }

    def _branch(self, issue: Issue, ref: str, sha: str) -> JsonText:
        return encode({
            "label": f"{issue.repo.owner.login}:{ref}",
            "ref": ref,
            "sha": sha,
            "user": self.simple_user(issue.repo.owner),
            "repo": self.repo(issue.repo),
        })  # fmt: skip
