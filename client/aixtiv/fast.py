"""The fast lane of `aixtiv token` and `claude-key`: C-level `_socket` and a hand-made frame, no costly import (D3).

A property test holds the frame equal to what `aixtiv_protocol.codec` would have written. Whatever is not known here
(another option, no daemon, a refusal) is left to the whole command.
"""

import os

from aixtiv import place
from aixtiv_protocol.names import is_secret

TYPE_CHECKING = False  # not typing's: see aixtiv/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_WAIT = 30.0  # requests.Token.wait
MAX_WAIT = 3600.0
GRACE = 10.0  # seconds beyond `wait` until the daemon is taken for dead: it answers at `wait` itself
KEY_LIFE = 3600  # seconds; Claude Code asks again after five minutes, and after a 401
SILENCE = b"\xc0"  # in place of an answer: the daemon took the request and said nothing. MessagePack's nil.
_MADE = b"\xa2re\xa6ticket\xa6ticket"
_CAP = 256 * 1024  # codec.FRAME_CAP


def serve_token(words: list[str]) -> bytes:
    """Prints the token and ends the process; or gives back the daemon's refusal; or b"" where nothing was settled."""
    asked = understood(words)
    account = asked and (asked[0] or _here())
    if asked is None or account is None:
        return b""
    _, min_ttl, wait = asked
    patience = GRACE + (DEFAULT_WAIT if wait is None else wait)
    return _serve(lambda agent: frame(account, min_ttl, wait, agent), patience, text)


def serve_key(words: list[str]) -> bytes:
    """The same with a ticket."""
    if len(words) > 1 or words[:1] == [""]:
        return b""
    account = words[0] if words else _here()
    if account is None or account[:1] == "-" or not _is_sendable(account):
        return b""
    return _serve(lambda agent: key_frame(account, agent), GRACE, ticket)


def _here() -> str | None:
    """The account where none is typed: as `which.here` says, or None where that has to look."""
    account: str | None = os.environ.get("AIXTIV_ACCOUNT", "")
    if not account:
        from aixtiv import pinned  # noqa: PLC0415  # not needed where it is said already

        account = pinned.account()
    return account if account is None or _is_sendable(account) else None


def _serve(request: "Callable[[str], bytes]", patience: float, read: "Callable[[bytes], bytes | None]") -> bytes:
    agent = os.environ.get("AIXTIV_AGENT_ID", "").strip()  # environment.agent
    if not _is_sendable(agent):
        return b""
    try:
        path = place.socket()
        if place.distrust(path):
            return b""
        answer = _ask(path, request(agent), patience)
    except TimeoutError:
        return SILENCE
    except OSError:
        return b""
    secret = read(answer)
    if secret is None:
        return answer
    _print_and_end(secret + b"\n")
    return b""


def understood(words: list[str]) -> tuple[str, int, float | None] | None:
    """Account (empty: not typed), min_ttl and wait (None: not typed); or None where the whole command must look."""
    account = ""
    min_ttl = 0
    wait = None
    left = iter(words)
    for word in left:
        option, equals, value = word.partition("=")
        if option in ("--min-ttl", "--wait"):
            number = value if equals else next(left, "")
            if not _is_number(number, whole=option == "--min-ttl"):
                return None
            if option == "--min-ttl":
                min_ttl = int(number)
            else:
                wait = float(number)
            continue
        if option == "--account":
            word = value if equals else next(left, "")  # noqa: PLW2901  # the name, as if it were the argument
        if not word or word[0] == "-" or account:
            return None
        account = word
    return (account, min_ttl, wait) if _is_sendable(account) and (wait or 0) <= MAX_WAIT else None


def _is_number(word: str, *, whole: bool) -> bool:
    """Plain ASCII decimals only: what else Python or click take for a number is left to them."""
    whole_part, point, part = word.partition(".")
    if point and (whole or not part.isdigit()):
        return False
    return word.isascii() and whole_part.isdigit() and len(word) < 10


def _is_sendable(name: str) -> bool:
    """What looks like a secret in a name's place is not: the whole command says so."""
    try:
        return len(name.encode()) < 256 and not is_secret(name)
    except UnicodeEncodeError:  # an argument that is not UTF-8
        return False


