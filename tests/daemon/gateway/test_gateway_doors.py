"""Who may come in by which door: browsers never, ports with a ticket only, and what is refused is recorded."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from aixtivd.access.denials import AT_ONCE
from aixtivd.gateway.bounds import Bounds
from peers.porch import GOOD, Porch, Said, bearer, get, porch, post

QUICK = Bounds(parting=0.2)


@asynccontextmanager
async def with_port(folder: Path) -> AsyncIterator[tuple[Porch, int]]:
    """A port of the ticket t1's own."""
    async with porch(folder, QUICK) as side:
        yield side, await side.gateway.open_port("t1")


def refused(side: Porch) -> str:
    """What was recorded, one denial; nothing was relayed."""
    assert side.desk.calls == []
    ((caller, sentence),) = side.book.denied
    assert caller.uid == os.geteuid()
    return sentence


@pytest.mark.parametrize("shown", [[bearer()], [f"x-api-key: {GOOD}"], [bearer(), f"X-API-Key: {GOOD}"]])
async def test_a_ticket_opens_its_port_in_whichever_header_it_stands(folder: Path, shown: list[str]) -> None:
    async with with_port(folder) as (side, port):
        for name in ("127.0.0.1", "localhost", "LocalHost", "[::1]"):
            heard = await side.ask(post(b"{}", *shown, "x-agent-id: agent 7", host=f"{name}:{port}"), port)
            assert heard.status == 200
        call = side.desk.calls[0]
        assert (call.account, call.caller.ticket, call.caller.program) == ("anthropic/work", "t1", "/bin/holder")
        assert (call.caller.pid, call.caller.uid, call.caller.agent) == (0, os.geteuid(), "agent 7")
        assert not [value for _, value in call.headers if GOOD in value], "a ticket is for nobody but us"
        assert side.tickets.ports == {"t1": port}


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "localhost",
        "localhost:1",
        "127.0.0.1.nip.io:{port}",
        "[::]:{port}",
        "0.0.0.0:{port}",
        "127.0.0.2:{port}",
        "localhost.:{port}",
        "127.1:{port}",
        "a@127.0.0.1:{port}",
    ],
)
async def test_a_name_that_is_not_the_ports_own_is_a_rebinding(folder: Path, host: str) -> None:
    async with with_port(folder) as (side, port):
        heard = await side.ask(get("/v1/models", bearer(), host=host.format(port=port)), port)
        assert (heard.status, heard.error) == (403, ("permission_error", "this port is not reached by that name"))
        assert refused(side) == "this port is not reached by that name"


@pytest.mark.parametrize(
    "header",
    [
        "Origin: https://evil.example",
        "Origin: null",
        "Origin: http://127.0.0.1:{port}",
        "Referer: http://evil.example/",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-origin",
        "sec-fetch-dest: empty",
        "Sec-Fetch-User: ?1",
    ],
)
async def test_what_a_browser_sends_is_refused_even_with_a_ticket(folder: Path, header: str) -> None:
    async with with_port(folder) as (side, port):
        heard = await side.ask(get("/v1/models", bearer(), header.format(port=port), host=f"127.0.0.1:{port}"), port)
        assert heard.status == 403
        assert heard.error[1].endswith("comes from a browser, and none is served here")
        assert not [name for name, _ in heard.headers if name.lower().startswith("access-control-")]
        assert refused(side).endswith("comes from a browser, and none is served here")


async def test_nodes_own_fetch_is_no_browser(folder: Path) -> None:
    """It sends this one header of a browser's; the official TypeScript SDK calls with it."""
    async with with_port(folder) as (side, port):
        heard = await side.ask(get("/v1/models", bearer(), "sec-fetch-mode: cors", host=f"127.0.0.1:{port}"), port)
        assert heard.status == 200


async def test_a_preflight_gets_no_leave(folder: Path) -> None:
    asks = ("Origin: https://evil.example", "Access-Control-Request-Method: POST")
    private = ("Access-Control-Request-Headers: authorization", "Access-Control-Request-Private-Network: true")
    async with with_port(folder) as (side, port):
        for at in (0, port):
            heard = await side.ask(get("/v1/messages", *asks, *private, host=f"127.0.0.1:{port}", method="OPTIONS"), at)
            assert heard.status in {400, 403}
            assert {name for name, _ in heard.headers} == {"content-type", "content-length", "connection"}
        assert side.desk.calls == []


