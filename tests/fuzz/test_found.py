"""What fuzzing found, each as a sentence; the very bytes stand in tests/fuzz/cases."""

import base64
import math
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from joserfc.jwk import RSAKey

from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret
from aixtivd.access import chain
from aixtivd.access.ticket import Held, Stored
from aixtivd.accounts.grant import from_row
from aixtivd.config import Network, load
from aixtivd.errors import BadConfig, BadRequest, KeyFailed, Misconfigured, NoProvider
from aixtivd.oauth.callback import _parse
from aixtivd.oauth.clients import client_for
from aixtivd.oauth.keys import fitting
from aixtivd.oauth.web import Web
from aixtivd.vault import backup, keys, manifest, notes
from aixtivd.vault.keys.occasion import Occasion
from aixtivd.vault.keys.passphrase import Cost, Passphrase
from aixtivd.vault.ledger import Ledger
from aixtivd.vault.rows import Row
from aixtivd.vault.sealing import BrokenSeal, DataKey, Sealer, read
from aixtivd.vault.spill import Slot
from aixtivd.vault.store import MIGRATIONS, migrate
from fuzz import sealed
from fuzz.stores import SeeThrough
from peers.clock import FakeClock
from peers.porch import porch

DEEP = b"\x91" * 100_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("refresh.at-once = " + "9" * 5000, "a number or a date in it is none"),
        ("refresh.at-once = 0000-00-00", "is not TOML"),
        ('[access]\ndefault = ["list", "x"]', 'access.default[1]: expected one of "list", "token", "relay", "manage"'),
        ('[vault]\nkey-file = "~nobody-of-that-name/x"', "vault.key-file: expected an absolute path"),
        ('[vault]\nkey-file = "/\\u0000"', "vault.key-file: expected an absolute path"),
        ('[network]\nca-file = "~nobody-of-that-name/x"', "network.ca-file: no such file"),
        (f'[provider.a]\nclient-secret-file = "{"9" * 4000}"', "provider.a.client-secret-file: no such file"),
        ('[provider.a]\nredirect-uri = "http://[::1"', "provider.a.redirect-uri: expected a URL"),
        ('[provider.a]\ntoken-endpoint = "https://x:99999"', "provider.a.token-endpoint: expected an https:// URL"),
        ('[network]\nproxy = "http://[::1"', "network.proxy: expected an http:// URL"),
        ('[network]\nca-file = "a\\nb"', "network.ca-file: no such file a\ufffdb"),
        ('"a\\nb\\u001b" = 1', "unknown key a\ufffdb\ufffd"),
    ],
)
def test_whatever_stands_in_the_config_is_a_sentence_in_one_line(folder: Path, text: str, said: str) -> None:
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(BadConfig) as refused:
        load(path)
    assert said in refused.value.sentence
    assert "\n" not in refused.value.sentence


@pytest.mark.parametrize(
    "said",
    [
        ClientSettings(redirect_uri="http://[::1"),
        ClientSettings(token_endpoint="https://[x"),
        ClientSettings(authorization_endpoint="https://a.example/a", token_endpoint="https://t:99999/"),
    ],
)
async def test_an_address_that_a_caller_mistyped_is_a_sentence(said: ClientSettings) -> None:
    web = Web(Network())
    with pytest.raises((Misconfigured, NoProvider)):
        await client_for(web, "github", None, msgspec.structs.replace(said, client_id="me"))
    await web.aclose()


@pytest.mark.parametrize("inside", ["\n", "\r", "\x00", "\x0b", "\x7f"])
def test_no_header_of_the_callback_hides_in_another_one(inside: str) -> None:
    assert _parse(f"GET /callback HTTP/1.1\r\nX: y{inside}Host: 127.0.0.1:1\r\nHost: a".encode()) == ("", "", [])
    assert _parse(b"GET /callback HTTP/1.1\r\nX: y\tHost: b\r\nHost: a") == ("GET", "/callback", ["a"])


def test_a_published_key_below_2048_bits_is_not_tried() -> None:
    """RFC 7518 §3.3. joserfc takes it, and warns on stderr each time."""
    small = base64.urlsafe_b64encode(b"\xc5" * 128).rstrip(b"=").decode()
    assert fitting([{"kty": "RSA", "e": "AQAB", "n": small}], "RS256", "") == []
    assert len(fitting([RSAKey.generate_key(2048, auto_kid=False).as_dict(private=False)], "RS256", "")) == 1


