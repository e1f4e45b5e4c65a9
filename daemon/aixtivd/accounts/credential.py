"""What is attached to a relayed call."""

from typing import Literal

from msgspec import Struct

from aixtiv_protocol.replies import Kind
from aixtiv_protocol.secret import Secret


class Credential(Struct, frozen=True, kw_only=True):
    """`form` says how it is shown to an API; `kind` where it comes from."""

    account: str
    provider: str
    form: Literal["token", "api-key"]
    kind: Kind
    secret: Secret
    generation: int = 0  # of the grant; 0: a key that came with the call
    endpoint: str = ""  # origin bound into the account; empty: as config and `apis/` say
    note: str = ""  # why it is not the first choice, a sentence

    @property
    def own(self) -> bool:
        """Whether it is the caller's, and nothing of an account."""
        return self.form == "api-key" and self.generation == 0
