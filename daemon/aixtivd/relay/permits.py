"""What the config's rules say of a relayed call, whichever way it came, and which names its caller may read."""

from msgspec.structs import replace

from aixtivd.access.rules import Rules
from aixtivd.accounts.credential import Credential
from aixtivd.accounts.service import Accounts
from aixtivd.errors import AixtivError, NotAllowed
from aixtivd.relay.call import Call
from aixtivd.relay.passage import Passage
from aixtivd.relay.targets import readings


class Permits:
    def __init__(self, rules: Rules, accounts: Accounts) -> None:
        self._rules = rules
        self._accounts = accounts

    def account(self, call: Call) -> str:
        """The account that is meant: where none is named, one that the caller may call with. Raises NoAccount, …"""
        if not self._rules.any:
            return self._accounts.relayed(call.account)
        return self._accounts.relayed(call.account, self._rules.relaying(call.caller))

    def check(self, passage: Passage) -> None:
        """Raises NotAllowed, and BadRequest for a path that two servers could read in two ways."""
        if not self._rules.any:
            return
        call = passage.call
        try:
            for reading in readings(call.path):
                self._rules.check(call.caller, "relay", passage.account, reading)
        except NotAllowed as failure:
            passage.denied = failure.sentence
            raise

    def quiet(self, passage: Passage, error: AixtivError) -> AixtivError:
        """The failure, which is this call's alone, without the accounts that the caller may not be told of."""
        if self._rules.any:
            told = passage.call.caller, self._named(passage), lambda word: self._is_name(passage, word)
            error.sentence = self._rules.without_names(error.sentence, *told)
            error.hint = self._rules.without_names_in_hint(error.hint, *told)
        return error

    def quieted(self, passage: Passage, credential: Credential) -> Credential:
        """It itself where there is nothing to be left out of its note."""
        if not (credential.note and self._rules.any):
            return credential
        told = passage.call.caller, self._named(passage), self._accounts.known
        note = self._rules.without_names(credential.note, *told)
        return credential if note == credential.note else replace(credential, note=note)

    def _is_name(self, passage: Passage, word: str) -> bool:
        """Also the one that is meant where none is named, so that it does not show whether it is there."""
        return word == passage.account or self._accounts.known(word)

    def _named(self, passage: Passage) -> str:
        """The account that the caller knows of: by itself, or since calls with it are allowed."""
        return passage.call.account or ("" if passage.denied else passage.account)
