"""The stand-in for Claude refuses what it should, and speaks and fails as it is told: each rule by itself."""

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from peers.certificates import certificate
from peers.claude import Claude
from peers.claude_api import weather
from peers.claude_api.encodings import CODINGS, coding
from peers.claude_api.process import claude_process, sent
from peers.claude_api.weather import Weather
from peers.presence import command

TOKEN = {"authorization": "Bearer sk-ant-oat01-x", "anthropic-beta": "a-flag,oauth-2025-04-20"}
KEY = {"x-api-key": "sk-ant-api03-x"}
VERSION = {"anthropic-version": "2023-06-01"}
ASKED = {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": [{"role": "user", "content": "a word"}]}


@pytest.fixture
async def claude() -> AsyncIterator[Claude]:
    async with Claude() as claude:
        yield claude


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def said_to(claude: Claude, head: str, body: bytes = b"") -> int:
    """The status that this begun head draws, with a good key and `body` behind it."""
    host, port = claude.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    rest = "".join(f"{name}: {value}\r\n" for name, value in (KEY | VERSION).items())
    writer.write(f"{head}{rest}\r\n".encode() + body)
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


@pytest.mark.parametrize("credential", [TOKEN, KEY])
@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21"])
async def test_one_credential_and_a_version_are_let_in(
    claude: Claude, http: aiohttp.ClientSession, credential: dict[str, str], version: str
) -> None:
    headers = credential | {"anthropic-version": version}
    async with http.post(f"{claude.url}/v1/messages?beta=true", json=ASKED, headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["request-id"].startswith("req_")
        assert (await answer.json())["content"] == [{"type": "text", "text": "You said: a word"}]
    assert (claude.last.method, claude.last.target) == ("POST", "/v1/messages?beta=true")
    assert claude.last.credential in {"sk-ant-oat01-x", "sk-ant-api03-x"}


@pytest.mark.parametrize(
    ("headers", "status", "sentence"),
    [
        (VERSION, 401, "x-api-key header is required"),
        (TOKEN | KEY | VERSION, 401, "exactly one of Authorization and x-api-key is expected"),
        (VERSION | {"anthropic-api-key": "sk-ant-api03-x"}, 401, "x-api-key header is required"),
        (VERSION | {"authorization": "Bearer sk-ant-oat01-x"}, 401, "OAuth authentication is currently not supported."),
        (VERSION | TOKEN | {"anthropic-beta": "oauth-2025-04-20-not"}, 401, "OAuth authentication is currently"),
        (VERSION | TOKEN | {"anthropic-beta": "oauth-2025-04-20,oauth-2025-04-20"}, 400, "more than once"),
        (VERSION | TOKEN | {"anthropic-beta": "oauth-2025-04-20,"}, 400, "a flag is empty"),
        (VERSION | KEY | {"anthropic-beta": "oauth-2025-04-20"}, 400, "does not go with an API key"),
        (VERSION | TOKEN | {"authorization": "Basic sk-ant-oat01-x"}, 401, "Invalid authorization header"),
        (VERSION | TOKEN | {"authorization": "Bearer hunter2"}, 401, "Invalid bearer token"),
        (VERSION | {"x-api-key": "hunter2"}, 401, "invalid x-api-key"),
        (TOKEN, 400, "anthropic-version: header is required"),
        (TOKEN | {"anthropic-version": "2024-01-01"}, 400, "is not a valid version"),
        (VERSION | TOKEN | {"origin": "https://page.test"}, 401, "CORS"),
        (VERSION | TOKEN | {"cookie": "a=b"}, 400, "cookie"),
        (VERSION | TOKEN | {"x-aixtiv-account": "work"}, 400, "x-aixtiv-account"),
        (VERSION | TOKEN | {"proxy-authorization": "Basic eA=="}, 400, "proxy-authorization"),
        (VERSION | TOKEN | {"connection": "x-mine"}, 400, "connection"),
    ],
)
async def test_a_head_that_breaks_a_rule_is_refused_in_claudes_words_and_recorded(
    claude: Claude, http: aiohttp.ClientSession, headers: dict[str, str], status: int, sentence: str
) -> None:
    async with http.post(f"{claude.url}/v1/messages", json=ASKED, headers=headers) as answer:
        said = await answer.json()
    assert (answer.status, said["type"], set(said)) == (status, "error", {"type", "error", "request_id"})
    assert sentence in said["error"]["message"]
    assert json.loads(claude.last.body) == ASKED


@pytest.mark.parametrize("hosts", [0, 2])
async def test_exactly_one_host_is_expected(claude: Claude, hosts: int) -> None:
    head = "GET /v1/models HTTP/1.1\r\n" + "Host: a.test\r\n" * hosts
    assert await said_to(claude, head) == 400


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("POST", "/v1/message", 404),
        ("POST", "/v1/messages/", 404),
        ("POST", "/v1//messages", 404),
        ("POST", "/v1/%6Dessages", 404),
        ("POST", "/v1/oauth/token", 404),
        ("POST", "/anything", 404),
        ("GET", "/v1/messages", 405),
        ("GET", "/v1/models/nobody", 404),
        ("GET", "/v1/models/claude-sonnet-4-6", 200),
    ],
)
async def test_only_the_apis_own_paths_are_there(
    claude: Claude, http: aiohttp.ClientSession, method: str, target: str, status: int
) -> None:
    url = URL(f"{claude.url}{target}", encoded=True)
    async with http.request(method, url, headers=KEY | VERSION) as answer:
        assert answer.status == status
    assert claude.last.target == target


