"""``create chart``: charts as text, as files, and errors."""

from __future__ import annotations

import functools
import html
import importlib.util
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.command import UnifyCommand
from tests.support.paths import GOLDEN
from tests.support.stores import create_home
from unify.errors import FileError, UnifyError
from unify.interpreter.charts import vega
from unify.interpreter.charts.query import MAX_MAGNITUDE, MAX_POINTS, ChartBuilder
from unify.interpreter.results import Chart, ChartSeries, XKind, XValue, pie_slices
from unify.interpreter.variables import BoundQuery
from unify.lake.lake import Lake
from unify.language.commands import CHART_KINDS, ChartKind, CreateChart
from unify.language.parser import parse
from unify.render.charts import axes, render_chart
from unify.render.formats.layout import text_width
from unify.render.formats.options import FormatOptions

CHARTS = GOLDEN / "charts"
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")

STATES = "(values ('open', 12), ('closed', 30), ('日本語 wide', 7), (null, 3)) as t(state, n)"
WEEKS = (
    "(select date '2026-01-05' + 7 * i::int as week, 50 + 40 * sin(i / 4) as opened, "
    "if(i % 9 = 0, null, 20 + i) as merged from range(40) as r(i))"
)
LONG = (
    "(select week, unnest(['opened', 'merged']) as what, unnest([opened, merged]) as n from {WEEKS})".replace(
        "{WEEKS}", WEEKS
    )
)
CASES = {
    "bars": f"from (from {STATES}) as bar_chart where x = state and y = n and title = 'Pulls by state'",
    "negative": "from (values ('Mon', 12, 2), ('Tue', -5, null), ('Wed', 3.5, -9)) "
    "as bar_chart where x = col0 and y = col1 and y = col2",
    "months": "from (select date '2025-01-01' + to_months(i::int) as month, i % 7 + 1 as n "
    "from range(18) r(i))"
    " as bar_chart where x = month and y = n",
    "lying": f"from (from {STATES}) as hbar_chart where x = state and y = n",
    "lying_groups": "from (values ('a', 1, 20000), ('b', 3, 70000), ('c', -2, 30000)) "
    "as hbar_chart where x = col0 and y = col1 and y = col2",
    "many": "from (select 'label number ' || i as name, 100 - i as n from range(60) r(i)) "
    "as bar_chart where x = name and y = n",
    "line": f"chart Opened from {WEEKS} as line_chart where x = week and y = opened",
    "lines": f"from {WEEKS} as line_chart where x = week and y = opened and y = merged",
    "areas": f"from {LONG} as area_chart where x = week and y = n and series = what",
    "pie": f"from (from {STATES}) as pie_chart where x = state and y = n",
    "crumbs": "from (select 'label ' || i as name, 100 - i as n from range(60) r(i)) "
    "as pie_chart where x = name and y = n",
    "dots": "from (select i % 17 as a, i % 23 as b, i % 2 = 0 as even from range(300) r(i)) "
    "as scatter_chart where x = a and y = b and color = even",
    "labels": "from (values ('mon', 1), ('tue', 3), ('wed', 2)) as line_chart where x = col0 and y = col1",
    "one": "from (select 5 as a, 7 as b) as scatter_chart where x = a and y = b",
}
LOOKS = {
    "80": FormatOptions(terminal=True, width=80, height=24),
    "40": FormatOptions(terminal=True, width=40, height=16),
    "20": FormatOptions(terminal=True, width=20, height=14),
    "ascii": FormatOptions(terminal=True, width=60, height=16, ascii_only=True),
    "colour": FormatOptions(terminal=True, width=60, height=16, colour=True),
    "pipe": FormatOptions(),
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with Lake(create_home(tmp_path_factory.mktemp("charts"))) as opened:
        yield opened


def chart(lake: Lake, rest: str, note: str = "") -> Chart:
    """Return the chart of ``create chart`` followed by ``rest``."""
    command = parse(f"create {rest}" if rest.startswith("chart ") else f"create chart {rest}")
    assert isinstance(command, CreateChart)
    return ChartBuilder(lake).build(command, BoundQuery(command.source, None), note)


@pytest.fixture(scope="module")
def chart_of_case(lake: Lake) -> Callable[[str], Chart]:
    """Return the chart of a case; its query runs once."""
    return functools.cache(lambda case: chart(lake, CASES[case]))


@pytest.mark.parametrize("case", CASES)
def test_a_chart_equals_its_golden_file(lake: Lake, case: str) -> None:
    shown = chart(lake, CASES[case], note="stored 12 min ago")
    text = "".join(f"--- {name}\n{render_chart(shown, look)}" for name, look in LOOKS.items())

    golden = CHARTS / f"{case}.txt"
    if os.environ.get("UNIFY_WRITE_GOLDEN"):  # review the changed files like any other code
        golden.write_text(text, encoding="utf-8", newline="")
    assert text == golden.read_bytes().decode()


@pytest.mark.parametrize("height", [10, 24, 50])
@pytest.mark.parametrize("width", [20, 33, 80, 200])
@pytest.mark.parametrize("case", CASES)
def test_a_chart_fits_the_terminal(
    chart_of_case: Callable[[str], Chart], case: str, width: int, height: int
) -> None:
    text = render_chart(chart_of_case(case), FormatOptions(terminal=True, width=width, height=height))

    assert all(text_width(line) <= max(20, width - 1) for line in text.splitlines())
    assert len(text.splitlines()) <= max(height, 14)  # four lines of drawing, whatever the height


def test_colours_are_used_only_if_the_terminal_has_them(lake: Lake) -> None:
    shown = chart(lake, CASES["areas"])

    assert "\x1b" not in render_chart(shown, FormatOptions(terminal=True))
    coloured = render_chart(shown, FormatOptions(terminal=True, colour=True))
    assert coloured.count("\x1b") == len(ESCAPES.findall(coloured)) > 10


def test_a_terminal_without_line_drawing_gets_ascii_charts(lake: Lake) -> None:
    for case in set(CASES) - {"bars", "lying", "pie"}:  # their data is wide
        assert render_chart(
            chart(lake, CASES[case]), FormatOptions(terminal=True, ascii_only=True)
        ).isascii(), case


def test_control_characters_of_chart_data_are_escaped() -> None:
    evil = "\x1b]0;evil\x07\u202e\n"
    points = ((evil, 1.0), ("b", 2.0))
    for kind in ("bar_chart", "hbar_chart", "pie_chart", "line_chart", "area_chart", "scatter_chart"):
        shown = Chart(
            kind,
            evil,
            evil,
            evil,
            "text",
            (evil, "b"),
            (ChartSeries(evil, points), ChartSeries("b", points)),
            2,
            note=evil,
        )
        text = render_chart(shown, FormatOptions(terminal=True, width=100))
        assert "\\e]0;evil" in text, kind
        assert not set("\x1b\x07\u202e") & set(text), kind


NUMBERS = st.floats(-MAX_MAGNITUDE, MAX_MAGNITUDE, allow_subnormal=False) | st.integers(-20, 20).map(float)
MOMENTS = st.floats(-62_104_060_800, 253_339_228_799)  # the years 2 to 9998


@given(
    kind=st.sampled_from(CHART_KINDS),
    x_kind=st.sampled_from(["number", "time", "text"]),
    data=st.data(),
    width=st.integers(10, 120),
    height=st.integers(5, 60),
)
@settings(max_examples=60, deadline=None)
def test_any_numbers_are_drawn(
    kind: ChartKind, x_kind: XKind, data: st.DataObject, width: int, height: int
) -> None:
    kinds: dict[XKind, st.SearchStrategy[XValue]] = {
        "number": NUMBERS,
        "time": MOMENTS,
        "text": st.text(max_size=8),
    }
    places = kinds[x_kind]
    xs: list[XValue] = data.draw(st.lists(places, min_size=1, max_size=12, unique=True))
    if x_kind != "text":
        xs.sort()
    values = st.floats(0, MAX_MAGNITUDE, allow_subnormal=False) if kind == "pie_chart" else NUMBERS
    series: list[ChartSeries] = []
    for name in data.draw(
        st.lists(st.text(max_size=5), min_size=1, max_size=1 if kind == "pie_chart" else 10)
    ):
        there = [x for x in xs if not series or data.draw(st.booleans())] or xs[:1]
        series.append(ChartSeries(name, tuple((x, data.draw(values)) for x in there)))
    shown = Chart(kind, "", "x", "y", x_kind, tuple(xs), tuple(series), len(xs))
    text = render_chart(shown, FormatOptions(terminal=True, width=width, height=height))

    assert all(text_width(line) <= max(20, width - 1) for line in text.splitlines())


class TestPoints:
    def test_of_bars_are_summed_with_a_note(self, lake: Lake) -> None:
        shown = chart(
            lake, "from (values ('b', 1), ('a', 2), ('b', 5)) as bar_chart where x = col0 and y = col1"
        )

        assert shown.series == (ChartSeries("col1", (("b", 6.0), ("a", 2.0))),)
        assert shown.row_notes == ("3 rows", "col1 added up")

    def test_of_lines_are_complete_and_in_the_order_of_x(self, lake: Lake) -> None:
        shown = chart(lake, "from (values (2, 1), (1, 2), (2, 0)) as line_chart where x = col0 and y = col1")

        assert shown.series[0].points == ((1.0, 2.0), (2.0, 0.0), (2.0, 1.0))
        assert not shown.is_summed

    def test_keep_the_order_of_the_rows_if_x_is_text(self, lake: Lake) -> None:
        shown = chart(
            lake,
            "from (select chr(65 + i::int) as a, i as n from range(26) r(i) order by n desc) "
            "as hbar_chart where x = a and y = n",
        )

        assert "".join(map(str, shown.x_values)) == "ZYXWVUTSRQPONMLKJIHGFEDCBA"

    def test_without_an_x_or_y_are_left_out_and_counted(self, lake: Lake) -> None:
        for kind in ("line_chart", "bar_chart"):
            shown = chart(
                lake,
                "from (values (1.0::double, 1.0::double), (null, 2), (2, null), (3, 'nan'), (4, '-inf'), "
                f"('inf', 1), (5, 6), (6, 1e308)) as {kind} where x = col0 and y = col1",
            )
            assert shown.series[0].points == ((1.0, 1.0), (5.0, 6.0))
            assert shown.row_notes == ("8 rows", "6 points left out (NULL or infinite)")

    def test_with_values_near_zero_are_drawn(self, lake: Lake) -> None:
        for kind in ("line_chart", "bar_chart", "scatter_chart"):
            shown = chart(
                lake, f"from (values (5e-324, 1e-310), (0, 0)) as {kind} where x = col0 and y = col1"
            )
            assert render_chart(shown, FormatOptions()).startswith("col1 by col0\n")

    def test_of_several_y_columns_are_several_series(self, lake: Lake) -> None:
        shown = chart(
            lake,
            "from (values (1, 5, null), (2, 6, 8)) as bar_chart where x = col0 and y = col1 and y = col2",
        )

        assert [one.name for one in shown.series] == ["col1", "col2"]
        assert shown.series[1].points == ((2.0, 8.0),)
        assert shown.row_notes == ("2 rows", "1 point left out (NULL or infinite)")

    def test_are_grouped_by_the_values_of_the_series_column(self, lake: Lake) -> None:
        shown = chart(
            lake, "from (values (1, 5, 'b'), (2, 6, null), (3, 7, 'b'), (1, 1, 'a'), (1, 1, 'x')) "
            "as line_chart where x = col0 and y = col1 and series = col2"
        )  # fmt: skip

        assert [(one.name, len(one.points)) for one in shown.series] == [
            ("a", 1), ("b", 2), ("x", 1), ("NULL", 1)
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("expression", "kind"),
        [
            ("1::hugeint", "number"),
            ("1.5::decimal(3,1)", "number"),
            ("date '2026-01-05'", "time"),
            ("timestamp_ns '2026-01-05 00:00:00.123456789'", "time"),
            ("timestamptz '2026-01-05 00:00:00+00'", "time"),
            ("true", "text"),
            ("interval 3 days", "text"),
            ("[1, 2]", "text"),
            ("'open'::enum('open', 'shut')", "text"),
        ],
    )
    def test_of_any_type_of_x_have_a_position(self, lake: Lake, expression: str, kind: str) -> None:
        shown = chart(lake, f"from (select {expression} as a, 1 as n) as bar_chart where x = a and y = n")
        assert shown.x_kind == kind
        assert len(render_chart(shown, FormatOptions()).splitlines()) > 3

    def test_of_columns_are_found_in_any_case_and_under_any_name(self, lake: Lake) -> None:
        shown = chart(
            lake,
            """from (select 1 as "Odd ""name'", 2 as N) as bar_chart where x = "odd ""NAME'" and y = n""",
        )
        assert (shown.x_title, shown.y_title) == ("Odd \"name'", "N")

    def test_of_columns_named_like_internal_ones_are_correct(self, lake: Lake) -> None:
        for name in ("place", "x", "y", "series", "fits", "y0", "source", "named"):
            source = f"(select i as n, 10 - i as {name}, 'a' || i as s from range(3) r(i))"
            for kind in ("bar_chart", "line_chart"):
                shown = chart(lake, f"from {source} as {kind} where x = {name} and y = n and series = s")
                assert shown.x_values == (8.0, 9.0, 10.0)
                assert [one.name for one in shown.series] == ["a0", "a1", "a2"]

    def test_beyond_eight_series_are_counted(self, lake: Lake) -> None:
        shown = chart(
            lake, "from (select i % 4 as a, i as n, i % 12 as s from range(48) r(i)) as line_chart "
            "where x = a and y = n and color = s"
        )  # fmt: skip
        assert "8 of 12 series" in render_chart(shown, FormatOptions())

    def test_of_a_pie_that_are_small_are_combined(self, lake: Lake) -> None:
        parts = pie_slices(chart(lake, CASES["crumbs"]), 12)

        assert len(parts) == 12
        assert [parts[0].label, parts[-1].label] == ["label 0", "49 others"]
        assert sum(part.fraction for part in parts) == pytest.approx(1)


REFUSED = [
    ("x = stat and y = n", "x = stat: no such column; did you mean state?"),
    ("x = state and y = zebra", "y = zebra: no such column; the columns are state, n, nothing"),
    (
        "x = state and y = n and color = stats",
        "series = stats: no such column; did you mean state?",
    ),
    ("x = n and y = state", "y = state: y must be a number, not varchar"),
    ("x = state and y = nothing", "no row has both x and y (state, nothing are NULL or infinite)"),
]


@pytest.mark.parametrize(("where", "message"), REFUSED)
def test_an_invalid_chart_is_explained(lake: Lake, where: str, message: str) -> None:
    with pytest.raises(UnifyError, match=re.escape(message)):
        chart(lake, f"from (select *, null::int as nothing from {STATES}) as bar_chart where {where}")


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("from (from t where false) as line_chart", "the query returned no rows to draw"),
        ("from (select i::varchar as a, i as n from range(100000) r(i)) as bar_chart", "group"),
        (f"from (from range({MAX_POINTS + 1}) r(a), t) as line_chart", "using sample 10000 rows"),
        ("from (select 1 as a, -1 as n) as pie_chart", "cannot show the negative values of n"),
        ("from (select 1 as a, 0 as n) as pie_chart", "every n is 0"),
        ("from (select 1 as a, frm t) as bar_chart", "frm"),
    ],
)
def test_rows_without_a_chart_are_explained(lake: Lake, rest: str, message: str) -> None:
    lake.execute("create or replace table t as select 5 as n")
    source = rest.replace("where false", "where false").replace(
        "from t where", "select 1 as a, n from t where"
    )
    with pytest.raises(UnifyError, match=message):
        chart(lake, f"{source} where x = a and y = n")


