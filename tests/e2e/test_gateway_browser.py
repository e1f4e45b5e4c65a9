"""A real browser at the gateway's port: whatever a page does there, nothing is relayed and nothing can be read."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from aixtiv_protocol import replies, requests
from peers.browser import Browser, chromium
from peers.desk import ACCOUNT, Desk, desk
from peers.ports import free_port
from peers.waiting import until

PAGE = b"""<!doctype html><title>evil</title>
<form id=f method=post enctype=text/plain target=t><input name='{"model":"x","a":"' value='"}'></form>
<iframe name=t></iframe><body>"""

TRIES = """
const [url, ticket, done] = arguments;
const tries = {
  simple: [url + "/v1/models", {}],
  preflighted: [url + "/v1/messages", {method: "POST", headers: {"authorization": "Bearer " + ticket}, body: "{}"}],
  opaque: [url + "/v1/messages", {method: "POST", mode: "no-cors", body: "{}"}],
  navigated: [url + "/v1/models", {mode: "same-origin"}],
  own_host: [url + "/v1/messages", {method: "POST", headers: {"x-api-key": ticket}, mode: "cors", body: "{}"}],
};
const told = {};
Promise.all(Object.entries(tries).map(async ([name, [to, how]]) => {
  try {
    const answer = await fetch(to, how);
    told[name] = [answer.type, answer.status, await answer.text()];
  } catch (error) { told[name] = ["failed"]; }
})).then(() => done(told));
"""


class Evil(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def evil_site() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Evil)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def at(folder: Path) -> Iterator[Desk]:
    with desk(folder, configured=f"[claude]\nport = {free_port()}\n") as made:
        made.sign_in()
        yield made


@pytest.fixture
def where(at: Desk) -> str:
    said = at.machine.ask(requests.Status())
    assert isinstance(said, replies.DaemonStatus)
    assert said.gateway_port
    return f"http://127.0.0.1:{said.gateway_port}"


def test_a_page_can_neither_call_nor_read_even_with_a_good_ticket(at: Desk, where: str) -> None:
    with at.machine.conversation() as talk, evil_site() as site, chromium() as browser:
        talk.say(requests.Ticket(account=ACCOUNT))
        made = talk.hear()
        assert isinstance(made, replies.TicketMade)
        for page in (site, f"{where}/v1/models"):  # another origin, and the answer to a navigation itself
            browser.open(page)
            told = browser.driver.execute_async_script(TRIES, where, made.ticket.reveal())
            readable = {name: said for name, said in told.items() if said[0] not in ("failed", "opaque")}
            for said in readable.values():  # of its own origin a page may read, and gets a refusal
                assert page.startswith(where), (page, told)
                assert said[1] == 403, said
                assert "comes from a browser" in said[2]
        submit(browser, site, where)
    assert at.claude.requests == []
    lines = [json.loads(line) for line in at.machine.run("audit", "--json", "--limit", "0").out.splitlines()]
    denied = [line["detail"] for line in lines if line["what"] == "denied"]
    assert len(denied) >= 5
    assert not [line for line in lines if line["what"] == "relay"]


def submit(browser: Browser, site: str, where: str) -> None:
    """A form needs no preflight: it arrives."""
    browser.open(site)
    browser.driver.execute_script(f"f.action = '{where}/v1/messages'; f.submit()")
    browser.driver.switch_to.frame("t")
    until(lambda: "permission_error" in browser.text, "the form was refused")


def test_a_name_that_resolves_here_does_not_help(at: Desk, where: str) -> None:
    """DNS rebinding: for the browser, page and gateway are one origin then. Chromium resolves `*.localhost` itself."""
    with chromium() as browser:
        browser.open(where.replace("127.0.0.1", "evil.localhost") + "/v1/models")
        assert "permission_error" in browser.text
    assert at.claude.requests == []
