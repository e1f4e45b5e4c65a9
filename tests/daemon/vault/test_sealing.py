"""A seal fits one place, one key, one text."""

import os

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from aixtivd.vault.sealing import BrokenSeal, Sealer, derive, unwrap, wrap

KEY = bytes(range(32))
ID = b"i" * 16


@given(payload=st.binary(max_size=300), generation=st.integers(-(2**63), 2**63 - 1), id_=st.binary(max_size=20))
def test_what_was_sealed_unseals(payload: bytes, generation: int, id_: bytes) -> None:
    sealer = Sealer(KEY)
    assert sealer.unseal("records", id_, generation, sealer.seal("records", id_, generation, payload)) == payload


@pytest.mark.parametrize(
    ("table", "id_", "generation"),
    [
        ("kept", ID, 3),
        ("records", b"j" * 16, 3),
        ("records", ID, 4),
        ("records", ID, -3),
        ("records", ID[:-1], 3),
        ("records", "iiiiiiiiiiiiiiii", 3),
        ("records", ID, "3"),
        ("records", ID, None),
    ],
)
def test_a_seal_moved_elsewhere_breaks(table: str, id_: object, generation: object) -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal("records", ID, 3, b"payload")
    with pytest.raises(BrokenSeal):
        sealer.unseal(table, id_, generation, sealed)


def test_no_byte_of_a_seal_can_be_altered() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal("records", ID, 3, b"payload")
    for at in range(len(sealed)):
        for bit in range(8):
            altered = bytearray(sealed)
            altered[at] ^= 1 << bit
            with pytest.raises(BrokenSeal):
                sealer.unseal("records", ID, 3, bytes(altered))


def test_no_part_of_a_seal_can_be_missing_or_added() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal("records", ID, 3, b"payload")
    for altered in (*(sealed[:length] for length in range(len(sealed))), sealed + b"\0", "text", None):
        with pytest.raises(BrokenSeal):
            sealer.unseal("records", ID, 3, altered)


def test_another_key_does_not_unseal() -> None:
    sealed = Sealer(KEY).seal("records", ID, 3, b"payload")
    with pytest.raises(BrokenSeal):
        Sealer(bytes(32)).unseal("records", ID, 3, sealed)


def test_the_same_text_is_never_sealed_the_same_way_twice() -> None:
    sealer = Sealer(KEY)
    assert len({sealer.seal("records", ID, 3, b"payload") for _ in range(100)}) == 100


def test_parts_of_the_associated_data_cannot_flow_into_each_other() -> None:
    """Table "a" with id "bc" is not table "ab" with id "c"."""
    sealer = Sealer(KEY)
    with pytest.raises(BrokenSeal):
        sealer.unseal("ab", b"c", 1, sealer.seal("a", b"bc", 1, b"payload"))


def test_a_wrapped_key_is_bound_to_its_store_and_source() -> None:
    data_key = os.urandom(32)
    wrapped = wrap(KEY, data_key, b"store-1", '{"source":"file"}')
    assert unwrap(KEY, wrapped, b"store-1", '{"source":"file"}') == data_key
    for key, store, source in (
        (bytes(32), b"store-1", '{"source":"file"}'),
        (KEY, b"store-2", '{"source":"file"}'),
        (KEY, b"store-1", '{"source":"systemd"}'),
    ):
        with pytest.raises(BrokenSeal):
            unwrap(key, wrapped, store, source)


def test_a_wrapped_key_is_not_a_row() -> None:
    """Purposes are apart even under one key."""
    wrapped = wrap(KEY, bytes(32), b"store", "source")
    for table in ("data key", "records"):
        with pytest.raises(BrokenSeal):
            Sealer(KEY).unseal(table, b"store", 0, wrapped)


@given(material=st.binary(min_size=32, max_size=200), store=st.binary(min_size=16, max_size=16))
def test_keys_are_derived_as_hkdf_says(material: bytes, store: bytes) -> None:
    """RFC 5869, against cryptography's own."""
    info = b"aixtiv wrapping key: systemd"
    expected = HKDF(algorithm=hashes.SHA256(), length=32, salt=store, info=info).derive(material)
    assert derive(material, store, "systemd") == expected


def test_sources_and_stores_have_keys_of_their_own() -> None:
    material = bytes(32)
    assert len({derive(material, store, source) for store in (b"a", b"b") for source in ("file", "systemd")}) == 4


def test_a_fingerprint_tells_tokens_apart_and_needs_the_data_key() -> None:
    mine, other = Sealer(KEY), Sealer(bytes(32))
    assert mine.fingerprint("a") == Sealer(KEY).fingerprint("a")
    assert len({mine.fingerprint("a"), mine.fingerprint("b"), other.fingerprint("a")}) == 3
