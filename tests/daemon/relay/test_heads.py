"""What of a caller's head goes on, and what comes back: rules of claude.md, "Calling the API", each by its name."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtivd.access.caller import Caller
from aixtivd.accounts.credential import Credential
from aixtivd.errors import BadRequest
from aixtivd.relay.api import Api
from aixtivd.relay.apis.anthropic import API
from aixtivd.relay.heads import (
    HOP_BY_HOP,
    METHODS,
    check_head,
    downstream_headers,
    length_of,
    upstream_headers,
    with_flag,
    without_flag,
)
from peers.relaying import Pieces, called, key, token

FLAG = "oauth-2025-04-20"
BETA = "anthropic-beta"
OTHER = Api(name="other", origin="https://api.other.example")
EVIL = ("evil\r\nx: y", "evil\n", "\0", "a\x7fb", "\x1b[2J", "\ud800")


def sent(
    *headers: tuple[str, str], by: Credential | None = None, api: Api = API, **changed: Any
) -> list[tuple[str, str]]:
    call = called("POST", "/v1/messages", *headers, **changed)
    made = upstream_headers(api, call, by or token(), length_of(call))
    return [pair for pair in made if pair != ("Content-Length", "0")]  # it is a POST, and has no body


def values(headers: list[tuple[str, str]], name: str) -> list[str]:
    return [value for given_name, value in headers if given_name.lower() == name]


@pytest.mark.parametrize(
    ("by", "api", "shown"),
    [
        (token(), API, ("Authorization", "Bearer sk-ant-oat01-1")),
        (key(), API, ("x-api-key", "sk-ant-api03-1")),
        (token(), OTHER, ("Authorization", "Bearer sk-ant-oat01-1")),
        (key(), OTHER, ("Authorization", "Bearer sk-ant-api03-1")),
    ],
)
@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "X-API-KEY", "anthropic-api-key"])
def test_a_callers_credential_is_taken_out_and_exactly_one_is_put_in(
    by: Credential, api: Api, shown: tuple[str, str], name: str
) -> None:
    headers = sent((name, "Bearer aixtiv-ticket-mine"), (name, "again"), by=by, api=api)
    credentials = {"authorization", "x-api-key", "anthropic-api-key"}
    assert [pair for pair in headers if pair[0].lower() in credentials] == [shown]


def test_a_key_stands_in_the_header_that_the_config_names_and_a_callers_own_there_does_not() -> None:
    api = Api(name="house", key_header="x-house-key")
    assert sent(("X-House-Key", "callers"), by=key(), api=api) == [("x-house-key", "sk-ant-api03-1")]
    assert sent(("X-House-Key", "callers"), api=api) == [("Authorization", "Bearer sk-ant-oat01-1")]


@pytest.mark.parametrize(
    "name",
    [
        *sorted(HOP_BY_HOP - {"transfer-encoding"}),
        "Host",
        "Origin",
        "Referer",
        "Cookie",
        "Proxy-Authorization",
        "Expect",
        "sec-fetch-site",
        "Sec-Fetch-Mode",
        "X-HTTP-Method",
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Aixtiv-Account",
        "x-aixtiv-anything",
    ],
)
def test_what_is_between_the_caller_and_us_or_a_browsers_does_not_go_on(name: str) -> None:
    for alias in (name, name.replace("-", "_"), name.replace("-", ".")):  # the same to CGI, WSGI and PHP
        kept = [pair for pair in sent((alias, "x"), ("x-kept", "y")) if pair[1] in {"x", "y"}]
        assert kept == [("x-kept", "y")]


@pytest.mark.parametrize("name", ["X_Api_Key", "x.api-key", "anthropic_api_key", "Content_Length", "x_house_key"])
def test_no_other_writing_of_a_name_carries_a_credential_or_a_length_on(name: str) -> None:
    api = Api(name="house", key_header="X-House_Key")
    assert sent((name, "callers"), by=key(), api=api) == [("X-House_Key", "sk-ant-api03-1")]
    assert sent(("Connection", "x_hop"), (name, "callers"), ("X-Hop", "1"), api=api) == [
        ("Authorization", "Bearer sk-ant-oat01-1")
    ]


def test_what_a_connection_header_names_ends_with_the_hop() -> None:
    headers = sent(("Connection", "keep-alive, X-Hop"), ("x-hop", "1"), ("connection", "y"), ("Y", "2"), ("Z", "3"))
    assert headers == [("Z", "3"), (BETA, FLAG), ("Authorization", "Bearer sk-ant-oat01-1")]


def test_a_connection_header_cannot_take_our_credential_out() -> None:
    assert values(sent(("Connection", "authorization, anthropic-beta")), "authorization") == ["Bearer sk-ant-oat01-1"]
    assert values(sent(("Connection", "authorization, anthropic-beta")), BETA) == [FLAG]


_names = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=12).map(lambda name: f"k-{name}")
_values = st.text(st.characters(codec="utf-8", min_codepoint=0x20, exclude_characters="\x7f"))


@given(st.lists(st.tuples(_names, _values)))
def test_headers_that_nobody_knows_go_on_in_their_order_and_writing(headers: list[tuple[str, str]]) -> None:
    assert sent(*headers)[: len(headers)] == headers


@pytest.mark.parametrize("name", ["anthropic-new", "Anthropic-Dangerous-Direct-Browser-Access", "user-agent", "accept"])
@pytest.mark.parametrize("by", [token(), key()])
def test_what_is_anthropics_or_the_clients_own_goes_on(name: str, by: Credential) -> None:
    assert (name, "as it is") in sent((name, "as it is"), by=by)


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21", "never heard of"])
def test_the_version_is_never_touched(version: str) -> None:
    assert values(sent(("Anthropic-Version", version)), "anthropic-version") == [version]


@pytest.mark.parametrize("by", [token(), key()])
def test_the_version_is_never_added(by: Credential) -> None:
    assert values(sent(by=by), "anthropic-version") == []


@pytest.mark.parametrize("name", ["Accept", "Accept-Encoding", "User-Agent", "Content-Type"])
def test_nothing_is_added_that_the_caller_did_not_send(name: str) -> None:
    assert values(sent(), name.lower()) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [FLAG]),
        (["a"], [f"a,{FLAG}"]),
        (["a, b"], [f"a, b,{FLAG}"]),
        (["a,"], [f"a,{FLAG}"]),
        ([""], [FLAG]),
        ([FLAG], [FLAG]),
        ([f"a , {FLAG} ,b"], [f"a , {FLAG} ,b"]),
        ([f"{FLAG}-2"], [f"{FLAG}-2,{FLAG}"]),
        ([f"x{FLAG}"], [f"x{FLAG},{FLAG}"]),
        (["a", "b"], ["a", f"b,{FLAG}"]),
        ([FLAG, "b"], [FLAG, "b"]),
        (["a", f"b,{FLAG}"], ["a", f"b,{FLAG}"]),
    ],
)
def test_with_a_token_the_flag_is_in_the_list_once(before: list[str], after: list[str]) -> None:
    headers = sent(*(("Anthropic-Beta", value) for value in before))
    assert values(headers, BETA) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], []),
        ([FLAG], []),
        ([f"a,{FLAG}"], ["a"]),
        ([f"{FLAG}, b"], ["b"]),
        ([f"a, {FLAG} , b"], ["a, b"]),
        ([f"{FLAG},{FLAG}"], []),
        ([f"a , b,{FLAG}-2"], [f"a , b,{FLAG}-2"]),
        (["a", FLAG, f"b,{FLAG}"], ["a", "b"]),
    ],
)
def test_with_a_key_that_one_flag_is_taken_out(before: list[str], after: list[str]) -> None:
    assert values(sent(*((BETA, value) for value in before), by=key()), BETA) == after


_flags = st.lists(st.sampled_from([FLAG, f"{FLAG}-x", "a", "b-2026", ""]), max_size=4).map(",".join)


@given(st.lists(_flags, max_size=4))
def test_whatever_the_flags_are_the_others_stay_and_ours_is_as_it_has_to_be(lists: list[str]) -> None:
    def flags(headers: list[tuple[str, str]]) -> list[str]:
        return [flag.strip() for value in values(headers, BETA) for flag in value.split(",") if flag.strip()]

    headers = [(BETA, value) for value in lists]
    others = [flag for flag in flags(headers) if flag != FLAG]
    added = with_flag(headers, API)
    assert FLAG in flags(added)
    assert [flag for flag in flags(added) if flag != FLAG] == others
    assert with_flag(added, API) == added
    if FLAG in flags(headers):
        assert added == headers
    assert flags(without_flag(headers, API)) == others


def test_the_workspace_of_a_callers_token_means_nothing_to_a_key() -> None:
    workspace = ("anthropic-workspace-id", "wrkspc_1")
    assert workspace not in sent(workspace, (BETA, f"a,{FLAG}"), by=key())
    assert workspace in sent(workspace, (BETA, "a"), by=key())  # it came with a key
    assert workspace in sent(workspace, (BETA, FLAG), by=token())


def test_another_api_gets_no_flag() -> None:
    assert values(sent((BETA, "a"), api=OTHER), BETA) == ["a"]


def test_the_agents_id_is_sent_unless_the_caller_has_sent_one() -> None:
    agent = Caller(uid=1, pid=2, agent="reviewer-7")
    assert values(sent(caller=agent), "x-agent-id") == ["reviewer-7"]
    assert values(sent(("x-agent-id", "reviewer-7"), caller=agent), "x-agent-id") == ["reviewer-7"]
    assert values(sent(), "x-agent-id") == []


@pytest.mark.parametrize("name", ["x-agent-id", "X_Agent_ID"])
@pytest.mark.parametrize("said", ["another", "", "reviewer-7, another"])
def test_no_other_agent_is_sent_than_the_one_in_the_audit(name: str, said: str) -> None:
    agent = Caller(uid=1, pid=2, agent="reviewer-7")
    check_head(called("GET", "/v1/models", (name, " reviewer-7"), caller=agent))
    with pytest.raises(BadRequest, match="names another agent"):
        check_head(called("GET", "/v1/models", (name, "reviewer-7"), (name, said), caller=agent))


@pytest.mark.parametrize("method", sorted(METHODS))
def test_an_ordinary_method_is_taken(method: str) -> None:
    check_head(called(method))


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "get", "", "GET / HTTP/1.1\r\nx:", "PROPFIND"])
def test_a_method_that_gives_our_credential_back_or_is_none_is_refused(method: str) -> None:
    with pytest.raises(BadRequest, match="are relayed"):
        check_head(called(method))


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ä", "a\0", "a\t", "(a)", "a\n"])
def test_a_header_whose_name_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="name"):
        check_head(called("GET", "/v1/models", (name, "x")))


@pytest.mark.parametrize("value", EVIL)
def test_a_header_that_would_end_a_line_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(BadRequest, match="the header X-Thing has characters") as caught:
        check_head(called("GET", "/v1/models", ("X-Thing", value)))
    assert "evil" not in caught.value.sentence
    with pytest.raises(BadRequest, match="agent"):
        check_head(called(caller=Caller(uid=1, pid=2, agent=value)))


@pytest.mark.parametrize(
    ("said", "body", "length"),
    [
        ([], b"", 0),
        ([], b"abc", 3),
        (["3"], b"abc", 3),
        ([" 3 ", "3"], b"abc", 3),
        (["0"], b"", 0),
    ],
)
def test_the_length_of_a_body_is_what_the_caller_says(said: list[str], body: bytes, length: int) -> None:
    call = called("POST", "/v1/x", *(("content-length", text) for text in said), body=body)
    assert length_of(call) == length
    assert values(upstream_headers(API, call, token(), length), "content-length") == [str(length)]


def test_a_request_without_a_body_says_so_only_where_one_is_expected_or_its_caller_did() -> None:
    for method, headers, there in [
        ("POST", [], ["0"]),
        ("GET", [], []),
        ("DELETE", [], []),
        ("DELETE", [("content-length", "0")], ["0"]),
    ]:
        sent_on = upstream_headers(API, called(method, "/v1/x", *headers), token(), 0)
        assert values(sent_on, "content-length") == there


def test_a_length_that_is_only_in_the_head_counts_and_one_that_nobody_says_is_not_made_up() -> None:
    open_end = Pieces(b"abc", length=None)
    assert length_of(called("POST", "/v1/x", ("Content-Length", "3"), body=open_end)) == 3
    assert length_of(called("POST", "/v1/x", body=open_end)) is None
    assert values(sent(body=open_end), "content-length") == []


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Length", "3"), ("Content-Length", "4")],
        [("Content-Length", "3, 3")],
        [("Content-Length", "+3")],
        [("Content-Length", "0x3")],
        [("Content-Length", "")],
        [("Content-Length", "٣")],
        [("Content-Length", "4")],
        [("Content-Length", "3"), ("Transfer-Encoding", "chunked")],
    ],
)
def test_a_length_that_two_could_read_in_two_ways_is_refused(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(BadRequest):
        length_of(called("POST", "/v1/x", *headers, body=b"abc"))


def test_everything_comes_back_but_what_ends_with_the_hop() -> None:
    raw = [
        (b"Request-Id", b"req_1"),
        (b"Retry-After", b"7"),
        (b"anthropic-ratelimit-requests-remaining", b"3"),
        (b"X-Should-Retry", b"true"),
        (b"Content-Encoding", b"gzip"),
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
        (b"Location", b"https://elsewhere.example/"),
        (b"Connection", b"keep-alive, X-Hop"),
    ]
    hops = [(name.encode(), b"x") for name in HOP_BY_HOP - {"transfer-encoding", "connection"}]
    hops += [(b"Access-Control-Allow-Origin", b"*"), (b"X-Aixtiv-Warning", b"run this")]  # would be taken for ours
    answered = downstream_headers([*raw, *hops, (b"x-hop", b"1")])
    assert answered == tuple((name.decode(), value.decode()) for name, value in raw[:-1])


def test_a_length_beside_chunks_does_not_count() -> None:
    assert downstream_headers([(b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked"), (b"A", b"b")]) == (
        ("A", "b"),
    )
    assert downstream_headers([(b"Content-Length", b"3")]) == (("Content-Length", "3"),)
