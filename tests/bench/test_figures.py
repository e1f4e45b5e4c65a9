"""What makes a figure: the order of measuring, the ratios, the words beside them and the page they are written to."""

import itertools
import os
import sys
from pathlib import Path

import pytest

from bench import table
from bench.goals import Goal
from bench.measuring import Series, interleaved, on, ratio
from bench.table import LeftOut, Report, Row

ROW = Row("kept")
FLOOR = Series((10.0, 20.0, 30.0))


def test_rounds_are_interleaved_and_the_first_does_not_count() -> None:
    counter = itertools.count()
    said: list[str] = []

    def one(name: str) -> float:
        said.append(name)
        return float(next(counter))

    first, second = interleaved(2, lambda: one("a"), lambda: one("b"))
    assert "".join(said) == "ababab"
    assert (first.rounds, second.rounds) == ((2.0, 4.0), (3.0, 5.0))


def test_a_ratio_is_that_of_the_medians_and_its_spread_that_of_the_rounds() -> None:
    found = ratio(Series((11.0, 30.0, 33.0)), FLOOR)
    assert [found.middle, found.low, found.high] == pytest.approx([1.5, 1.1, 1.3])


def test_what_comes_on_top_is_taken_round_by_round() -> None:
    assert Series((11.0, 22.0, 33.0)).less(FLOOR).rounds == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("goal", "ours", "word"),
    [
        (Goal("≤", 1.5), 30.0, "met"),
        (Goal("≤", 1.4), 30.0, "not met"),
        (Goal("≥", 1.5), 30.0, "met"),
        (Goal("≥", 1.6), 30.0, "not met"),
        (Goal("≥", 2.0, faster=True), 10.0, "met"),
        (Goal("≥", 2.1, faster=True), 10.0, "not met"),
    ],
)
def test_a_goal_is_met_or_not(goal: Goal, ours: float, word: str) -> None:
    line = ROW.line("a path", Series((ours, ours, ours)), "a floor", FLOOR, "µs", goal)
    assert line.word == word


def test_what_has_no_goal_has_no_word() -> None:
    assert ROW.line("a path", FLOOR, "a floor", FLOOR, "µs").word == ""
    assert ROW.count("a path", 7, "KiB").word == ""
    assert ROW.count("a path", 3, "", Goal("≤", 2)).word == "not met"


def test_the_table_shows_every_line_and_what_was_left_out() -> None:
    lines = [ROW.line("a path", FLOOR, "a floor", FLOOR, "µs", Goal("≤", 0.5)), ROW.count("another", 1234.5, "KiB")]
    report = Report(machine={"date": "today"}, noise="none", lines=lines, left_out=[LeftOut("kept", "no compiler")])
    text = "\n".join(table.markdown(report))
    assert "| kept | a path | a floor | 20 µs | 20 µs | 1.00 (1.00–1.00) | ≤ 0.5 × | **not met** |" in text
    assert "| kept | another | – | – | 1,234 KiB | – | shown |  |" in text
    assert "- left out of `kept`: no compiler" in text


def test_the_page_keeps_what_is_around_the_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{table.BEGIN}\nold\n{table.END}\n\nThe end.\n")
    table.write_page(["| new |"], page)
    assert page.read_text() == f"# Title\n\n{table.BEGIN}\n\n| new |\n\n{table.END}\n\nThe end.\n"


def test_a_page_without_a_place_for_the_table_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n")
    with pytest.raises(ValueError, match="has no place for the table"):
        table.write_page(["| new |"], page)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux pins")
def test_pinning_ends_with_its_block() -> None:
    before = os.sched_getaffinity(0)
    with on(min(before)):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before
