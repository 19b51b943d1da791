"""``help``: every command has a text."""

from __future__ import annotations

import re

import pytest

from unify.errors import UnknownName
from unify.interpreter.commands.help import TOPICS, help_text
from unify.language.grammar import grammar_text
from unify.language.parser import expected_next
from unify.language.tokenizer import keyword_set
from unify.render.formats.layout import wrap_text
from unify.render.output import MAX_PROSE_WIDTH

NO_COMMANDS = keyword_set("select variables write mail databases")  # topics that are no command
SAME = {
    "desc": "describe",
    "quit": "exit",
    "unset": "variables",
    "$name": "variables",
    "??": "describe",
    "create": "chart",
    "drop": "sync",
    "unwatch": "watch",
    "explain": "rows",
}


def test_every_command_of_the_grammar_has_a_topic() -> None:
    names = {topic.name for topic in TOPICS}
    first = {SAME.get(word, word) for word in expected_next("")}
    assert first <= names
    assert names - first == NO_COMMANDS - {"variables"}


@pytest.mark.parametrize("listing", expected_next("show "))
def test_every_listing_is_among_the_forms(listing: str) -> None:
    assert any(f"show {listing}" in form for topic in TOPICS for form in topic.forms)


def test_every_keyword_of_the_grammar_is_among_the_forms() -> None:
    keywords = set(re.findall(r"^_([A-Z]+): /", grammar_text(), re.MULTILINE)) - {"DESC", "TO", "COLOR"}
    forms = " ".join(form for topic in TOPICS for form in topic.forms).lower()
    missing = {word.lower() for word in keywords} - set(re.findall(r"[a-z]+", forms))
    assert missing == set()


def test_a_topic_is_explained_with_its_forms() -> None:
    text = help_text("peek")
    assert text.startswith("  peek SCHEMA.TABLE [ROWS]\n\nA few rows")
    assert help_text("load table") == help_text("LOAD")


@pytest.mark.parametrize(("word", "topic"), SAME.items())
def test_synonyms_of_a_command_lead_to_its_help(word: str, topic: str) -> None:
    assert help_text(word) == help_text(topic)


def test_an_unknown_topic_has_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="help has no topic peak; did you mean peek"):
        help_text("peak")


def test_help_texts_are_paragraphs_without_line_breaks() -> None:
    for topic in TOPICS:
        assert "\n" not in topic.text, topic.name
        assert topic.text.endswith((".", ";")), topic.name
        assert all(len(form) <= 100 for form in topic.forms), topic.name


@pytest.mark.parametrize(("columns", "widest"), [(40, 39), (80, 79), (200, 99)])
def test_help_fills_the_lines_of_a_terminal(columns: int, widest: int) -> None:
    for topic in TOPICS:
        lines = wrap_text(topic.text, min(columns, MAX_PROSE_WIDTH)).split("\n")
        assert max(map(len, lines)) <= widest
        assert all(len(line) > widest // 2 for line in lines[:-1]), topic.name
