"""Why an API gave no answer, or not all of one, and whether the call may have run there."""

from aixtivd.errors import Unreachable


class UpstreamFailure(Unreachable):
    """the API cannot be reached"""

    hint = "aixtiv doctor"

    def __init__(self, sentence: str, *, maybe_sent: bool) -> None:
        super().__init__(sentence)
        self.maybe_sent = maybe_sent  # False: surely no byte of the call left this machine
