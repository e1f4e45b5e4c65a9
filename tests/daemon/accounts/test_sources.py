"""A client's own tokens, those that a command prints, and how both are kept."""

import shlex
import time
from pathlib import Path

import anyio
import msgspec
import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.requests import ClientCredentials, Command
from aixtiv_protocol.secret import Secret
from aixtivd.accounts.grant import Grant, from_row, to_row
from aixtivd.accounts.sources import PRINTED_LIFE
from aixtivd.config import ProviderConfig
from aixtivd.errors import Locked, Misconfigured, NoProvider, Unreachable
from aixtivd.vault.rows import Row
from peers.authorization import AuthorizationServer, Settings
from peers.clock import FakeClock
from peers.house import Opener
from peers.sourced import another, bind, by_rule, counting, printing

# Client credentials


async def test_a_client_gets_its_own_token_by_its_secret(house: Opener) -> None:
    async with AuthorizationServer(Settings(access_ttl=600)) as server, house(FakeClock(time.time()), real=True) as h:
        settings = {"issuer": server.issuer, "client_id": "basic", "client_secret": Secret(server.secret)}
        account = await bind(h, ClientCredentials(), "robot", "robot", settings=settings, scopes=("api:read",))
        assert (account.kind, account.state, account.scopes) == ("client-credentials", "fresh", ("api:read",))
        first = await h.token("robot")
        verified = await h.accounts.verify(requests.Verify(account="robot"))
        assert verified.active
        h.clock.advance(500)
        await server.until(requests=2)
        while await h.token("robot") == first:
            await anyio.lowlevel.checkpoint()
        assert server.grants.active(await h.token("robot"))
        assert (await h.accounts.logout(requests.Logout(account="robot"))).revoked
        assert await h.vault.rows() == []


async def test_a_client_without_a_secret_has_no_credentials(house: Opener) -> None:
    async with AuthorizationServer() as server, house(FakeClock(time.time()), real=True) as h:
        with pytest.raises(NoProvider, match="only to one that has a secret") as raised:
            await bind(
                h, ClientCredentials(), "robot", "robot", settings={"issuer": server.issuer, "client_id": "native"}
            )
        assert raised.value.hint.endswith("--client-credentials --client-secret")


# Commands


async def test_what_a_command_prints_is_served_and_asked_for_again(house: Opener, folder: Path) -> None:
    count, command = counting(folder)
    async with house() as h:
        account = await bind(h, Command(command=command), endpoint="https://api.example/v1/messages")
        assert (account.kind, account.expires_at) == ("command", int(h.clock.wall() + PRINTED_LIFE))
        assert await h.token("claude") == "token-1"
        h.clock.advance(330)
        assert await another(h, "claude", "token-1") == "token-2"
        found = await h.accounts.credential("")
        assert (found.kind, found.endpoint) == ("command", "https://api.example")
        h.clock.advance(5)
        better = await h.accounts.credential("", refused=found)
        assert (found.secret, better.secret) == (Secret("token-2"), Secret("token-3"))
        told = await h.accounts.logout(requests.Logout(account="claude"))
        assert told.note == f"whatever {command[0]} has its tokens from is as it was"
        assert len(count.read_text().splitlines()) == 3


async def test_ant_keeps_its_own_sign_in_and_that_is_said(house: Opener, folder: Path) -> None:
    ant = folder / "ant"
    ant.write_text("#!/bin/sh\necho token\n")
    ant.chmod(0o700)
    async with house() as h:
        await bind(h, Command(command=(str(ant),)))
        told = await h.accounts.logout(requests.Logout(account="claude"))
        assert told.note == f"{ant} keeps its own sign-in: end it there"


async def test_a_command_that_fails_is_said_and_a_key_does_not_pay_for_it(house: Opener, folder: Path) -> None:
    async with house() as h:
        command = printing(folder, "echo token-1")
        await bind(h, Command(command=command))
        for text, kind, words in (
            ("echo hunter2; exit 1", Unreachable, "ended with status 1; what it says itself is not shown here"),
            ("echo hunter2; echo and more", Misconfigured, "prints something else than one token"),
            ("true", Misconfigured, "prints something else than one token"),
        ):
            printing(folder, text)
            with pytest.raises(kind, match=words) as raised:
                await h.accounts.refresh(requests.Refresh(account="claude"))
            assert "hunter2" not in raised.value.sentence + raised.value.hint
            assert raised.value.hint == f"{shlex.join(command)} > /dev/null"
        printing(folder, "exit 1")
        h.clock.sleep(3600)
        with pytest.raises(Unreachable):
            await h.accounts.credential("", key=Secret("sk-ant-api-x"), wait=0.5)


