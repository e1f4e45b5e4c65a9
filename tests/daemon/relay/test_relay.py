"""A relayed call: the API gets the caller's bytes, and the caller the API's; only the credential is another."""

import asyncio
import gzip
import itertools
import random
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from msgspec import Struct

from aixtivd.config import ApiConfig
from aixtivd.errors import Unreachable
from aixtivd.relay.bodies import WHOLE
from peers.canned import raw
from peers.claude import Claude, Weather
from peers.relaying import HELLO, STREAM, VERSION, Pieces, called, hello, key, relaying

MIXED = (
    ("User-Agent", "Anthropic/Python 2.12.0"),
    ("X-Stainless-Retry-Count", "0"),
    VERSION,
    ("ANTHROPIC-new-thing", "kept; as=it, is"),
    ("Accept", "application/json"),
    ("accept-encoding", "gzip, br, zstd"),
    ("content-type", "application/json"),
    ("x-twice", "1"),
    ("x-other", "ä €"),
    ("X-Twice", "2"),
)


class Exchange(Struct):
    """One request as its bytes came."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes


async def heard(reader: asyncio.StreamReader) -> Exchange:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, *fields = head[:-4].split("\r\n")
    headers = [(name, value) for name, _, value in (field.partition(": ") for field in fields)]
    named = {name.lower(): value for name, value in headers}
    body = await reader.readexactly(int(named.get("content-length", 0)))
    if named.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readline()
    return Exchange(line, headers, body)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
async def claude() -> AsyncIterator[Claude]:
    async with Claude() as claude:
        yield claude


@pytest.mark.parametrize("size", [0, 1, WHOLE, WHOLE + 1, 1_000_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_the_apis_captured_bytes_are_the_callers(size: int, chunked: bool) -> None:
    came: list[Exchange] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await heard(reader))
        writer.write(OK)
        await writer.drain()

    body = random.Random(size).randbytes(size)
    cut = [0, *sorted(random.Random(size).randrange(size + 1) for _ in range(5)), size]
    pieces = Pieces(*(body[start:end] for start, end in itertools.pairwise(cut)), length=None if chunked else size)
    own = ("Authorization", "Bearer aixtiv-ticket-mine")
    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        path = "/v1/messages?beta=true&q=%6f+%20&&[x]=|~"
        answer = await around.get(called("POST", path, own, *MIXED, body=pieces))
    (request,) = came
    assert answer.body == b"ok"
    assert request.line == f"POST {path} HTTP/1.1"
    assert request.body == body
    framing = ("Transfer-Encoding", "chunked") if chunked and size else ("Content-Length", str(size))
    assert framing in request.headers
    ours = {"host", "authorization", "anthropic-beta", "content-length", "transfer-encoding"}
    assert [pair for pair in request.headers if pair[0].lower() not in ours] == list(MIXED)
    assert ("Authorization", "Bearer sk-ant-oat01-1") in request.headers
    assert len([name for name, _ in request.headers if name.lower() in ours]) == 4


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("POST", b"{}"), ("POST", b"x" * (WHOLE + 1))])
async def test_a_request_has_nothing_that_its_caller_did_not_send(method: str, body: bytes) -> None:
    came: list[Exchange] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await heard(reader))
        writer.write(OK)
        await writer.drain()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}", key()) as around:
        await around.get(called(method, "/v1/models", VERSION, body=body))
    length = [("Content-Length", str(len(body)))] if body else []
    headers = [("Host", f"127.0.0.1:{port}"), VERSION, *length, ("x-api-key", "sk-ant-api03-1")]
    assert came == [Exchange(f"{method} /v1/models HTTP/1.1", headers, body)]


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "identity"])
async def test_the_callers_received_bytes_are_the_apis_whatever_their_encoding(claude: Claude, encoding: str) -> None:
    claude.set_weather(Weather(encoding=encoding, deltas=500))
    async with relaying(claude.url) as around:
        call = hello(body=STREAM, headers=(VERSION, ("accept-encoding", encoding)))
        answer = await around.get(call)
        assert around.ledger.last["received"] == len(answer.body)
    assert answer.body == claude.last.said
    assert ("content-encoding", encoding) in [(name.lower(), value) for name, value in answer.headers] or (
        encoding == "identity"
    )


async def test_an_answer_that_is_no_valid_gzip_is_none_of_our_business() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\nno gzip")
        await writer.drain()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        assert (await around.get(hello())).body == b"no gzip"


async def test_a_callers_encoded_body_goes_on_as_it_is(claude: Claude) -> None:
    packed = gzip.compress(HELLO)
    async with relaying(claude.url) as around:
        await around.get(hello(body=packed, headers=(VERSION, ("content-encoding", "gzip"))))
    assert claude.last.body == packed
    assert claude.last.header("content-encoding") == "gzip"


async def test_the_head_of_an_answer_comes_back_whole() -> None:
    lines = [
        "Request-ID: req_1",
        "anthropic-ratelimit-tokens-remaining: 12",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2; Path=/",
        "x-Odd-CASE: kept ",
        f"X-Long: {'x' * 20_000}",
        *(f"X-Many-{number}: {number}" for number in range(300)),
    ]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        head = "\r\n".join(["HTTP/1.1 299 Nearly Fine", *lines, "Connection: close", "Content-Length: 0"])
        writer.write(head.encode() + b"\r\n\r\n")
        await writer.drain()

    async with (
        raw(talk) as port,
        relaying(f"http://127.0.0.1:{port}") as around,
        around.relay.call(hello()) as answer,
    ):
        assert (answer.status, answer.reason) == (299, "Nearly Fine")
        said = [f"{name}: {value}" for name, value in answer.headers]
        assert said == [*(line.rstrip() for line in lines), "Content-Length: 0"]


@pytest.mark.parametrize("status", [400, 403, 404, 408, 409, 413, 429, 500, 503, 529])
async def test_an_error_comes_back_as_it_was_said_and_was_asked_for_once(claude: Claude, status: int) -> None:
    body = '{"type":"error","error":{"type":"x","message":"wörds that clients match"},"request_id":"r"}'
    claude.set_weather(Weather(status=status, headers={"retry-after": "7", "x-should-retry": "true"}, body=body))
    async with relaying(claude.url) as around:
        answer = await around.get(hello())
        assert (answer.status, answer.body.decode()) == (status, body)
        assert ("retry-after", "7") in answer.headers
        assert len(around.purse.asked) == 1
        assert (around.ledger.last["status"], around.ledger.last["ok"]) == (status, False)
    assert claude.count == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_handed_on_and_not_followed(claude: Claude, status: int) -> None:
    claude.set_weather(Weather(status=status, headers={"location": f"{claude.url}/v1/models"}))
    async with relaying(claude.url) as around:
        answer = await around.get(hello())
    assert answer.status == status
    assert ("location", f"{claude.url}/v1/models") in answer.headers
    assert claude.count == 1


async def test_a_cookie_that_an_api_sets_is_the_callers_and_comes_back_in_no_other_call(claude: Claude) -> None:
    claude.set_weather(Weather(status=200, headers={"set-cookie": "session=1; Path=/"}))
    async with relaying(claude.url.replace("127.0.0.1", "localhost")) as around:  # cookies are kept for names only
        assert ("set-cookie", "session=1; Path=/") in (await around.get(hello())).headers
        await around.get(hello())
    assert claude.last.header("cookie") == ""


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_an_answer_that_has_no_body_is_whole_without_one(method: str, status: int) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        length = b"" if status == 204 else b"Content-Length: 100\r\n"
        writer.write(b"HTTP/1.1 %d X\r\n%b\r\n" % (status, length))
        await writer.drain()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        answer = await around.get(called(method, "/v1/models"))
        assert answer.body == b""
        assert (("Content-Length", "100") in answer.headers) is (status != 204)
        assert around.ledger.last["ok"]


async def test_an_answer_that_comes_in_parts_is_handed_on_part_by_part_errors_and_pings_too() -> None:
    events = [b"event: ping\n\n", b": hm\n\n", b"event: error\ndata: {}\n\n", b"event: message_stop\n\n"]
    next_one = asyncio.Queue[bytes]()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while event := await next_one.get():
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        async with around.relay.call(hello()) as answer:
            assert not any(name.lower() in {"transfer-encoding", "content-length"} for name, _ in answer.headers)
            for event in events:
                next_one.put_nowait(event)
                assert await anext(answer.pieces) == event
            next_one.put_nowait(b"")
            assert [piece async for piece in answer.pieces] == []
        assert around.ledger.last["received"] == sum(map(len, events))


async def test_an_answer_may_begin_before_the_body_has_ended() -> None:
    """Both directions flow at the same time: neither waits for the other's end."""
    rest = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"first")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        await writer.drain()
        await reader.readuntil(b"last")
        writer.write(b"seen")
        await writer.drain()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        async with around.relay.call(hello(body=Pieces(b"first", rest, b"last", length=None))) as answer:
            rest.set()
            assert [piece async for piece in answer.pieces] == [b"seen"]
        assert around.ledger.last["sent"] == 9


