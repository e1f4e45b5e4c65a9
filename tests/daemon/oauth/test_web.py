"""What `Web` sends, refuses to send, and says about how far a request got."""

import asyncio
import ssl
import time
from pathlib import Path

import pytest

from aixtivd.config import Network
from aixtivd.errors import Misconfigured
from aixtivd.oauth.web import BODY_CAP, Answer, Web, WebFailure, check_url, tls_context
from peers.canned import Canned, raw, shelf
from peers.certificates import certificate


@pytest.mark.parametrize(
    "url",
    [
        "http://provider.example/token",
        "http://localhost.example/token",
        "http://127.0.0.1.example/token",
        "http://[::2]/token",
        "https://user:pw@provider.example/token",
        "ftp://provider.example/",
        "file:///etc/passwd",
        "provider.example/token",
        "https://",
        "https://[::1/token",
        "https://provider.example:port/",
        "https://evil\x1b[2J.example/",
        "https://evil.example/a b",
        "https://evil.example\\@provider.example/",
        "https://evil\u2028.example/",
        "https://evil.example/\ud800",
        "",
    ],
)
async def test_a_url_that_would_show_a_secret_or_is_none_is_never_sent_to(web: Web, url: str) -> None:
    with pytest.raises(Misconfigured):
        await web.send("POST", url, body=b"secret")


@pytest.mark.parametrize(
    "url",
    ["https://provider.example/x", "http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost/", "http://127.1.2.3/"],
)
def test_https_and_loopback_are_good_urls(url: str) -> None:
    assert check_url(url).hostname


async def test_a_redirect_is_an_answer_and_not_followed(web: Web) -> None:
    async with shelf() as there:
        there.put("/token", status=307, Location=f"{there.url}/elsewhere")
        answer = await web.send("POST", f"{there.url}/token", body=b"grant_type=refresh_token")
        assert answer.status == 307
        assert there.asked == ["/token"]


async def test_no_cookie_is_kept_and_the_agent_is_named_honestly(web: Web) -> None:
    async with shelf() as there:
        there.put("/", "hello", Set_Cookie="session=1; Path=/")
        by_name = there.url.replace("127.0.0.1", "localhost")  # cookies are kept for names only
        await web.send("GET", f"{by_name}/")
        await web.send("GET", f"{by_name}/")
        assert all("Cookie" not in headers for headers in there.headers)
        assert there.headers[1]["User-Agent"].startswith("aixtiv/")
        assert there.headers[1]["Accept"] == "application/json"


async def test_a_body_of_a_mebibyte_is_taken_and_one_byte_more_is_not(web: Web) -> None:
    async with shelf() as there:
        there.put("/", "x" * BODY_CAP)
        assert len((await web.send("GET", f"{there.url}/")).body) == BODY_CAP
        there.put("/", "x" * (BODY_CAP + 1))
        with pytest.raises(WebFailure, match="more than 1048576 bytes") as caught:
            await web.send("GET", f"{there.url}/")
        assert (caught.value.status, caught.value.maybe_sent) == (200, True)


async def test_the_clock_of_a_provider_is_measured(web: Web) -> None:
    async with shelf() as there:
        there.put("/", "", Date=date(time.time() + 300))
        await web.send("GET", f"{there.url}/")
        assert web.skews["127.0.0.1"] == pytest.approx(300, abs=1.5)


@pytest.mark.parametrize(
    "headers", [{"Date": "yesterday"}, {"Date": ""}, {"Date": "Fri, 15 Jan 2027 08:00:00 GMT", "Age": "7"}]
)
async def test_a_date_that_tells_no_time_is_not_measured(web: Web, headers: dict[str, str]) -> None:
    async with shelf() as there:
        there.answers["/"] = Canned("", 200, headers)
        await web.send("GET", f"{there.url}/")
        assert web.skews == {}


async def test_an_answer_is_shown_without_its_body() -> None:
    assert "secret" not in repr(Answer(200, {}, b"secret"))
    assert "secret" not in str(Answer(200, {}, b"secret").__rich_repr__())


async def test_a_name_that_does_not_resolve_was_not_sent_to(web: Web) -> None:
    with pytest.raises(WebFailure, match="does not resolve") as caught:
        await web.send("POST", "https://nobody.invalid/token", body=b"secret")
    assert not caught.value.maybe_sent


async def test_a_port_where_nobody_listens_was_not_sent_to(web: Web) -> None:
    async with raw(_say_nothing) as port:
        pass
    with pytest.raises(WebFailure, match="cannot be reached") as caught:
        await web.send("POST", f"http://127.0.0.1:{port}/token", body=b"secret")
    assert not caught.value.maybe_sent


