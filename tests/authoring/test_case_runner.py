"""Recorded cases: requests, rows, columns and cursor are compared, and differences are reported."""

from __future__ import annotations

import re

import pytest

from tests.support.spec_cases import PASSING, case_of
from unify.adapters.spec.loader import bundled_specs_folder
from unify.adapters.spec.model import AdapterSpec
from unify.adapters.spec.schema import keys_of
from unify.authoring.case_runner import run_case
from unify.authoring.cases import Case, RecordedExchange, RecordedResponse
from unify.errors import SpecError


def test_a_case_passes_if_requests_rows_columns_and_cursor_are_equal(tracker: AdapterSpec) -> None:
    assert run_case(tracker, case_of(tracker, PASSING)).differences == ()


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (
            "GET /boards\n",
            "GET /lists\n",
            "request 1 (GET /v2/boards?limit=2&page=1): expected GET /v2/lists",
        ),
        ("{limit: 2, page: 1}", "{limit: 3, page: 1}", "expected the parameter limit=3"),
        ("{limit: 2, page: 1}", "{page: 1}", "did not expect the parameter limit=2"),
        ("Bearer dummy-token", "Bearer x", "expected the header Authorization: Bearer x"),
        (
            "Authorization: Bearer dummy-token",
            "Authorization: null",
            "did not expect the header Authorization",
        ),
        ("title: VARCHAR, ", "", "column title VARCHAR was not expected"),
        ("id: BIGINT", "id: VARCHAR", "column id: expected VARCHAR, found BIGINT"),
        ("id: BIGINT", "id: BIGINT, no: DATE", "column no is missing"),
        ("title: Lamps}", "title: Oil}", "row 1: expected title to be 'Oil', found 'Lamps'"),
        (', {id: 2, changed_at: "2026-03-02 10:00:00+00"}', "", "expected 1 rows, found 2"),
        ("cursor: 2026-03-02", "cursor: 2026-03-03", "expected the cursor 2026-03-03T10:00:00Z, found"),
        (
            "answer: {body: []}",
            "answer: {status: 403}",
            "the load failed: tracker.boards: GET https://api.tracker",
        ),
        (
            "page: 2}",
            "page: 2}\n    body: {a: 1}",
            "request 2 (GET /v2/boards?limit=2&page=2): expected a JSON body",
        ),
    ],
)
def test_a_failed_case_shows_the_difference(
    tracker: AdapterSpec, right: str, wrong: str, message: str
) -> None:
    assert right in PASSING
    found = run_case(tracker, case_of(tracker, PASSING.replace(right, wrong, 1))).differences

    assert any(message in difference for difference in found), found


def test_an_additional_and_a_missing_request_are_reported(tracker: AdapterSpec) -> None:
    first = PASSING.index("  - request: GET /boards\n    params: {limit: 2, page: 2}")
    rest = PASSING.index("columns:")
    short = run_case(tracker, case_of(tracker, PASSING[:first] + PASSING[rest:])).differences
    more = PASSING[:rest] + "  - {request: GET /boards, answer: {body: []}}\n"
    long = run_case(tracker, case_of(tracker, more)).differences

    assert short == ("request 2 was not expected: GET /v2/boards?limit=2&page=2",)
    assert long == ("request 3 was never sent: GET /boards",)


def test_a_load_that_succeeds_instead_of_failing_is_reported(tracker: AdapterSpec) -> None:
    found = run_case(tracker, case_of(tracker, PASSING + "error: refused\n")).differences

    assert found[0] == "expected an error with 'refused'; the load succeeded"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("table: bords\nexchanges: [{request: GET /x, answer: {}}]\n", "1:8: table: "),
        ("table: boards\n", "1:1: spec: exchanges is missing"),
        ("table: boards\nexchange: []\n", "2:1: exchange: unknown key; did you mean exchanges?"),
        (PASSING + "options: {token: ghp_secret}\n", "options.token: a case must not contain secrets"),
        (PASSING + "options: {tokn: dummy}\n", "options.tokn: unknown option; did you mean token?"),
        (PASSING + "filters: {q: a}\n", "filters.q: boards has no such filter"),
        (PASSING + "now: yesterday\n", "now: 'yesterday' is not a timestamp with time zone"),
        (PASSING.replace("rows: [", "rows: [1, "), "rows: expected a list of rows"),
        ("", "1:1: spec: the file is empty"),
    ],
)
def test_a_mistake_in_a_case_is_explained_with_its_position(
    tracker: AdapterSpec, text: str, message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        case_of(tracker, text)

    assert message in caught.value.message


def test_waiting_takes_no_time_in_a_case(tracker: AdapterSpec) -> None:
    refused = """\
  - request: GET /boards
    params: {limit: 2, page: 1}
    answer: {status: 429, headers: {Retry-After: "600"}}
"""
    text = PASSING.replace("exchanges:\n", f"exchanges:\n{refused}")

    assert run_case(tracker, case_of(tracker, text)).differences == ()


def test_the_readme_describes_every_key_of_a_case() -> None:
    readme = (bundled_specs_folder() / "README.md").read_text(encoding="utf-8")
    for heading, struct in (("case", Case), ("exchanges[]", RecordedExchange), ("answer", RecordedResponse)):
        part = readme.split(f"\n### {heading}\n", 1)[1].split("\n### ", 1)[0]

        assert [key.name for key in keys_of(struct)] == re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)