async def test_a_source_whose_tokens_live_a_moment_is_not_asked_in_a_loop(house: Opener, folder: Path) -> None:
    async with house() as h:
        await bind(h, Command(command=printing(folder, "echo token-1")))
        entry = h.accounts._book.named("claude")
        entry.adopt(msgspec.structs.replace(entry.grant, lifetime=1.0, expires_at=h.clock.wall() + 1), h.clock)
        h.accounts._refresher.plan(entry)
        assert entry.due is not None
        assert entry.due - h.clock.steady() >= 25


async def test_the_same_failure_is_told_once_however_often_it_recurs(
    house: Opener, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house() as h:
        told: list[str] = []
        monkeypatch.setattr(h.audit, "note", lambda what, *_, **__: told.append(what))
        await bind(h, Command(command=printing(folder, "echo token-1")))
        printing(folder, "exit 1")
        for _ in range(3):
            with pytest.raises(Unreachable):
                await h.accounts.refresh(requests.Refresh(account="claude"))
        printing(folder, "exit 2")
        with pytest.raises(Unreachable):
            await h.accounts.refresh(requests.Refresh(account="claude"))
        assert told == ["sign-in", "oauth2_token_error", "oauth2_token_error"]


async def test_lock_does_not_wait_for_a_command_that_hangs(house: Opener, folder: Path) -> None:
    async with house() as h:
        command = printing(folder, "echo token-1")
        await bind(h, Command(command=command, timeout=300.0))
        printing(folder, "exec sleep 600")
        async with anyio.create_task_group() as tasks:

            async def refresh() -> None:
                with pytest.raises(Locked):
                    await h.accounts.refresh(requests.Refresh(account="claude", wait=3000))

            tasks.start_soon(refresh)
            while not h.accounts._book.named("claude").flying:
                await anyio.lowlevel.checkpoint()
            with anyio.fail_after(20):
                await h.accounts.lock()
        printing(folder, "echo token-2")
        await h.accounts.unlock(requests.Unlock())
        assert await h.token("claude") == "token-1"


async def test_a_slow_answer_does_not_overwrite_another_source(house: Opener, folder: Path) -> None:
    async with house() as h:
        go = folder / "go"
        slow = printing(folder, f"test -e {go} && while test -e {go}; do sleep 0.01; done; echo slow", "slow")
        await bind(h, Command(command=slow))
        go.touch()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(h.accounts.refresh, requests.Refresh(account="claude"))
            while not h.accounts._book.named("claude").flying:
                await anyio.lowlevel.checkpoint()
            await bind(h, Command(command=printing(folder, "echo fast", "fast")))
            go.unlink()
        assert await h.token("claude") == "fast"
        assert (await h.stored("claude")).access_token == Secret("fast")


# The sealed record


async def test_a_record_of_before_decodes_and_a_source_survives_the_disk() -> None:
    fields = {
        "id": b"i" * 16,
        "name": "corp",
        "provider": "corp",
        "generation": 3,
        "refresh_token": "rt",
        "lifetime": 60,
    }
    old = from_row(Row(b"i" * 16, 3, msgspec.msgpack.encode(fields)))
    assert (old.source, old.endpoint, old.refresh_token) == (None, "", Secret("rt"))
    for source in (by_rule(identity_account="corp"), ClientCredentials(), Command(command=("/bin/true",))):
        grant = Grant(id=b"i" * 16, name="x", provider="anthropic", source=source, endpoint="https://x.example")
        assert from_row(to_row(grant)) == grant


async def test_a_provider_of_the_config_is_enough(house: Opener, folder: Path) -> None:
    async with AuthorizationServer() as server:
        secret = folder / "secret"
        secret.write_text(server.secret)
        table = ProviderConfig(
            token_endpoint=f"{server.issuer}/token",
            client_id="post",
            client_auth="post",
            client_secret_file=str(secret),
            scopes=("api:read",),
        )
        async with house(FakeClock(time.time()), real=True, provider={"robot": table}) as h:
            account = await bind(h, ClientCredentials(), "robot", "")
            assert account.scopes == ("api:read",)
