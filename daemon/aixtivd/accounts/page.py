"""Accounts as answers carry them: as many of a long list as fit into one message, and the word that there are more."""

from collections.abc import Iterable
from typing import Final

import msgspec

from aixtiv_protocol.codec import FRAME_CAP
from aixtiv_protocol.replies import Account, AccountList, DaemonStatus

_ROUND: Final = 64  # bytes of an AccountList round its accounts
_MOST: Final = 32 * 1024  # bytes of one account; what is longer is a provider's doing, and must not hide the others

_pack = msgspec.json.Encoder()  # a line is never shorter than the frame that says the same


def page(accounts: Iterable[Account], room: int = FRAME_CAP - _ROUND) -> AccountList:
    """The first of `accounts`, and whether there are others. One at least, so that who pages gets on.

    `room`: bytes that they may take. No more of the list is looked at than fits.
    """
    found: list[Account] = []
    for account in accounts:
        shown, size = _measured(account)
        room -= size
        if found and room < 0:
            return AccountList(accounts=tuple(found), more=True)
        found.append(shown)
    return AccountList(accounts=tuple(found))


def room_beside(status: DaemonStatus) -> int:
    """Bytes that a status without accounts leaves for them."""
    return FRAME_CAP - len(_pack.encode(status)) - _ROUND


def _measured(account: Account) -> tuple[Account, int]:
    size = _size(account)
    if size > _MOST:
        account = msgspec.structs.replace(account, subject="", who="", scopes=(), problem=_TOO_LONG)
        size = _size(account)
    return account, size


_TOO_LONG: Final = "what its provider says about it is too long to be shown"


def _size(account: Account) -> int:
    try:
        return len(_pack.encode(account)) + 1  # and a comma
    except UnicodeEncodeError:  # half a surrogate pair, which the codec answers for
        return _MOST
