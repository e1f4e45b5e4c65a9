"""A new data key, or another key around it: made and proved before the store is touched."""

import os
from pathlib import Path

from msgspec import Struct

from aixtivd.errors import KeyFailed
from aixtivd.vault import keys, sealing, store
from aixtivd.vault.keys.occasion import Occasion
from aixtivd.vault.keys.passphrase import Passphrase
from aixtivd.vault.resealing import Seals
from aixtivd.vault.sealing import DataKey, Sealer


class Rotation(Struct, frozen=True):
    """What the store is to be sealed under."""

    meta: store.Meta
    sealer: Sealer
    made_at: int


class Moved(Struct, frozen=True):
    seals: Seals
    left: str  # where the key was before
    place: str  # and where it is now
    misnamed: str  # the source that the config asks for, where it is another one


class Checked(Struct, frozen=True):
    """What the key opens."""

    seals: Seals
    made_at: int  # as in DataKey
    cost: str  # of a passphrase, in words


def begun(meta: store.Meta, chosen: keys.Chosen, lasting: bytes, now: float) -> Rotation:
    """`lasting`: the present sealer's. Raises KeyFailed."""
    data_key = DataKey(os.urandom(sealing.KEY), lasting, max(0, int(now)))  # a clock may be wrong
    return Rotation(rewrapped(meta, chosen, data_key), Sealer(data_key.seals, lasting), data_key.made_at)


def rewrapped(meta: store.Meta, chosen: keys.Chosen, data_key: DataKey) -> store.Meta:
    """What the store says of itself once that source's key is around that data key. Raises KeyFailed."""
    source = keys.recorded(chosen.source)
    key = sealing.derive(chosen.material, meta.store, chosen.source.name)
    wrapped = sealing.wrap(key, data_key.written(), meta.store, source)
    if DataKey.read(sealing.unwrap(key, wrapped, meta.store, source)) != data_key:
        raise KeyFailed("the new data key does not come back out of its seal")
    return store.Meta(meta.store, source, chosen.reason or meta.reason, wrapped)


def opens(meta: store.Meta, present: keys.KeySource, material: bytes) -> bool:
    """Whether this is what the key source gives already, wherever it was found now."""
    try:
        sealing.unwrap(sealing.derive(material, meta.store, present.name), meta.wrapped, meta.store, meta.source)
    except sealing.BrokenSeal:
        return False
    return True


def cost(meta: store.Meta) -> str:
    source = keys.from_record(meta.source)
    return str(source.cost) if isinstance(source, Passphrase) else ""


def place(meta: store.Meta | None, folder: Path) -> str:
    """Where the key lies, for a sentence. Only of a store that is there."""
    assert meta is not None
    return keys.place(keys.from_record(meta.source), Occasion(folder, meta.store))
