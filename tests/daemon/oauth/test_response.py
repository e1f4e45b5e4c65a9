"""Authorization responses, from a query and from a paste."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtiv_protocol.secret import Secret
from aixtivd.errors import SignInFailed
from aixtivd.oauth.response import Response, parse_pasted, parse_query

AB = Response(code=Secret("a b"), state="s", iss="https://i.example")


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:3000/callback?code=a%20b&state=s&iss=https%3A%2F%2Fi.example",
        "  http://127.0.0.1:1234/callback?code=a+b&state=s&iss=https://i.example\n",
        "'http://127.0.0.1:1234/callback?code=a+b&state=s&iss=https://i.example'",
        "<http://[::1]:1234/callback?code=a+b&state=s&iss=https://i.example>",
        "http://127.0.0.1:1234/callback?iss=https://i.example&state=s&code=a+b&session_state=x",
        "https://app.example/cb#code=a+b&state=s&iss=https://i.example",
        "127.0.0.1:1234/callback?code=a+b&state=s&iss=https://i.example",
        "localhost:1234/callback?code=a+b&state=s&iss=https://i.example",
        "?code=a+b&state=s&iss=https://i.example",
        "code=a+b&state=s&iss=https://i.example",
        "state=s&iss=https://i.example&code=a+b",
    ],
)
def test_a_pasted_address_is_read_however_it_was_copied(text: str) -> None:
    assert parse_pasted(Secret(text)) == AB


@pytest.mark.parametrize(
    ("text", "code", "state"),
    [
        ("abc#xyz", "abc", "xyz"),
        ("abc", "abc", ""),
        ("4/0AfJ-x_y~z.1", "4/0AfJ-x_y~z.1", ""),
        ("abc==", "abc==", ""),
        ("abc#", "abc", ""),
        ("ab+c%2F#x=y", "ab+c%2F", "x=y"),
    ],
)
def test_a_pasted_code_stands_alone_or_with_its_state(text: str, code: str, state: str) -> None:
    """`code#state` is how Anthropic's page shows it. Nothing in it is decoded: it was not in a URL."""
    assert parse_pasted(Secret(text)) == Response(code=Secret(code), state=state, shown=True)


def test_a_pasted_refusal_says_what_the_provider_said() -> None:
    response = parse_pasted(Secret("http://localhost/cb?error=access_denied&error_description=No+way&state=s"))
    assert response == Response(error="access_denied", error_description="No way", state="s")


def test_the_words_of_a_refusal_are_fit_for_a_terminal() -> None:
    response = parse_query("error=a%1b%5b31m&error_description=" + "x%0d%0a" * 1000 + "&state=s")
    assert response.error == "a [31m"
    assert response.error_description.isprintable()
    assert len(response.error_description) == 300


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "two words",
        "#state",
        "http://localhost:3000/callback",
        "http://localhost:3000/callback?state=s",
        "http://localhost:3000/callback?code=&state=s",
        "http://localhost:3000/callback?code=a&code=b&state=s",
        "http://localhost:3000/callback?code=a&state=s&state=t",
        "http://localhost:3000/callback?code=a&error=b&state=s",
        "http://localhost:3000/callback?code=%ff&state=s",
        "http://[::1/callback?code=a",
        "a\x1b[31mb",
        "x" * 20_000,
        "?" + "&".join(f"p{n}=1" for n in range(50)) + "&code=a",
    ],
)
def test_what_is_neither_address_nor_code_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(SignInFailed) as caught:
        parse_pasted(Secret(text))
    assert caught.value.sentence.islower() or "URL" in caught.value.sentence


def test_no_message_shows_what_was_pasted() -> None:
    with pytest.raises(SignInFailed) as caught:
        parse_pasted(Secret("http://localhost/cb?code=very-secret&code=very-secret"))
    assert "secret" not in caught.value.sentence
    assert "very-secret" not in repr(parse_pasted(Secret("very-secret")))


@given(st.text(max_size=100) | st.text(alphabet="code=&?#%state:/ab", max_size=60))
def test_whatever_is_pasted_is_a_response_or_a_sentence(text: str) -> None:
    try:
        response = parse_pasted(Secret(text))
    except SignInFailed:
        return
    assert bool(response.code) != bool(response.error)


@given(st.text(min_size=1), st.text(min_size=1))
def test_whatever_a_server_sends_comes_back_out(code: str, state: str) -> None:
    query = urlencode({"code": code.encode(errors="replace"), "state": state.encode(errors="replace")})
    response = parse_query(query)
    assert response.code
    assert response.code.reveal().encode() == code.encode(errors="replace")
    assert response.state.encode() == state.encode(errors="replace")
