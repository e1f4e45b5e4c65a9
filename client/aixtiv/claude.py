"""Claude's Messages API as our own commands use it: what is asked, and what the answer's bytes say. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from aixtiv.events import Events, TooLong
from aixtiv.failures import AixtivError, SignInNeeded, Unreachable, Usage
from aixtiv_protocol.requests import Headers

MODEL: Final = "claude-opus-5-5"
"""The model of the README of `anthropic` 2.12. Ids since 4.6 name one pinned version, so there is no `-latest`."""

MAX_TOKENS: Final = 8192  # enough for a file of code; a model that thinks counts that in
ORIGIN: Final = "https://api.anthropic.com"
VERSION: Final = "2023-06-01"
MESSAGES: Final = "/v1/messages"

_STOPPED: Final = {
    "max_tokens": "the answer ends here because it is as long as --max-tokens allows",
    "model_context_window_exceeded": "the answer ends here because the model can hold no more",
    "refusal": "Claude declined to go on",
    "pause_turn": "Claude paused, and would have to be asked to go on",
    "tool_use": "Claude stopped to use a tool, which this command has not got",
}


def model(environ: Mapping[str, str]) -> str:
    """`AIXTIV_CLAUDE_MODEL`, else `ANTHROPIC_MODEL` where that is an id.

    Claude Code takes more than ids there: its own short names (`opus`), and `[1m]` behind an id.
    """
    ours, theirs = (environ.get(name, "").strip() for name in ("AIXTIV_CLAUDE_MODEL", "ANTHROPIC_MODEL"))
    return ours or (theirs.partition("[")[0] if "-" in theirs else "") or MODEL


def question(prompt: str, *, model: str, system: str = "", max_tokens: int = MAX_TOKENS, stream: bool = True) -> bytes:
    """The body of a `POST /v1/messages`. Raises Usage for arguments that are no text."""
    asked: dict[str, object] = {
        "model": model,
        "max_tokens": max_tokens,
        "messages": [{"role": "user", "content": prompt}],
    }
    if system:
        asked["system"] = system
    if stream:
        asked["stream"] = True
    try:
        return msgspec.json.encode(asked)
    except UnicodeEncodeError:  # bytes of a command line that are no UTF-8
        raise Usage("what is asked is not text (UTF-8)") from None


def headers(given: Headers = (), *, version: str = VERSION) -> Headers:
    """What a call of our own carries, below what the caller gave. Nothing compressed is asked for: bytes are shown."""
    ours = (
        ("anthropic-version", version or VERSION),
        ("content-type", "application/json"),
        ("accept-encoding", "identity"),
    )
    named = {name.lower() for name, _ in given}
    return (*given, *((name, value) for name, value in ours if name not in named))


class Broken(Unreachable):
    """Claude's answer broke off"""

    code = "broken"


class NotClaude(Unreachable):
    """what answered is not Claude"""

    code = "not_claude"
    hint = "aixtiv doctor"


class Trouble(Struct, frozen=True):
    """What an error is and says; empty where it is none in Claude's form."""

    type: str = ""
    message: str = ""


class _Error(Struct, frozen=True):
    """`{"type": "error", "error": {"type", "message"}}`, in a body and in an event."""

    error: Trouble = msgspec.field(default_factory=Trouble)


def trouble(data: bytes | str) -> Trouble:
    try:
        return msgspec.json.decode(data, type=_Error).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Trouble()


def refusal(
    status: int, body: bytes, account: str = "", retry_after: str = "", *, kind: str = "", variable: str = ""
) -> AixtivError:
    """The failure that an answer of 400 or above is. `kind`: of what paid; `variable`: of the shell, where that did."""
    told = trouble(body)
    said = f"{told.type}: {told.message}" if told.type else f"HTTP {status}"
    name = account or "anthropic"
    if status == 401:
        paid, hint = _payer(name, kind, variable)
        return SignInNeeded(f"Claude does not take {paid} ({said})", hint=hint)
    if status == 404:
        hint = "aixtiv claude api GET /v1/models" if is_about_model(told.message) else "aixtiv doctor"
        return AixtivError(f"Claude has nothing at that address or by that name ({said})", hint=hint)
    if status == 429:
        wait = f"; again in {retry_after} seconds" if retry_after.isdigit() else ""
        return AixtivError(f"Claude takes no more for now ({said}){wait}", hint="aixtiv usage", retry=True)
    if status < 400:
        return NotClaude(f"what answered is not Claude: it points elsewhere (HTTP {status}), which is not followed")
    if status >= 500:
        return Unreachable(f"Claude cannot answer now ({said})", retry=True)
    return AixtivError(f"Claude refused ({said})")


