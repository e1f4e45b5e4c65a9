"""One call on its way: which credential it has, how far it got, and what the audit will say of it."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Final

from aixtivd.access.audit import Audit
from aixtivd.access.denials import Denials
from aixtivd.accounts.credential import Credential
from aixtivd.errors import AixtivError
from aixtivd.relay.bodies import Kept
from aixtivd.relay.call import Answer, Call
from aixtivd.relay.heads import METHODS, downstream_headers

if TYPE_CHECKING:
    from aixtivd.relay.sent import Sent

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
        self.denied = ""  # by a rule: why, a sentence
        self.left = False  # by a caller that had what it wanted
        self.cut_off: AixtivError | None = None  # why it was ended before it was over
        self._paid = ""  # the kind of credential that did, once that is forgotten
        self._task: asyncio.Task[object] | None = None  # that waits for what comes before there is a head

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

    async def until_answered(self, passing: Coroutine[None, None, None]) -> None:
        """All that comes before the answer's head. Raises what it is cut off with.

        A task is cancelled and takes it back as asyncio.timeout does: a cancel scope costs as much as all other checks.
        """
        self._task = task = asyncio.current_task()
        assert task is not None
        before = task.cancelling()
        try:
            await passing
        except BaseException:  # what it ends with when it is cut need not be the CancelledError
            if self.cut_off is None or task.uncancel() > before:
                raise
        finally:
            self._task = None
        if self.cut_off is not None:
            raise self.cut_off

    def cut(self, failure: AixtivError) -> None:
        """Ends it, wherever it is, and leaves nothing of its credential. Whoever reads its answer hears `failure`."""
        self.cut_off = failure
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self.sent is not None:
            self.sent.forget()
        if self.credential is not None:
            self._paid, self.credential = self.credential.kind, None

    def end(self) -> None:
        """Wherever it is. Never waits: whoever hangs up, hangs up upstream."""
        if self.sent is not None:
            self.sent.close()
        if self.body is not None:
            self.body.drop()

    def note(self, audit: Audit, denials: Denials) -> None:
        account = self.account if self.known or self.credential or self._paid else ""
        method = self.call.method if self.call.method in METHODS else "?"
        detail = _shown(f"{method} {self.call.path.partition('?')[0]}")
        if self.denied:
            sentence = self.denied if account else "a rule forbids that call"  # a name that is none may be a secret
            denials.note(self.call.caller, sentence, kind="rule", account=account)
            return
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
            kind=self.credential.kind if self.credential else self._paid,
        )


def _shown(text: str) -> str:
    text = text[:_SHOWN]
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)