async def test_credentials_are_accepted_revoked_and_limited_as_a_test_says(
    claude: Claude, http: aiohttp.ClientSession
) -> None:
    async def status(token: str) -> int:
        headers = TOKEN | VERSION | {"authorization": f"Bearer {token}"}
        async with http.get(f"{claude.url}/v1/models", headers=headers) as answer:
            return answer.status

    assert await status("at-1") == 401
    claude.credentials.accept_prefix("at-")
    assert await status("at-1") == 200
    claude.credentials.revoke("at-1")
    assert (await status("at-1"), await status("at-2")) == (401, 200)
    claude.credentials.accept_only("at-3")
    assert (await status("at-2"), await status("at-3"), await status("sk-ant-oat01-x")) == (401, 200, 401)
    claude.credentials.accept("at-4", seconds=-1)
    assert await status("at-4") == 401
    claude.renew()
    assert await status("sk-ant-oat01-x") == 200


async def test_a_stream_has_claudes_events_and_pings(claude: Claude, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{claude.url}/v1/messages", json=ASKED | {"stream": True}, headers=KEY | VERSION) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        text = await answer.text()
    assert [line[7:] for line in text.splitlines() if line.startswith("event: ")] == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * 4,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert claude.last.over


@pytest.mark.parametrize("name", CODINGS)
def test_what_is_encoded_can_be_read_again_by_others(name: str, tmp_path: Path) -> None:
    """Node's zlib and Debian's zstd are the others; both of them are strict."""
    made, content = coding(name), [b"a word. ", b"x" * 200_000, b"the end"]
    (tmp_path / "encoded").write_bytes(b"".join(made.piece(piece) for piece in content) + made.end())
    read = "process.stdout.write(require('zlib').%s(require('fs').readFileSync('encoded')))"
    script = {"gzip": read % "gunzipSync", "br": read % "brotliDecompressSync"}
    arguments = ["-dc", "encoded"] if name == "zstd" else ["-e", script[name]]
    other = command("zstd", package="zstd") if name == "zstd" else command("node", package="nodejs")
    assert subprocess.run([other, *arguments], cwd=tmp_path, capture_output=True, check=True).stdout == b"".join(
        content
    )


@pytest.mark.parametrize(
    ("model", "status"),
    [("fail-429", 429), ("fail-529", 529), ("fail-500", 500), ("fail-401", 401), ("fail-403", 403), ("fail-html", 200)],
)
async def test_a_models_name_asks_for_a_failure(
    claude: Claude, http: aiohttp.ClientSession, model: str, status: int
) -> None:
    for _ in range(2):
        async with http.post(f"{claude.url}/v1/messages", json=ASKED | {"model": model}, headers=KEY | VERSION) as said:
            assert said.status == status
            assert (said.headers.get("retry-after") == "7") == (status == 429)


async def test_a_failure_that_comes_once(claude: Claude, http: aiohttp.ClientSession) -> None:
    asked = ASKED | {"model": "fail-401-once"}
    statuses = []
    for _ in range(3):
        async with http.post(f"{claude.url}/v1/messages", json=asked, headers=KEY | VERSION) as answer:
            statuses.append(answer.status)
    assert statuses == [401, 200, 200]


@pytest.mark.parametrize("where", ["fail-closed", "fail-cut-head", "fail-cut"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_connection_is_cut_where_it_is_told(
    claude: Claude, http: aiohttp.ClientSession, where: str, stream: bool
) -> None:
    asked = ASKED | {"model": where, "stream": stream}

    async def ask() -> None:
        async with http.post(f"{claude.url}/v1/messages", json=asked, headers=KEY | VERSION) as answer:
            assert where != "fail-closed"
            await answer.read()

    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError)):
        await ask()
    await claude.until(gone=1)
    assert bool(claude.last.said) == (where == "fail-cut")


async def test_an_error_event_ends_a_stream_that_began_well(claude: Claude, http: aiohttp.ClientSession) -> None:
    asked = ASKED | {"model": "fail-error-event", "stream": True}
    async with http.post(f"{claude.url}/v1/messages", json=asked, headers=KEY | VERSION) as answer:
        assert answer.status == 200
        assert (await answer.text()).rstrip().splitlines()[-2] == "event: error"


async def test_a_silent_stream_goes_on_when_it_is_released(claude: Claude, http: aiohttp.ClientSession) -> None:
    claude.set_weather(Weather(silence=3, encoding="identity"))
    asked = ASKED | {"stream": True}
    async with http.post(f"{claude.url}/v1/messages", json=asked, headers=KEY | VERSION) as answer:
        for _ in range(9):
            await answer.content.readline()
        await claude.until(silent=1)
        claude.release()
        assert b"message_stop" in await answer.read()


async def test_a_caller_who_hangs_up_is_noticed(claude: Claude) -> None:
    claude.set_weather(Weather(silence=3))
    async with aiohttp.ClientSession() as http:
        asked = ASKED | {"stream": True}
        async with http.post(f"{claude.url}/v1/messages", json=asked, headers=KEY | VERSION):
            await claude.until(silent=1)
    await claude.until(gone=1)
    assert not claude.last.over


async def test_a_large_body_is_refused_before_it_has_arrived(claude: Claude) -> None:
    for due, size in ((weather.too_large(), 1000), (Weather(), 33 * 1024 * 1024)):
        claude.set_weather(due)
        head = f"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n"
        assert await said_to(claude, head, b"foo") == 413


async def test_a_file_of_hundred_megabytes_is_hashed_and_not_kept(claude: Claude, http: aiohttp.ClientSession) -> None:
    piece, digest = b"\x07" * 1024 * 1024, hashlib.sha256()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            digest.update(piece)
            yield piece

    async with http.post(f"{claude.url}/v1/files", data=pieces(), headers=KEY | VERSION) as answer:
        assert (await answer.json())["size_bytes"] == 100 * 1024 * 1024
    assert claude.last.sha256 == digest.hexdigest()
    assert len(claude.last.body) < 64 * 1024 * 1024


async def test_connections_that_idle_are_closed_unannounced(claude: Claude, http: aiohttp.ClientSession) -> None:
    async def ask() -> int:
        async with http.get(f"{claude.url}/v1/models", headers=KEY | VERSION) as answer:
            assert "connection" not in answer.headers
            return len((await answer.json())["data"])

    await ask()
    await ask()
    assert claude.connections == 1
    claude.close_idle()
    await ask()
    assert claude.connections == 2
    claude.set_weather(Weather(close=True))
    await ask()
    await ask()
    assert claude.connections == 3


async def test_it_speaks_tls_with_a_certificate_of_this_machine(folder: Path, http: aiohttp.ClientSession) -> None:
    context = certificate(folder)
    async with (
        Claude(tls=context) as claude,
        http.get(f"{claude.url}/v1/models", headers=KEY | VERSION, ssl=False) as a,
    ):
        assert a.status == 200
    assert claude.url.startswith("https://")


def test_as_a_process_it_is_told_and_tells_through_its_control_path() -> None:
    with claude_process("--accept-prefix", "at-") as claude:
        claude.revoke("at-2")
        claude.set_weather(weather.overloaded())
        script = (
            "import sys, urllib.request, urllib.error\n"
            "for token in ('at-1', 'at-1', 'at-2'):\n"
            "    headers = {'anthropic-version': '2023-06-01', 'anthropic-beta': 'oauth-2025-04-20'}\n"
            "    headers['authorization'] = f'Bearer {token}'\n"
            "    request = urllib.request.Request(sys.argv[1], headers=headers)\n"
            "    try: print(urllib.request.urlopen(request).status)\n"
            "    except urllib.error.HTTPError as error: print(error.code)\n"
        )
        python = [sys.executable, "-c", script, f"{claude.url}/v1/models"]
        ran = subprocess.run(python, capture_output=True, text=True, check=True)
        assert ran.stdout.split() == ["529", "200", "401"]
        assert [sent(heard, "authorization") for heard in claude.requests] == ["Bearer at-1"] * 2 + ["Bearer at-2"]
