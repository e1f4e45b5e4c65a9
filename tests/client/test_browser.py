"""How a browser is opened, and the ssh line where that is on another machine."""

from pathlib import Path

import pytest

from aixtiv.browser import open_page, tunnel


def test_the_tunnel_leads_back_the_way_the_person_came() -> None:
    environ = {"SSH_CONNECTION": "198.51.100.7 50000 203.0.113.9 22", "USER": "ada"}
    assert tunnel(43123, environ) == "ssh -L 43123:127.0.0.1:43123 ada@203.0.113.9"


def test_the_tunnel_names_another_ssh_port() -> None:
    environ = {"SSH_CONNECTION": "198.51.100.7 50000 203.0.113.9 2222"}
    assert tunnel(1, environ) == "ssh -p 2222 -L 1:127.0.0.1:1 203.0.113.9"


def test_the_browser_cannot_write_between_the_commands_own_lines(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BROWSER", "echo %s")
    assert open_page("https://example.org/").wait(20) == 0
    assert capfd.readouterr() == ("", "")


def test_what_opens_addresses_here_is_given_the_address_alone(folder: Path) -> None:
    told = folder / "told"
    opener = folder / "wslview"
    opener.write_text(f'#!/bin/sh\nprintf "%s" "$#:$1" > {told}\n')
    opener.chmod(0o700)
    url = "https://id.example.org/authorize?a=1&b='2'"
    assert open_page(url, str(opener)).wait(20) == 0
    assert told.read_text() == f"1:{url}"


def test_no_secret_of_the_shells_reaches_the_browser(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opener = folder / "browser"
    opener.write_text(f"#!/bin/sh\nenv > {folder}/seen\n")
    opener.chmod(0o700)
    monkeypatch.setenv("GITHUB_OAUTH_CLIENT_SECRET", "hunter2")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "hunter2")
    monkeypatch.setenv("LANG", "C.UTF-8")
    assert open_page("https://example.org", str(opener)).wait(20) == 0
    seen = (folder / "seen").read_text()
    assert "LANG=C.UTF-8" in seen
    assert "hunter2" not in seen
