"""One notification on a desktop: the real bus, a program behind it in every mood, and no desktop at all."""

import socket
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from aixtivd.host import notices
from aixtivd.host.notices import NotShown, notify
from peers.desktop import Shown, bus, desktop

TITLE, BODY = "aixtiv: work needs a sign-in", "it is <b>over</b> & done\ntype: aixtiv login work"


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    with bus(folder) as address:
        yield address


def at(address: str) -> dict[str, str]:
    return {"DBUS_SESSION_BUS_ADDRESS": address}


async def reason(environ: dict[str, str]) -> str:
    with pytest.raises(NotShown) as raised:
        await notify(TITLE, BODY, stays=True, environ=environ)
    return str(raised.value)


async def test_it_is_shown_as_it_is_and_stays(address: str) -> None:
    with desktop(address) as screen:
        await notify(TITLE, BODY, stays=True, environ=at(address))
        assert screen.shown == [
            Shown(TITLE, BODY, "aixtiv", "dialog-password", 0, (), {"urgency": 1}, 0),
        ]


async def test_one_that_need_not_stay_goes_as_the_desktop_likes(address: str) -> None:
    with desktop(address) as screen:
        await notify(TITLE, BODY, stays=False, environ=at(address))
        assert [shown.seconds for shown in screen.shown] == [-1]


async def test_a_providers_words_are_no_markup_on_a_desktop_that_reads_markup(address: str) -> None:
    with desktop(address, can=("body", "body-markup", "body-hyperlinks")) as screen:
        await notify(TITLE, BODY, stays=True, environ=at(address))
        assert screen.shown[0].body == "it is &lt;b&gt;over&lt;/b&gt; &amp; done\ntype: aixtiv login work"


async def test_the_bus_is_found_where_systemd_puts_it(address: str, folder: Path) -> None:
    with desktop(address) as screen:
        await notify(TITLE, BODY, stays=True, environ={"XDG_RUNTIME_DIR": str(folder)})
        assert len(screen.shown) == 1


async def test_a_bus_on_which_nobody_shows_notifications_is_said(address: str) -> None:
    assert await reason(at(address)) == "nothing on this desktop shows notifications"


async def test_a_desktop_that_refuses_is_said(address: str) -> None:
    with desktop(address, "refuses"):
        assert await reason(at(address)) == "the desktop refused the notification"


async def test_a_desktop_that_does_not_answer_is_not_waited_for(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "_PATIENCE", 0.2)
    with desktop(address, "silent"):
        assert await reason(at(address)) == "the desktop did not answer within 0.2 seconds"


@pytest.mark.parametrize("environ", [{}, {"XDG_RUNTIME_DIR": "/nowhere"}, at("unix:path=/nowhere")])
async def test_where_there_is_no_desktop_that_is_said(environ: dict[str, str]) -> None:
    assert await reason(environ) == "there is no desktop here"


@pytest.mark.parametrize("words", ["nonsense", "tcp:host=localhost,port=1", "unix:"])
async def test_an_address_that_is_none_ends_in_a_sentence(words: str) -> None:
    assert (await reason(at(words))).startswith("the session's bus cannot be spoken to")


@pytest.mark.parametrize("said", [b"", b"REJECTED\r\n", b"OK 1234\r\n", b"OK 1234\r\n" + bytes(range(256)) * 4])
async def test_a_bus_that_talks_nonsense_ends_in_a_sentence(folder: Path, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "bus"))
        listening.listen()

        def answer() -> None:
            with listening.accept()[0] as peer:
                peer.recv(1024)
                peer.sendall(said)
                peer.shutdown(socket.SHUT_WR)
                peer.recv(1024)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, answer)
            assert (await reason(at(f"unix:path={folder}/bus"))).startswith("the session's bus cannot be spoken to")
