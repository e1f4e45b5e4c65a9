"""An API is data: the ready-made one, what the config changes of it, and another by configuration alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec import structs

from aixtiv_protocol.secret import Secret
from aixtivd.access.rules import Rules
from aixtivd.config import ApiConfig, Config
from aixtivd.errors import BadRequest, Denied
from aixtivd.relay.api import OWN
from aixtivd.relay.apis import READY, api_for
from aixtivd.relay.apis.anthropic import API
from aixtivd.relay.relay import Relay
from peers.canned import Shelf, shelf
from peers.clock import FakeClock
from peers.house import House, granted
from peers.house import opened as opened_house
from peers.relaying import called


def test_claude_is_called_as_its_own_sdks_do() -> None:
    assert API.origin == "https://api.anthropic.com"
    assert API.key_header == "x-api-key"
    assert (API.flag_header, API.token_flag) == ("anthropic-beta", "oauth-2025-04-20")
    assert (API.paths, API.refused) == (("/v1/",), ("/v1/oauth/",))
    assert api_for(Config(), "anthropic/work", "anthropic") == API


def test_the_config_changes_what_it_names_and_what_is_refused_stays_refused() -> None:
    table = ApiConfig(origin="https://gateway.example/claude", refused=("/v1/files/",))
    api = api_for(Config(api={"anthropic": table}), "anthropic", "anthropic")
    assert api == structs.replace(API, origin=table.origin, refused=("/v1/oauth/", "/v1/files/"))


def test_what_is_said_of_an_account_counts_before_what_is_said_of_its_provider() -> None:
    tables = {name: ApiConfig(origin=f"https://{name.replace('/', '-')}.example") for name in ("github", "github/work")}
    config = Config(api=tables)
    assert api_for(config, "github/work", "github").origin == "https://github-work.example"
    assert api_for(config, "github/home", "github").origin == "https://github.example"


def test_an_api_that_nobody_knows_takes_a_bearer_and_has_nothing_particular() -> None:
    api = api_for(Config(api={"house": ApiConfig(origin="https://h.example", key_header="X-House-Key")}), "x", "house")
    assert api.key_header == "x-house-key"
    assert (api.token_flag, api.with_token, api.paths, api.refused) == ("", (), ("/",), ())
    assert api_for(Config(), "x", "house").key_header == OWN


@pytest.mark.parametrize("name", READY)
def test_a_ready_made_api_has_an_origin_and_its_paths_are_prefixes(name: str) -> None:
    api = READY[name]
    assert api.name == name
    assert api.origin.startswith("https://")
    assert all(path.startswith("/") and path.endswith("/") for path in (*api.paths, *api.refused))
    assert all(header == header.lower() for header in (api.key_header, api.flag_header, *api.with_token))


@asynccontextmanager
async def relayed(folder: object, **tables: ApiConfig) -> AsyncIterator[tuple[House, Relay]]:
    async with opened_house(folder, FakeClock(), api=tables) as house:  # type: ignore[arg-type]  # the fixture's Path
        relay = Relay(house.accounts, house.audit, house.config(), Rules(house.config()))
        try:
            yield house, relay
        finally:
            await relay.aclose()


async def answered(relay: Relay, there: Shelf, path: str, account: str) -> tuple[int, bytes]:
    async with relay.call(called("GET", path, ("Authorization", "Bearer mine"), account=account)) as answer:
        return answer.status, b"".join([piece async for piece in answer.pieces])


async def test_another_api_with_a_bearer_token_is_relayed_by_configuration_alone(folder: object) -> None:
    async with shelf() as there, relayed(folder, github=ApiConfig(origin=there.url)) as (house, relay):
        await house.adopt("github")
        there.put("/user", {"login": "octocat"})
        assert await answered(relay, there, "/user", "github") == (200, b'{"login":"octocat"}')
        assert there.headers[0]["Authorization"] == "Bearer access-0"
        assert "anthropic-beta" not in there.headers[0]

        there.put("/user", status=401)  # and so is its token refreshed
        house.script.answers = [granted(1)]
        assert (await answered(relay, there, "/user", "github"))[0] == 401
        assert [headers["Authorization"] for headers in there.headers[1:]] == ["Bearer access-0", "Bearer access-1"]
        assert house.script.spent == ["refresh-0"]


async def test_an_api_that_nobody_knows_is_sent_nothing(folder: object) -> None:
    async with relayed(folder) as (house, relay):
        await house.adopt("github")
        with pytest.raises(BadRequest, match=r"set origin below \[api\.github\] in the config"):
            await answered(relay, Shelf(), "/user", "github")


async def test_a_key_in_a_header_of_its_own_and_paths_are_the_configs_to_say(folder: object) -> None:
    table = {"paths": ("/v2/",), "refused": ("/v2/admin/",), "key_header": "X-House-Key"}
    async with shelf() as there, relayed(folder, house=ApiConfig(origin=f"{there.url}/base", **table)) as (_, relay):  # type: ignore[arg-type]
        there.put("/base/v2/things", "here")
        call = called("GET", "/v2/things", account="house", api_key=Secret("hk-123456"))
        async with relay.call(call) as answer:
            assert b"".join([piece async for piece in answer.pieces]) == b"here"
        assert there.headers[0]["x-house-key"] == "hk-123456"
        assert "Authorization" not in there.headers[0]
        for path in ("/v1/things", "/v2/admin/x"):
            with pytest.raises(Denied):
                async with relay.call(structs.replace(call, path=path)):
                    pass
        assert len(there.asked) == 1
        await asyncio.sleep(0)
