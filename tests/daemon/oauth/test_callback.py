"""The loopback listener: how a sign-in arrives there, and how its owner comes and goes."""

import asyncio
import errno
import re

import anyio
import pytest

from aixtivd.oauth.callback import CallbackListener, Page, Response
from peers.knocking import GOOD, Owner, ask, client, listening


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_the_code_arrives_on_both_loopback_addresses(address: str) -> None:
    owner = Owner()
    async with listening(owner) as listener:
        status, _, body = await ask(listener, address=address)
    assert status == 200
    assert "ada is signed in at p." in body
    assert owner.heard[0].code
    assert owner.heard[0].code.reveal() == "abc"
    assert owner.heard[0].state == "right"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
async def test_it_is_reached_by_each_of_its_names(host: str) -> None:
    async with listening(Owner()) as listener:
        assert (await ask(listener, host=f"{host}:{listener.port}"))[0] == 200


async def test_a_navigation_from_the_providers_site_is_what_a_callback_is() -> None:
    """A browser marks it as cross-site, by nature (D10)."""
    headers = (
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
        "Referer: https://provider.example/\r\nCookie: left=over\r\n"
    )
    async with listening(Owner()) as listener:
        assert (await ask(listener, headers=headers))[0] == 200


async def test_the_page_is_not_written_before_the_answer_is() -> None:
    owner = Owner()
    owner.may_answer = anyio.Event()
    async with listening(owner) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(f"GET {GOOD} HTTP/1.1\r\nHost: localhost:{listener.port}\r\n\r\n".encode())
        await owner.asked.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        owner.may_answer.set()
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_the_page_is_still_written_when_the_owner_leaves_at_once() -> None:
    owner = Owner()
    owner.may_answer = anyio.Event()
    async with listening(owner) as listener:
        asking = asyncio.ensure_future(ask(listener))
        await owner.asked.wait()
        asyncio.get_running_loop().call_later(0.05, owner.may_answer.set)
    assert (await asking)[0] == 200


async def test_a_browser_that_hangs_up_does_not_cut_the_answer() -> None:
    owner = Owner()
    finished = anyio.Event()

    async def answer(response: Response) -> Page:
        page = await owner.answer(response)
        finished.set()
        return page

    owner.may_answer = anyio.Event()
    async with CallbackListener(client(), 0, answer) as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(f"GET {GOOD} HTTP/1.1\r\nHost: localhost:{listener.port}\r\n\r\n".encode())
        await owner.asked.wait()
        writer.transport.abort()
        owner.may_answer.set()
        await finished.wait()


async def test_it_is_used_once() -> None:
    owner = Owner()
    async with listening(owner) as listener:
        assert (await ask(listener))[0] == 200
        status, _, body = await ask(listener)
        assert status == 410
        assert "finished before" in body
    assert len(owner.heard) == 1


async def test_two_browsers_at_once_are_answered_one_after_the_other_and_one_wins() -> None:
    owner = Owner()
    owner.may_answer = anyio.Event()
    async with listening(owner) as listener:
        asking = [asyncio.ensure_future(ask(listener)) for _ in range(5)]
        while listener._due < 5:
            await anyio.wait_all_tasks_blocked()
        owner.may_answer.set()
        statuses = [status for status, _, _ in await asyncio.gather(*asking)]
    assert sorted(statuses) == [200, 410, 410, 410, 410]
    assert len(owner.heard) == 1


async def test_a_refusal_of_the_provider_reaches_the_owner_and_the_person() -> None:
    owner = Owner()
    async with listening(owner) as listener:
        target = "/callback?error=access_denied&error_description=%3Cb%3ENo%3C%2Fb%3E&state=right"
        status, _, body = await ask(listener, target)
    assert status == 400
    assert owner.heard[0].error == "access_denied"
    assert "access_denied: &lt;b&gt;No&lt;/b&gt;" in body


async def test_a_defect_behind_the_answer_ends_in_a_page() -> None:
    async def answer(_: Response) -> Page:
        raise ZeroDivisionError("secret")

    async with CallbackListener(client(), 0, answer) as listener:
        status, _, body = await ask(listener)
    assert status == 400
    assert "aixtiv itself failed" in body
    assert "secret" not in body


async def test_an_error_of_the_owner_passes_through_unchanged() -> None:
    with pytest.raises(KeyError):
        async with listening(Owner()):
            raise KeyError


async def test_an_owner_who_is_cancelled_leaves_like_any_other() -> None:
    owner = Owner()
    with anyio.CancelScope() as scope:
        async with listening(owner) as listener:
            _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    writer.close()

    async def own(listens_now: asyncio.Future[int]) -> None:
        async with listening(owner) as listener:
            listens_now.set_result(listener.port)
            await anyio.sleep_forever()

    listens_now: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(own(listens_now))
    port = await listens_now
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(OSError, match=f"{errno.ECONNREFUSED}"):
        await asyncio.open_connection("127.0.0.1", port)


async def test_the_answer_carries_every_header_that_protects_it() -> None:
    async with listening(Owner()) as listener:
        _, head, body = await ask(listener)
    assert re.search(
        r"content-security-policy: default-src 'none'; style-src 'sha256-[\w+/=]{44}'", head, re.IGNORECASE
    )
    assert "Referrer-Policy: no-referrer" in head
    assert "Cache-Control: no-store" in head
    assert "X-Content-Type-Options: nosniff" in head
    assert "Connection: close" in head
    assert "server" not in head.lower()
    assert int(re.findall(r"Content-Length: (\d+)", head)[0]) == len(body.encode())
