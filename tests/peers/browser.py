"""A real Chromium without a screen, driven by Selenium with Debian's own driver."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from peers.presence import command

PATIENCE = 20  # seconds for a page on this machine

# Without these, Chromium asks Google's hosts for things at every start; as root it needs --no-sandbox.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1",
    "--window-size=800,600",
)


class Traffic(Struct, frozen=True):
    asked: list[str]  # URLs, in order
    headers: dict[str, dict[str, str]]  # of the answer to each URL, names in lower case


class Browser:
    """One window."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    @property
    def url(self) -> str:
        return self.driver.current_url

    @property
    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text

    def type(self, field: str, text: str) -> None:
        """Into the form field of that name, as a person would."""
        box = self.driver.find_element(By.NAME, field)
        box.clear()
        box.send_keys(text)

    def submit(self) -> None:
        """Presses the page's button and waits for the page that comes."""
        button = self.driver.find_element(By.CSS_SELECTOR, "button[type=submit]")
        button.click()
        self._gone(button)

    def _gone(self, element: WebElement) -> None:
        WebDriverWait(self.driver, PATIENCE).until(lambda _: _is_stale(element))

    def traffic(self) -> "Traffic":
        """What passed since this was last called, from Chromium's own log."""
        messages = [json.loads(line)["message"] for line in self._log("performance")]
        asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        answers = [m["params"]["response"] for m in messages if m["method"] == "Network.responseReceived"]
        headers = {a["url"]: {name.lower(): value for name, value in a["headers"].items()} for a in answers}
        return Traffic(asked=asked, headers=headers)

    def complaints(self) -> list[str]:
        """What the console said since this was last called: violations of a page's CSP are among it."""
        return self._log("browser")

    def _log(self, which: str) -> list[str]:
        entries: list[dict[str, str]] = self.driver.get_log(which)  # type: ignore[no-untyped-call]  # Selenium's own
        return [entry["message"] for entry in entries]

    def screenshot(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        assert self.driver.save_screenshot(str(path))
        return path


def _is_stale(element: WebElement) -> bool:
    """Whether its page has been replaced. In the moment of that, Chromium's driver says so in other words (seen)."""
    try:
        element.is_enabled()
    except StaleElementReferenceException:
        return True
    except WebDriverException as error:
        if "does not belong to the document" in (error.msg or ""):
            return True
        raise
    return False


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with an empty profile for the length of the block. The test is skipped where there is none."""
    binary = command("chromium", "chromium-browser", "google-chrome", package="chromium")
    service = Service(executable_path=command("chromedriver", package="chromium-driver"))  # no download of its own
    profile = tempfile.mkdtemp(prefix="aix-chromium-")
    options = Options()
    options.binary_location = binary
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    os.environ.setdefault("no_proxy", "127.0.0.1,localhost")  # Selenium itself talks to its driver on loopback
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.set_page_load_timeout(PATIENCE)
        browser = Browser(driver)
        browser.open("about:blank")
        browser.traffic()  # forget what Chromium's own first page asked for
        yield browser
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)
