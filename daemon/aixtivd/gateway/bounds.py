"""What one caller of the gateway, and all of them together, can cost: seconds, counts and bytes."""

from msgspec import Struct


class Bounds(Struct, frozen=True, kw_only=True):
    head: float = 10.0  # seconds for a head that has begun to come, and for the first one from the beginning
    body: float = 60.0  # seconds in which nothing more comes of a body that is waited for; there is no limit in all
    unread: float = 600.0  # seconds in which a caller takes nothing of its answer: a stream may pause, a person be away
    idle: float = 600.0  # seconds between two requests: SDKs keep connections in a pool
    parting: float = 20.0  # seconds after the last answer, to send the rest of a body and to take the answer
    look: float = 2.0  # seconds between two looks whether a caller has left that is not being read
    starved: float = 0.5  # seconds of pause when there are no file descriptors left
    buffer: int = 128 * 1024  # bytes of a body that wait here, and one read more
    connections: int = 1024  # at each kind of door: the Unix socket, and all ports together
