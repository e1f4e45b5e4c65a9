"""A person's desktop, as far as notifications go: the real dbus-daemon, and a program that shows what it is sent."""

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from jeepney import HeaderFields, Message, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from msgspec import Struct

from peers.waiting import until

PATIENCE: Final = 20.0  # seconds for anything that should happen at once

Mood = Literal["willing", "silent", "refuses"]

_CONFIG: Final = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class Shown(Struct, frozen=True):
    """One notification, as it was asked for."""

    title: str
    body: str
    app: str
    icon: str
    replaces: int
    actions: tuple[str, ...]
    hints: dict[str, Any]
    seconds: int  # it stays; 0: until it is dismissed; -1: as the desktop likes


class Desktop:
    """`can`: what it says of itself."""

    def __init__(self, connection: DBusConnection, mood: Mood, can: tuple[str, ...]) -> None:
        self.shown: list[Shown] = []
        self._can = list(can)
        self._mood = mood
        self._connection = connection
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._connection.close()

    def _serve(self) -> None:
        while True:
            try:
                heard = self._connection.receive()
            except (OSError, EOFError):
                return
            if heard.header.message_type is MessageType.method_call and self._mood != "silent":
                self._connection.send(self._answer(heard))

    def _answer(self, heard: Message) -> Message:
        match heard.header.fields[HeaderFields.member]:
            case _ if self._mood == "refuses":
                return new_error(heard, "org.freedesktop.Notifications.Error.ExcessNotificationGeneration")
            case "GetCapabilities":
                return new_method_return(heard, "as", (self._can,))
            case "Notify":
                app, replaces, icon, title, body, actions, hints, timeout = heard.body
                plain = {name: value for name, (_, value) in hints.items()}
                self.shown.append(Shown(title, body, app, icon, replaces, tuple(actions), plain, timeout))
                return new_method_return(heard, "u", (len(self.shown),))
            case other:
                return new_error(heard, "org.freedesktop.DBus.Error.UnknownMethod", "s", (other,))


@contextmanager
def bus(folder: Path) -> Iterator[str]:
    """A session bus of its own; its address."""
    if shutil.which("dbus-daemon") is None:
        assert not os.environ.get("CI"), "dbus-daemon has to be there: .ci/run installs it"
        pytest.skip("dbus-daemon is not installed")
    path = folder / "bus"
    config = folder / "bus.conf"
    config.write_text(_CONFIG.format(path=path))
    with subprocess.Popen(["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile"]) as daemon:
        try:
            until(path.exists, "the bus listens")
            yield f"unix:path={path}"
        finally:
            daemon.kill()


@contextmanager
def desktop(address: str, mood: Mood = "willing", can: tuple[str, ...] = ("body",)) -> Iterator[Desktop]:
    connection = open_dbus_connection(address)
    connection.send_and_get_reply(message_bus.RequestName("org.freedesktop.Notifications"), timeout=PATIENCE)
    shows = Desktop(connection, mood, can)
    try:
        yield shows
    finally:
        shows.close()