async def test_ways_of_continuing_in_front_of_an_answer_are_not_the_answer() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK)
        await writer.drain()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        answer = await around.get(hello(headers=(("Expect", "100-continue"),)))
    assert (answer.status, answer.body) == (200, b"ok")


async def test_another_credential_and_an_origin_with_a_path_go_with_their_account(claude: Claude) -> None:
    async with relaying("https://nobody.invalid", key(endpoint=f"{claude.url}/v1/messages")) as around:
        assert (await around.get(hello())).kind == "api-key"
    assert claude.last.header("x-api-key") == "sk-ant-api03-1"
    came: list[Exchange] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await heard(reader))
        writer.write(OK)
        await writer.drain()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}/team/a") as around:
        await around.get(called("GET", "/v1/models?x"))
    assert came[0].line == "GET /team/a/v1/models?x HTTP/1.1"


async def test_what_the_config_says_counts_from_the_next_call_on(claude: Claude) -> None:
    async with relaying("https://nobody.invalid") as around, Claude() as other:
        for there in (claude, other):
            config = around.relay._config
            around.relay.reconfigure(type(config)(api={"anthropic": ApiConfig(origin=there.url)}))
            await around.get(hello())
            assert there.count == 1


async def test_the_api_is_loaded_in_a_thread_and_not_before_the_first_call() -> None:
    """Certificates and a C parser: everybody else would wait meanwhile (D2). aiohttp, 0.4 s, is not needed at all."""
    code = (
        "import asyncio, sys, threading\n"
        "import aixtivd.relay.relay, aixtivd.relay.upstream as upstream\n"
        "from aixtivd.config import Network\n"
        "assert 'httptools' not in sys.modules\n"
        "load, where = upstream._load, []\n"
        "upstream._load = lambda file: (where.append(threading.current_thread()), load(file))[1]\n"
        "async def main():\n"
        "    way = upstream.Upstream(Network())\n"
        "    await way._opened()\n"
        "    await way.aclose()\n"
        "asyncio.run(main())\n"
        "assert 'httptools' in sys.modules and where[0] is not threading.main_thread()\n"
        "assert 'aiohttp' not in sys.modules\n"
    )
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


async def test_calls_wait_for_nothing_that_has_ended(claude: Claude) -> None:
    async with relaying(claude.url) as around:
        for _ in range(5):
            await around.get(hello())
        assert claude.connections == 1
        await around.relay.aclose()
    with pytest.raises(Unreachable):
        async with relaying("http://127.0.0.1:1") as around:
            await around.get(hello())
