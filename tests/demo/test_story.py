"""The demo must be able to fail."""

import pytest

from demo.story import Story


def test_a_demo_in_which_all_held_closes_well(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story()
    story.shows("water is wet", "a finger", held=True)
    assert story.close()
    assert "all 1 held" in capsys.readouterr().out


def test_a_claim_that_did_not_hold_is_in_the_table_and_fails_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story()
    story.shows("water is wet", "a finger", held=True)
    story.shows("water is dry", "another finger", held=False)
    assert not story.close()
    assert "1 of 2 did not hold" in capsys.readouterr().out


def test_a_scene_that_breaks_off_fails_the_demo_and_the_next_is_played(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story()
    played = []

    def breaks() -> None:
        raise TimeoutError("nobody came")

    story.tries("somebody comes", breaks)
    story.tries("the show goes on", lambda: played.append(True))
    assert played
    assert not story.close()
    assert "TimeoutError: nobody came" in capsys.readouterr().out
