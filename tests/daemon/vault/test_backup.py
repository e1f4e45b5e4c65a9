"""A backup's bytes: what opens them, what does not, and what can be seen in them."""

import contextlib
import struct

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from aixtiv_protocol.secret import Secret
from aixtivd.errors import BadRequest, KeyFailed
from aixtivd.vault import backup
from aixtivd.vault.backup import Content
from aixtivd.vault.keys.passphrase import CHEAP, SENSIBLE

PASSPHRASE = Secret("an eager badger counts clouds")
CONTENT = Content(1_800_000_000.0, (b"refresh-token-Zq81kfPw", b"another"))
SEALED = backup.sealed(CONTENT, PASSPHRASE, CHEAP)
HEAD = len(backup.MAGIC) + 16 + 12 + 12


def test_what_was_sealed_comes_back_with_that_passphrase() -> None:
    assert backup.unsealed(SEALED, PASSPHRASE) == CONTENT


def test_a_passphrase_that_another_system_writes_in_another_way_is_the_same() -> None:
    sealed = backup.sealed(CONTENT, Secret("cafe\u0301 au lait"), CHEAP)
    assert backup.unsealed(sealed, Secret("caf\u00e9 au lait")) == CONTENT


def test_the_file_says_that_it_is_a_backup_and_nothing_of_what_is_in_it() -> None:
    assert SEALED.startswith(b"aixtiv backup 1\n")
    assert not any(record[:6] in SEALED for record in CONTENT.records)
    assert backup.sealed(CONTENT, PASSPHRASE, CHEAP)[len(backup.MAGIC) :] != SEALED[len(backup.MAGIC) :]
    assert repr(CONTENT) == "Content(2 records)"


def test_the_cost_of_a_guess_stands_in_the_head_and_is_that_of_the_vaults_own_passphrase() -> None:
    sealed = backup.sealed(CONTENT, PASSPHRASE)
    stated = struct.unpack_from(">III", sealed, len(backup.MAGIC) + 16)
    assert stated == (SENSIBLE.iterations, SENSIBLE.memory, SENSIBLE.lanes) == (3, 65536, 4)


@pytest.mark.parametrize("wrong", ["an eager badger counts cloud", "x", "an eager badger counts clouds "])
def test_another_passphrase_opens_nothing(wrong: str) -> None:
    with pytest.raises(KeyFailed, match="does not open this backup"):
        backup.unsealed(SEALED, Secret(wrong))


def test_an_empty_passphrase_is_refused_both_ways() -> None:
    with pytest.raises(BadRequest, match="empty"):
        backup.sealed(CONTENT, Secret(""), CHEAP)
    with pytest.raises(BadRequest, match="empty"):
        backup.unsealed(SEALED, Secret(""))


@given(at=st.integers(0, len(SEALED) - 1), bit=st.integers(0, 7))
def test_no_byte_can_be_changed(at: int, bit: int) -> None:
    altered = bytearray(SEALED)
    altered[at] ^= 1 << bit
    with pytest.raises((BadRequest, KeyFailed)):
        backup.unsealed(bytes(altered), PASSPHRASE)


@given(end=st.integers(0, len(SEALED) - 1))
def test_cut_anywhere_it_opens_no_more(end: int) -> None:
    with pytest.raises((BadRequest, KeyFailed)):
        backup.unsealed(SEALED[:end], PASSPHRASE)


@pytest.mark.parametrize(
    ("iterations", "memory", "lanes"),
    [
        (5, 65536, 4),
        (3, 256 * 1024 + 1, 4),
        (3, 65536, 9),
        (0, 65536, 4),
        (3, 31, 4),
        (3, 65536, 0),
        (2**32 - 1, 8, 1),
    ],
)
def test_a_head_that_asks_for_more_work_than_any_aixtiv_makes_is_refused_before_it_is_done(
    iterations: int, memory: int, lanes: int
) -> None:
    altered = bytearray(SEALED)
    struct.pack_into(">III", altered, len(backup.MAGIC) + 16, iterations, memory, lanes)
    with pytest.raises(BadRequest, match="altered"):
        backup.unsealed(bytes(altered), PASSPHRASE)


def test_other_files_and_newer_backups_are_told_apart() -> None:
    with pytest.raises(BadRequest, match="no backup of aixtiv's"):
        backup.unsealed(b"SQLite format 3\0" + bytes(100), PASSPHRASE)
    with pytest.raises(BadRequest, match="newer aixtiv"):
        backup.unsealed(b"aixtiv backup 2\n" + bytes(100), PASSPHRASE)
    with pytest.raises(BadRequest, match="cut short"):
        backup.unsealed(backup.MAGIC + bytes(9), PASSPHRASE)


def test_what_is_sealed_and_no_backup_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who has the passphrase, and another program."""
    monkeypatch.setattr(backup, "_pack", _Nonsense())
    with pytest.raises(BadRequest, match="does not know"):
        backup.unsealed(backup.sealed(CONTENT, PASSPHRASE, CHEAP), PASSPHRASE)


class _Nonsense:
    def encode(self, _: object) -> bytes:
        return b"\x93 nonsense"


def test_the_head_is_part_of_the_seal() -> None:
    """Held against cryptography itself, and not against our own reading."""
    key = backup._key(PASSPHRASE, SEALED[len(backup.MAGIC) :][:16], CHEAP)
    plain = AESGCM(key).decrypt(SEALED[HEAD - 12 : HEAD], SEALED[HEAD:], SEALED[:HEAD])
    assert backup.decoded(plain) == CONTENT


@given(st.binary(max_size=200))
def test_whatever_is_under_a_seal_is_a_backup_or_refused(plain: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert isinstance(backup.decoded(plain), Content)
