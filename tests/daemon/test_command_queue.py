"""The order of the publisher's commands."""

from __future__ import annotations

from unify.daemon.command_queue import MAX_WAIT_S, CommandQueue


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def size_of(command: str) -> int | None:
    return int(command) if command.isdigit() else None


def take_all(queue: CommandQueue[str]) -> list[str]:
    queue.close()
    taken = []
    while (command := queue.get()) is not None:
        taken.append(command)
    return taken


def test_short_publications_come_first_and_other_commands_keep_their_order() -> None:
    queue = CommandQueue(size_of, Clock())
    for command in ["warmup", "900", "5", "record", "discard", "70", "5"]:
        queue.put(command)
    assert take_all(queue) == ["warmup", "5", "5", "70", "900", "record", "discard"]


def test_a_long_publication_waits_for_a_minute_at_most() -> None:
    clock = Clock()
    queue = CommandQueue(size_of, clock)
    queue.put("900")
    taken = []
    for _ in range(20):
        clock.now += MAX_WAIT_S / 10
        queue.put("1")
        taken.append(queue.get())
    assert taken.index("900") == 10
    assert not queue.is_empty()


def test_an_empty_queue_that_is_closed_ends() -> None:
    assert take_all(CommandQueue(size_of)) == []
