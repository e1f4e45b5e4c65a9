"""The stream on which a server speaks unasked: looked for again and again, and ever less often where nothing comes."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from aixtiv.mcp import streamable
from aixtiv.mcp.door import Door
from aixtiv.mcp.pipe import Pipe
from aixtiv.mcp.servers import Server
from aixtiv.mcp.streamable import SLOWEST, Streamable
from peers.spanned import SSE, Answer, Entrance


class Over:
    """Where the pauses go; so many, and it is over."""

    def __init__(self, most: int) -> None:
        self.pauses: list[float] = []
        self._most = most

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def is_set(self) -> bool:
        return len(self.pauses) >= self._most


Hear = Callable[..., tuple[list[float], list[str]]]


@pytest.fixture
def hear() -> Hear:
    def heard(*answers: Answer, most: int = 20) -> tuple[list[float], list[str]]:
        """The pauses, and the ids that the server was told."""
        ids: list[str] = []
        left: Iterator[Answer] = iter(answers)

        def serve(_: str, headers: dict[str, str], __: Any) -> Answer:
            ids.append(headers.get("last-event-id", ""))
            return next(left, Answer(405))

        entrance = Entrance(serve, Server("x", "https://h.example/mcp"))
        stream = Streamable(cast(Door, entrance), cast(Pipe, None))
        over = Over(most)
        vars(stream)["_over"] = over
        stream._hear("")
        return over.pauses, ids

    return heard


def stream(text: bytes = b"") -> Answer:
    return Answer(200, text, SSE)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_cannot_now_is_asked_later(hear: Hear, status: int) -> None:
    pauses, ids = hear(Answer(status), Answer(status))
    assert (pauses, len(ids)) == ([1, 2], 3), "and not once more after a 405"


def test_streams_that_bring_nothing_are_opened_ever_less_often(hear: Hear) -> None:
    pauses, _ = hear(*(stream(b"id: 1\nretry: 500\n\n") for _ in range(9)), most=9)
    assert pauses == [0.5, 1, 2, 4, 8, 16, SLOWEST, SLOWEST, SLOWEST]


def test_data_has_the_next_one_opened_as_the_server_asked(hear: Hear) -> None:
    pauses, _ = hear(stream(), stream(), stream(b"retry: 500\nevent: other\ndata: x\n\n"), most=3)
    assert pauses == [1, 2, 0.5]


@pytest.mark.parametrize("status", [400, 410, 500])
def test_an_id_that_the_server_does_not_take_is_left_out(hear: Hear, status: int) -> None:
    _, ids = hear(stream(b"id: 7\n\n"), Answer(503), Answer(status), stream())
    assert ids == ["", "7", "7", "", ""]


def test_a_stream_that_is_closed_at_once_each_time_is_taken_up_ever_less_often() -> None:
    assert [streamable._longer(0.1, idle) for idle in (0, 1, 3, 50)] == [0.1, 0.2, 0.8, SLOWEST]
