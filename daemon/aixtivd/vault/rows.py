"""What goes in and out of the vault: rows of bytes with an id and a generation."""

from msgspec import Struct


class Row(Struct, frozen=True):
    """A record in the clear, in memory only. The payload is secret and shown by no `repr`."""

    id: bytes  # 16 random bytes, the only name a record has on disk
    generation: int  # rises with each change
    payload: bytes
    last: bool = False  # of its kind (a sign-in's, say): where it is replaced, it is kept before others

    def __repr__(self) -> str:
        return f"Row({self.id.hex()[:8]}, generation={self.generation})"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show every field
        return [("id", self.id.hex()[:8]), ("generation", self.generation)]


class Kept(Struct, frozen=True):
    """An earlier generation of a record."""

    row: Row
    until: float  # Unix time; not sealed: only how long it stays here


class Relabelled(Struct, frozen=True):
    """Rows that say the same as those before them in other words: what is known of these stays known."""

    changes: tuple[tuple[Row, Row], ...]  # the row, and the one before it, which is not kept beside it
    earlier: tuple[Row, ...] = ()  # in the place of kept ones of the same generation; without payload: that one goes
    notes: tuple[tuple[str, bytes], ...] = ()
    wipes: bool = False  # what they said before stays in no slot and in no WAL


class Intent(Struct, frozen=True):
    """A refresh that was begun: between its POST and its commit, the token of `generation` may have been spent."""

    id: bytes
    generation: int
    attempts: int  # POSTs begun with this very token; 2 at most without a person
    begun_at: float  # Unix time
