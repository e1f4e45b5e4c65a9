"""Names and addresses of remote MCP servers, and what a challenge of theirs says: pure."""

import pytest

from aixtiv.failures import Usage
from aixtiv.mcp.servers import NAME, Server, checked, named_after
from aixtiv.mcp.signing import Challenge, challenge


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://mcp.example.com/mcp", "mcp.example.com/mcp"),
        ("https://mcp.example.com/", "mcp.example.com"),
        ("http://127.0.0.1:3000/sse?team=a", "127.0.0.1-3000/sse"),
        ("http://[::1]:3000/mcp", "1-3000/mcp"),
        ("https://h/a%20b/~c", "h/a-20b/-c"),
    ],
)
def test_a_server_without_a_name_is_called_as_its_address(url: str, name: str) -> None:
    assert named_after(url) == name
    assert NAME.fullmatch(name)
    assert Server(name, url).login == f"aixtiv login {name} --resource {url}".replace(url, quoted(url))


def quoted(url: str) -> str:
    return f"'{url}'" if set("?[~") & set(url) else url


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "mcp.example.com",
            "ftp://h/mcp",
            "http://h/mcp",
            "https://",
            "https:///mcp",
            "https://h:x/",
            "https://h:0/",
        ),
        *("https://h/mcp#x", "https://h/m cp", "https://h/ö", "http://127.0.0.1.evil.example/", "https://[::1/"),
        *("https://ada:pw@h/mcp", "ftp://ada:pw@h/mcp", "https://ada@h/mcp"),
    ],
)
def test_an_address_that_two_could_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(Usage) as refused:
        checked(url)
    assert "pw" not in refused.value.sentence


def test_an_address_is_taken_apart_as_it_stands() -> None:
    server = Server("x", "https://h:8443/a/mcp?team=b%20c")
    assert (server.origin, server.path) == ("https://h:8443", "/a/mcp?team=b%20c")
    assert Server("x", "https://h").path == "/"
    assert (Server("x", "https://h").whose, Server("x", "https://h", account="y").whose) == ("x", "y")


@pytest.mark.parametrize(
    ("value", "error", "scopes"),
    [
        ('Bearer error="insufficient_scope", scope="a b"', "insufficient_scope", ("a", "b")),
        ("bearer scope=a,error=insufficient_scope", "insufficient_scope", ("a",)),
        ('Bearer resource_metadata="https://h/x?scope=no", scope="a"', "", ("a",)),
        ("Bearer", "", ()),
        ('Basic realm="error=x"', "", ()),
        ('Bearer error_description="scope=\\"x\\"", error="e"', "e", ()),
        ('Basic realm="a", Bearer error="insufficient_scope", scope="b"', "insufficient_scope", ("b",)),
        ('Bearer error="e", error_description="you lack scope=evil"', "e", ()),
    ],
)
def test_a_challenge_is_read(value: str, error: str, scopes: tuple[str, ...]) -> None:
    found = challenge((("Content-Type", "x"), ("www-Authenticate", value)))
    assert (found.error, found.scopes) == (error, scopes)


def test_of_several_challenges_the_bearers_counts() -> None:
    headers = (("WWW-Authenticate", 'Basic realm="x"'), ("WWW-Authenticate", 'Bearer scope="a"'))
    assert challenge(headers) == Challenge('Bearer scope="a"', "", ("a",))
    assert challenge(()).text == ""
