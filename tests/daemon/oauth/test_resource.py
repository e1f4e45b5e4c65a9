"""Who signs in at a protected resource: where that is looked for, and what is not believed."""

import json
from typing import Any

import pytest

from aixtivd.config import Network
from aixtivd.errors import Misconfigured, NoProvider, SignInFailed, Unreachable
from aixtivd.oauth.resource import Resource, canonical, covers, resource_at, server_of
from aixtivd.oauth.web import BODY_CAP, Answer, Web
from peers.canned import Shelf, raw, shelf

PLACE = "/.well-known/oauth-protected-resource"
SERVER = "/.well-known/oauth-authorization-server"


def described(resource: str, **more: Any) -> dict[str, Any]:
    return {"resource": resource, "authorization_servers": ["https://as.example"]} | more


def server(issuer: str, **more: Any) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/a",
        "token_endpoint": f"{issuer}/t",
        "code_challenge_methods_supported": ["S256"],
    } | more


def refusing(there: Shelf, challenge: str = "Bearer") -> str:
    there.put("/mcp", status=401, WWW_Authenticate=challenge)
    return f"{there.url}/mcp"


async def test_the_place_that_it_names_is_asked_and_no_other(web: Web) -> None:
    async with shelf() as there:
        url = refusing(there, f'Bearer resource_metadata="{there.url}/custom", scope="a"')
        there.put("/custom", described(url, scopes_supported=["a", "b"]))
        found = await resource_at(web, url)
        assert found == Resource(
            url=url, scopes=("a",), known_scopes=("a", "b"), issuer="https://as.example", challenged=True
        )
        assert there.asked == ["/mcp", "/custom"]


async def test_who_has_seen_the_challenge_spares_the_question(web: Web) -> None:
    async with shelf() as there:
        url = refusing(there)
        there.put("/custom", described(url))
        await resource_at(web, url, f'Bearer resource_metadata="{there.url}/custom"')
        assert there.asked == ["/custom"]


async def test_it_is_asked_without_any_credential(web: Web) -> None:
    async with shelf() as there:
        url = refusing(there)
        await resource_at(web, url)
        assert all("Authorization" not in headers for headers in there.headers)


async def test_a_server_that_only_refuses_a_post_is_asked_by_one(web: Web) -> None:
    methods: list[bytes] = []

    async def talk(reader: Any, writer: Any) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        methods.append(head.split()[0])
        if head.startswith(b"POST"):
            answer = b'HTTP/1.1 401 x\r\nWWW-Authenticate: Bearer scope="a"\r\nContent-Length: 0\r\n\r\n'
        else:
            answer = b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n"
        writer.write(answer)
        await writer.drain()

    async with raw(talk) as port:
        found = await resource_at(web, f"http://127.0.0.1:{port}/mcp")
    assert (found.scopes, found.challenged) == (("a",), True)
    assert methods[:2] == [b"GET", b"POST"]