async def test_a_chunk_that_is_none_is_no_defect_in_the_log(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """aiohttp called it an unhandled exception: a line for whoever sends one, as many as he likes."""
    head = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with porch(folder) as there, await there.caller() as wire:
        wire.say(head + b"3\r\nabc\r\n")
        await there.desk.begun.wait()
        wire.say(b"6\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
        await wire.hear()
        await wire.closed()
    assert [record.name for record in caplog.records if record.name.startswith("aiohttp")] == []


def test_a_line_of_the_audit_log_that_is_nested_too_deeply_is_no_record() -> None:
    assert chain.record(b'{"number":' + b"[" * 100_000) is None
    assert chain.last(b'{"x":' + b"[" * 100_000) is None


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x91\x01", b"\xa1\xff", b"\xc1", DEEP])
def test_under_a_good_seal_what_this_aixtiv_cannot_read_is_as_good_as_a_broken_one(payload: bytes) -> None:
    with pytest.raises(BrokenSeal):
        read(msgspec.msgpack.Decoder(dict[str, int]), payload)
    with pytest.raises(notes.DamagedNote):
        notes.decoded(msgspec.msgpack.Decoder(dict[str, int]), payload, "tickets")
    with pytest.raises(msgspec.DecodeError):
        from_row(Row(bytes(16), 1, payload))
    with pytest.raises(BadRequest):
        backup.decoded(payload)


def test_a_ticket_of_no_time_is_none() -> None:
    for made_at, expires_at in ((math.nan, 0.0), (math.inf, 0.0), (0.0, math.inf), (0.0, math.nan)):
        held = Held(id="1", account="a", verbs=("relay",), made_at=made_at, expires_at=expires_at)
        sealed.tickets(msgspec.msgpack.encode([Stored(bytes(32), held)]))


@pytest.mark.parametrize("root", [b"\x90", b"\x91\x01", msgspec.msgpack.encode([0] * 255), b"\xa1x", DEEP])
def test_a_list_of_records_of_another_length_is_none(folder: Path, root: bytes) -> None:
    sealer = SeeThrough(bytes(32))
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, MIGRATIONS)
        manifest.begin(db, sealer)
        db.execute("UPDATE manifest SET sealed = ?", (root,))
        ledger = Ledger(sealer, Slot(folder / "spill", sealer), FakeClock())
        with pytest.raises(BrokenSeal):
            ledger.start(db)


def test_a_key_source_that_no_file_can_be_is_a_sentence() -> None:
    for text in ('{"source":"file","path":"/\\u0000"}', '{"source":"file","path":' + "[" * 100_000):
        with pytest.raises(KeyFailed):
            keys.from_record(text)


def test_a_passphrase_with_parameters_that_nothing_has_is_a_sentence() -> None:
    """The store says them in the clear: whoever can write it can say any."""
    for cost in (Cost(1, 8, -1), Cost(-1, 8, 1), Cost(1, -(2**63), 1), Cost(1, 8, 0), Cost(2**63, 8, 1)):
        with pytest.raises(KeyFailed):
            Passphrase(bytes(16), cost).load(Occasion(Path(), bytes(16), Secret("x")))


def test_a_data_key_made_when_the_clock_said_1970_is_read_as_it_was_written() -> None:
    lasting = Sealer(bytes(32)).lasting
    known = DataKey(bytes(range(32)), lasting, 0)
    assert DataKey.read(known.written()) == known
    assert DataKey.read(DataKey.first(bytes(32)).written()) == DataKey.first(bytes(32))


def test_a_line_of_the_audit_log_with_a_number_that_nothing_else_can_hold_is_no_record() -> None:
    line = b'{"re":"audit-record","number":%d,"at":1.0,"what":"start","sent":%d,"sum":"' + b"0" * 64 + b'"}\n'
    assert chain.last(line % (2**63 - 1, 0)) is not None
    for numbers in ((2**63, 0), (-1, 0), (1, 2**64)):
        assert chain.last(line % numbers) is None
