"""What can go wrong for a caller: a class per thing to do about it, with the exit status of the command (D16).

0 fine · 1 refused · 2 no daemon · 3 sign-in needed · 4 provider or API unreachable · 5 offline template ·
6 locked · 64 usage. `exec` gives its command's, 126 where it cannot be run, 127 where there is none (env(1)).
"""

from typing import ClassVar, Final

from aixtiv_protocol.replies import Code, Failure

USAGE: Final = 64  # sysexits.h, EX_USAGE
INTERRUPTED: Final = 130  # as a shell reports SIGINT
BROKEN_PIPE: Final = 141  # as a shell reports SIGPIPE


class AixtivError(Exception):
    """it was refused"""

    code: str = "refused"
    hint: str = ""
    exit_status: ClassVar[int] = 1

    def __init__(
        self,
        sentence: str = "",
        *,
        hint: str | None = None,
        code: str = "",
        retry: bool = False,
        retry_after: float = 0.0,
    ) -> None:
        self.sentence = sentence or (type(self).__doc__ or "").strip()
        self.hint = self.hint if hint is None else hint
        self.code = code or self.code
        self.retry = retry
        self.retry_after = retry_after
        super().__init__(self.sentence)


class Usage(AixtivError):
    """that is not how this command is used"""

    code = "usage"
    exit_status = USAGE


class Unread(AixtivError):
    """whoever read the output has gone"""

    code = "unread"
    exit_status = BROKEN_PIPE


class Unwritable(AixtivError):
    """the output cannot be written"""

    code = "unwritable"


class NoDaemon(AixtivError):
    """the daemon cannot be asked"""

    code = "no_daemon"
    exit_status = 2


class NotRunning(NoDaemon):
    """the daemon is not running"""


class HungUp(NoDaemon):
    """the daemon ended the conversation before it answered"""

    hint = "aixtiv status"


class NotHeard(HungUp):
    """the daemon ended the conversation before it heard what was asked"""


class NoAnswer(NoDaemon):
    """the daemon took the request and did not answer in time"""

    code = "no_answer"


class Untrusted(AixtivError):
    """the socket's place is not safe"""

    code = "untrusted"


class NotUnderstood(AixtivError):
    """this command and the daemon do not understand each other"""

    code = "bad_request"
    hint = "aixtiv stop"


class Denied(AixtivError):
    """this caller may not ask for that"""

    code = "denied"


class NoAccount(AixtivError):
    """no such account"""

    code = "no_account"


class SignInNeeded(AixtivError):
    """a person has to sign in"""

    code = "sign_in_needed"
    exit_status = 3


class SignInFailed(AixtivError):
    """the sign-in did not succeed"""

    code = "sign_in_failed"


class Unreachable(AixtivError):
    """the provider cannot be reached"""

    code = "unreachable"
    exit_status = 4


class Offline(AixtivError):
    """Claude cannot be reached: what came is the offline template"""

    code = "offline"
    exit_status = 5


class NotRunnable(AixtivError):
    """the command cannot be run"""

    code = "not_runnable"
    exit_status = 126


class NoCommand(AixtivError):
    """there is no such command"""

    code = "no_command"
    exit_status = 127


class Locked(AixtivError):
    """the vault is locked"""

    code = "locked"
    exit_status = 6


_CLASSES: Final[dict[Code, type[AixtivError]]] = {
    "bad_request": NotUnderstood,
    "too_large": AixtivError,
    "busy": AixtivError,
    "denied": Denied,
    "locked": Locked,
    "key_failed": Locked,  # a vault whose key cannot be had is a locked one
    "store_failed": AixtivError,
    "no_account": NoAccount,
    "no_provider": AixtivError,
    "sign_in_needed": SignInNeeded,
    "sign_in_failed": SignInFailed,
    "scope_missing": SignInNeeded,  # only a person can grant more
    "unreachable": Unreachable,
    "refused": AixtivError,
    "misconfigured": AixtivError,
    "timeout": Unreachable,
    "bad_config": AixtivError,
    "internal": AixtivError,
}


def raised(failure: Failure) -> AixtivError:
    """The exception for what the daemon said."""
    kind = _CLASSES.get(failure.code, AixtivError)
    return kind(
        failure.message, hint=failure.hint, code=failure.code, retry=failure.retry, retry_after=failure.retry_after
    )
