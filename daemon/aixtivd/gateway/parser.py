"""A caller's bytes taken apart, without I/O: llhttp reads heads and framing strictly, bodies pass as they come."""

from collections.abc import Callable

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from aixtivd.gateway.incoming import LINES, LONGEST
from aixtivd.gateway.upload import Upload


class Request:
    """A head as llhttp let it through, which is no word on whether it is plain, and the body that follows it."""

    __slots__ = ("keep", "method", "raw", "target", "upload", "version")

    def __init__(self, parser: HttpRequestParser, target: bytes, raw: list[tuple[bytes, bytes]]) -> None:
        self.method = parser.get_method().decode()
        self.target = target.decode("latin-1")
        self.version = parser.get_http_version()
        self.raw = raw
        self.keep = parser.should_keep_alive()
        self.upload = Upload()


class Parser:
    """`begun` is called with each request, when its head is whole."""

    __slots__ = ("_begun", "_llhttp", "_moved", "_raw", "_target", "broken", "filling", "size")

    def __init__(self, begun: Callable[[Request], None]) -> None:
        self.broken = False  # nothing that follows can be read
        self.filling: Upload | None = None  # of the newest request, while its body is not whole
        self.size = 0  # bytes since something became whole: of a head, or of what is round a body
        self._begun = begun
        self._target = b""
        self._raw: list[tuple[bytes, bytes]] = []
        self._moved = False
        self._llhttp: HttpRequestParser | None = HttpRequestParser(self)

    def feed(self, data: bytes | memoryview) -> None:
        """Not more at once than may become requests that wait: llhttp does not stop between two of them."""
        if self._llhttp is None:
            return
        self._moved = False
        try:
            self._llhttp.feed_data(data)
        except HttpParserCallbackError:
            raise  # a defect of ours
        except (HttpParserError, HttpParserUpgrade):  # an upgrade is going to be refused; what follows it is no HTTP
            self._break()
        self.size = 0 if self._moved else self.size + len(data)
        if self.size > LONGEST or len(self._raw) > LINES:  # it costs memory before anybody knows whose it is
            self._break()

    def close(self) -> None:
        """Nothing more is read, and nothing kept. (It and llhttp's would be held by one another for the collector.)"""
        self._llhttp = self.filling = None
        self._target, self._raw = b"", []

    def _break(self) -> None:
        self.broken = True
        if self.filling is not None:
            self.filling.fail("the body's framing is broken")
        self.close()

    # What llhttp calls

    def on_message_begin(self) -> None:
        """What came before is whole, whichever reading brought it."""
        self._moved = False
        self.size = 0

    def on_url(self, piece: bytes) -> None:
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of a head, or a trailer, which nobody forwards (RFC 9110 §6.5.1)."""
        self._raw.append((name, value))

    def on_headers_complete(self) -> None:
        assert self._llhttp is not None
        request = Request(self._llhttp, self._target, self._raw)
        self._target, self._raw = b"", []
        self.filling = request.upload
        self._moved = True
        self._begun(request)

    def on_body(self, piece: bytes) -> None:
        if self.filling is not None:
            self.filling.feed(piece)
        self._moved = True

    def on_message_complete(self) -> None:
        if self.filling is not None:
            self.filling.end()
        self.filling = None
        self._raw.clear()  # of trailers: a head's list is its request's by now
        self._moved = True
