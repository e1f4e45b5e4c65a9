"""What is not relayed: nothing of it is sent, it has a sentence, and the audit knows of it."""

import pytest
from msgspec import structs

from aixtivd.access.caller import Caller
from aixtivd.access.denials import AT_ONCE
from aixtivd.errors import AixtivError, BadRequest, Denied, Locked, Misconfigured, SignInNeeded
from aixtivd.relay.call import Call
from aixtivd.relay.heads import METHODS
from peers.claude import Claude
from peers.relaying import HELLO, VERSION, Pieces, called, hello, key, relaying, token

REVIEWER = Caller(uid=7, pid=8, program="/bin/x", agent="reviewer")


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (called("POST", "/v1/oauth/token", body=b"x"), Denied),
        (called("POST", "/v1/%6fauth/token", body=b"x"), Denied),
        (called("GET", "/v2/models"), Denied),
        (called("GET", "/v1/../v1/models"), BadRequest),
        (called("GET", "/v1/models\r\nX: y"), BadRequest),
        (called("TRACE", "/v1/models"), BadRequest),
        (called("GET", "/v1/models", ("X\r\nY", "z")), BadRequest),
        (called("GET", "/v1/models", ("X", "z\r\nY: z")), BadRequest),
        (called("POST", "/v1/messages", ("Content-Length", "3"), ("Content-Length", "4"), body=b"abc"), BadRequest),
        (hello(body=Pieces(b"abc", length=4)), BadRequest),
        (hello(endpoint="https://evil.example/v1/messages"), Denied),
        (hello(endpoint="http://evil.example"), AixtivError),
        (called("GET", "/v1/models", ("X-Agent-ID", "another"), caller=REVIEWER), BadRequest),
    ],
)
async def test_what_is_refused_sends_nothing_and_is_audited(call: Call, kind: type[AixtivError]) -> None:
    async with Claude() as claude, relaying(claude.url) as around:
        with pytest.raises(kind):
            await around.get(call)
        assert claude.count == 0
        record = around.ledger.last
        assert (record["what"], record["ok"]) == ("relay", False)
        assert record["detail"].isprintable()
        assert record["detail"].startswith(call.method if call.method in METHODS else "? ")


async def test_a_credential_that_cannot_be_had_is_a_sentence_and_audited() -> None:
    async with Claude() as claude, relaying(claude.url, Locked()) as around:
        with pytest.raises(Locked):
            await around.get(hello())
        assert (claude.count, around.ledger.last["ok"]) == (0, False)


async def test_what_is_refused_again_and_again_fills_no_disk_and_is_counted() -> None:
    one = called("GET", "/v2/models", caller=structs.replace(REVIEWER, ticket="t1"))
    async with Claude() as claude, relaying(claude.url) as around:
        for _ in range(1000):
            with pytest.raises(Denied):
                await around.get(one)
        assert len(around.ledger.records) == AT_ONCE
        with pytest.raises(Denied):
            await around.get(structs.replace(one, caller=REVIEWER))
        assert len(around.ledger.records) == AT_ONCE + 1, "another's is recorded all the same"
    record = around.ledger.last
    assert (record["caller"].ticket, record["detail"]) == ("t1", "GET /v2/models; 979 more before it were not recorded")


async def test_what_reached_an_api_is_recorded_each_time() -> None:
    async with Claude() as claude, relaying(claude.url) as around:
        for _ in range(AT_ONCE + 5):
            await around.get(called("GET", "/v1/nothing"))
        assert [record["status"] for record in around.ledger.records] == [400] * (AT_ONCE + 5)


async def test_a_secret_in_the_wrong_place_is_not_in_the_audit() -> None:
    async with Claude() as claude, relaying(claude.url, SignInNeeded()) as around:
        for call in (called(account="mistyped"), called("sk-ant-api03-secret"), called("GET /v1/models sk-ant-x")):
            with pytest.raises(AixtivError):
                await around.get(call)
        assert [record["account"] for record in around.ledger.records] == ["", "", ""]
        assert [record["detail"] for record in around.ledger.records] == ["GET /v1/models", *["? /v1/models"] * 2]
        with pytest.raises(SignInNeeded):
            await around.get(called(account="anthropic/work"))
        assert around.ledger.last["account"] == "anthropic/work"


async def test_the_audit_tells_who_called_what_with_which_credential_and_no_query() -> None:
    caller = Caller(uid=7, pid=8, program="/bin/x", agent="reviewer", ticket="t1")
    async with Claude() as claude, relaying(claude.url) as around:
        answer = await around.get(hello(path="/v1/messages?beta=sk-secret", caller=caller))
        assert around.ledger.records == [
            {
                "what": "relay",
                "caller": caller,
                "ok": True,
                "account": "anthropic",
                "detail": "POST /v1/messages",
                "status": 200,
                "sent": len(HELLO),
                "received": len(answer.body),
                "kind": "oauth",
            }
        ]
        assert claude.last.header("x-agent-id") == "reviewer"
        assert claude.last.target == "/v1/messages?beta=sk-secret"


async def test_the_callers_wishes_reach_whoever_decides_what_pays() -> None:
    async with Claude() as claude, relaying(claude.url, key(0, generation=0)) as around:
        mine = key().secret
        await around.get(hello(account="anthropic/work", api_key=mine, fallback="none", wait=3.0))
        assert around.purse.asked == [
            {"name": "anthropic/work", "key": mine, "fallback": "none", "wait": 3.0, "refused": None}
        ]


async def test_a_callers_own_key_goes_to_the_callers_own_endpoint_and_an_accounts_does_not() -> None:
    async with Claude() as claude, relaying("https://nobody.invalid", key(5, generation=0)) as around:
        call = hello(endpoint=f"{claude.url}/v1/messages")
        assert (await around.get(call)).status == 200
        around.purse.things = [key(5)]
        with pytest.raises(Denied):
            await around.get(call)
        around.purse.things = [token()]
        with pytest.raises(Denied) as caught:
            await around.get(call)
        assert caught.value.hint == f"aixtiv login anthropic --endpoint {claude.url} --replace"
        assert claude.count == 1


async def test_a_credential_that_no_header_can_hold_is_not_sent() -> None:
    broken = structs.replace(token(), secret=type(token().secret)("sk-ant\r\nX: y"))
    async with Claude() as claude, relaying(claude.url, broken) as around:
        with pytest.raises(Misconfigured) as caught:
            await around.get(called("GET", "/v1/models", VERSION))
        assert "sk-ant" not in caught.value.sentence
        assert claude.count == 0