def _payer(name: str, kind: str, variable: str) -> tuple[str, str]:
    """What was refused, and how to put another in its place."""
    if kind != "api-key":
        return f"the credential of {name}", f"aixtiv login {name}"
    if variable:
        return f"the key in {variable}", f"export {variable}=…"
    return f"the API key of {name}", f"aixtiv api-key set {name}"


def check_kind(content_type: str, encoding: str) -> None:
    """Of a success. Raises NotClaude for what is no answer of Claude's, a captive portal's page for one."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in ("text/event-stream", "application/json"):
        raise NotClaude(f"what answered is not Claude: it sent {kind or 'nothing that has a type'}")
    if encoding not in ("", "identity"):
        raise NotClaude(f"what answered is not Claude: it sent {encoding}, which was not asked for")


def is_about_model(message: str) -> bool:
    """Of a 404: the endpoint is right, and the model is not."""
    return message.startswith("model:")


def not_found(body: bytes) -> bool:
    """Of a 404: the endpoint is not there; whoever answered, it was not Claude asked for an unknown model."""
    return not is_about_model(trouble(body).message)


class Answer:
    """An answer as it comes, streamed (SSE) or in one piece (JSON, from a proxy that does not stream)."""

    def __init__(self, content_type: str) -> None:
        self._events = Events() if content_type.lower().startswith("text/event-stream") else None
        self._whole = bytearray()
        self._ended = False
        self.model = ""
        self.stop_reason = ""

    def take(self, piece: bytes) -> Iterator[str]:
        """The text in it. Raises Unreachable for an error in the stream, Broken for what is none of Claude's."""
        if self._events is None:
            self._whole += piece
            return
        try:
            events = self._events.feed(piece)
        except TooLong:
            raise Broken("Claude's answer is not a stream of events") from None
        for event in events:
            yield from self._heard(event.name, event.data)

    def end(self) -> Iterator[str]:
        """The text that only the end brings. Raises Broken where there was no end."""
        if self._events is None:
            yield from self._read(bytes(self._whole))
        elif not self._ended:
            raise Broken

    def note(self) -> str:
        """Why the answer stopped, if that was not its own end."""
        return _STOPPED.get(self.stop_reason, "")

    def _heard(self, name: str, data: str) -> Iterator[str]:
        if name == "error":
            raise _in_the_stream(trouble(data))
        if name == "ping":
            return
        told = _object(data)
        if name == "content_block_start":
            yield from _text(told.get("content_block"))
        elif name == "content_block_delta":
            yield from _text(told.get("delta"))  # thinking, signatures and tool input are no text
        elif name == "message_start":
            self._learn(told.get("message"))
        elif name == "message_delta":
            self._learn(told.get("delta"))
        elif name == "message_stop":
            self._ended = True

    def _learn(self, told: object) -> None:
        if isinstance(told, dict):
            self.model = str(told.get("model") or self.model)
            self.stop_reason = str(told.get("stop_reason") or self.stop_reason)

    def _read(self, whole: bytes) -> Iterator[str]:
        told = _object(whole)
        self._learn(told)
        blocks = told.get("content")
        if not isinstance(blocks, list):
            raise Broken("Claude's answer is not a message")
        for block in blocks:
            yield from _text(block)


def _object(data: bytes | str) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Broken("Claude's answer cannot be read: it is not JSON") from None
    return told if isinstance(told, dict) else {}


def _text(block: object) -> Iterator[str]:
    if isinstance(block, dict) and block.get("type") in ("text", "text_delta") and isinstance(block.get("text"), str):
        yield block["text"]


def _in_the_stream(told: Trouble) -> Unreachable:
    said = f"{told.type}: {told.message}" if told.type else "no reason given"
    return Unreachable(f"Claude broke off its answer ({said})", retry=True)
