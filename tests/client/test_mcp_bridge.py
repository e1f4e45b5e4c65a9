"""The bridge between a client's pipe and a server that forgets, is slow, never ends or makes no sense."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from aixtiv.mcp import bridge as bridging
from aixtiv.mcp import older
from peers.spanned import (
    INIT,
    JSON,
    PATIENCE,
    PROGRESS,
    READY,
    VERSION,
    Answer,
    Json,
    OlderServer,
    answered,
    ask,
    between,
    endless,
    result,
    sessions,
)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridging, "LAST", 0.2)


# ---- sessions


def test_a_server_that_forgets_each_session_at_once_is_a_sentence_and_no_end_of_the_bridge(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with between(sessions(lambda *_: Answer(404))) as (client, entrance, run):

        def words() -> Iterator[Json]:
            yield INIT
            assert client.hears()["result"] == VERSION
            yield READY
            for number in (1, 2):
                yield ask(number)
                assert client.hears()["error"]["message"] == "the server forgets each session as soon as it has begun"

        run(words())
        assert client.hears_no_more()
        assert len(entrance.heard) < 16, "each is tried once more, and not for ever"
    assert "notifications/initialized did not reach the server: the server forgets" in capsys.readouterr().err


@pytest.mark.parametrize(
    "refusal",
    [
        Answer(400, b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"full"}}', JSON),
        Answer(200, b'{"jsonrpc":"2.0","id":0,"error":{"code":-32000,"message":"full"}}', JSON),
        Answer(400, b"busy"),
        Answer(404),
    ],
    ids=["an error", "an error that is an answer", "a text", "nothing"],
)
def test_a_greeting_that_is_refused_the_second_time_is_told_to_whoever_asked_and_not_as_its_own_answer(
    refusal: Answer,
) -> None:
    greetings: list[Json] = []

    def serve(method: str, headers: dict[str, str], message: Any) -> Answer:
        if method != "POST":
            return Answer(405)
        if message["method"] == "initialize":
            greetings.append(message)
            return result(message, VERSION, ("mcp-session-id", "s")) if len(greetings) == 1 else refusal
        return Answer(404) if "id" in message else Answer()

    with between(serve) as (client, _, run):

        def words() -> Iterator[Json]:
            yield INIT
            assert client.hears()["result"] == VERSION
            yield READY
            yield ask(1)
            told = client.hears()
            assert told["id"] == 1
            assert "error" in told

        run(words())
        assert client.hears_no_more()


def test_nothing_overtakes_a_greeting() -> None:
    with between(sessions(answered)) as (client, entrance, run):

        def words() -> Iterator[Json]:
            yield from (INIT, READY, ask(1, "tools/list"), ask(2))
            assert {client.hears()["id"] for _ in range(3)} == {0, 1, 2}

        run(words())
        assert entrance.methods[:2] == ["initialize", "notifications/initialized"]


# ---- what is slow, or never ends


def test_a_notification_that_a_server_is_slow_to_take_holds_up_no_request() -> None:
    taken = threading.Event()

    def serve(headers: dict[str, str], message: Json) -> Answer:
        if message["method"] == PROGRESS["method"]:
            assert taken.wait(PATIENCE)
        return answered(headers, message)

    with between(sessions(serve)) as (client, _, run):

        def words() -> Iterator[Json]:
            yield from (INIT, READY, PROGRESS, ask(1))
            assert [client.hears()["id"] for _ in range(2)] == [0, 1]
            taken.set()

        run(words())


def test_what_has_no_answer_goes_in_the_order_in_which_it_was_said_and_before_the_end() -> None:
    with between(sessions(answered)) as (_, entrance, run):
        run(iter([INIT, READY, *({**PROGRESS, "params": {"n": number}} for number in range(50))]))
        assert [message["params"]["n"] for message in entrance.heard[2:]] == list(range(50))


def test_an_answer_to_what_asked_nothing_may_have_no_end() -> None:
    def serve(headers: dict[str, str], message: Json) -> Answer:
        return answered(headers, message) if "id" in message else endless()

    with between(sessions(serve)) as (client, _, run):

        def words() -> Iterator[Json]:
            yield from (INIT, READY, ask(7))
            assert [client.hears()["id"] for _ in range(2)] == [0, 7]

        run(words())


def test_a_greeting_that_is_never_answered_keeps_nobody_from_hearing_the_client() -> None:
    with between(lambda *_: endless()) as (client, entrance, run):

        def words() -> Iterator[Json | bytes]:
            yield from (
                INIT,
                ask(2),
                READY,
                {**PROGRESS, "method": "notifications/cancelled", "params": {"requestId": 2}},
            )
            yield b"no message\n"
            assert client.hears()["error"]["code"] == -32700

        run(words())
        assert entrance.methods == ["initialize"]


def test_a_request_that_follows_upon_the_greetings_answer_at_once_holds_up_no_other() -> None:
    taken = threading.Event()

    class Told(Answer):
        """All of it is passed on, and the bridge has not noted that yet."""

        def close(self) -> None:
            assert taken.wait(PATIENCE)

    def serve(method: str, headers: dict[str, str], message: Json) -> Answer:
        if message["method"] == "initialize":
            return Told(200, b'{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18"}}', JSON)
        return endless() if message["id"] == 1 else result(message)

    with between(serve) as (client, _, run):

        def words() -> Iterator[Json]:
            yield INIT
            client.hears()
            yield from (ask(1, "tools/call"), ask(2))
            taken.set()
            assert client.hears()["id"] == 2

        run(words())


def test_a_request_that_is_cancelled_before_it_was_sent_is_not_sent() -> None:
    known = threading.Event()

    def serve(method: str, headers: dict[str, str], message: Json) -> Answer:
        assert known.wait(PATIENCE)
        return result(message, VERSION) if "id" in message else Answer()

    with between(serve) as (client, entrance, run):

        def words() -> Iterator[Json]:
            yield from (INIT, ask(1, "tools/call"))
            yield {**PROGRESS, "method": "notifications/cancelled", "params": {"requestId": 1}}
            yield ask(2)
            known.set()
            assert [client.hears()["id"] for _ in range(2)] == [0, 2]

        run(words())
        assert "tools/call" not in entrance.methods


# ---- what is sent, and to whom an answer belongs


@pytest.mark.parametrize(("second", "times"), [("tools/call", 1), ("tools/list", 2)])
def test_a_batch_goes_a_second_time_only_where_all_that_is_in_it_may(second: str, times: int) -> None:
    def serve(headers: dict[str, str], message: Any) -> Answer:
        answer = Answer(200, b"", JSON)
        answer.lost = True
        return answer

    with between(sessions(serve)) as (client, entrance, run):

        def words() -> Iterator[Any]:
            yield INIT
            client.hears()
            yield [ask(1), ask(2, second)]
            assert {client.hears()["id"] for _ in range(2)} == {1, 2}

        run(words())
        assert len(entrance.heard[1:]) == times


def test_an_answer_whose_id_is_written_otherwise_is_the_only_one() -> None:
    def serve(headers: dict[str, str], message: Json) -> Answer:
        return Answer(200, rb'{"jsonrpc":"2.0","id":"a\/b","result":{}}', JSON)

    with between(sessions(serve)) as (client, _, run):

        def words() -> Iterator[Json]:
            yield INIT
            client.hears()
            yield ask("a/b")
            assert client.hears() == {"jsonrpc": "2.0", "id": "a/b", "result": {}}

        run(words())
        assert client.hears_no_more()


def test_what_is_no_text_never_reaches_the_client_and_its_request_gets_a_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def serve(headers: dict[str, str], message: Json) -> Answer:
        return Answer(200, b'{"jsonrpc":"2.0","id":1,"result":{"x":"\xff\xfe\x80"}}', JSON)

    with between(sessions(serve)) as (client, _, run):

        def words() -> Iterator[Json]:
            yield INIT
            client.hears()
            yield ask(1)
            assert "did not answer it" in client.hears()["error"]["message"]

        run(words())
    assert "it is not UTF-8" in capsys.readouterr().err


def test_a_defect_of_ours_ends_one_request_and_quotes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def serve(headers: dict[str, str], message: Json) -> Answer:
        if message["method"] != "ping":
            raise ValueError("what a server said")
        return result(message)

    with between(sessions(serve)) as (client, _, run):

        def words() -> Iterator[Json]:
            yield INIT
            client.hears()
            yield PROGRESS
            yield ask(1, "tools/list")
            assert client.hears()["error"]["message"].startswith("a defect in aixtiv (ValueError, test_mcp_bridge.py:")
            yield ask(2)
            assert "result" in client.hears()

        run(words())
    told = capsys.readouterr().err
    assert "notifications/progress did not reach the server: a defect in aixtiv (ValueError" in told
    assert "what a server said" not in told


# ---- the older transport


def test_requests_after_a_stream_that_ended_share_one_greeting_on_the_next() -> None:
    server = OlderServer()
    with between(server, "sse") as (client, _, run):

        def words() -> Iterator[Json]:
            yield INIT
            client.hears()
            yield READY
            yield ask(1)
            client.hears()
            server.streams[0].cut()
            yield from (ask(2), ask(3), ask(4))
            assert {client.hears()["id"] for _ in range(3)} == {2, 3, 4}

        run(words())
        assert client.hears_no_more()
    again = [method for stream, method in server.heard if stream == 2]
    assert again[:2] == ["initialize", "notifications/initialized"]
    assert again.count("initialize") == 1
    assert len(server.streams) == 2


@pytest.mark.parametrize(
    "where", [b"http://[::1", "https://\x1bowned\x1b(B\u2100/x".encode()], ids=["a bracket", "no host"]
)
def test_where_messages_are_posted_has_to_be_a_url(where: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with between(OlderServer(where), "sse") as (client, _, run):

        def words() -> Iterator[Json]:
            yield INIT
            assert client.hears()["error"]["message"] == "the server wants messages to be posted at what is no URL"

        run(words())
    assert "Traceback" not in capsys.readouterr().err


def test_the_end_of_a_stream_that_was_given_up_ends_nothing_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(older, "_FIRST", 0.05)
    server = OlderServer()
    mute = endless()
    closed: list[Answer] = []
    monkeypatch.setattr(mute, "cut", lambda: closed.append(mute))  # which ends it later

    def serve(method: str, headers: dict[str, str], message: Any) -> Answer:
        return mute if method == "GET" and not closed else server(method, headers, message)

    with between(serve, "sse") as (client, _, run):

        def words() -> Iterator[Json]:
            yield INIT
            assert "does not say where" in client.hears()["error"]["message"]
            yield {**INIT, "id": 1}
            assert client.hears()["id"] == 1
            mute.close()
            yield ask(2)
            assert "result" in client.hears()

        run(words())
        assert len(server.streams) == 1
