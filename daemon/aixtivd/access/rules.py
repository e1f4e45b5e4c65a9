"""Who may do what with which account: the config's rules, the first that fits decides (D11)."""

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from aixtiv_protocol.names import is_secret
from aixtiv_protocol.requests import Right
from aixtivd.access import caller as callers
from aixtivd.access.caller import Caller
from aixtivd.config import AccessConfig, Config, Rule, Who
from aixtivd.errors import NotAllowed

HIDDEN: Final = "an account that you are not told of"
"""Stands in sentences in the place of a name."""

RIGHTS: Final[tuple[Right, ...]] = ("list", "token", "relay", "manage")

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+/-]*")
"""What may be an account's name; within a sentence a full stop may follow it, and look like a part of it."""

_REMEMBERED: Final = 2000  # decisions; a listing of more accounts is looked up anew
_LONGEST_REMEMBERED: Final = 1000  # characters: callers choose some of them, and memory is bounded
_LONGEST: Final = 200  # characters of what a caller is, in a sentence
_DOING: Final[dict[Right, tuple[str, str]]] = {
    "list": ("be told of {}", "be told of accounts"),
    "token": ("have the token of {}", "have a token"),
    "relay": ("make calls with {}", "make calls"),
    "manage": ("manage {}", "manage aixtiv"),
}


class Verdict(Struct, frozen=True):
    """What one caller may do with one account."""

    rights: tuple[Right, ...]
    rule: int = 0  # its number, from 1; 0: the default
    why: str = ""  # a sentence
    paths: tuple[str, ...] = ()  # that may be relayed: prefixes; empty: all


