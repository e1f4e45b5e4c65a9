"""The headers that repeat a tool's arguments are those of PyPI's `mcp`, and no server can make others of them."""

import json
from typing import Any

import pytest
from mcp.shared.inbound import decode_header_value, mcp_param_headers, x_mcp_header_map

from aixtiv.mcp import messages
from aixtiv.mcp.mirrored import MOST, Mirrored


def listing(**schemas: Any) -> bytes:
    tools = [{"name": name, "inputSchema": schema} for name, schema in schemas.items()]
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).encode()


def call(name: str, arguments: Any) -> messages.Message:
    params = {"name": name, "arguments": arguments}
    return messages.read(json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}).encode())


def marked(**headers: str) -> dict[str, Any]:
    return {"properties": {name: {"type": "string", "x-mcp-header": header} for name, header in headers.items()}}


def headers(schema: Any, arguments: Any) -> dict[str, str]:
    mirrored = Mirrored()
    mirrored.learn(listing(tool=schema))
    return dict(mirrored.headers(call("tool", arguments)))


TEXTS = ("plain", "two words", " edge", "edge ", "tab\t", "a\r\nx-api-key: mine", "世界", "=?base64?YQ==?=", "")


@pytest.mark.parametrize("value", [*TEXTS, True, False, 42, 0, None, [1], {}], ids=repr)
def test_a_server_reads_of_a_value_what_the_reference_would_have_sent(value: object) -> None:
    schema = {"properties": {"where": {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}}}
    arguments = {"where": {"region": value}}
    reference = mcp_param_headers(x_mcp_header_map(schema), arguments)
    ours = headers(schema, arguments)
    assert all(text.isascii() and text.isprintable() for text in ours.values())
    assert [*map(decode_header_value, ours.values())] == [*map(decode_header_value, reference.values())]


@pytest.mark.parametrize("header", ["", "a b", "a\r\nb", "a:b", "ü", "a" * 101, 7, None])
def test_what_no_header_can_be_called_is_left_out(header: Any) -> None:
    assert headers(marked(x=header, y="fine"), {"x": "1", "y": "2"}) == {"mcp-param-fine": "2"}


@pytest.mark.parametrize("kind", ["number", "object", "array", None, ["string"]])
def test_only_what_is_plain_is_repeated(kind: object) -> None:
    assert headers({"properties": {"x": {"type": kind, "x-mcp-header": "X"}}}, {"x": "1"}) == {}


def test_of_two_that_want_one_header_only_one_gets_it() -> None:
    assert len(headers(marked(x="Same", y="same"), {"x": "1", "y": "2"})) == 1


@pytest.mark.parametrize("arguments", [{}, {"where": 7}, {"where": None}, [], None, "text"])
def test_arguments_of_another_shape_have_no_headers(arguments: object) -> None:
    schema = {"properties": {"where": {"properties": {"x": {"type": "string", "x-mcp-header": "X"}}}}}
    assert headers(schema, arguments) == {}


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"result": 7}', b'{"result": {"tools": [7]}}', b"[" * 100_000])
def test_a_listing_that_is_none_says_nothing(raw: bytes) -> None:
    mirrored = Mirrored()
    mirrored.learn(listing(tool=marked(x="X")))
    mirrored.learn(raw)
    assert mirrored.headers(call("tool", {"x": "1"})) == (("mcp-param-X", "1"),)


def test_a_later_listing_counts_and_another_tool_or_request_has_none() -> None:
    mirrored = Mirrored()
    mirrored.learn(listing(tool=marked(x="X")))
    assert mirrored.headers(call("other", {"x": "1"})) == ()
    assert (
        mirrored.headers(messages.read(b'{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"tool"}}'))
        == ()
    )
    mirrored.learn(listing(tool={}))
    assert mirrored.headers(call("tool", {"x": "1"})) == ()


def test_a_server_that_lists_without_an_end_is_not_kept_in_memory() -> None:
    mirrored = Mirrored()
    for page in range(3):
        mirrored.learn(listing(**{f"tool-{page}-{number}": marked(x="X") for number in range(MOST // 2)}))
    assert len(mirrored._tools) == MOST