async def test_challenges_for_other_schemes_may_stand_on_lines_of_their_own(web: Web) -> None:
    async def talk(reader: Any, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        lines = b'WWW-Authenticate: Basic realm="x"\r\nWWW-Authenticate: Bearer scope="a"\r\n'
        writer.write(b"HTTP/1.1 401 x\r\n" + lines + b"Content-Length: 0\r\n\r\n")
        await writer.drain()

    async with raw(talk) as port:
        assert (await resource_at(web, f"http://127.0.0.1:{port}/mcp")).scopes == ("a",)


@pytest.mark.parametrize(
    ("path", "place", "resource"),
    [
        ("/mcp", f"{PLACE}/mcp", "/mcp"),
        ("/mcp", PLACE, ""),
        ("/mcp", PLACE, "/"),
        ("/a/mcp", PLACE, "/a"),
        ("", PLACE, ""),
        ("/mcp/", f"{PLACE}/mcp", "/mcp"),
    ],
)
async def test_the_well_known_places_are_asked_in_their_order(web: Web, path: str, place: str, resource: str) -> None:
    async with shelf() as there:
        there.put(place, described(f"{there.url}{resource}"))
        found = await resource_at(web, f"{there.url}{path}", "Bearer")
        assert found.url == f"{there.url}{resource}"  # as it writes itself: the server compares that
        assert there.asked == [f"{PLACE}{path.rstrip('/')}", PLACE][: len(there.asked)]


@pytest.mark.parametrize(
    "resource",
    [
        "https://evil.example/mcp",
        "{url}/mc",
        "{url}/mcp/below",
        "{url}/mcp?x",
        "{url}/mcp#x",
        "nonsense",
        "http://x.example/",
    ],
)
async def test_what_speaks_for_another_resource_is_not_believed(web: Web, resource: str) -> None:
    async with shelf() as there:
        there.put(f"{PLACE}/mcp", described(resource.format(url=there.url)))
        there.put(PLACE, described(there.url))
        with pytest.raises(NoProvider, match="speaks for another resource"):
            await resource_at(web, f"{there.url}/mcp", "Bearer")


async def test_a_tenant_does_not_say_who_signs_in_to_the_whole_host(web: Web) -> None:
    """Its challenge may name any document: a token for all that the host has would be asked for, and handed to it."""
    async with shelf() as there, shelf() as elsewhere:
        url = f"{there.url}/tenants/evil/mcp"
        for place in (f"{elsewhere.url}/meta", f"{elsewhere.url}{PLACE}", f"{there.url}/tenants/evil/meta"):
            for larger in (there.url, f"{there.url}/tenants"):
                for at in (there, elsewhere):
                    for path in ("/meta", PLACE, "/tenants/evil/meta"):
                        at.put(path, described(larger))
                with pytest.raises(NoProvider, match="speaks for more than"):
                    await resource_at(web, url, f'Bearer resource_metadata="{place}", scope="everything"')
        named = f'Bearer resource_metadata="{there.url}{PLACE}"'
        there.put(PLACE, described(there.url))
        assert (await resource_at(web, url, named)).url == there.url


@pytest.mark.parametrize(
    "body", ["<html>", "[]", "{}", '{"resource": 7}', '{"a":' * 3000, '{"resource": "x", "scopes_supported": "y"}']
)
async def test_nonsense_is_no_metadata(web: Web, body: str) -> None:
    async with shelf() as there:
        there.put(f"{PLACE}/mcp", body)
        there.put(PLACE, described(there.url, scopes_supported=None))  # a null says nothing
        assert (await resource_at(web, f"{there.url}/mcp", "Bearer")).url == there.url


async def test_passing_trouble_is_said_to_pass(web: Web) -> None:
    async with shelf() as there:
        there.put(f"{PLACE}/mcp", status=503)
        with pytest.raises(Unreachable, match="503"):
            await resource_at(web, f"{there.url}/mcp", "Bearer")


async def test_an_answer_beyond_all_bounds_is_not_read_to_its_end(web: Web) -> None:
    async with shelf() as there:
        there.put(f"{PLACE}/mcp", " " * (BODY_CAP + 1))
        with pytest.raises(Unreachable, match="more than"):
            await resource_at(web, f"{there.url}/mcp", "Bearer")


async def test_a_refusal_without_an_end_is_a_refusal_all_the_same(web: Web) -> None:
    async def talk(reader: Any, writer: Any) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b" /mcp " in head:
            writer.write(b'HTTP/1.1 401 x\r\nWWW-Authenticate: Bearer scope="a"\r\nContent-Length: 9\r\n\r\nhalf')
        else:
            writer.write(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with raw(talk) as port:
        assert (await resource_at(web, f"http://127.0.0.1:{port}/mcp")).scopes == ("a",)


class Remote(Web):
    """A web in which every server says the same."""

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__(Network())
        self.asked: list[str] = []
        self._said = json.dumps(said).encode()

    async def send(self, method: str, url: str, **how: Any) -> Answer:
        self.asked.append(url)
        return Answer(200, {}, self._said)


@pytest.mark.parametrize("url", ["http://127.0.0.1:2375/x", "https://localhost/", "https://[::1]:9/", "https://0/"])
async def test_a_resource_elsewhere_cannot_make_us_knock_on_this_machine(url: str) -> None:
    here = "https://mcp.example/mcp"
    remote = Remote(described(here, authorization_servers=[url]))
    with pytest.raises(NoProvider, match=r"an address on this machine|plain http"):
        await resource_at(remote, here, "Bearer")
    assert url not in remote.asked
    with pytest.raises(NoProvider, match=r"an address on this machine|plain http"):
        await resource_at(remote, here, f'Bearer resource_metadata="{url}"')
    assert url not in remote.asked


@pytest.mark.parametrize("url", ["http://as.example", "javascript:alert(1)", "https://u:p@as.example", ""])
async def test_a_server_that_cannot_be_asked_is_refused(url: str) -> None:
    here = "https://mcp.example/mcp"
    said = described(here, authorization_servers=[url])
    if url:
        with pytest.raises(NoProvider, match="cannot be used"):
            await resource_at(Remote(said), here, "Bearer")
    else:
        assert (await resource_at(Remote(said), here, "Bearer")).issuer == ""


@pytest.mark.parametrize("url", ["http://mcp.example/mcp", "mcp.example", "", "https://u:p@mcp.example/"])
async def test_a_resource_is_an_https_url(web: Web, url: str) -> None:
    with pytest.raises(Misconfigured):
        await resource_at(web, url)


async def test_its_server_must_say_that_it_takes_pkce(web: Web) -> None:
    async with shelf() as there:
        resource = Resource(url="https://mcp.example", issuer=there.url)
        for methods in (None, ["plain"]):
            there.put(SERVER, server(there.url, code_challenge_methods_supported=methods))
            with pytest.raises(NoProvider, match="S256"):
                await server_of(web, resource)
        there.put(SERVER, server(there.url))
        assert (await server_of(web, resource)).token_endpoint == f"{there.url}/t"


async def test_a_slash_behind_a_bare_host_is_the_same_issuer_and_any_other_difference_is_not(web: Web) -> None:
    async with shelf() as there:
        there.put(SERVER, server(there.url))
        assert (await server_of(web, Resource(url=there.url, issuer=f"{there.url}/"))).issuer == there.url
        there.put(f"{SERVER}/tenant", server(f"{there.url}/tenant/"))
        with pytest.raises(NoProvider, match="writes itself"):
            await server_of(web, Resource(url=there.url, issuer=f"{there.url}/tenant"))
        there.put(SERVER, server("https://good.example"))
        with pytest.raises(NoProvider, match="speaks for another issuer"):
            await server_of(web, Resource(url=there.url, issuer=there.url))


async def test_rfc_8414s_place_is_asked_first(web: Web) -> None:
    async with shelf() as there:
        openid = "/tenant/.well-known/openid-configuration"
        there.put(openid, server(f"{there.url}/tenant"))
        await server_of(web, Resource(url=there.url, issuer=f"{there.url}/tenant"))
        assert there.asked == [f"{SERVER}/tenant", "/.well-known/openid-configuration/tenant", openid]


async def test_a_server_from_before_is_its_own_authorization_server(web: Web) -> None:
    async with shelf() as there:
        there.put(SERVER, server(there.url))
        found = await server_of(web, Resource(url=f"{there.url}/mcp", challenged=True))
        assert (found.issuer, found.token_endpoint) == (there.url, f"{there.url}/t")


async def test_one_that_publishes_nothing_has_the_usual_endpoints_if_it_turns_people_away(web: Web) -> None:
    async with shelf() as there:
        found = await server_of(web, Resource(url=f"{there.url}/mcp", challenged=True))
        assert found.issuer == ""
        assert found.authorization_endpoint == f"{there.url}/authorize"
        assert found.token_endpoint == f"{there.url}/token"
        assert found.registration_endpoint == f"{there.url}/register"


async def test_where_nobody_need_sign_in_that_is_said(web: Web) -> None:
    async with shelf() as there:
        there.put("/mcp", "open to all")
        resource = await resource_at(web, f"{there.url}/mcp")
        with pytest.raises(SignInFailed, match="asks nobody to sign in"):
            await server_of(web, resource)


async def test_of_who_signs_in_there_and_cannot_be_reached_it_is_told_whose_it_is(web: Web) -> None:
    async with shelf() as there:
        gone = there.url
    with pytest.raises(Unreachable, match="that is where https://h/mcp has its tokens from"):
        await server_of(web, Resource(url="https://h/mcp", issuer=gone))


async def test_an_address_at_which_nothing_is_may_be_wrong(web: Web) -> None:
    async with shelf() as there:
        resource = await resource_at(web, f"{there.url}/mpc")
        with pytest.raises(SignInFailed, match=r"/mpc answered 404: the address may be wrong") as refused:
            await server_of(web, resource)
        assert refused.value.hint == "aixtiv mcp list"


@pytest.mark.parametrize("place", [f"{PLACE}/mcp", SERVER])
async def test_redirects_are_followed_nowhere_and_told(web: Web, place: str) -> None:
    async with shelf() as there:
        there.put(place, status=302, Location=f"{there.url}/elsewhere")
        there.put("/elsewhere", described(there.url))
        resource = await resource_at(web, f"{there.url}/mcp", "Bearer")
        with pytest.raises(NoProvider, match="leads elsewhere"):
            await server_of(web, resource)
        assert "/elsewhere" not in there.asked


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://MCP.Example:443/Path/?q#f", "https://mcp.example/Path/?q"),
        ("https://mcp.example/", "https://mcp.example"),
        ("HTTP://localhost:80/x", "http://localhost/x"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_a_resource_is_written_in_one_way(url: str, written: str) -> None:
    assert canonical(url) == written


@pytest.mark.parametrize(
    ("resource", "url", "does"),
    [
        ("https://a.example", "https://a.example/mcp", True),
        ("https://a.example/", "https://A.example:443", True),
        ("https://a.example/mcp", "https://a.example/mcp/", True),
        ("https://a.example/mcp", "https://a.example/mcp/x", True),
        ("https://a.example/mcp", "https://a.example/mcpx", False),
        ("https://a.example/mcp", "https://a.example", False),
        ("https://a.example", "https://b.example", False),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example/mcp?x=1", "https://a.example/mcp?x=1", True),
        ("https://a.example/mcp?x=1", "https://a.example/mcp", False),
    ],
)
def test_what_is_said_of_a_resource_holds_for_what_is_below_it(resource: str, url: str, does: bool) -> None:
    assert covers(resource, url) is does
