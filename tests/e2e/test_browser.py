"""The sign-in in a real Chromium: the provider's own pages on `localhost`, then ours on 127.0.0.1."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from aixtiv_protocol import replies
from peers.browser import Browser, chromium
from peers.machine import Machine
from peers.provider import oidc_provider

PICTURES = Path(os.environ.get("AIXTIV_PICTURES", Path(__file__).parent / "pictures"))  # git-ignored, to look at


def fill_in(browser: Browser, url: str, who: str) -> None:
    """What a person does at oidc-provider: name, password, consent."""
    browser.open(url)
    browser.type("login", who)
    browser.type("password", "any will do")
    browser.submit()
    browser.submit()


def foreign(browser: Browser, page: str) -> list[str]:
    """What was asked of anybody but the server of that page."""
    home = urlsplit(page).netloc
    return [url for url in browser.requested() if urlsplit(url).netloc != home]


def test_the_page_says_signed_in_only_when_the_grant_is_on_disk(machine: Machine) -> None:
    with oidc_provider(host="localhost") as provider, chromium() as browser, machine.conversation() as talk:
        talk.say(provider.login("work"))
        started = talk.hear()
        assert isinstance(started, replies.SignInStarted)
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
    with oidc_provider(host="localhost") as provider, chromium() as browser:
        machine.sign_in(lambda url: fill_in(browser, url, "ada"), provider.login("work"))
        browser.driver.delete_all_cookies()
        with machine.conversation() as talk:
            talk.say(provider.login("work"))
            started = talk.hear()
            assert isinstance(started, replies.SignInStarted)
            browser.open(f"{provider.issuer}/session/end")  # so that the provider asks again who it is
            browser.driver.delete_all_cookies()
            fill_in(browser, started.url, "mallory")
            assert isinstance(talk.hear(), replies.Failure)
        assert "not signed in" in browser.text.lower()
        assert "aixtiv login work" in browser.text
        browser.screenshot(PICTURES / "not-signed-in.png")


def test_our_page_loads_nothing_from_anywhere_and_runs_nothing(machine: Machine) -> None:
    with oidc_provider(host="localhost") as provider, chromium() as browser, machine.conversation() as talk:
        talk.say(provider.login("work"))
        started = talk.hear()
        assert isinstance(started, replies.SignInStarted)
        browser.open(started.url)
        browser.type("login", "ada")
        browser.type("password", "any will do")
        browser.submit()
        browser.requested()
        browser.complaints()
        browser.submit()
        asked = [urlsplit(url).netloc for url in browser.requested()]
        ours, theirs = urlsplit(started.redirect_uri).netloc, urlsplit(provider.issuer).netloc
        assert set(asked) == {ours, theirs}
        assert not [line for line in browser.complaints() if "favicon" not in line]
        # the script of whoever gets text into that page: it does not run
        assert browser.driver.execute_script("return document.scripts.length") == 0
