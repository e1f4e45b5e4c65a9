"""The servers that the documents name, played by ours, for all tests here."""

from collections.abc import Iterator

import pytest

from docs.pages import Opposite, opposite


@pytest.fixture(scope="session")
def servers() -> Iterator[Opposite]:
    with opposite() as servers:
        yield servers
