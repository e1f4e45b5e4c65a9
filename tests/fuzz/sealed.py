"""What stands under seals or beside them, as a newer aixtiv, or a vandal with the key, might have left it there."""

import asyncio
from contextlib import suppress
from functools import cache
from typing import Any, Final, cast

import msgspec
import uvloop

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from aixtivd.access.audit import Audit
from aixtivd.access.presence import Presence
from aixtivd.access.ticket import Held, Stored, digest
from aixtivd.access.tickets import Tickets
from aixtivd.accounts import grant as grants
from aixtivd.errors import BadRequest, Denied, KeyFailed
from aixtivd.oauth.client import Client, Quirks
from aixtivd.vault import backup, keys
from aixtivd.vault.keys.credential import Credential
from aixtivd.vault.keys.keyfile import KeyFile
from aixtivd.vault.keys.keystore import KeyStore
from aixtivd.vault.keys.occasion import Occasion
from aixtivd.vault.keys.passphrase import CHEAP, Cost, Passphrase
from aixtivd.vault.rows import Row
from aixtivd.vault.sealing import BrokenSeal, DataKey
from aixtivd.vault.vault import Vault
from fuzz.memory import place
from fuzz.target import Target
from peers.clock import FakeClock

_SECRET: Final = Secret("aixtiv-ticket-good")
_PASSPHRASE: Final = Secret("correct horse")


def grant(data: bytes) -> None:
    """One that is read is written back."""
    with suppress(msgspec.DecodeError):
        found = grants.from_row(Row(bytes(16), 1, data))
        with suppress(UnicodeEncodeError):  # msgspec reads the halves of surrogate pairs that it does not write
            written = grants.to_row(found)
            assert grants.to_row(grants.from_row(written)) == written


def tickets(data: bytes) -> None:
    """They are taken in, or counted as damaged: the daemon begins either way."""
    _loop().run_until_complete(_started(data))


async def _started(data: bytes) -> None:
    held = Tickets(cast("Vault", _Vault(data)), cast("Audit", _Silent()), FakeClock(), cast("Presence", None))
    await held.start()
    held.shown()
    with suppress(Denied):
        held.check(_SECRET, "relay")


class _Vault:
    """With one note."""

    locked = False

    def __init__(self, data: bytes) -> None:
        self.notes = self
        self._data = data

    async def read(self, _: str) -> bytes:
        return self._data


class _Silent:
    def note(self, *_: Any, **__: Any) -> None: ...


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return uvloop.new_event_loop()


def key_source(data: bytes) -> None:
    """What the store says in the clear about its key: another key at most, never anything but a sentence."""
    with suppress(KeyFailed):
        source = keys.from_record(data.decode(errors="replace"))
        cheap = not isinstance(source, Passphrase) or (source.cost.memory < 65 and source.cost.iterations < 3)
        if cheap and not isinstance(source, KeyStore):  # which asks the desktop
            source.load(Occasion(place(), bytes(16), _PASSPHRASE))


def backups(data: bytes) -> None:
    """Opened where its head says so little work that a million of them can be tried."""
    with suppress(BadRequest, KeyFailed):
        _, cost, _ = backup._read_head(data)
        if cost.memory < 65 and cost.iterations < 3:
            assert backup.unsealed(data, _PASSPHRASE) == _CONTENT


def backup_content(data: bytes) -> None:
    with suppress(BadRequest):
        for record in backup.decoded(data).records:
            grant(record)


def _grants() -> list[bytes]:
    client = Client(provider="p", client_id="me", token_endpoint="https://i.example/t", client_secret=Secret("s"))
    whole = grants.Grant(
        id=bytes(range(16)),
        name="anthropic/work",
        provider="anthropic",
        generation=7,
        client=msgspec.structs.replace(client, quirks=Quirks(redirect_ports=(1, 2), error_names={"a": "b"})),
        endpoint="https://api.example",
        scopes=("a", "b"),
        refresh_token=Secret("r"),
        access_token=Secret("a"),
        expires_at=1e9,
        lifetime=3600.0,
        rotates=True,
        quarantined="why",
    )
    source = requests.Federation(rule="r", identity_command=("/bin/x", "y"))
    fed = grants.Grant(id=bytes(16), name="f", provider="p", source=source, api_key=Secret("k"))
    return [grants.to_row(one).payload for one in (whole, fed)]


def _tickets() -> list[bytes]:
    good = Held(id="1", account="a", verbs=("relay", "token"), made_at=1.0, executable="/bin/x", unit="a.service")
    timed = msgspec.structs.replace(good, id="2", expires_at=4e9)
    return [msgspec.msgpack.encode([Stored(digest(_SECRET), good), Stored(bytes(32), timed)])]


def _sources() -> list[bytes]:
    known = (KeyFile("/x/y"), Credential(), KeyStore("a.b.C"), Passphrase(bytes(16), CHEAP), KeyFile())
    return [keys.recorded(one).encode() for one in known]


_CONTENT: Final = backup.Content(1e9, (b"a", b"b"))


@cache
def _backups() -> list[bytes]:
    return [backup.sealed(_CONTENT, _PASSPHRASE, CHEAP), backup.sealed(_CONTENT, _PASSPHRASE, Cost(2, 64, 2))]


def data_key(data: bytes) -> None:
    """What was wrapped."""
    with suppress(BrokenSeal):
        known = DataKey.read(data)
        assert DataKey.read(known.written()) == known


TARGETS: Final = (
    Target("grant", grant, _grants, form="msgpack"),
    Target("tickets", tickets, _tickets, form="msgpack"),
    Target("key-source", key_source, _sources, form="json", words=(b"\\u0000", b'"/dev/zero"', b'"/proc/self/mem"')),
    Target(
        "backup",
        backups,
        _backups,
        words=(b"\0\0\0\1", b"\xff\xff\xff\xff", b"aixtiv backup 1\n", b"aixtiv backup 2\n"),
    ),
    Target("backup-content", backup_content, lambda: [msgspec.msgpack.encode((1e9, _grants()))], form="msgpack"),
    Target("data-key", data_key, lambda: [bytes(32), bytes(range(104))]),
)