async def test_a_form_of_a_page_is_refused(folder: Path) -> None:
    """It needs no preflight: it arrives."""
    form = ("Content-Type: application/x-www-form-urlencoded", "Origin: null", "Cookie: a=b")
    async with with_port(folder) as (side, port):
        for at in (0, port):
            heard = await side.ask(post(b'{"model":"x"}=', *form, host=f"127.0.0.1:{port}"), at)
            assert heard.status == 403
        assert side.desk.calls == []


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        ([], "a ticket is needed here"),
        (["Authorization: Bearer sk-ant-api03-real"], "what is shown here is no ticket of aixtiv's"),
        (["x-api-key: sk-ant-api03-real"], "what is shown here is no ticket of aixtiv's"),
        ([bearer("aixtiv-ticket-wrong")], "that is no ticket of this daemon's"),
        ([f"Authorization: Basic {GOOD}"], "a ticket is needed here"),
        ([f"Authorization: {GOOD}"], "a ticket is needed here"),
        ([bearer(), "x-api-key: sk-ant-api03-real"], "Authorization and x-api-key show two different credentials"),
        ([bearer(), "x-api-key: aixtiv-ticket-x"], "Authorization and x-api-key show two different credentials"),
        ([f"Cookie: ticket={GOOD}"], "a ticket is needed here"),
    ],
)
async def test_a_port_without_a_good_ticket_is_a_401_in_claudes_words(
    folder: Path, shown: list[str], sentence: str
) -> None:
    async with with_port(folder) as (side, port):
        heard = await side.ask(get("/v1/models", *shown, host=f"127.0.0.1:{port}"), port)
        assert (heard.status, heard.error[0]) == (401, "authentication_error")
        assert heard.error[1].partition("; run: ")[0] == sentence
        assert "aixtiv ticket" in heard.error[1]
        assert "sk-ant" not in heard.body.decode()
        assert refused(side) == sentence


async def test_a_ticket_in_the_address_is_none(folder: Path) -> None:
    async with with_port(folder) as (side, port):
        heard = await side.ask(get(f"/v1/models?key={GOOD}", host=f"127.0.0.1:{port}"), port)
        assert heard.status == 401


async def test_a_ticket_that_ended_closes_its_port_and_cuts_off_what_it_has_open(folder: Path) -> None:
    async with with_port(folder) as (side, port), await side.caller(port) as idle:
        side.desk.said = Said(headers=(), steps=(b"x", anyio.sleep_forever))
        async with await side.caller(port) as wire, await side.caller() as other:
            wire.say(get("/v1/models", bearer(), host=f"127.0.0.1:{port}"))
            assert (await wire.hear_head()).status == 200
            other.say(get("/v1/models", bearer()))  # the same ticket, by another door
            assert (await other.hear_head()).status == 200
            side.tickets.end("t1")
            for one in (wire, other):
                await one.reader.read()  # to its end
            assert await idle.closed()
            assert await refuses_connections(side, port)
        assert side.desk.cancelled == 2


async def refuses_connections(side: Porch, port: int) -> bool:
    """In the loop's next turns."""
    for _ in range(100):
        try:
            (await side.caller(port)).writer.close()
        except ConnectionRefusedError:
            return True
    return False


async def test_a_port_is_for_its_own_ticket_only(folder: Path) -> None:
    async with with_port(folder) as (side, port):
        other = side.tickets.add("t2")
        for at in (port, await side.gateway.open_port("t2")):
            shown = other if at == port else GOOD
            heard = await side.ask(get("/v1/models", bearer(shown), host=f"127.0.0.1:{at}"), at)
            assert (heard.status, heard.error[0]) == (401, "authentication_error")
        assert side.desk.calls == []
        assert [caller.ticket for caller, _ in side.book.denied] == ["t2", "t1"]


async def test_a_ticket_for_something_else_is_a_403(folder: Path) -> None:
    async with porch(folder, QUICK) as side:
        secret = side.tickets.add("t3", verbs=("token",))
        for port in (0, await side.gateway.open_port("t3")):
            heard = await side.ask(get("/v1/models", bearer(secret), host=f"127.0.0.1:{port}"), port)
            assert (heard.status, heard.error[0]) == (403, "permission_error")
            assert "not for relay" in heard.error[1]


