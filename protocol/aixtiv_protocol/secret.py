"""A string that must not be shown, and says so wherever it might be."""


class Secret:
    """A credential held so that no `repr`, format string, traceback, log line or pickle shows it.

    `reveal()` is the only way to the text: each call of it is a place to look at in a review.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac  # noqa: PLC0415 - heavy: brings OpenSSL, which a client has no other use for

        # "surrogatepass": what came from a command line may hold bytes that are no text, and must still compare.
        ours, theirs = (text.encode(errors="surrogatepass") for text in (self._text, other._text))
        return hmac.compare_digest(ours, theirs)

    __hash__ = None  # type: ignore[assignment]  # a hash table would compare in variable time

    def __copy__(self) -> "Secret":
        return self  # it never changes: no second copy of the text is needed

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce__(self) -> str:
        raise TypeError("a Secret is never pickled")


def encode_hook(value: object) -> str:
    """msgspec's `enc_hook`: a Secret travels as its text, to the socket and into a sealed row, nowhere else."""
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(f"{type(value).__name__} is not part of the protocol")


def decode_hook(wanted: type, value: object) -> Secret:
    """msgspec's `dec_hook`. A ValueError here becomes msgspec's ValidationError."""
    if wanted is not Secret:
        raise NotImplementedError(f"{wanted.__name__} is not part of the protocol")
    if type(value) is not str:
        raise ValueError("Expected `str`")
    return Secret(value)
