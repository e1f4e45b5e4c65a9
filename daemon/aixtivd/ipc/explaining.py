"""`explain`: what is known of a process, which rule decides for it, and why."""

from typing import Final

from aixtiv_protocol import replies, requests
from aixtivd.access.caller import Caller, described, unchanged, unknown_of
from aixtivd.access.rules import RIGHTS, Rules, below
from aixtivd.accounts.service import Accounts
from aixtivd.errors import Refused
from aixtivd.relay import targets

_MOST: Final = 100
"""Decisions in one answer: what a frame holds of them, whatever their rules say."""


class Explaining:
    def __init__(self, rules: Rules, accounts: Accounts) -> None:
        self._rules = rules
        self._accounts = accounts

    def explain(self, asked: requests.Explain, caller: Caller) -> replies.Explained:
        """Accounts that whoever asks may not be told of are left out, but for one that it names. Raises Refused,
        BadRequest.
        """
        about = caller if asked.pid in {0, caller.pid} else _process(asked.pid)
        names = ("", asked.account) if asked.account else ("", *self._listed(caller))
        decisions = tuple(self._decision(about, name, asked.path) for name in names[:_MOST])
        note = _doubt(about) or self._unheard_of(asked.account, caller)
        if names[_MOST:]:
            note = note or f"of {len(names)} accounts the first are told: name another"
        return replies.Explained(
            pid=about.parent or about.pid,
            executable=about.executable,
            script=about.script,
            unit=about.unit,
            cgroup=about.cgroup,
            through=about.pid if about.parent else 0,
            note=note,
            decisions=decisions,
        )

    def _listed(self, caller: Caller) -> tuple[str, ...]:
        return tuple(name for name in self._accounts.names() if self._rules.lists(caller, name))

    def _unheard_of(self, account: str, caller: Caller) -> str:
        """That there is none of that name, a sentence, for whoever would be told of it."""
        if not account or not self._rules.lists(caller, account) or self._accounts.known(account):
            return ""
        return f"there is no account {account}; this is what would hold for it"

    def _decision(self, about: Caller, account: str, path: str) -> replies.Decision:
        """Where only the path is in the way of a call, `paths` are those that are not."""
        verdict = self._rules.verdict(about, account)
        rights = tuple(right for right in RIGHTS if right in verdict.rights)
        if path and "relay" in rights and not all(below(reading, verdict.paths) for reading in targets.readings(path)):
            rights = tuple(right for right in rights if right != "relay")
        return replies.Decision(account=account, rights=rights, rule=verdict.rule, why=verdict.why, paths=verdict.paths)


def _process(pid: int) -> Caller:
    found = described(pid)
    if not found.pid:
        raise Refused(f"there is no process {pid} that can be looked at", hint="ps -u $USER")
    return found


def _doubt(about: Caller) -> str:
    """What could not be found out, a sentence."""
    if about.mark and not unchanged(about):
        return "it has ended, or runs another program since it connected: no rule about somebody is believed to fit"
    return unknown_of(about)
