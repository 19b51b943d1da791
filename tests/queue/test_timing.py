"""Due times across daylight saving changes, suspends and changes of the clock."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfoNotFoundError

import pytest
import tzlocal
from msgspec.structs import replace

from unify.durations import format_duration, parse_duration
from unify.queue.timing import (
    Timing,
    advance_timing,
    daily_timing,
    is_due,
    local_to_utc,
    local_zone_name,
    parse_zone,
)

BERLIN = "Europe/Berlin"  # summer 2026 begins on 29 March at 02:00, ends on 25 October at 03:00
HOUR = timedelta(hours=1)
DAY_S = 86400.0


def at(text: str, zone: str = BERLIN) -> datetime:
    return local_to_utc(datetime.fromisoformat(text), zone)


def runs(timing: Timing) -> Iterator[datetime]:
    """Yield the due times of a scheduler that wakes at each."""
    while timing.next_at is not None:
        yield timing.next_at
        timing = advance_timing(timing, timing.next_at)


def shown(moments: Iterator[datetime], count: int, zone: str = BERLIN) -> list[str]:
    return [f"{moment.astimezone(parse_zone(zone)):%d %H:%M}" for moment in islice(moments, count)]


@pytest.mark.parametrize("start", ["2026-03-27T12:00", "2026-10-23T12:00"])
def test_a_time_of_day_is_kept_across_daylight_saving_changes(start: str) -> None:
    timing = daily_timing("08:00", DAY_S, BERLIN, at(start))
    moments = list(islice(runs(timing), 4))
    assert [f"{moment.astimezone(parse_zone(BERLIN)):%H:%M}" for moment in moments] == ["08:00"] * 4
    steps = {later - earlier for earlier, later in pairwise(moments)}
    assert len(steps) == 2  # one day of 23 or 25 hours
    assert (timing.zone, timing.starting) == (BERLIN, "08:00")


def test_a_time_skipped_in_spring_is_due_an_hour_later() -> None:
    timing = daily_timing("02:30", DAY_S, BERLIN, at("2026-03-27T12:00"))
    assert shown(runs(timing), 4) == ["28 02:30", "29 03:30", "30 02:30", "31 02:30"]


def test_a_time_repeated_in_autumn_is_due_once() -> None:
    timing = daily_timing("02:30", DAY_S, BERLIN, at("2026-10-23T12:00"))
    moments = list(islice(runs(timing), 4))
    assert shown(iter(moments), 4) == ["24 02:30", "25 02:30", "26 02:30", "27 02:30"]
    assert moments[1] == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # the first of the two


def test_several_times_a_day_are_the_same_each_day() -> None:
    spring = daily_timing("08:00", DAY_S / 4, BERLIN, at("2026-03-28T12:00"))
    assert shown(runs(spring), 5) == ["29 08:00", "29 14:00", "29 20:00", "30 02:00", "30 08:00"]
    autumn = daily_timing("02:00", DAY_S / 4, BERLIN, at("2026-10-24T12:00"))
    assert shown(runs(autumn), 5) == ["25 02:00", "25 08:00", "25 14:00", "25 20:00", "26 02:00"]


@pytest.mark.parametrize("start", ["2026-03-28T23:00", "2026-10-24T23:00"])
def test_short_intervals_are_neither_skipped_nor_doubled(start: str) -> None:
    moments = list(islice(runs(daily_timing("00:05", 900, BERLIN, at(start))), 60))
    assert {later - earlier for earlier, later in pairwise(moments)} == {HOUR / 4}
    assert {moment.astimezone(parse_zone(BERLIN)).minute for moment in moments} == {5, 20, 35, 50}


def test_weekly_and_seven_hour_intervals_are_kept() -> None:
    weekly = daily_timing("09:00", 7 * DAY_S, BERLIN, at("2026-03-20T12:00"))
    assert shown(runs(weekly), 3) == ["21 09:00", "28 09:00", "04 09:00"]
    sevens = daily_timing("00:00", 7 * 3600, "UTC", at("2026-03-20T12:00", "UTC"))
    assert shown(runs(sevens), 4, "UTC") == ["21 00:00", "21 07:00", "21 14:00", "21 21:00"]


@pytest.mark.parametrize("days", [1, 3, 400])
def test_times_missed_during_sleep_are_due_once_and_the_time_of_day_is_kept(days: int) -> None:
    timing = daily_timing("08:00", DAY_S, BERLIN, at("2026-03-27T12:00"))
    assert timing.next_at is not None
    woken = timing.next_at + timedelta(days=days, minutes=7)
    assert is_due(timing, woken)
    moved = advance_timing(timing, woken)
    assert moved.last_at == woken
    assert not is_due(moved, woken)
    assert moved.next_at is not None
    assert woken < moved.next_at <= woken + timedelta(days=1, hours=1)
    assert f"{moved.next_at.astimezone(parse_zone(BERLIN)):%H:%M}" == "08:00"


def test_a_clock_set_back_an_hour_does_not_repeat_a_run() -> None:
    timing = daily_timing("08:00", DAY_S, BERLIN, at("2026-05-01T12:00"))
    ran = advance_timing(timing, at("2026-05-02T08:00"))
    back = advance_timing(ran, at("2026-05-02T07:00"))
    assert back.next_at == at("2026-05-03T08:00")
    assert back.last_at == at("2026-05-02T07:00")


def test_a_clock_that_was_a_year_ahead_delays_nothing() -> None:
    timing = daily_timing("08:00", DAY_S, BERLIN, at("2026-05-01T12:00"))
    ahead = advance_timing(timing, at("2027-05-02T09:00"))
    back = advance_timing(ahead, at("2026-05-02T07:00"))
    assert back.next_at is not None
    assert back.next_at <= at("2026-05-02T07:00") + timedelta(days=2)


def test_a_clock_set_back_before_the_first_time_does_not_wait_for_it_again() -> None:
    timing = daily_timing("08:00", DAY_S / 4, BERLIN, at("2026-05-02T12:00"))
    ran = advance_timing(timing, at("2026-05-03T08:00"))
    back = advance_timing(ran, at("2026-05-01T12:00"))
    assert back.next_at == at("2026-05-01T20:00")  # the next time of day after now


def test_a_single_time_is_due_once() -> None:
    once = Timing(None, at("2026-05-02T08:00"))
    assert not is_due(once, at("2026-05-02T07:59"))
    done = advance_timing(once, at("2026-05-05T12:00"))
    assert (done.next_at, done.last_at) == (None, at("2026-05-05T12:00"))
    assert not is_due(done, at("2030-01-01T00:00"))


def test_an_unknown_zone_advances_by_elapsed_time() -> None:
    timing = replace(daily_timing("08:00", DAY_S, BERLIN, at("2026-03-28T12:00")), zone="Atlantis/Old")
    moved = advance_timing(timing, at("2026-03-29T08:00"))
    assert moved.next_at == at("2026-03-29T08:00") + timedelta(days=1)


def test_any_timing_advances_by_at_most_one_interval() -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    rng = random.Random(seed)
    zones = (BERLIN, "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "+05:45")
    for _ in range(500):
        every = timedelta(seconds=rng.choice([60, 900, 3600, 5400, 7 * 3600, 86400, 3 * 86400]))
        zone = rng.choice(zones)
        now = datetime(2011, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(16 * 366 * 86400))
        clock = f"{rng.randrange(24):02}:{rng.randrange(60):02}"
        timing = daily_timing(clock, every.total_seconds(), zone, now)
        later = now + timedelta(seconds=rng.randrange(400 * 86400))
        assert timing.next_at is not None
        assert now < timing.next_at <= now + timedelta(days=2, hours=1)
        moved = advance_timing(timing, max(later, timing.next_at))
        assert moved.next_at is not None
        wait = moved.next_at - max(later, timing.next_at)
        assert timedelta() < wait <= every + timedelta(days=1 if zone == "Pacific/Apia" else 1 / 24), timing


class TestZones:
    def test_the_local_zone_is_named_by_the_environment_or_the_system(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tzlocal, "get_localzone_name", lambda: "America/New_York")
        ours = datetime(2026, 7, 1, 12, tzinfo=parse_zone("America/New_York"))
        assert local_zone_name(None, ours) == "America/New_York"
        assert local_zone_name(":Europe/Berlin", ours.astimezone(parse_zone(BERLIN))) == BERLIN

    def test_an_invalid_or_contradicting_name_is_replaced_by_the_offset(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def conflicting_files() -> str:
            raise ZoneInfoNotFoundError("Multiple conflicting time zone configurations found")

        ours = datetime(2026, 7, 1, 12, tzinfo=parse_zone("+05:45"))
        for name in ("CET-1CEST,M3.5.0,M10.5.0/3", BERLIN, "/etc/passwd", "Nowhere"):
            assert local_zone_name(name, ours) == "+05:45"
        assert parse_zone("+05:45").utcoffset(None) == timedelta(hours=5, minutes=45)
        monkeypatch.setattr(tzlocal, "get_localzone_name", conflicting_files)
        assert local_zone_name(None, ours) == "+05:45"
        assert local_zone_name(None, datetime(2026, 7, 1, tzinfo=UTC)) == "UTC"

    def test_without_system_zone_data_the_installed_package_is_used(self) -> None:
        import zoneinfo

        before = zoneinfo.TZPATH
        zoneinfo.reset_tzpath([])
        zoneinfo.ZoneInfo.clear_cache()
        try:
            assert at("2026-07-01T08:00") == datetime(2026, 7, 1, 6, tzinfo=UTC)
        finally:
            zoneinfo.reset_tzpath(before)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 second"),
        (90, "1 minute 30 seconds"),
        (5400, "1 hour 30 minutes"),
        (86400, "1 day"),
        (0.5, "0.5 seconds"),
        (8 * 86400, "8 days"),
    ],
)
def test_durations_are_formatted_as_they_are_parsed(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert parse_duration(text) == seconds
