"""One notification on the person's desktop: org.freedesktop.Notifications over the session's bus, or macOS' own."""

import html
import itertools
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.abc

from aixtivd.host import program

if TYPE_CHECKING:
    from jeepney import Message

_PATIENCE: Final = 5.0  # seconds: who shows notifications may have to be started first
_NOBODY: Final = "nothing on this desktop shows notifications"
_NO_DESKTOP: Final = "there is no desktop here"
_ABSENT: Final = frozenset(
    {"ServiceUnknown", "NameHasNoOwner", "UnknownObject", "UnknownInterface", "UnknownMethod", "TimedOut"}
)
_SERVER: Final = {
    "object_path": "/org/freedesktop/Notifications",
    "bus_name": "org.freedesktop.Notifications",
    "interface": "org.freedesktop.Notifications",
}
_ICON: Final = "dialog-password"  # of the Icon Naming Specification
_NORMAL: Final = 1  # urgency: a critical one would break into "do not disturb", and nothing is that urgent here
_APPLE: Final = "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run"


class NotShown(Exception):
    """Why nobody was shown it: a sentence."""


async def notify(title: str, body: str, *, stays: bool, environ: Mapping[str, str] | None = None) -> None:
    """Returns when it is shown. `stays`: until the person has seen it, where the desktop can do so. Raises NotShown."""
    if sys.platform == "darwin":
        await _on_a_mac(title, body)
        return
    address = _address(os.environ if environ is None else environ)
    try:
        with anyio.fail_after(_PATIENCE):
            await _over_the_bus(address, title, body, stays=stays)
    except TimeoutError:
        raise NotShown(f"the desktop did not answer within {_PATIENCE:g} seconds") from None


async def _on_a_mac(title: str, body: str) -> None:  # not run on a Mac
    """The texts are arguments of the script, never a part of it."""
    try:
        await program.tell(("/usr/bin/osascript", "-e", _APPLE, title, body), b"", _PATIENCE)
    except program.Failed as failure:
        raise NotShown(f"osascript {failure}") from None


def _address(environ: Mapping[str, str]) -> str:
    """Of the session's bus: as it is said, else where systemd puts it."""
    if said := environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return said
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        return f"unix:path={runtime}/bus"
    raise NotShown(_NO_DESKTOP)


async def _over_the_bus(address: str, title: str, body: str, *, stays: bool) -> None:
    from jeepney import DBusAddress, DBusErrorResponse, new_method_call  # noqa: PLC0415  # heavy: seldom needed

    server = DBusAddress(**_SERVER)
    try:
        async with _bus(address) as bus:
            (can,) = await bus.call(new_method_call(server, "GetCapabilities"))
            text = html.escape(body, quote=False) if "body-markup" in can else body
            hints = {"urgency": ("y", _NORMAL)}
            words: tuple[object, ...] = ("aixtiv", 0, _ICON, title, text, [], hints, 0 if stays else -1)
            await bus.call(new_method_call(server, "Notify", "susssasa{sv}i", words))
    except DBusErrorResponse as error:
        name = error.name.rpartition(".")[2]
        absent = name in _ABSENT or ".Spawn." in error.name
        raise NotShown(_NOBODY if absent else "the desktop refused the notification") from None
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotShown(_NO_DESKTOP) from None
    except TimeoutError:
        raise
    except Exception as error:  # noqa: BLE001  # a foreign parser on a foreign program's bytes raises what it likes
        raise NotShown(f"the session's bus cannot be spoken to ({type(error).__name__})") from None


class _Bus:
    """As much of a connection as one question after the other needs."""

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        from jeepney import Parser  # noqa: PLC0415  # heavy: see above

        self._stream = stream
        self._parser = Parser()
        self._serials = itertools.count(1)

    async def call(self, message: "Message") -> tuple[Any, ...]:
        """Raises DBusErrorResponse."""
        from jeepney import HeaderFields  # noqa: PLC0415  # heavy: see above
        from jeepney.wrappers import unwrap_msg  # noqa: PLC0415  # heavy: see above

        serial = next(self._serials)
        await self._stream.send(message.serialise(serial))
        while True:
            while (heard := self._parser.get_next_message()) is None:
                self._parser.add_data(await self._stream.receive())
            if heard.header.fields.get(HeaderFields.reply_serial) == serial:
                answer: tuple[Any, ...] = unwrap_msg(heard)
                return answer


@asynccontextmanager
async def _bus(address: str) -> AsyncIterator[_Bus]:
    """A connection for as long as the block runs: jeepney's own leaves one open that was cancelled half-way."""
    from jeepney.auth import BEGIN, Authenticator  # noqa: PLC0415  # heavy: see above
    from jeepney.bus import get_connectable_addresses  # noqa: PLC0415  # heavy: see above
    from jeepney.bus_messages import message_bus  # noqa: PLC0415  # heavy: see above

    async with await anyio.connect_unix(next(get_connectable_addresses(address))) as stream:
        identification = Authenticator()
        for words in identification:
            await stream.send(words)
            identification.feed(await stream.receive())
        await stream.send(BEGIN)
        bus = _Bus(stream)
        await bus.call(message_bus.Hello())
        yield bus