async def test_a_handshake_that_fails_was_not_sent_to(web: Web) -> None:
    """A server that speaks plain HTTP where TLS is expected: a captive portal, say."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with raw(talk) as port:
        with pytest.raises(WebFailure) as caught:
            await web.send("POST", f"https://127.0.0.1:{port}/token", body=b"secret")
    assert not caught.value.maybe_sent


async def test_a_handshake_that_never_ends_was_not_sent_to(web: Web) -> None:
    async with raw(_say_nothing) as port:
        with pytest.raises(WebFailure, match="did not answer within") as caught:
            await web.send("POST", f"https://127.0.0.1:{port}/token", body=b"secret", timeout=0.3)
    assert not caught.value.maybe_sent


async def test_a_certificate_that_nobody_vouches_for_was_not_sent_to_and_the_ca_file_mends_it(folder: Path) -> None:
    context = certificate(folder)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        await writer.drain()

    async with raw(talk, ssl=context) as port:
        web = Web(Network())
        with pytest.raises(WebFailure, match="does not trust") as caught:
            await web.send("POST", f"https://127.0.0.1:{port}/", body=b"secret")
        assert not caught.value.maybe_sent
        await web.aclose()

        web = Web(Network(ca_file=str(folder / "cert.pem")))
        assert (await web.send("GET", f"https://127.0.0.1:{port}/")).body == b"hi"
        await web.aclose()


def test_tls_begins_at_1_2_and_certificates_and_names_are_checked() -> None:
    context = tls_context("")
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_a_ca_file_that_is_none_is_said(folder: Path) -> None:
    (folder / "ca.pem").write_text("no certificate")
    web = Web(Network(ca_file=str(folder / "ca.pem")))
    with pytest.raises(Misconfigured, match="not a file of PEM certificates"):
        await web.send("GET", "https://provider.example/")
    await web.aclose()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\nContent-Le", b"nonsense\r\n\r\n"])
async def test_a_request_that_was_read_and_not_answered_is_maybe_sent_and_never_repeated(
    web: Web, answer: bytes
) -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"grant")
        writer.write(answer)
        await writer.drain()

    async with raw(talk) as port:
        with pytest.raises(WebFailure) as caught:
            await web.send("POST", f"http://127.0.0.1:{port}/token", body=b"grant")
    assert caught.value.maybe_sent
    assert caught.value.status == 0
    assert connections == 1


async def test_a_body_that_is_cut_tells_the_head_that_came(web: Web) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Later\r\nRetry-After: 9\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()

    async with raw(talk) as port:
        with pytest.raises(WebFailure) as caught:
            await web.send("POST", f"http://127.0.0.1:{port}/token", body=b"grant")
    assert (caught.value.status, caught.value.headers["retry-after"]) == (503, "9")


async def test_no_connection_is_used_twice(web: Web) -> None:
    """A stale one is where clients resend by themselves."""
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")
            await writer.drain()

    async with raw(talk) as port:
        for _ in range(3):
            await web.send("GET", f"http://127.0.0.1:{port}/")
        await web.aclose()
    assert connections == 3


async def test_what_is_asked_through_a_proxy_that_refuses_was_not_sent() -> None:
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with raw(talk) as port, shelf() as there:
        web = Web(Network(proxy=f"http://127.0.0.1:{port}", no_proxy=(".direct.invalid",)))
        with pytest.raises(WebFailure, match="the proxy answered 407") as caught:
            await web.send("POST", "https://provider.invalid/token", body=b"secret")
        assert not caught.value.maybe_sent
        assert asked[0].startswith(b"CONNECT provider.invalid:443 ")
        assert b"secret" not in asked[0]

        with pytest.raises(WebFailure, match="does not resolve"):
            await web.send("GET", "https://idp.direct.invalid/")
        there.put("/", "here")
        assert (await web.send("GET", f"{there.url}/")).body == b"here"  # loopback never goes through a proxy
        assert len(asked) == 1
        await web.aclose()


async def test_a_proxy_that_is_not_there_is_said() -> None:
    async with raw(_say_nothing) as port:
        pass
    web = Web(Network(proxy=f"http://127.0.0.1:{port}"))
    with pytest.raises(WebFailure, match="the proxy does not answer") as caught:
        await web.send("POST", "https://provider.invalid/token", body=b"secret")
    assert not caught.value.maybe_sent
    await web.aclose()


async def test_one_provider_that_hangs_does_not_delay_another(web: Web) -> None:
    connected = 0
    all_hang = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        if connected == len(hanging):
            all_hang.set()
        await reader.read()

    async with raw(talk) as port, shelf() as there:
        there.put("/", "here")
        url = f"http://127.0.0.1:{port}/"
        hanging = [asyncio.ensure_future(web.send("GET", url, timeout=600)) for _ in range(120)]
        await asyncio.wait_for(all_hang.wait(), 10)
        assert (await web.send("GET", f"{there.url}/", timeout=10)).body == b"here"
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def _say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


def date(when: float) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(when))