def test_the_maximum_number_of_bars_is_drawn(lake: Lake) -> None:
    days = "select date '1970-01-01' + i::int as a, i as n from range(20000) r(i)"
    text = render_chart(chart(lake, f"from ({days}) as hbar_chart where x = a and y = n"), FormatOptions())
    assert text.count("\n") == MAX_POINTS + 2


def test_the_maximum_number_of_points_is_drawn(lake: Lake) -> None:
    shown = chart(
        lake,
        f"from (select i as a, i % 97 as n from range({MAX_POINTS}) r(i)) as line_chart "
        "where x = a and y = n",
    )
    assert f"{MAX_POINTS:,} rows" in render_chart(shown, FormatOptions())


class TestTicks:
    @pytest.mark.parametrize(
        ("low", "high", "texts"),
        [
            (0, 1, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            (0, 100, ["0", "20", "40", "60", "80", "100"]),
            (-2e6, 4e6, ["-2M", "0", "2M", "4M"]),
            (0, 25_000, ["0", "5k", "10k", "15k", "20k", "25k"]),
            (0, 3e-7, ["0", "1e-07", "2e-07", "3e-07"]),
            (0, 4e18, ["0", "1e+18", "2e+18", "3e+18", "4e+18"]),
            (1_000_000_001, 1_000_000_005, None),
        ],
    )
    def test_of_numbers_are_round(self, low: float, high: float, texts: list[str] | None) -> None:
        found = [tick.label for tick in axes.number_ticks(low, high, 5)]
        assert texts is None or found == texts
        assert len(found) > 1

    @pytest.mark.parametrize(
        ("seconds", "texts"),
        [
            (45, ["00:00:00", "00:00:15", "00:00:30", "00:00:45"]),
            (3 * 3600, ["00:00", "01:00", "02:00", "03:00"]),
            (30 * 3600, ["01-01", "06:00", "12:00", "18:00", "01-02", "06:00"]),
            (6 * 86_400, ["01-01", "01-03", "01-05", "01-07"]),
            (100 * 86_400, ["1970-01", "1970-02", "1970-03", "1970-04"]),
            (3 * 366 * 86_400, ["1970", "1971", "1972", "1973"]),
        ],
    )
    def test_of_times_are_at_calendar_boundaries(self, seconds: float, texts: list[str]) -> None:
        assert [tick.label for tick in axes.time_ticks(0, seconds, 45)] == texts

    def test_of_any_time_span_are_computed_quickly(self) -> None:
        for low, high in [(-62_135_596_800.0, 253_370_764_800.0), (0.0, 1e-3), (0.0, 1e9)]:
            for room in (3, 20, 200):
                assert len(axes.time_ticks(low, high, room)) <= room


needs_libraries = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("altair", "vl_convert")),
    reason="altair and vl-convert-python are not installed: no chart was saved",
)


