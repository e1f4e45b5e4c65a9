"""What callers ask for, as it goes into the audit log: who asked, and how it ended.

Two parts tell the log about accounts, and neither repeats the other. Here is told what somebody asks for, with who it
is: tokens and tickets handed out, refreshes wanted at once, sign-ins begun, sign-outs, keys, the vault opened and
closed, and every refusal of these. `accounts.events` tells what happens later or by itself: a sign-in that succeeds in
the browser, a refresh, a token endpoint's error. A relayed call is told by the relay, which alone knows how it ended.
"""

from typing import Final

from aixtiv_protocol import replies, requests
from aixtiv_protocol.replies import Failure, Reply, What
from aixtiv_protocol.requests import Request
from aixtivd.access.audit import Audit
from aixtivd.access.caller import Caller
from aixtivd.access.denials import Denials
from aixtivd.access.note import Tally
from aixtivd.accounts.service import Accounts

_WHAT: Final[dict[type, What]] = {
    requests.Token: "token",
    requests.HostToken: "token",
    requests.Refresh: "refresh",
    requests.Login: "sign-in",
    requests.Callback: "sign-in",
    requests.Logout: "sign-out",
    requests.ApiKey: "api-key",
    requests.Ticket: "ticket",
    requests.RevokeTicket: "ticket-end",
    requests.Lock: "lock",
    requests.Unlock: "unlock",
    requests.KeyRotate: "key",
    requests.KeyMove: "key",
    requests.Export: "export",
    requests.Restore: "restore",
    requests.Reload: "reload",
    requests.Restart: "restart",
    requests.Stop: "stop",
    requests.Rename: "account",
    requests.Reinstate: "account",
    requests.Adopt: "sign-in",
}
"""Of whatever else is asked, only that it was denied, or that a passphrase was tried and was wrong."""

_OF_THE_ENDPOINT: Final = frozenset({"unreachable", "misconfigured", "sign_in_needed"})
"""Why there is no token, where its server is the reason: told under the old command's name, with who went without."""

_TYPED: Final[dict[str, str]] = {
    "no_account": "there is nothing of that name",
    "no_provider": "too little is known about that provider",
    "bad_request": "it was not understood",
}
"""In the place of sentences that may quote what was typed."""


class Record:
    def __init__(self, audit: Audit, accounts: Accounts, denials: Denials) -> None:
        self._audit = audit
        self._denials = denials
        self._accounts = accounts
        self.tokens = 0  # handed out

    def token(self, caller: Caller, account: str, at: float, tally: Tally | None = None) -> Tally | None:
        """The hot path's own. `tally`: what this returned for that caller before."""
        self.tokens += 1
        if tally is None or not tally.open or tally.account != account:
            return self._audit.token(caller, account, at)
        tally.count += 1
        tally.last_at = at
        return tally

    def answered(self, asked: Request, caller: Caller, answer: Reply) -> None:
        what = _WHAT.get(type(asked))
        self.tokens += what == "token"
        # A sign-in is told by `accounts.events`, but not who brought it from elsewhere.
        if what is not None and (type(answer) is not replies.SignedIn or type(asked) is requests.Adopt):
            self._audit.note(what, caller, account=_account(answer), detail=_detail(asked, answer))

    def begun(self, caller: Caller, first: Reply) -> None:
        """Who sends a person to the browser, or signs in without one, or takes a backup: before it is over."""
        if isinstance(first, replies.SignInStarted):
            sentence = "joined the sign-in that was open" if first.joined else "began a sign-in"
            self._audit.note("sign-in", caller, account=first.account, detail=sentence)
        elif isinstance(first, replies.Piece):
            self._audit.note("export", caller, detail="every account, sealed to a passphrase")
        elif isinstance(first, replies.SignedIn):
            self._audit.note(
                "sign-in", caller, account=first.account.name, detail="asked for a sign-in without browser"
            )

    def refused(
        self, asked: Request, caller: Caller, failure: Failure, *, begun: bool = False, by_rule: bool = False
    ) -> None:
        """`begun`: before it failed, so that it was understood, and is in the log already."""
        tried: What | None = "key" if failure.code == "key_failed" else None
        what = "denied" if failure.code == "denied" else _WHAT.get(type(asked), tried)
        if what is None or (type(asked) is requests.HostToken and failure.code == "no_account"):
            return  # git asks every helper about every host: that one is nobody's is nothing that happened
        if what in {"token", "refresh"} and failure.code in _OF_THE_ENDPOINT:
            what = "oauth2_token_error"
        account, to = getattr(asked, "account", ""), asked.to if isinstance(asked, requests.Rename) else ""
        typed = [] if begun else [word for word in (account, to) if word and not self._accounts.known(word)]
        detail = _unquoted(failure, typed) if typed or failure.code in _TYPED else failure.message
        account = "" if account in typed else account
        if what == "denied":
            self._denials.note(caller, detail, kind="rule" if by_rule else "refused", account=account)
        else:
            self._denials.failed(what, caller, detail, code=failure.code, account=account)


def _unquoted(failure: Failure, typed: list[str]) -> str:
    """What was typed in a name's place may be anything, a password too, and what is written here stays."""
    if failure.code in _TYPED:
        return _TYPED[failure.code]
    quoted = any(word in failure.message or repr(word)[1:-1] in failure.message for word in typed)
    return f"it failed: {failure.code}" if quoted else failure.message


def _came_back(restored: replies.Restored) -> str:
    stayed = f"; {', '.join(restored.kept)} stayed as before" if restored.kept else ""
    return f"{', '.join(restored.accounts) or 'nothing'} came back from a backup{stayed}"


def _account(answer: Reply) -> str:
    if isinstance(answer, replies.Account):
        return answer.name
    if isinstance(answer, replies.AccountChanged):
        return answer.account.name
    if isinstance(answer, replies.SignedIn):
        return answer.account.name
    account = getattr(answer, "account", "")
    return account if isinstance(account, str) else ""


def _detail(asked: Request, answer: Reply) -> str:  # noqa: PLR0911  # one case a request: a table
    match asked:
        case requests.Refresh():
            return "was asked for"
        case requests.Rename():
            return f"it was called {asked.account}" if asked.account else ""
        case requests.ApiKey():
            return "stored" if asked.key else "removed"
        case requests.Adopt():
            return "brought a refresh token from elsewhere"
        case requests.RevokeTicket():
            return f"{asked.ticket} was revoked"
        case _ if isinstance(answer, replies.TicketMade):
            return f"{answer.id}, good for {' and '.join(answer.verbs)}"
        case requests.KeyRotate() | requests.KeyMove() | requests.Reinstate():
            return getattr(answer, "note", "")
        case _ if isinstance(answer, replies.Restored):
            return _came_back(answer)
        case _ if isinstance(answer, replies.LoggedOut):
            return answer.note
        case _:
            return ""
