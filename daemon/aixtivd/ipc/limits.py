"""What one caller, and all of them together, can cost: seconds, counts and bytes.

A relaying caller costs at most `body` and a piece on the way out, `unread` and a piece on the way back, and one read of
its socket (asyncio's 256 KiB) with what it was cut into: a megabyte, however large the bodies are. What the relay keeps
of a body, to send it again after a 401, is counted there.
"""

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    message: float = 10.0  # seconds for a message that has begun to become whole
    idle: float = 600.0  # seconds with nothing asked and nothing outstanding; or of silence amid a relayed call
    stuck: float = 30.0  # seconds in which a caller reads nothing of any other answer that waits for it
    farewell: float = 5.0  # seconds to read a last Failure before the connection is closed
    starved: float = 0.5  # seconds of pause when there are no file descriptors left
    queued: int = 64  # requests of one caller read and not yet answered; more are left in its socket
    unread: int = 256 * 1024  # bytes of answers waiting for one caller, above which no more are made
    body: int = 256 * 1024  # bytes of a relayed body that the API has not taken, above which no more are read
    connections: int = 2048  # open conversations of this uid (there is no other uid)
    turned_away: int = 64  # conversations above that, each only told that it is one too many
