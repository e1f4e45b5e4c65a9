"""What the bridge reads of a message: little, and never so that it comes out otherwise."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtiv.mcp import messages
from aixtiv.mcp.messages import NoMessage, read

MODERN = "io.modelcontextprotocol/protocolVersion"


def said(**message: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode()


def test_who_asks_what_is_read() -> None:
    found = read(said(id=7, method="tools/call", params={"name": "add", "_meta": {MODERN: "2026-07-28"}}))
    assert (found.asks, found.method, found.subject, found.version) == ((b"7",), "tools/call", "add", "2026-07-28")
    assert read(said(id="a", method="resources/read", params={"uri": "file:///ö"})).subject == "file:///ö"
    assert read(said(method="tools/list", params={"name": "no"})).asks == ()


def test_who_answers_what_is_read() -> None:
    found = read(said(id="a", result={"protocolVersion": "2025-11-25", "_meta": {}}))
    assert (found.answers, found.version, found.asks) == ((b'"a"',), "2025-11-25", ())
    assert json.loads(read(said(id=None, error={"code": 1, "message": "no"})).error) == {"code": 1, "message": "no"}
    assert read(said(id=None, error={"code": 1, "message": "no"})).answers == ()


def test_a_batch_has_several() -> None:
    batch = b"[" + said(id=1, method="a") + b"," + said(method="b") + b"," + said(id=2, result={}) + b"]"
    found = read(batch)
    assert (found.asks, found.answers) == ((b"1",), (b"2",))


def test_a_cancellation_names_its_request() -> None:
    assert read(said(method="notifications/cancelled", params={"requestId": "x"})).cancels == b'"x"'


@pytest.mark.parametrize("params", [None, 7, [1, 2], {"name": 7}, {"_meta": "x"}, {"_meta": {MODERN: 1}}])
def test_parameters_of_any_shape_go_on(params: object) -> None:
    found = read(said(id=1, method="tools/call", params=params))
    assert (found.asks, found.subject) == ((b"1",), "")


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"7", b"[]", b"[7]", b"{}", b'{"jsonrpc":"2.0"}', b"hello", b"\xff", b"[" * 100_000]
)
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(NoMessage):
        read(raw)


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_a_message_comes_out_as_it_came_in_on_one_line(value: object) -> None:
    raw = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"it": value}}, indent=2, ensure_ascii=False).encode()
    line = messages.line(read(raw))
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    assert json.loads(line) == json.loads(raw)


def test_no_number_and_no_null_is_lost() -> None:
    raw = b'{"id":12345678901234567890123,"result":{"x":null,"y":1.0,"z":1e400,"big":184467440737095516170}}'
    found = read(raw)
    assert found.raw == raw
    assert found.answers == (b"12345678901234567890123",)


@pytest.mark.parametrize(
    ("value", "shown"),
    [("add", "add"), ("größer", "=?base64?Z3LDtsOfZXI=?="), (" a", "=?base64?IGE=?="), ("a\nb", "=?base64?YQpi?=")],
)
def test_a_name_is_put_into_a_header_so_that_nothing_else_is(value: str, shown: str) -> None:
    assert messages.shown(value) == shown
