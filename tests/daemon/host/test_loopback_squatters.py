"""A port of ours, and somebody on this machine who would have it: before us, beside us, after us."""

import socket
import sys
from contextlib import ExitStack

import pytest

from aixtivd.host.loopback import bound

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a kernel lets two listeners share is its own")

OURS = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
THEIRS = {
    socket.AF_INET: ("127.0.0.1", "0.0.0.0", "::"),  # the last one takes both kinds
    socket.AF_INET6: ("::1", "::"),
}
OPTIONS = [
    (),
    (socket.SO_REUSEADDR,),
    (socket.SO_REUSEPORT,),
    (socket.SO_REUSEADDR, socket.SO_REUSEPORT),
]

ways = pytest.mark.parametrize(
    ("family", "host", "place", "options"),
    [(family, host, place, options) for family, host in OURS for place in THEIRS[family] for options in OPTIONS],
)


def squatter(stack: ExitStack, place: str, options: tuple[int, ...]) -> socket.socket:
    made = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in place else socket.AF_INET))
    if ":" in place:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    for option in options:
        made.setsockopt(socket.SOL_SOCKET, option, 1)
    return made


def listens(made: socket.socket, place: str, port: int) -> bool:
    try:
        made.bind((place, port))
        made.listen()
    except OSError:
        return False
    return True


@ways
def test_nobody_takes_or_shares_a_port_that_we_listen_on(
    family: socket.AddressFamily, host: str, place: str, options: tuple[int, ...]
) -> None:
    with ExitStack() as stack:
        ours = stack.enter_context(bound(family, host, 0))
        assert not listens(squatter(stack, place, options), place, ours.getsockname()[1])


@ways
def test_who_listens_there_already_is_noticed_and_not_joined(
    family: socket.AddressFamily, host: str, place: str, options: tuple[int, ...]
) -> None:
    with ExitStack() as stack:
        there = squatter(stack, place, options)
        assert listens(there, place, 0)
        with pytest.raises(OSError, match="in use"):
            bound(family, host, there.getsockname()[1])


@ways
def test_who_only_waits_there_does_not_get_what_is_ours_later(
    family: socket.AddressFamily, host: str, place: str, options: tuple[int, ...]
) -> None:
    """Bound, and not listening yet: either we do not get the port, or nobody else listens there as long as we do."""
    with ExitStack() as stack:
        there = squatter(stack, place, options)
        there.bind((place, 0))
        try:
            stack.enter_context(bound(family, host, there.getsockname()[1]))
        except OSError:
            return
        with pytest.raises(OSError, match="in use"):
            there.listen()
