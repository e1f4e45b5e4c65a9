"""An authorization response, as a browser brings it or a person pastes it (RFC 6749 §4.1.2, RFC 9207)."""

from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from aixtiv_protocol.secret import Secret
from aixtivd.errors import SignInFailed
from aixtivd.oauth.words import shown

_LONGEST = 16 * 1024  # characters; real ones have a few hundred
_KNOWN = frozenset({"code", "state", "iss", "error", "error_description"})


class Response(Struct, frozen=True, kw_only=True):
    """Either `code` or `error` is there. `state` is empty only for a pasted lone code.

    `shown`: a page showed the code for copying, so that there is no address that could have held `iss`.
    """

    code: Secret | None = None
    state: str = ""
    iss: str = ""
    error: str = ""
    error_description: str = ""
    shown: bool = False


def parse_query(query: str) -> Response:
    """Raises SignInFailed: what is said twice, or says neither `code` nor `error`, or both, is no response."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=40, errors="strict")
    except ValueError:
        raise SignInFailed("that answer of the provider cannot be read") from None
    said = [(name, value) for name, value in pairs if name in _KNOWN]
    fields = dict(said)
    if len(fields) != len(said):
        raise SignInFailed("that answer of the provider says something twice")
    code = fields.get("code", "")
    if bool(code) == bool(fields.get("error")):
        raise SignInFailed("that answer of the provider holds no code")
    return Response(
        code=Secret(code) if code else None,
        state=fields.get("state", ""),
        iss=fields.get("iss", ""),
        error=shown(fields.get("error", "")),
        error_description=shown(fields.get("error_description", "")),
    )


def parse_pasted(text: Secret) -> Response:
    """The whole redirect URL, `code#state`, or a lone code. Raises SignInFailed."""
    pasted = text.reveal().strip().strip("'\"<>").strip()
    if not pasted or len(pasted) > _LONGEST or any(letter.isspace() or not letter.isprintable() for letter in pasted):
        raise SignInFailed("that is neither the address the browser ended at nor a code")
    if query := _query_of(pasted):
        return parse_query(query)
    code, _, state = pasted.partition("#")
    if not code or "://" in pasted:
        raise SignInFailed("that address holds no code")
    return Response(code=Secret(code), state=state, shown=True)


def _query_of(pasted: str) -> str:
    """The query of a URL, or of a part of one; some servers answer in the fragment."""
    try:
        parts = urlsplit(pasted)
    except ValueError:
        return ""
    for query in (parts.query, parts.fragment, pasted):
        if query.startswith(("code=", "error=", "state=")) or "&code=" in query or "&error=" in query:
            return query
    return ""
