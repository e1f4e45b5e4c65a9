"""What the bridge reads of a message: little, and never so that it comes out otherwise."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtiv.mcp import messages
from aixtiv.mcp.messages import MOST, NoMessage, read

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


def test_a_batch_is_no_greeting_and_says_all_that_is_in_it() -> None:
    batch = (
        b"[" + said(id=1, method="ping") + b"," + said(id=2, method="tools/call") + b"," + said(id=3, result={}) + b"]"
    )
    found = read(batch)
    assert (found.method, found.methods) == ("", ("ping", "tools/call", ""))
    cancel = said(method="notifications/cancelled", params={"requestId": 1})
    assert read(b"[" + cancel + b"," + said(id=2, method="ping") + b"]").cancels == b"", "the rest has to be sent"


def test_a_batch_of_too_many_is_refused_before_the_rest_of_it_is_read() -> None:
    small = b'{"id":1}'
    assert len(read(b"[" + b",".join([small] * MOST) + b"]").answers) == MOST
    with pytest.raises(NoMessage, match="more than 1000 messages"):
        read(b"[" + b",".join([small] * (MOST + 1)) + b",what never was JSON")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'"a/b"', rb'"a\/b"'),
        ('"é"'.encode(), rb'"\u00e9"'),
        (b"0", b"0.0"),
        (b"0", b"-0"),
        (b"100", b"1e2"),
        (b"-7", b"-7.0"),
    ],
)
def test_an_id_is_the_same_however_it_is_written(one: bytes, other: bytes) -> None:
    asked, answered = read(b'{"id":%s,"method":"ping"}' % one), read(b'{"id":%s,"result":{}}' % other)
    assert asked.asks == answered.answers
    assert read(b'{"method":"notifications/cancelled","params":{"requestId":%s}}' % other).cancels == asked.asks[0]


def test_ids_that_are_not_the_same_stay_so() -> None:
    ids = [b"1", b'"1"', b"1.5", b"true", b"12345678901234567890123", b"12345678901234567890124", b"1e400", b'""']
    assert len({read(b'{"id":%s,"result":{}}' % one).answers for one in ids}) == len(ids)


@pytest.mark.parametrize("half", [rb"\ud83d", rb"\uDE00", rb"\\\ud83d", rb"\ud83d\ud83d\ude00"])
def test_half_of_a_surrogate_pair_is_a_message_and_goes_on_as_it_came(half: bytes) -> None:
    raw = b'{"id":7,"method":"tools/call","params":{"name":"x","arguments":{"t":"a%s b"}}}' % half
    found = read(raw)
    assert (found.asks, found.method, found.subject, found.raw) == ((b"7",), "tools/call", "x", raw)


@pytest.mark.parametrize("odd", [b"\xff\xfe\x80", b"\xed\xa0\x80", b"\xc3"])
@pytest.mark.parametrize("before", [0, (1 << 20) - 1 - len(b'{"id":1,"result":"')], ids=["at once", "far behind"])
def test_what_is_not_utf8_is_no_message(odd: bytes, before: int) -> None:
    with pytest.raises(NoMessage, match="it is not UTF-8"):
        read(b'{"id":1,"result":"' + b"x" * before + odd + b'"}')
    assert read(b'{"id":1,"result":"' + b"x" * before + "😀".encode() + b'"}').answers == (b"1",)


@pytest.mark.parametrize("params", [{"name": "x", "uri": 7}, {"name": {"first": "a"}}, {"requestId": 7, "name": None}])
def test_the_protocols_version_is_read_whatever_stands_beside_it(params: dict[str, object]) -> None:
    found = read(said(id=1, method="tools/call", params={**params, "_meta": {MODERN: "2026-07-28"}}))
    assert (found.version, found.subject) == ("2026-07-28", "x" if params["name"] == "x" else "")


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