def frame(account: str, min_ttl: int, wait: float | None, agent: str = "") -> bytes:
    """The bytes of `codec.encode_request(Token(account=…, min_ttl=…, wait=…, form="bare", agent=…))`.

    A `wait` that was typed is written even where it is the default: so does msgspec, which leaves a float out only if
    it is the very object of the default.
    """
    fields = [b"\xa2op\xa5token"]
    if account:
        fields.append(b"\xa7account" + _string(account.encode()))
    if min_ttl:
        fields.append(b"\xa7min_ttl" + _integer(min_ttl))
    if wait is not None:
        fields.append(b"\xa4wait" + _float(wait))
    fields.append(b"\xa4form\xa4bare")
    return _framed(fields, agent)


def key_frame(account: str, agent: str = "") -> bytes:
    """The bytes of the codec's `Ticket(account=…, ttl=KEY_LIFE, holder="none", name="claude-key", agent=…)`."""
    fields = [b"\xa2op\xa6ticket"]
    if account:
        fields.append(b"\xa7account" + _string(account.encode()))
    fields += [b"\xa3ttl" + _integer(KEY_LIFE), b"\xa6holder\xa4none", b"\xa4name\xaaclaude-key"]
    return _framed(fields, agent)


def _framed(fields: list[bytes], agent: str) -> bytes:
    if agent:  # behind the request's own fields, as msgspec has what a base class brings
        fields.append(b"\xa5agent" + _string(agent.encode()))
    body = bytes((0x80 + len(fields),)) + b"".join(fields)
    return len(body).to_bytes(4, "big") + body


def _string(utf8: bytes) -> bytes:
    size = len(utf8)
    return (bytes((0xA0 + size,)) if size < 32 else bytes((0xD9, size))) + utf8


def _integer(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    mark, size = (0xCC, 1) if number < 1 << 8 else (0xCD, 2) if number < 1 << 16 else (0xCE, 4)
    return bytes((mark,)) + number.to_bytes(size, "big")


def _float(number: float) -> bytes:
    from _struct import pack  # noqa: PLC0415  # the C module alone, and only for a `--wait`

    packed: bytes = pack(">d", number)
    return b"\xcb" + packed


def _ask(path: str, request: bytes, deadline: float) -> bytes:
    """The body of the answer. Raises OSError, TimeoutError among them."""
    from _socket import AF_UNIX, SOCK_STREAM, socket  # noqa: PLC0415  # not needed where the words are not understood

    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.settimeout(deadline)
        connection.connect(path)
        if place.stranger(connection.getsockopt):
            raise OSError("another user answers")  # the whole command says it in full
        connection.sendall(request)
        size = int.from_bytes(_exactly(connection.recv, 4), "big")
        if size > _CAP:
            raise OSError("the answer is too large")
        return _exactly(connection.recv, size)
    finally:
        connection.close()


def _exactly(recv: "Callable[[int], bytes]", size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = recv(size - len(data))
        if not piece:
            raise OSError("the daemon ended the conversation")
        data += piece
    return data


def text(body: bytes) -> bytes | None:
    """The UTF-8 of a lone MessagePack string, which is a bare token; None for anything else."""
    string, rest = _first_string(body)
    return string if string and not rest else None


def ticket(body: bytes) -> bytes | None:
    """The secret of a TicketMade, which msgspec writes behind the reply's tag; None for anything else."""
    if not 0x80 <= (body[0] if body else 0) <= 0x8F or not body[1:].startswith(_MADE):
        return None
    string, _ = _first_string(body[1 + len(_MADE) :])
    return string or None


def _first_string(body: bytes) -> tuple[bytes, bytes]:
    """The string that MessagePack begins with, and what comes behind it; nothing, where it begins with none."""
    mark = body[0] if body else 0
    if 0xA0 <= mark <= 0xBF:
        head, size = 1, mark - 0xA0
    elif 0xD9 <= mark <= 0xDB:
        head = 1 + (1 << mark - 0xD9)
        size = int.from_bytes(body[1:head], "big")
    else:
        return b"", body
    end = head + size
    return (body[head:end], body[end:]) if len(body) >= end else (b"", body)


def _print_and_end(line: bytes) -> None:
    """Ends without Python's own tidying up: nothing is open, nothing is buffered, and it costs milliseconds."""
    try:
        while line:
            line = line[os.write(1, line) :]
    except BrokenPipeError:
        os._exit(141)  # as a program that SIGPIPE ends
    except OSError:
        os.write(2, b"aixtiv: error: the token cannot be written to stdout\n")
        os._exit(1)
    os._exit(0)
