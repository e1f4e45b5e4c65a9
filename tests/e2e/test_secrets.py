"""No secret where none may be, in a whole run: the actual values are looked for."""

import sys
from pathlib import Path

import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from peers.leaks import ProcessList, files_under, leaks
from peers.machine import Machine
from peers.person import visit
from peers.provider import oidc_provider

API_KEY = "sk-ant-api03-made-up-for-this-test-only"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_whole_run_shows_no_secret_in_log_error_file_argument_or_environment(folder: Path) -> None:
    printed: dict[str, bytes] = {}
    with Machine(folder) as machine, ProcessList(machine.home) as processes, oidc_provider(accessToken=3) as provider:
        machine.configure('log = "debug"\n')
        machine.start()

        def run(*words: str, code: int = 0, stdin: str = "") -> None:
            ran = machine.run(*words, stdin=stdin)
            assert ran.code == code, (words, ran)
            printed[f"{words} stdout"] = ran.out.encode()
            printed[f"{words} stderr"] = ran.err.encode()

        browser = machine.browser()
        with machine.running("login", "payroll", *provider.options(), BROWSER=browser) as login:
            visit(machine.opened(), "ada")
            out, err = login.communicate(timeout=30)
        printed["login stdout"], printed["login stderr"] = out.encode(), err.encode()
        with machine.conversation() as watch:
            watch.say(requests.Watch())
            watch.hear_until("refreshed", "payroll")
        machine.sign_in(visit, provider.login("confidential", client="basic"))
        run("api-key", "set", "static", stdin=f"{API_KEY}\n")
        for words in (["status"], ["accounts"], ["whoami", "payroll"], ["verify", "payroll"], ["refresh", "payroll"]):
            run(*words)
            run(*words, "--json")
        assert machine.run("token", "payroll").out  # the one place where a token belongs
        machine.kill()
        machine.start()
        machine.token("payroll")
        while_running = {"the daemon's environment": Path(f"/proc/{machine.pid}/environ").read_bytes()}
        store = files_under(machine.home, machine.runtime)
        # failures, too: a spent code, a revoked grant, nonsense on the socket
        provider.post("/token/revocation", token=provider.seen("granted", client="basic")[-1]["secrets"][1])
        run("refresh", "confidential", code=3)
        run("callback", code=1, stdin="http://127.0.0.1/callback?code=not-a-real-code-at-all&state=nor-is-this-one\n")
        run("logout", "payroll")
        assert machine.stop() == 0
        secrets = provider.issued | {API_KEY, "not-a-real-code-at-all"}
        assert len(secrets) > 10

    everywhere = printed | processes.seen | while_running | {"log": machine.log.encode()}
    assert leaks(secrets, everywhere) == []
    assert any("aixtivd" in name for name in processes.seen)

    stored = {name: content for name, content in store.items() if not name.endswith("config.toml")}
    assert stored
    assert leaks(secrets, stored) == []
    names = {"payroll", "confidential", "static", "ada@example.test", provider.issuer.removeprefix("http://")}
    named = [Path(name).name for name, content in stored.items() if any(n.encode() in content for n in names)]
    assert named == ["audit.log"]  # which is there to be read


def test_the_search_itself_finds_what_is_hidden_badly() -> None:
    secret = Secret("abcdefghijklmnopqrstuvwxyz")
    text = secret.reveal()
    places = {"cut": text[:14].encode(), "hex": text.encode().hex().encode(), "clean": b"abcdefghijk"}
    assert leaks([text], places) == ["cut", "hex"]