class Rules:
    """`any`: whether there is anything to look at; else every caller of this user may do everything."""

    def __init__(self, config: Config) -> None:
        self.any = False
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        self._rules = config.rule
        self._access = config.access
        self._decided: dict[tuple[str, ...], tuple[int, Rule | None, bool]] = {}
        self.any = bool(self._rules) or self._access != AccessConfig()

    def verdict(self, caller: Caller, account: str) -> Verdict:
        """`account` empty: what is of no account."""
        number, rule, _ = self._deciding(caller, account)
        rights = self._access.default if rule is None else rule.allow
        why = "no rule fits, so that the default counts" if rule is None else f"rule {number} is about {_about(rule)}"
        if self.relay_only(account):
            rights = tuple(right for right in rights if right != "token")
            why += f"; {account} is relay-only: its token is shown to nobody"
        return Verdict(rights, number, why, rule.paths if rule is not None and "relay" in rights else ())

    def check(self, caller: Caller, right: Right, account: str, path: str = "") -> None:
        """Raises NotAllowed with a sentence and a command. `path`: of a relayed call, as one server may read it."""
        number, rule, looked = self._deciding(caller, account)
        if looked:
            believe(caller)
        closed = right == "token" and self.relay_only(account)
        if right in (self._access.default if rule is None else rule.allow) and not closed:
            if not (path and rule is not None) or below(path, rule.paths):
                return
            sentence = f"rule {number} lets {_named(caller)} call {' and '.join(rule.paths)} alone"
        elif closed:
            sentence = f"{_shown(account)} is relay-only: its token is shown to nobody"
        else:
            doing = _DOING[right][0].format(_shown(account)) if account else _DOING[right][1]
            by = (
                f"rule {number} does not let"
                if rule is not None
                else "no rule is about it, and the default does not let"
            )
            sentence = f"{by} {_named(caller)} {doing}"
        raise NotAllowed(sentence, hint=_explaining(caller, account))

    def lists(self, caller: Caller, account: str) -> bool:
        """Whether it may be told of that account: by what it was when it came (`be_sure` asks whether it still is)."""
        _, rule, _ = self._deciding(caller, account)
        return "list" in (self._access.default if rule is None else rule.allow)

    def be_sure(self, caller: Caller) -> None:
        """Before many accounts are asked about. Raises NotAllowed."""
        if any(rule.who != _EVERYBODY for rule in self._rules):
            believe(caller)

    def lists_all(self, caller: Caller) -> bool:
        """Whether no name is kept from it, whatever accounts there are."""
        for rule in self._rules:
            if rule.who == _EVERYBODY or _is(caller, rule.who):
                if "list" not in rule.allow:
                    return False
                if "*" in rule.accounts:
                    return True
        return "list" in self._access.default

    def relaying(self, caller: Caller) -> Callable[[str], bool]:
        """Tells of an account whether that caller may make calls with it."""
        return lambda account: "relay" in self.verdict(caller, account).rights

    def by_name(self, caller: Caller, word: str) -> bool:
        """Whether the rule that would decide is about accounts of such names, and not about all."""
        _, rule, _ = self._deciding(caller, word)
        return rule is not None and "*" not in rule.accounts

    def relay_only(self, account: str) -> bool:
        return bool(account) and any(fits(pattern, account) for pattern in self._access.relay_only)

    def freeing(self, account: str, name: str) -> str:
        """Why anybody could do more with that account under that name: a sentence; empty: nobody could.

        Whoever could come is thought of: who fits one rule may fit another one, too, or none but that.
        """
        if self.relay_only(account) and not self.relay_only(name):
            return f"{account} is relay-only, and would not be under that name: change access.relay-only first"
        now, then = self._possible(account), self._possible(name)
        at_now, at_then = ({who: at for at, who in enumerate(possible)} for possible in (now, then))
        shown = {"token"} if self.relay_only(name) else set()  # to nobody
        for here, (who, (number, rule)) in enumerate(now.items()):
            for there, (other, (another, after)) in enumerate(then.items()):
                together = at_then.get(who, there) >= there and at_now.get(other, here) >= here
                if together and _wider(rule, after, shown):
                    by, under = (f"rule {one}" if one else "the default" for one in (number, another))
                    said = f"under that name {under} would let somebody do more than {by} does under {account}"
                    return f"{said}: change the rules first"
        return ""

    def _possible(self, account: str) -> dict[Who, tuple[int, Rule]]:
        """What decides about that account, for one caller or another: in order, by whom each is about."""
        found: dict[Who, tuple[int, Rule]] = {}
        for number, rule in enumerate(self._rules, 1):
            if rule.who not in found and any(fits(pattern, account) for pattern in rule.accounts):
                found[rule.who] = number, rule
                if rule.who == _EVERYBODY:
                    return found
        return found | {_EVERYBODY: (0, Rule(allow=self._access.default))}

    def without_names(self, text: str, caller: Caller, about: str, known: Callable[[str], bool]) -> str:
        """The sentence without the accounts that the caller may not be told of. `about`: the one it named itself.

        Its own script's name, which a denial repeats, stays as it is: it may consist of guesses.
        """

        def shown(found: re.Match[str]) -> str:
            name, rest = found[0], ""
            while name[-1] in "./-" and not known(name):
                name, rest = name[:-1], name[-1] + rest
            hidden = name != about and known(name) and not self.lists(caller, name)
            return f"{HIDDEN}{rest}" if hidden else found[0]

        own = f" {_named(caller)} "
        before, let, behind = text.partition(" let")
        head, said, tail = behind.partition(own)
        if not said or head not in {"", "s"}:
            return _NAME.sub(shown, text)
        return f"{_NAME.sub(shown, before)}{let}{head}{said}{_NAME.sub(shown, tail)}"

    def without_names_in_hint(self, hint: str, caller: Caller, about: str, known: Callable[[str], bool]) -> str:
        """Half a command is none; that one can be asked without a name."""
        explaining = NotAllowed.hint if hint.startswith(NotAllowed.hint) else ""
        return hint if self.without_names(hint, caller, about, known) == hint else explaining

    def _deciding(self, caller: Caller, account: str) -> tuple[int, Rule | None, bool]:
        """The first rule that fits and its number, and whether who the caller is was looked at on the way.

        Remembered: many rules would take longer than everything else that is done for a token.
        """
        asked = (account, caller.unit, caller.executable, caller.script, caller.cgroup)
        if (decided := self._decided.get(asked)) is None:
            decided = self._first(caller, account)
            if len(self._decided) >= _REMEMBERED:
                self._decided.clear()
            if sum(map(len, asked)) <= _LONGEST_REMEMBERED:
                self._decided[asked] = decided
        return decided

    def _first(self, caller: Caller, account: str) -> tuple[int, Rule | None, bool]:
        looked = False
        for number, rule in enumerate(self._rules, 1):
            if any(fits(pattern, account) for pattern in rule.accounts):
                if rule.who == _EVERYBODY:
                    return number, rule, looked
                looked = True
                if _is(caller, rule.who):
                    return number, rule, looked
        return 0, None, looked


