"""The owner's sign-in to the page, and where a browser is opened."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from unify.servers.browser import has_desktop
from unify.servers.sessions import MAX_SESSIONS, SESSION_LIFETIME_S, TICKET_LIFETIME_S, OwnerSessions


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_ticket_is_exchanged_once() -> None:
    sessions = OwnerSessions()
    ticket = sessions.create_ticket()
    token = sessions.exchange(ticket)
    assert token is not None
    assert sessions.exchange(ticket) is None
    user = sessions.verify(token)
    assert user is not None
    assert (user.is_owner, user.restriction().is_owner, user.restriction().schemas) == (True, True, None)


@pytest.mark.parametrize("token", ["", "session.", "session.x", "unify.ann.x", "session.\ud800"])
def test_other_tokens_are_not_valid(token: str) -> None:
    sessions = OwnerSessions()
    sessions.exchange(sessions.create_ticket())
    assert sessions.verify(token) is None
    assert sessions.exchange(token) is None


def test_a_ticket_is_no_token_and_a_token_no_ticket() -> None:
    sessions = OwnerSessions()
    ticket = sessions.create_ticket()
    assert sessions.verify(ticket) is None
    assert sessions.verify(f"session.{ticket}") is None
    token = sessions.exchange(ticket)
    assert token is not None
    assert sessions.exchange(token.removeprefix("session.")) is None


def test_both_end() -> None:
    clock = Clock()
    sessions = OwnerSessions(clock)
    old, ticket = sessions.create_ticket(), sessions.create_ticket()
    token = sessions.exchange(ticket)
    assert token is not None
    clock.now_s = TICKET_LIFETIME_S + 1
    assert sessions.exchange(old) is None
    assert sessions.verify(token) is not None
    clock.now_s = SESSION_LIFETIME_S + 1
    assert sessions.verify(token) is None


def test_the_number_of_sessions_is_bounded() -> None:
    sessions = OwnerSessions()
    tokens = [sessions.exchange(sessions.create_ticket()) for _ in range(MAX_SESSIONS + 1)]
    valid = [token for token in tokens if token is not None and sessions.verify(token)]
    assert valid == tokens[1:]


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"BROWSER": "firefox"}, "linux", True),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "darwin", False),
    ],
)
def test_a_browser_is_opened_where_there_is_a_screen(
    environment: Mapping[str, str], platform: str, expected: bool
) -> None:
    assert has_desktop(environment, platform) is expected
