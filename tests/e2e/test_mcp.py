"""A real MCP client, `aixtiv mcp`, the daemon, and a real remote MCP server behind a sign-in."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from mcp.client import ClientRequestContext
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult, TextContent

from peers.authority.process import Running
from peers.mcp_servers.process import RemoteServer
from peers.mcp_servers.scene import NAME, Scene, Talk, opposite, scene
from peers.waiting import until


@pytest.fixture(scope="module")
def there() -> Iterator[tuple[Running, RemoteServer]]:
    """For all the tests here: what is a person's is each test's own."""
    with opposite() as there:
        yield there


@pytest.fixture
def at(folder: Path, there: tuple[Running, RemoteServer]) -> Iterator[Scene]:
    with scene(folder, there) as at:
        yield at


def text(result: CallToolResult) -> str:
    (part,) = result.content
    assert isinstance(part, TextContent)
    return part.text


async def test_an_entry_of_the_old_file_becomes_a_tool_that_a_real_client_calls(at: Scene) -> None:
    async with at.client() as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        answer = await client.call_tool("add", {"a": 2, "b": 3})
    assert "add" in tools
    assert text(answer) == "5"
    assert at.visited == 1
    assert at.server.heard("DELETE")[0]["headers"]["mcp-session-id"]  # the session was ended, and not left behind
    async with at.client() as client:
        assert text(await client.call_tool("add", {"a": 4, "b": 5})) == "9"
    assert at.visited == 1, "nobody is asked twice"


async def test_a_client_of_the_newest_version_needs_no_session(at: Scene) -> None:
    async with at.client(mode="auto") as client:
        assert client.protocol_version == "2026-07-28"
        assert text(await client.call_tool("echo", {"text": "größer"})) == "größer"
        assert (await client.list_tools()).tools
    called = [one["headers"] for one in at.server.heard("POST") if one["headers"].get("mcp-method") == "tools/call"]
    assert [(one["mcp-name"], one["mcp-protocol-version"]) for one in called] == [("echo", "2026-07-28")]
    assert not any("mcp-session-id" in one["headers"] for one in at.server.heard())


async def test_the_tokens_end_amid_a_session_and_the_client_notices_nothing(
    folder: Path, there: tuple[Running, RemoteServer]
) -> None:
    with scene(folder, there, life=2.0) as at:
        async with at.client() as client:
            for number in range(6):
                assert text(await client.call_tool("add", {"a": number, "b": 1})) == str(number + 1)
                await anyio.sleep(0.7)  # a life passes; nothing is waited for
        assert at.visited == 1
        assert len(at.server.tokens) > 1
        assert at.authority.refreshes > 0
        assert at.authority.reuses == 0


async def test_the_daemon_is_replaced_and_killed_amid_a_session_and_the_client_notices_nothing(at: Scene) -> None:
    async with at.client() as client:
        assert text(await client.call_tool("add", {"a": 1, "b": 1})) == "2"
        await anyio.to_thread.run_sync(lambda: at.machine.run("service", "restart"))
        assert text(await client.call_tool("add", {"a": 2, "b": 2})) == "4"
        await anyio.to_thread.run_sync(at.machine.kill)
        await anyio.to_thread.run_sync(at.machine.start)
        assert text(await client.call_tool("add", {"a": 3, "b": 3})) == "6"
    assert at.visited == 1
    assert len({one["headers"].get("mcp-session-id") for one in at.server.heard("POST")} - {None}) == 1


async def test_two_bridges_share_one_sign_in_and_one_refresh(folder: Path, there: tuple[Running, RemoteServer]) -> None:
    with scene(folder, there, life=3.0) as at:
        before = len(at.authority.families("ada"))
        answers: list[str] = []

        async def one() -> None:
            async with at.client() as client:
                for _ in range(5):
                    answers.append(text(await client.call_tool("add", {"a": 1, "b": 1})))
                    await anyio.sleep(0.7)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            tasks.start_soon(one)
        assert answers == ["2"] * 10
        assert at.visited == 1
        assert len(at.authority.families("ada")) == before + 1
        assert at.authority.reuses == 0


async def test_progress_comes_while_a_tool_works_and_the_server_may_ask_back(at: Scene) -> None:
    async def answered(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"colour": "blue"})

    told: list[float] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)

    async with at.client(elicitation_callback=answered) as client:
        assert text(await client.call_tool("steps", {"many": 3}, progress_callback=progress)) == "done"
        assert text(await client.call_tool("ask", {})) == "blue"
    assert told == [1, 2, 3]


async def test_calls_overtake_one_that_waits(at: Scene) -> None:
    async with at.client() as client, anyio.create_task_group() as tasks:
        late: list[str] = []

        async def wait() -> None:
            late.append(text(await client.call_tool("wait", {})))

        tasks.start_soon(wait)
        assert text(await client.call_tool("add", {"a": 1, "b": 1})) == "2"
        assert late == []
        await anyio.to_thread.run_sync(at.server.go)


@pytest.mark.parametrize("options", [("--json", "--stateless"), ("--transport", "sse")], ids=str)
async def test_every_way_in_which_a_server_may_answer_is_understood(folder: Path, options: tuple[str, ...]) -> None:
    with opposite(*options) as there, scene(folder, there) as at:
        async with at.client() as client:
            assert text(await client.call_tool("add", {"a": 2, "b": 2})) == "4"
            assert text(await client.call_tool("echo", {"text": "a\nb"})) == "a\nb"
            await anyio.to_thread.run_sync(at.machine.kill)
            await anyio.to_thread.run_sync(at.machine.start)
            assert text(await client.call_tool("add", {"a": 3, "b": 3})) == "6"
        assert at.visited == 1


async def test_a_stream_that_the_server_closes_is_taken_up_where_it_was(folder: Path) -> None:
    with opposite("--resumable") as there, scene(folder, there) as at:
        async with at.client() as client:
            assert text(await client.call_tool("broken", {})) == "mended"
        assert any("last-event-id" in one["headers"] for one in at.server.heard("GET"))


def test_a_server_that_forgot_the_session_is_greeted_again_and_the_client_is_told_nothing(at: Scene) -> None:
    with at.bridge() as talk:
        talk.initialize()
        assert talk.ask("tools/call", name="add", arguments={"a": 1, "b": 1})["result"]["isError"] is False
        at.server.forget()
        assert talk.ask("tools/call", name="add", arguments={"a": 2, "b": 2})["result"]["structuredContent"] == {
            "result": 4
        }
        _, err, code = talk.end()
    assert code == 0
    assert "is greeted again" in err
    assert [message for message in talk.others if "method" not in message] == [], "no answer that nobody asked for"
    assert (
        len({one["headers"]["mcp-session-id"] for one in at.server.heard() if "mcp-session-id" in one["headers"]}) == 2
    )


def test_stdout_has_messages_and_nothing_else_and_no_stream_shows_a_token(at: Scene) -> None:
    with at.bridge() as talk:
        talk.initialize()
        talk.ask("tools/list")
        out, err, code = talk.end()
    assert (out, code) == ("", 0)
    assert "signed in to ctt-mcp" in err
    assert at.server.tokens
    assert not any(secret in err for secret in at.authority.issued if secret.startswith("at-"))


def test_what_is_no_message_is_answered_and_the_bridge_goes_on(at: Scene) -> None:
    with at.bridge() as talk:
        talk.write("hello\n")
        assert talk.hear()["error"]["code"] == -32700
        talk.write("x" * (33 << 20) + "\n")
        refused = talk.hear()
        assert (refused["id"], refused["error"]["message"]) == (None, "a message may have 32 MiB at most")
        assert "result" in talk.initialize()


def test_a_ticket_that_is_revoked_stays_so(at: Scene) -> None:
    with at.bridge() as talk:
        talk.initialize()
        (ticket,) = at.machine.run("ticket", "list", "--json").json()["tickets"]
        assert (ticket["name"], ticket["account"], ticket["verbs"]) == ("mcp ctt-mcp", "ctt-mcp", ["relay"])
        assert at.machine.run("ticket", "revoke", ticket["id"]).code == 0
        assert "it was revoked" in talk.ask("tools/list")["error"]["message"]
        assert at.machine.run("ticket", "list", "--json").json()["tickets"] == []


def test_a_sign_out_amid_a_session_leads_to_another_sign_in(at: Scene) -> None:
    with at.bridge() as talk:
        talk.initialize()
        assert at.machine.run("logout", NAME).code == 0
        assert "tools" in talk.ask("tools/list")["result"]
    assert at.visited == 2


def test_where_no_browser_can_be_opened_the_command_to_type_is_told_and_then_all_goes_on(at: Scene) -> None:
    environ = {"CLAUDE_OAUTH_CLIENT_ID": "native"}
    with at.machine.running("mcp", NAME, **environ) as process:
        talk = Talk(process)
        failed = talk.initialize()
        assert failed["error"]["message"].endswith("run: aixtiv login ctt-mcp")
        with at.machine.running("login", NAME, BROWSER=at.browser, **environ) as login:
            _, err = login.communicate(timeout=30)
        assert login.returncode == 0, err
        assert "result" in talk.initialize()
        _, err, _ = talk.end()
    assert "aixtiv: hint: aixtiv login ctt-mcp" in err


def test_a_daemon_that_is_told_to_end_does_not_wait_for_the_servers_own_stream(at: Scene) -> None:
    with at.bridge() as talk:
        talk.initialize()
        until(lambda: at.server.heard("GET"), "the server is listened to")
        assert at.machine.stop() == 0, "and not after half a minute"
        at.machine.start()
        assert "tools" in talk.ask("tools/list")["result"]
        until(lambda: len(at.server.heard("GET")) > 1, "it is listened to again")


def test_a_locked_vault_is_a_sentence_and_the_bridge_goes_on_after_the_unlock(at: Scene) -> None:
    with at.bridge() as talk:
        talk.initialize()
        assert at.machine.run("lock").code == 0
        assert talk.ask("tools/list")["error"]["message"].endswith("run: aixtiv unlock")
        assert at.machine.run("unlock").code == 0
        assert "tools" in talk.ask("tools/list")["result"]


def test_a_name_that_no_server_has_is_a_sentence(at: Scene) -> None:
    ran = at.machine.run("mcp", "ctt-mpc", stdin="")
    assert (ran.code, ran.out) == (64, "")
    assert "no MCP server is called 'ctt-mpc'" in ran.err
    assert f"aixtiv mcp {NAME}" in ran.err


def test_a_client_that_reads_no_more_ends_the_bridge(at: Scene) -> None:
    with at.bridge() as talk:
        talk.initialize()
        talk.deaf()
        talk.send("tools/list")
        talk.send("tools/list")
        assert talk.ended() == 0
