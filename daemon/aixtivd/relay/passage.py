"""One call on its way: which credential it has, how far it got, and what the audit will say of it."""

from typing import TYPE_CHECKING, Final

from aixtivd.access.audit import Audit
from aixtivd.access.denials import Denials
from aixtivd.accounts.credential import Credential
from aixtivd.relay.bodies import Kept
from aixtivd.relay.call import Answer, Call
from aixtivd.relay.heads import METHODS, downstream_headers

if TYPE_CHECKING:
    from aixtivd.relay.connection import Sent

_SHOWN: Final = 200  # characters of a path, in the audit


class Passage:
    """Changed by the relay alone, in the one task that makes the call."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.account = ""
        self.known = False  # that account: what is none may be a secret in the wrong place
        self.body: Kept | None = None
        self.credential: Credential | None = None
        self.sent: Sent | None = None  # the newest answer, from its head on
        self.reached = False  # an API may have got something
        self.left = False  # by a caller that had what it wanted

    @property
    def refused(self) -> bool:
        """A token drew a 401. A key that does has nothing behind it."""
        return (
            self.sent is not None
            and self.sent.status == 401
            and self.credential is not None
            and self.credential.form == "token"
        )

    def answer(self) -> Answer:
        assert self.sent is not None
        assert self.credential is not None
        return Answer(
            status=self.sent.status,
            reason=self.sent.reason,
            headers=downstream_headers(self.sent.raw_headers),
            pieces=self.sent,
            account=self.credential.account,
            kind=self.credential.kind,
            note=self.credential.note,
            own=self.credential.own,
        )

    def end(self) -> None:
        """Wherever it is. Never waits: whoever hangs up, hangs up upstream."""
        if self.sent is not None:
            self.sent.close()
        if self.body is not None:
            self.body.drop()

    def note(self, audit: Audit, denials: Denials) -> None:
        account = self.account if self.known or self.credential else ""
        method = self.call.method if self.call.method in METHODS else "?"
        detail = _shown(f"{method} {self.call.path.partition('?')[0]}")
        if not self.reached:  # it cost nothing, so anybody can go on with it for ever
            denials.note(self.call.caller, detail, kind="unsent", account=account)
            return
        status, received, whole = (
            (self.sent.status, self.sent.received, self.sent.whole) if self.sent else (0, 0, False)
        )
        audit.note(
            "relay",
            self.call.caller,
            ok=self.left and whole and status < 400,
            account=account,
            detail=detail,
            status=status,
            sent=self.body.sent if self.body else 0,
            received=received,
            kind=self.credential.kind if self.credential else "",
        )


def _shown(text: str) -> str:
    text = text[:_SHOWN]
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)
