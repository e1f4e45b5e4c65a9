"""The authorization URL, and what must hold of the answer's issuer."""

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest

from aixtivd.errors import Misconfigured, SignInFailed
from aixtivd.oauth.authorization import authorization_url, check_issuer, new_nonce, new_state, new_verifier, same_state
from aixtivd.oauth.client import Client, Quirks

CLIENT = Client(
    provider="p",
    client_id="c d&e",
    issuer="https://i.example",
    token_endpoint="https://i.example/t",
    authorization_endpoint="https://i.example/a?tenant=1",
)
REDIRECT = "http://127.0.0.1:1234/callback"


def asked(client: Client = CLIENT, scopes: tuple[str, ...] = ("openid", "email")) -> dict[str, list[str]]:
    url = authorization_url(client, REDIRECT, "state", "nonce", new_verifier(), scopes)
    assert url.startswith("https://i.example/a?")
    return parse_qs(urlsplit(url).query, strict_parsing=True)


def test_everything_the_rfcs_ask_for_is_there_once() -> None:
    verifier = new_verifier()
    url = authorization_url(CLIENT, REDIRECT, "state", "nonce", verifier, ("openid", "email"))
    digest = hashlib.sha256(verifier.reveal().encode()).digest()
    assert parse_qs(urlsplit(url).query, strict_parsing=True) == {
        "tenant": ["1"],
        "response_type": ["code"],
        "client_id": ["c d&e"],
        "redirect_uri": [REDIRECT],
        "scope": ["openid email"],
        "state": ["state"],
        "code_challenge": [base64.urlsafe_b64encode(digest).rstrip(b"=").decode()],
        "code_challenge_method": ["S256"],
        "nonce": ["nonce"],
    }
    assert verifier.reveal() not in url


def test_a_nonce_is_sent_with_openid_only() -> None:
    assert "nonce" not in asked(scopes=("repo",))


def test_no_scope_means_no_scope_parameter() -> None:
    assert "scope" not in asked(scopes=())


def test_offline_access_asks_for_consent_unless_the_provider_has_its_own_way() -> None:
    """OpenID Connect Core §11."""
    scopes = ("openid", "offline_access")
    assert asked(scopes=scopes)["prompt"] == ["consent"]
    chosen = Quirks(authorize_parameters={"prompt": "select_account"})
    assert asked(with_quirks(chosen), scopes)["prompt"] == ["select_account"]
    assert "prompt" not in asked(with_quirks(Quirks(authorize_parameters={"prompt": ""})), scopes)
    assert "prompt" not in asked(scopes=("offline_access",))


def test_a_providers_parameters_cannot_take_the_place_of_what_protects_the_sign_in() -> None:
    hostile = dict.fromkeys(("state", "redirect_uri", "code_challenge", "code_challenge_method", "nonce"), "x")
    query = asked(with_quirks(Quirks(authorize_parameters=hostile | {"access_type": "offline"})))
    assert all("x" not in query[name] and len(query[name]) == 1 for name in hostile)
    assert query["access_type"] == ["offline"]


@pytest.mark.parametrize("endpoint", ["http://i.example/a", "", "javascript:alert(1)", "https://u:p@i.example/a"])
def test_a_browser_is_sent_nowhere_but_to_a_good_url(endpoint: str) -> None:
    client = Client(provider="p", client_id="c", token_endpoint="https://i.example/t", authorization_endpoint=endpoint)
    with pytest.raises(Misconfigured):
        authorization_url(client, REDIRECT, "s", "n", new_verifier(), ())


def test_verifier_state_and_nonce_are_long_and_never_the_same() -> None:
    made = {make() for make in (new_state, new_nonce, lambda: new_verifier().reveal()) for _ in range(100)}
    assert len(made) == 300
    assert all(len(text) >= 43 for text in made)


@pytest.mark.parametrize(
    ("theirs", "ours", "same"),
    [("a", "a", True), ("a", "b", False), ("", "", False), ("é", "é", True), ("", "a", False)],
)
def test_states_are_compared(theirs: str, ours: str, same: bool) -> None:
    assert same_state(theirs, ours) is same


@pytest.mark.parametrize("expected", [True, False])
def test_an_issuer_that_comes_must_be_the_right_one(expected: bool) -> None:
    client = with_quirks(Quirks(expects_iss=expected))
    check_issuer(client, "https://i.example")
    for wrong in ("https://i.example/", "https://evil.example", "https://I.example"):
        with pytest.raises(SignInFailed, match="another issuer"):
            check_issuer(client, wrong)


def test_an_issuer_that_was_announced_must_come() -> None:
    check_issuer(CLIENT, "")
    with pytest.raises(SignInFailed, match="does not say which issuer"):
        check_issuer(with_quirks(Quirks(expects_iss=True)), "")


@pytest.mark.parametrize(
    ("iss", "good"),
    [
        ("https://i.example", True),
        ("https://I.example/login/oauth", True),
        ("https://accounts.google.com", False),
        ("http://i.example", False),
        ("https://i.example:444", False),
        ("https://i.example@evil.example", False),
        ("i.example", False),
        ("https://[", False),
    ],
)
def test_without_a_known_issuer_the_code_must_be_of_the_server_that_gets_it(iss: str, good: bool) -> None:
    """Else an answer of Google would be carried to a stranger's token endpoint (RFC 9207; attack M15)."""
    client = Client(provider="p", client_id="c", token_endpoint="https://i.example/t")
    check_issuer(client, "")
    if good:
        check_issuer(client, iss)
    else:
        with pytest.raises(SignInFailed, match="another server"):
            check_issuer(client, iss)


GUID = "9188040d-6c67-4c5b-b112-36a304b66dad"


@pytest.mark.parametrize(
    ("issuer", "iss", "good"),
    [
        ("https://login.example/{tenantid}/v2.0", f"https://login.example/{GUID}/v2.0", True),
        ("https://login.example/{tenantid}/v2.0", "https://login.example/{tenantid}/v2.0", False),
        ("https://login.example/{tenantid}/v2.0", f"https://login.example/{GUID}/v2.0/", False),
        ("https://login.example/{tenantid}/v2.0", f"https://loginxexample/{GUID}/v2.0", False),
        ("https://login.example/{tenantid}/v2.0", "https://accounts.google.com", False),
        ("https://evil.example/{x}", "https://accounts.google.com", False),
        ("https://evil.example/{x}", f"https://evil.example/{GUID}", False),
        ("https://evil.example/{x}", "https://evil.example/{x}", True),
    ],
)
def test_braces_in_an_issuer_stand_for_a_tenant_and_for_nothing_else(issuer: str, iss: str, good: bool) -> None:
    client = Client(provider="p", client_id="c", issuer=issuer, token_endpoint="https://i.example/t")
    if good:
        check_issuer(client, iss)
    else:
        with pytest.raises(SignInFailed, match="another issuer"):
            check_issuer(client, iss)


def with_quirks(quirks: Quirks) -> Client:
    return Client(
        provider="p",
        client_id="c",
        issuer="https://i.example",
        token_endpoint="https://i.example/t",
        authorization_endpoint="https://i.example/a",
        quirks=quirks,
    )
