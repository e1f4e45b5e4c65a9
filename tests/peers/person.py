"""Signing in without a person: walks the plain HTML forms of a provider, ours or oidc-provider's, as a browser would.

Blocking, and standard library only, so that it runs in a thread, a script or the demo.
"""

import http.client
import http.cookies
from html.parser import HTMLParser
from typing import Final
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

from msgspec import Struct

PATIENCE: Final = 30.0  # seconds for one page
STEPS: Final = 20  # pages and redirects, before it is a loop


class Visited(Struct, frozen=True, kw_only=True):
    """Where the walk ended."""

    url: str  # of the page, or with `stop_at` the address that was not visited
    status: int = 0
    text: str = ""


def visit(url: str, who: str = "ada", *, refuse: bool = False, stop_at: str = "", code: str = "") -> Visited:
    """From the authorization URL to the last page, which is the callback's, or the provider's own where it refuses.

    `refuse`: says no instead of yes. `stop_at`: an address that begins so is not visited, as on a machine whose
    browser cannot reach the callback. `code`: what a device shows, where a page asks for that.
    """
    browser = _Browser()
    step: tuple[str, str, str] | None = ("GET", url, "")
    page = Visited(url=url)
    for _ in range(STEPS):
        if step is None:
            return page
        method, target, body = step
        if stop_at and target.startswith(stop_at):
            return Visited(url=target)
        page, location = browser.ask(method, target, body)
        step = ("GET", location, "") if location else _next(page, who, code, refuse=refuse)
    raise AssertionError(f"the sign-in did not end within {STEPS} pages; the last was {page.url}")


def type_code(url: str, code: str = "", who: str = "ada", *, refuse: bool = False) -> str:
    """The text of the last page of a device grant, at its address: the code is in that already, or typed there."""
    return visit(url, who, refuse=refuse, code=code).text


def sign_in(url: str, who: str = "ada") -> str:
    """The text of the callback's page."""
    return visit(url, who).text


def redirected(url: str, callback: str, who: str = "ada") -> str:
    """The address the browser would be sent to, for a pasted sign-in: `callback` is how it begins."""
    return visit(url, who, stop_at=callback).url


def _next(page: Visited, who: str, code: str, *, refuse: bool) -> tuple[str, str, str] | None:
    """What a person does on that page: fills in its form, or takes the way out; None where nothing can be done."""
    form = _Form()
    form.feed(page.text)
    if not form.found or page.status >= 400:
        return None
    if refuse and form.way_out:
        return "GET", urljoin(page.url, form.way_out), ""
    fields = form.fields | ({"login": who} if "login" in form.fields else {})
    fields |= {"password": "any will do"} if "password" in fields else {}
    if fields.get("user_code") == "":
        if not code:
            return None  # nothing to be typed there
        fields["user_code"] = code
    return form.method, urljoin(page.url, form.action), urlencode(fields)


class _Browser:
    """Cookies by host name, redirects by hand, and no proxy."""

    def __init__(self) -> None:
        self._cookies: dict[str, dict[str, tuple[str, str]]] = {}  # host -> name -> path, value

    def ask(self, method: str, url: str, body: str) -> tuple[Visited, str]:
        """The page, and where it redirects to (absolute, empty for nowhere)."""
        parts = urlsplit(url)
        headers = {"Accept": "text/html", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        if cookie := self._cookie(parts):
            headers["Cookie"] = cookie
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=PATIENCE)
        try:
            target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
            connection.request(method, target, body.encode() if method == "POST" else None, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
            self._keep(parts, answer)
        finally:
            connection.close()
        location = answer.getheader("Location", "") if 300 <= answer.status < 400 else ""
        return Visited(url=url, status=answer.status, text=text), urljoin(url, location) if location else ""

    def _cookie(self, parts: SplitResult) -> str:
        held = self._cookies.get(parts.hostname or "", {})
        fitting = ((name, value) for name, (path, value) in held.items() if parts.path.startswith(path))
        return "; ".join(f"{name}={value}" for name, value in fitting)

    def _keep(self, parts: SplitResult, answer: http.client.HTTPResponse) -> None:
        held = self._cookies.setdefault(parts.hostname or "", {})
        for line in answer.headers.get_all("Set-Cookie", ()):
            for name, cookie in http.cookies.SimpleCookie(line).items():
                if cookie.value:
                    held[name] = (cookie["path"] or "/", cookie.coded_value)
                else:
                    held.pop(name, None)  # an empty one takes it back


class _Form(HTMLParser):
    """The first form of a page, and the link that leads out of it."""

    def __init__(self) -> None:
        super().__init__()
        self.found = False
        self.action = ""
        self.method = "POST"
        self.fields: dict[str, str] = {}
        self.way_out = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form" and not self.found:
            self.found = True
            self.action = said.get("action", "")
            self.method = said.get("method", "get").upper()
        elif tag == "input" and self.found and said.get("name"):
            self.fields[said["name"]] = said.get("value", "")
        elif tag == "a" and said.get("href", "").endswith("/abort"):
            self.way_out = said["href"]