@needs_libraries
class TestFiles:
    @pytest.mark.parametrize("case", CASES)
    def test_contain_every_kind_of_chart(self, lake: Lake, tmp_path: Path, case: str) -> None:
        target = tmp_path / "chart.svg"
        result = vega.save_chart(chart(lake, CASES[case]), target, "chart.svg", None)

        assert result.text.startswith("chart written to chart.svg; ")
        picture = ElementTree.parse(target).getroot()
        assert picture.tag.endswith("svg")
        assert [path.name for path in tmp_path.iterdir()] == ["chart.svg"]

    def test_are_png_by_their_suffix(self, lake: Lake, tmp_path: Path) -> None:
        vega.save_chart(chart(lake, CASES["lines"]), tmp_path / "a.png", "a.png", None)

        data = (tmp_path / "a.png").read_bytes()
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", data[16:24])
        assert width > 1_000
        assert height > 600

    def test_in_html_need_no_network_and_escape_the_data(self, lake: Lake, tmp_path: Path) -> None:
        evil = "</script><script>alert(1)</script>"
        hostile = (
            f"from (select '{evil}' as a, 1 as n) as bar_chart where x = a and y = n and title = '{evil}'"
        )
        vega.save_chart(chart(lake, hostile), tmp_path / "a.html", "a.html", None)

        page = (tmp_path / "a.html").read_text(encoding="utf-8")
        assert evil not in page
        assert html.escape(evil) in page
        scripts = re.findall(r"<script([^>]*)>.*?</script>", page, re.DOTALL)
        assert scripts == [' type="module"'] * 2
        around = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
        assert not re.search(r"src|href|//", around.replace(html.escape(evil), ""))

    def test_have_a_maximum_number_of_bars_and_a_note(self, lake: Lake, tmp_path: Path) -> None:
        source = "from (from range(150) r(i)) as hbar_chart where x = i and y = i"
        result = vega.save_chart(chart(lake, source), tmp_path / "a.svg", "a.svg", None)
        assert result.text == "chart written to a.svg; 150 rows; the first 100 of 150 bars"

    def test_distinguish_columns_of_the_same_name(self, lake: Lake, tmp_path: Path) -> None:
        source = "from (select repeat('x', 70) || i as a, i + 1 as n from range(3) r(i)) as hbar_chart"
        vega.save_chart(chart(lake, f"{source} where x = a and y = n"), tmp_path / "a.svg", "a.svg", None)
        assert (tmp_path / "a.svg").read_text(encoding="utf-8").count("x… (3)") > 1

    def test_are_never_replaced_without_overwrite(self, lake: Lake, tmp_path: Path) -> None:
        (tmp_path / "a.svg").write_text("precious")
        with pytest.raises(FileError, match=r"a\.svg exists already; end with overwrite$"):
            vega.check_chart_file(str(tmp_path / "a.svg"), None)
        with pytest.raises(FileError, match="exists already"):
            vega.save_chart(chart(lake, CASES["one"]), tmp_path / "a.svg", "a.svg", None)
        assert (tmp_path / "a.svg").read_text() == "precious"

        vega.save_chart(chart(lake, CASES["one"]), tmp_path / "a.svg", "a.svg", "overwrite")
        assert (tmp_path / "a.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.jpeg", r"a\.jpeg: unknown suffix; charts are saved as \.svg, \.png or \.html"),
        ("a.sgv", r"did you mean \.svg\?"),
        ("a", "unknown suffix; charts are saved as"),
        ("nowhere/a.svg", "folder .* does not exist"),
    ],
)
def test_an_invalid_file_is_refused_before_any_load(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        vega.check_chart_file(str(tmp_path / name), None)


def test_missing_libraries_are_named_with_the_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(FileError, match=r"pip install 'unify-sql\[charts\]'"):
        vega.check_chart_file(str(tmp_path / "a.svg"), None)


class TestTheCommand:
    def test_loads_the_table_and_draws_on_standard_output(self, demo_unify: UnifyCommand) -> None:
        answer = demo_unify(
            "$r = 'ledger'",
            "create chart from (select state, count(*) as n from github.pulls where repo = $r group by all "
            "order by n desc) as hbar_chart where x = state and y = n",
        )
        assert answer.exit_status == 0, answer
        lines = answer.stdout.splitlines()
        assert lines[0] == "n by state"
        assert [line.split()[0] for line in lines[1:3]] == ["closed", "open"]
        assert lines[-1] == "2 rows"
        assert "Loaded github.pulls: 1,200 rows" in answer.stderr

    def test_writes_to_the_file_of_o_and_refuses_a_table_file(self, unify: UnifyCommand) -> None:
        statement = "create chart from (select 1 as a, 2 as n) as hbar_chart where x = a and y = n"
        assert unify(statement, args=["-o", "a.txt"]).stdout == ""
        assert (unify.home / "a.txt").read_text(encoding="utf-8").startswith("n by a\n1 ██")
        refused = unify(statement, args=["-o", "a.parquet"])
        assert (refused.exit_status, "holds the rows of a SELECT only" in refused.stderr) == (2, True)

    @needs_libraries
    def test_saves_a_chart_of_the_rows_of_a_variable(self, unify: UnifyCommand) -> None:
        answer = unify(
            "$v = select 1 as a, 2 as n; create chart from $v as bar_chart where x = a and y = n to 'a.svg'",
            "create chart from $v as bar_chart where x = a and y = n to 'a.svg'",
        )
        assert answer.exit_status == 1
        assert answer.stdout == ""
        assert "chart written to a.svg; 1 row" in answer.stderr
        assert "exists already; end with overwrite" in answer.stderr
        assert (unify.home / "a.svg").read_text().startswith("<svg")


@pytest.mark.process
def test_other_commands_do_not_import_chart_modules() -> None:
    program = (
        "import sys, unify.shell.script_runner, unify.render.output, unify.interpreter.interpreter\n"
        "print({'plotille', 'altair', 'vl_convert', 'unify.render.charts'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
