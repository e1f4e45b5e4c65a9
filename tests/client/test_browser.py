"""When a browser is opened here, and what is said where it is not."""

import pytest

from aixtiv.browser import can_open, open_page, tunnel


@pytest.mark.parametrize(
    ("environ", "platform", "opens"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": "localhost:10", "SSH_CONNECTION": "a 1 b 22"}, "linux", False),
        ({}, "darwin", True),
        ({"SSH_TTY": "/dev/pts/0"}, "darwin", False),
        ({"BROWSER": "wslview", "SSH_CONNECTION": "a 1 b 22"}, "linux", True),
    ],
)
def test_a_browser_is_opened_where_the_person_would_see_it(
    environ: dict[str, str], platform: str, *, opens: bool
) -> None:
    assert can_open(environ, platform) is opens


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
