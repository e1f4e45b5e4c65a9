"""The sign-in in a real Chromium: the provider's own pages on `localhost`, then ours on 127.0.0.1."""

import os
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from aixtiv_protocol import replies, requests
from peers.browser import Browser, chromium
from peers.machine import Conversation, Machine
from peers.person import visit
from peers.provider import oidc_provider

PICTURES = Path(os.environ.get("AIXTIV_PICTURES", Path(__file__).parent / "pictures"))  # git-ignored, to look at


def fill_in(browser: Browser, url: str, who: str) -> None:
    """What a person does at oidc-provider: name, password, consent."""
    browser.open(url)
    browser.type("login", who)
    browser.type("password", "any will do")
    browser.submit()
    browser.submit()


def begin(talk: Conversation, asked: requests.Login) -> replies.SignInStarted:
    talk.say(asked)
    started = talk.hear()
    assert isinstance(started, replies.SignInStarted), started
    return started


def test_the_page_says_signed_in_only_when_the_grant_is_on_disk(machine: Machine) -> None:
    with oidc_provider(host="localhost") as provider, chromium() as browser, machine.conversation() as talk:
        started = begin(talk, provider.login("work"))
        assert started.redirect_uri.startswith("http://127.0.0.1:")

        fill_in(browser, started.url, "ada")
        # The page is there. A daemon that is killed at this very moment must have the grant when it comes back.
        machine.kill()
        assert browser.url.startswith(started.redirect_uri)
        assert "signed in" in browser.text.lower()
        assert "ada@example.test" in browser.text
        browser.screenshot(PICTURES / "signed-in.png")

        machine.start()
        assert provider.active(machine.token("work").access_token.reveal())


def test_a_failure_is_shown_to_the_person_with_the_command_to_type(machine: Machine) -> None:
    with oidc_provider(host="localhost") as provider, chromium() as browser, machine.conversation() as talk:
        machine.sign_in(visit, provider.login("work"))
        started = begin(talk, provider.login("work"))
        fill_in(browser, started.url, "mallory")
        assert isinstance(talk.hear(), replies.Failure)
        assert "not signed in" in browser.text.lower()
        assert "Next: aixtiv login work --issuer" in browser.text
        assert "--replace" in browser.text
        browser.screenshot(PICTURES / "not-signed-in.png")


def test_our_page_is_all_there_is_to_it(machine: Machine) -> None:
    """Nothing is loaded from anywhere, and its policy would forbid it."""
    with oidc_provider(host="localhost") as provider, chromium() as browser, machine.conversation() as talk:
        started = begin(talk, provider.login("work"))
        fill_in(browser, started.url, "ada")
        ours = urlsplit(started.redirect_uri).netloc
        traffic = browser.traffic()
        page = browser.url
        after = traffic.asked[traffic.asked.index(page) + 1 :]
        assert [url for url in after if url != f"http://{ours}/favicon.ico"] == []  # Chromium asks for that by itself
        assert [line for line in browser.complaints() if ours in line and "favicon" not in line] == []

        headers = traffic.headers[page]
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"


def test_what_a_provider_says_cannot_become_a_script_in_our_page(machine: Machine) -> None:
    with oidc_provider(host="localhost") as provider, chromium() as browser, machine.conversation() as talk:
        started = begin(talk, provider.login("work"))
        evil = "<script>document.title='owned'</script><img src=http://127.0.0.1:9/x onerror=document.title='owned'>"
        state = parse_qs(urlsplit(started.url).query)["state"][0]
        said = {"error": "access_denied", "error_description": evil, "state": state, "iss": provider.issuer}
        browser.open(f"{started.redirect_uri}?{urlencode(said)}")
        assert browser.driver.title != "owned"
        assert browser.driver.execute_script("return document.scripts.length + document.images.length") == 0
        assert "access_denied" in browser.text
        failure = talk.hear()
        assert isinstance(failure, replies.Failure)


def test_a_page_with_another_state_uses_nothing_up(machine: Machine) -> None:
    """Any page on the web can send the browser to the callback: such a visit must not end the sign-in."""
    with oidc_provider(host="localhost") as provider, chromium() as browser, machine.conversation() as talk:
        started = begin(talk, provider.login("work"))
        browser.open(f"{started.redirect_uri}?code=of-somebody-else&state=guessed")
        assert "signed in as" not in browser.text.lower()
        fill_in(browser, started.url, "ada")
        assert isinstance(talk.hear(), replies.SignedIn)
        assert "signed in as ada@example.test" in browser.text.lower()
