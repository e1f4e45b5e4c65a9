"""The tree of failures: one class for each thing that a caller may do something about.

A class's docstring is its plain sentence (lower case, no full stop), used where no other is given; `code` is the one
on the wire; `hint` is a command to type. No sentence ever holds a secret: only names, numbers and a provider's own
`error` and `error_description`.
"""

from typing import ClassVar

from aixtiv_protocol.replies import Code, Failure


class AixtivError(Exception):
    """something went wrong"""

    code: ClassVar[Code] = "internal"
    hint: str = ""
    retry: ClassVar[bool] = False

    def __init__(self, sentence: str = "", *, hint: str | None = None, retry_after: float = 0.0) -> None:
        self.sentence = sentence or (type(self).__doc__ or "").strip()
        if hint is not None:
            self.hint = hint
        self.retry_after = retry_after
        super().__init__(self.sentence)

    def failure(self) -> Failure:
        """The one mapping from this tree to the wire."""
        return Failure(
            code=self.code,
            message=self.sentence,
            hint=self.hint,
            retry=self.retry,
            retry_after=self.retry_after or Failure.__struct_defaults__[-1],  # msgspec leaves out only this very float
        )


class BadRequest(AixtivError):
    """that request cannot be understood"""

    code = "bad_request"


class Busy(AixtivError):
    """the daemon has as many callers as it takes"""

    code = "busy"
    retry = True


class Denied(AixtivError):
    """this caller may not ask for that"""

    code = "denied"


class NotAllowed(Denied):
    """no rule of the config allows that"""

    hint = "aixtiv access explain"


class TicketNeeded(Denied):
    """a ticket is needed here"""

    hint = "aixtiv ticket new"


class WrongVerb(Denied):
    """this ticket is good for something else"""


class Locked(AixtivError):
    """the vault is locked"""

    code = "locked"
    hint = "aixtiv unlock"


class KeyFailed(AixtivError):
    """the vault's key cannot be had"""

    code = "key_failed"
    hint = "aixtiv status"


class StoreFailed(AixtivError):
    """the store cannot be used"""

    code = "store_failed"
    hint = "aixtiv status"


class NoAccount(AixtivError):
    """no such account"""

    code = "no_account"
    hint = "aixtiv accounts"


class NoProvider(AixtivError):
    """too little is known about that provider"""

    code = "no_provider"

    def __init__(self, sentence: str = "", *, options: str = "", hint: str | None = None) -> None:
        super().__init__(sentence, hint=hint)
        self.options = options  # of `aixtiv login`, as they have to be typed for it to succeed
        self.hopeless = hint == ""  # whatever is typed


class SignInNeeded(AixtivError):
    """the grant is over; a person has to sign in again"""

    code = "sign_in_needed"


class SignInFailed(AixtivError):
    """the sign-in did not succeed"""

    code = "sign_in_failed"


class ScopeMissing(AixtivError):
    """the grant lacks a scope that was asked for"""

    code = "scope_missing"


class Unreachable(AixtivError):
    """the provider cannot be reached"""

    code = "unreachable"
    retry = True


class Refused(AixtivError):
    """the provider refused"""

    code = "refused"


class Misconfigured(AixtivError):
    """the provider does not accept this client"""

    code = "misconfigured"


class WaitedTooLong(AixtivError):
    """the refresh did not finish in the time this caller would wait; it goes on"""

    code = "timeout"
    retry = True


class BadConfig(AixtivError):
    """the config file is wrong"""

    code = "bad_config"
    hint = "aixtiv config check"


class SocketFailed(AixtivError):
    """the socket cannot be opened"""  # of a starting daemon only: nobody hears this one over the wire


class NotReplaced(AixtivError):
    """the daemon cannot be replaced by the one that is installed"""

    code = "refused"
