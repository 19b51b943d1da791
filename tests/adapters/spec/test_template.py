"""Templates: ``{name}`` is replaced by a value, encoded for its place and not expanded again."""

from __future__ import annotations

from typing import Any

import pytest

from unify.adapters.spec import template
from unify.config.secrets import Secret
from unify.errors import SpecError


def test_variables_are_listed_once_and_in_order() -> None:
    assert template.variable_names("/{owner}/{repo}?a={owner}&{{literal}}&{ spaced }") == ("owner", "repo")
    assert template.variable_names_in({"a": ["{x}", {"b": "{y}{x}"}], "c": 5}) == ("x", "y")


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("duckdb", "duckdb"),
        ("a/b", "a%2Fb"),
        ("a b?c#d&e", "a%20b%3Fc%23d%26e"),
        ("../x", "..%2Fx"),
        ("%2e%2e", "%252e%252e"),
        ("ünï", "%C3%BCn%C3%AF"),
        ("{org}", "%7Borg%7D"),
        (7, "7"),
        (True, "true"),
        (Secret("s/1"), "s%2F1"),
    ],
)
def test_a_value_stays_one_segment_of_a_path(value: Any, encoded: str) -> None:
    assert (
        template.render_text("/repos/{repo}/pulls", {"repo": value, "org": "x"}, "path")
        == f"/repos/{encoded}/pulls"
    )


@pytest.mark.parametrize("value", ["..", ".", "", "a\x00b", "a\nb"])
def test_a_value_that_would_change_the_path_is_refused(value: str) -> None:
    with pytest.raises(SpecError, match=r"\{repo\}"):
        template.render_text("/repos/{repo}", {"repo": value}, "path")


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "\x00"])
def test_a_line_break_in_a_header_is_refused(value: str) -> None:
    with pytest.raises(SpecError, match="a header must not contain one"):
        template.render_text("Bearer {token}", {"token": value}, "header")


def test_the_value_of_a_refused_secret_is_not_in_the_message() -> None:
    with pytest.raises(SpecError) as caught:
        template.render_text("Bearer {token}", {"token": Secret("canary\n")}, "header")

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["query", "body", "plain"])
def test_values_of_queries_and_bodies_are_unchanged(encoding: template.ValueEncoding) -> None:
    assert template.render_text("a={a}", {"a": "x&y=1\n"}, encoding) == "a=x&y=1\n"


@pytest.mark.parametrize(
    "text", ["{a.__class__}", "{a[0]}", "{a!r}", "{a:>9}", "{0}", "{}", "{ a }", "{", "}", "query { id }"]
)
def test_other_braces_are_ordinary_characters(text: str) -> None:
    assert template.render_text(text, {"a": "x"}, "plain") == text


def test_doubled_braces_are_an_escape() -> None:
    assert template.render_text("{{a}} is {a}", {"a": "{b}"}, "plain") == "{a} is {b}"


def test_an_unknown_variable_has_a_suggestion() -> None:
    with pytest.raises(SpecError, match=r"unknown variable \{ogr\}; did you mean org\?"):
        template.render_text("/{ogr}", {"org": "x", "token": "y"}, "path")


def test_a_variable_without_a_value_names_its_option() -> None:
    with pytest.raises(SpecError, match="set the option org of the connection"):
        template.render_text("/{org}", {"org": None}, "path")


def test_a_body_keeps_the_type_of_a_value_without_other_text() -> None:
    body = {"page": "{n}", "text": "page {n}", "on": "{flag}", "list": ["{n}", 1, None], "key": "{token}"}

    filled = template.render_value(body, {"n": 3, "flag": True, "token": Secret("s")})

    assert filled == {"page": 3, "text": "page 3", "on": True, "list": [3, 1, None], "key": "s"}


def test_members_without_a_value_are_left_out() -> None:
    body = {"cursor": "{c}", "q": {"since": ">{c}", "n": 1}, "ids": ["{c}", "a"]}

    assert template.render_value(body, {"c": None}) == {"q": {"n": 1}, "ids": ["a"]}


def test_form_fields_are_strings_and_lists_are_repeated() -> None:
    fields = {"state": "all", "n": 5, "deep": True, "since": "{c}", "ids": ["{a}", 2, "{c}"], "no": None}

    assert template.render_fields(fields, {"a": "x", "c": None}, "query") == {
        "state": "all",
        "n": "5",
        "deep": "true",
        "ids": ["x", "2"],
    }


@pytest.mark.parametrize(
    ("encoder", "value", "encoded"),
    [
        ("odata", "O'Neil", "O''Neil"),
        ("odata", "' or '1' eq '1", "'' or ''1'' eq ''1"),
        ("soql", "O'Neil", r"O\'Neil"),
        ("soql", "a\\' or Name != '\n", r"a\\\' or Name != \'\n"),
        ("jql", 'say "no"\t\\', r"say \"no\"\t\\"),
        ("influx", "it's \\ x\n", r"it\'s \\ x\n"),
        ("json", 'a "b" \\ \n é', r"a \"b\" \\ \n é"),
        ("odata", 42, "42"),
        ("json", Secret('s"'), r"s\""),
    ],
)
def test_a_value_is_quoted_for_a_query_language(encoder: str, value: Any, encoded: str) -> None:
    text = f"name eq '{{name:{encoder}}}'"

    assert template.render_text(text, {"name": value}, "query") == f"name eq '{encoded}'"
    assert template.render_value({"q": f"{{name:{encoder}}}"}, {"name": value}) == {"q": encoded}
    assert template.variable_names(text) == ("name",)


def test_a_quoted_value_is_also_encoded_for_its_position() -> None:
    assert template.render_text("/People('{id:odata}')", {"id": "a'/b"}, "path") == "/People('a%27%27%2Fb')"
    with pytest.raises(SpecError, match="must not contain one"):
        template.render_text("{id:odata}", {"id": "a\nb"}, "header")


def test_other_names_after_a_colon_are_ordinary_characters() -> None:
    text = "query { items(orderBy: {field:name}) {{name:json}} }"

    assert template.render_text(text, {"name": "x", "field": "y"}, "body") == (
        "query { items(orderBy: {field:name}) {name:json} }"
    )


@pytest.mark.parametrize(
    ("text", "value", "written"),
    [
        ("{at:date}", "2026-03-01T10:20:30Z", "2026-03-01"),
        ("on {at:%d/%m/%Y}", "2026-03-01", "on 01/03/2026"),
        ("{at:unix}", "2026-03-01T00:00:00Z", 1772323200),
        ("{at:unix_ms}", 1772323200, 1772323200000),
        ("{at:iso8601}", "1772323200", "2026-03-01T00:00:00Z"),
        ("{at:date}", "30 days ago", "2026-02-10"),
        ("{now:%H:%M}", None, "08:30"),
        ("{now}", None, "2026-03-12T08:30:00Z"),
    ],
)
def test_a_time_is_written_in_another_format(text: str, value: Any, written: Any) -> None:
    variables = {"at": value, "now": "2026-03-12T08:30:00Z"}
    assert template.variable_names(text) == (("at",) if "at" in text else ("now",))
    assert template.render_value(text, variables) == written
    assert template.render_text(text, variables, "query") == str(written)


def test_what_is_no_time_has_no_other_format() -> None:
    with pytest.raises(SpecError, match=r"\{at:date\}: the value is not a time"):
        template.render_text("{at:date}", {"at": "soon"}, "query")
    assert template.render_fields({"a": "{at:date}"}, {"at": None}, "query") == {}