_EVERYBODY: Final = Who()


def believe(caller: Caller) -> None:
    """What was found out when it connected holds still, or NotAllowed is raised.

    Of whoever shows a ticket its maker counts, of whom nothing can be asked any more. Where nothing at all was found
    out, there is nothing to believe: no rule about somebody fits.
    """
    known = caller.executable or caller.script or caller.unit or caller.cgroup
    if known and not caller.ticket and not callers.unchanged(caller):
        raise NotAllowed(
            "the process that connected has ended or runs another program now, so that no rule can be sure of it",
            hint="aixtiv access explain",
        )


def fits(pattern: str, text: str) -> bool:
    """`*` stands for any characters, none too; nothing else is special. A caller can make neither of them slow."""
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    at, last = len(first), others.pop()
    end = len(text) - len(last)
    if end < at or not (text.startswith(first) and text.endswith(last)):
        return False
    for part in others:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def below(path: str, prefixes: tuple[str, ...]) -> bool:
    """Whole segments: /v1/messages is below /v1/messages, /v1/messages2 is not."""
    folder = path.rstrip("/") + "/"
    return not prefixes or folder.startswith(tuple(prefix.rstrip("/") + "/" for prefix in prefixes))


def _wider(now: Rule, then: Rule, shown: set[str]) -> bool:
    """`shown`: rights that nobody has under the other name."""
    if set(then.allow) - set(now.allow) - shown:
        return True
    bound = "relay" in then.allow and bool(now.paths)
    return bound and not (then.paths and all(below(path, now.paths) for path in then.paths))


def _is(caller: Caller, who: Who) -> bool:
    """What could not be found out fits no pattern, `*` neither."""
    return all(
        value and fits(pattern, value)
        for pattern, value in (
            (who.unit, caller.unit),
            (who.executable, caller.executable),
            (who.script, caller.script),
            (who.cgroup, caller.cgroup),
        )
        if pattern
    )


def _about(rule: Rule) -> str:
    who = rule.who
    script = f"the script {who.script}, which any process can call itself" if who.script else ""
    said = [word for word in (who.unit, who.executable, script, who.cgroup) if word]
    return " and ".join(said) or "everybody"


def _named(caller: Caller) -> str:
    """Who it is, for a sentence. A script is the caller's own word, and may be anything."""
    program = " ".join(word for word in (caller.executable, caller.script) if word) or "an unknown program"
    program = "".join(letter if letter.isprintable() else "?" for letter in program[:_LONGEST])
    who = f"{program} in {caller.unit}" if caller.unit else program
    return f"a ticket made by {who}" if caller.ticket else who


def _shown(account: str) -> str:
    """What was typed in a name's place may be anything."""
    return account if _NAME.fullmatch(account) and len(account) <= 100 and not is_secret(account) else "that account"


def _explaining(caller: Caller, account: str) -> str:
    """What a person types to see why: of a process that asks by itself, with its number."""
    pid = f"--pid {caller.pid}" if caller.pid and not caller.parent and not caller.ticket else ""
    name = _shown(account) if account and " " not in _shown(account) else ""
    return " ".join(word for word in ("aixtiv access explain", pid, name) if word)
