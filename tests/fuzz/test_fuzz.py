"""Each parser that strangers' bytes reach, fuzzed for a moment; `make fuzz` does it a million times (tests/fuzz)."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.__main__ import CASES, cases
from fuzz.edits import edited
from fuzz.memory import place
from fuzz.table import MODULES, NAMES, target

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    """What they log of each wrong byte is nothing for a report."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True, scope="session")
def _tidy() -> Iterator[None]:
    yield
    shutil.rmtree(place(), ignore_errors=True)


@pytest.mark.parametrize("name", NAMES)
def test_right_inputs_made_wrong_and_any_bytes_are_taken_or_refused(name: str) -> None:
    tried = target(name)
    seeds = tried.seeds()
    for seed in seeds:
        tried.run(seed)

    @given(st.sampled_from(seeds), st.randoms(use_true_random=False))
    @settings(max_examples=100, database=None)
    def made_wrong(seed: bytes, random: Random) -> None:
        tried.run(edited(seed, tried, random))

    @given(st.binary(max_size=200))
    @settings(max_examples=40, database=None)
    def any_bytes(data: bytes) -> None:
        tried.run(data)

    made_wrong()
    any_bytes()


@pytest.mark.parametrize(
    "case", [pytest.param(path, id=f"{path.parent.name}-{path.name}") for path in sorted(CASES.glob("*/*"))]
)
def test_what_was_found_once_is_not_found_again(case: Path) -> None:
    target(case.parent.name).run(case.read_bytes())


def test_every_case_belongs_to_a_target_and_every_target_stands_where_the_table_says() -> None:
    assert {path.name for path in CASES.iterdir() if path.is_dir()} <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES)
    for names in MODULES.values():
        assert all(target(name).name == name for name in names)
    assert all(cases(path.parent.name) for path in CASES.glob("*/*"))


def test_an_edit_keeps_the_form_of_a_tree_more_often_than_not() -> None:
    """Otherwise fuzzing would only ever reach the first byte of a message."""
    tried = target("request-msgpack")
    seed, random = tried.seeds()[0], Random(1)
    whole = 0
    for _ in range(200):
        try:
            msgspec.msgpack.decode(edited(seed, tried, random))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        whole += 1
    assert whole > 50