async def test_on_a_port_the_account_is_the_tickets(folder: Path) -> None:
    async with with_port(folder) as (side, port):
        for account, status in (("anthropic/work", 200), ("github", 403)):
            shown = (bearer(), f"x-aixtiv-account: {account}")
            heard = await side.ask(get("/v1/models", *shown, host=f"127.0.0.1:{port}"), port)
            assert heard.status == status
        assert [call.account for call in side.desk.calls] == ["anthropic/work"]
        assert [(caller.ticket, sentence) for caller, sentence in side.book.denied] == [
            ("t1", "this ticket is for another account")
        ]


async def test_while_the_vault_is_locked_a_ticket_is_not_wrong(folder: Path) -> None:
    async with with_port(folder) as (side, port):
        side.tickets.locked = True
        heard = await side.ask(get("/v1/models", bearer(), host=f"127.0.0.1:{port}"), port)
        assert (heard.status, heard.error) == (403, ("permission_error", "the vault is locked; run: aixtiv unlock"))
        assert refused(side) == "the vault is locked"


@pytest.mark.parametrize(
    ("headers", "account", "ticket"),
    [
        ([], "", ""),
        (["x-aixtiv-account: github"], "github", ""),
        ([bearer()], "anthropic/work", "t1"),
        ([f"x-api-key: {GOOD}"], "anthropic/work", "t1"),
        ([bearer(), "X-Aixtiv-Account: anthropic/work"], "anthropic/work", "t1"),
        (["Authorization: Bearer sk-ant-oat01-x", "x-api-key: sk-ant-api03-y"], "", ""),
        (["Authorization: Basic abc"], "", ""),
    ],
)
async def test_the_unix_socket_needs_no_ticket_and_takes_one(
    folder: Path, headers: list[str], account: str, ticket: str
) -> None:
    async with porch(folder, QUICK) as side:
        heard = await side.ask(get("/v1/models", *headers, "x-agent-id: a", host="anything.example"))
        assert heard.status == 200
        (call,) = side.desk.calls
        assert (call.account, call.caller.ticket, call.caller.agent) == (account, ticket, "a")
        assert (call.caller.pid, call.caller.uid) == (os.getpid(), os.geteuid())
        assert {name.lower() for name, _ in call.headers} == {"host", "x-agent-id"}


async def test_on_the_unix_socket_too_a_ticket_opens_no_other_account(folder: Path) -> None:
    async with porch(folder, QUICK) as side:
        heard = await side.ask(get("/v1/models", bearer(), "X-Aixtiv-Account: github"))
        assert (heard.status, heard.error) == (403, ("permission_error", "this ticket is for another account"))
        assert side.desk.calls == []
        assert refused(side) == "this ticket is for another account"


async def test_a_wrong_ticket_is_wrong_on_the_unix_socket_too(folder: Path) -> None:
    async with porch(folder, QUICK) as side:
        heard = await side.ask(get("/v1/models", bearer("aixtiv-ticket-wrong")))
        assert (heard.status, heard.error[0]) == (401, "authentication_error")
        assert refused(side) == "that is no ticket of this daemon's"


async def test_a_page_is_refused_on_the_unix_socket_too(folder: Path) -> None:
    async with porch(folder, QUICK) as side:
        assert (await side.ask(get("/v1/models", "Origin: https://evil.example"))).status == 403
        assert refused(side)


async def test_an_agents_id_is_one_short_line(folder: Path) -> None:
    async with porch(folder, QUICK) as side:
        await side.ask(get("/v1/models", "x-agent-id: a\tb" + "c" * 1000))
        assert side.desk.calls[0].caller.agent == "ab" + "c" * 198


async def test_a_loop_of_denials_is_recorded_with_measure(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with with_port(folder) as (side, port):
        for _ in range(3 * AT_ONCE):
            assert (await side.ask(get(host=f"127.0.0.1:{port}"), port)).status == 401
        assert AT_ONCE <= len(side.book.denied) <= AT_ONCE + 2
        side.gateway._denials.flush()  # some time later
        assert side.book.denied[-1][1].endswith(" more before it were not recorded")
        logged = [record for record in caplog.records if record.message == "denied"]
        assert len(logged) == len(side.book.denied)
        assert GOOD not in caplog.text


async def test_whoever_is_turned_away_is_hung_up_on(folder: Path) -> None:
    async with with_port(folder) as (side, port), await side.caller(port) as wire:
        wire.say(get(host=f"127.0.0.1:{port}") + get("/v1/models", bearer(), host=f"127.0.0.1:{port}"))
        heard = await wire.hear()
        assert (heard.status, heard.all("connection")) == (401, ["close"])
        assert await wire.closed()
        assert side.desk.calls == []
