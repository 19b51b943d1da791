"""Mutated specs: every mistake is explained, and no mutation causes an internal error."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import pytest

from unify.adapters.spec.loader import bundled_specs_folder, load_spec
from unify.errors import Problem, SpecError

SEED = 20_260_101


KEYS = (
    "request",
    "description",
    "for_each",
    "params",
    "exclude",
    "incremental",
    "refresh",
    "errors",
    "columns",
)


def misspelled(lines: list[str], chance: random.Random) -> list[str]:
    """Swap or remove letters of a key of a table."""
    spots = [i for i, line in enumerate(lines) if re.match(rf"    ({'|'.join(KEYS)}):", line)]
    spot = chance.choice(spots)
    key, _, rest = lines[spot].strip().partition(":")
    at = chance.randrange(1, len(key) - 1)
    wrong = key[:at] + key[at + 1 :] if chance.random() < 0.5 or key[at] == key[at + 1] else swapped(key, at)
    return [*lines[:spot], f"    {wrong}:{rest}", *lines[spot + 1 :]]


def swapped(text: str, at: int) -> str:
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def without_line(lines: list[str], chance: random.Random) -> list[str]:
    spot = chance.randrange(len(lines))
    return lines[:spot] + lines[spot + 1 :]


def doubled_line(lines: list[str], chance: random.Random) -> list[str]:
    spot = chance.randrange(len(lines))
    return [*lines[:spot], lines[spot], *lines[spot:]]


def indented(lines: list[str], chance: random.Random) -> list[str]:
    spot = chance.randrange(len(lines))
    return [*lines[:spot], chance.choice([" ", "  ", "\t"]) + lines[spot], *lines[spot + 1 :]]


def with_character(lines: list[str], chance: random.Random) -> list[str]:
    text = "\n".join(lines)
    spot = chance.randrange(len(text))
    return (text[:spot] + chance.choice("{}[]:,'\"&*!|>%@`#-?\0\x85é\u202e") + text[spot:]).split("\n")


def without_character(lines: list[str], chance: random.Random) -> list[str]:
    text = "\n".join(lines)
    spot = chance.randrange(len(text))
    return (text[:spot] + text[spot + 1 :]).split("\n")


def cut_short(lines: list[str], chance: random.Random) -> list[str]:
    text = "\n".join(lines)
    return text[: chance.randrange(len(text))].split("\n")


def other_value(lines: list[str], chance: random.Random) -> list[str]:
    spots = [i for i, line in enumerate(lines) if re.search(r"\w: \S", line) and not line.startswith("#")]
    spot = chance.choice(spots)
    value = chance.choice(
        ["", "[]", "{}", "~", "12", "[1, {a: b}]", "{a: [b]}", "true", "'{nope}'", "&x *x", "1e999"]
    )
    key = re.split(r"(?<=\w): ", lines[spot])[0]
    return [*lines[:spot], f"{key}: {value}", *lines[spot + 1 :]]


MUTATIONS = [
    misspelled,
    without_line,
    doubled_line,
    indented,
    with_character,
    without_character,
    cut_short,
    other_value,
]


def assert_mutations_are_explained(rounds: int, folder: Path) -> None:
    """Mutate the bundled specs; each is valid or refused within a second with file, line, column and key."""
    print(f"seed {SEED}, {rounds} rounds")
    chance = random.Random(SEED)
    specs = [
        path.read_text(encoding="utf-8").splitlines()
        for path in sorted(bundled_specs_folder().glob("*.yaml"))
    ]
    file = folder / "mutant.yaml"
    refused = 0
    for number in range(rounds):
        mutation = MUTATIONS[number % len(MUTATIONS)]
        lines = chance.choice(specs)
        text = "\n".join(mutation(lines, chance))
        file.write_bytes(text.encode("utf-8"))
        started = time.process_time()  # a mutation must not make reading explode
        found = find_problems(file)
        assert time.process_time() - started < 1, text
        refused += bool(found)
        for problem in found:
            assert problem.path == str(file)
            assert 1 <= problem.line <= text.count("\n") + 2
            assert problem.column >= 1
            assert problem.key, problem
            assert problem.text, problem
        if mutation is misspelled:
            assert any("did you mean" in problem.text for problem in found), text
    assert refused > rounds / 3


def find_problems(file: Path) -> tuple[Problem, ...]:
    try:
        load_spec(file)
    except SpecError as error:
        return error.problems
    return ()


def test_sixty_mutations_of_the_bundled_specs_are_each_explained(tmp_path: Path) -> None:
    assert_mutations_are_explained(64, tmp_path)


@pytest.mark.slow
def test_thousands_of_mutations_of_the_bundled_specs_are_each_explained(tmp_path: Path) -> None:
    assert_mutations_are_explained(4000, tmp_path)
