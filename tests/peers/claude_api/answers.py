"""What Claude's API says when all is well: the documents and events that the official SDKs read. No HTTP."""

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from peers.claude_api.rules import Refused

MODELS: Final = ("claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5", "claude-3-haiku-20240307")
_MADE: Final = "2026-01-01T00:00:00Z"
_ENDS: Final = "2026-12-31T00:00:00Z"
_USAGE: Final = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "server_tool_use": None,
    "service_tier": "standard",
}


def asked(body: bytes, *required: str) -> dict[str, Any]:
    """A request's document. Raises Refused as the API does where a field is missing."""
    try:
        document = json.loads(body)
    except ValueError:
        raise Refused(400, "invalid_request_error", "The request body is not valid JSON") from None
    if not isinstance(document, dict):
        raise Refused(400, "invalid_request_error", "The request body is not a JSON object")
    for name in required:
        if name not in document:
            raise Refused(400, "invalid_request_error", f"{name}: Field required")
    return document


def reply(document: Mapping[str, Any]) -> str:
    """What is answered to that prompt, so that a test knows it."""
    messages = document.get("messages")
    content = messages[-1].get("content", "") if isinstance(messages, list) and messages else ""
    if isinstance(content, list):
        content = " ".join(str(block.get("text", "")) for block in content)
    return f"You said: {str(content)[:200]}"


def message(model: str, text: str) -> dict[str, Any]:
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": _USAGE | {"output_tokens": len(text.split())},
    }


def events(model: str, pieces: list[str], *, error: bool = False) -> Iterator[bytes]:
    """A streamed message. `error`: it breaks off after half of its text, as an overloaded API does."""
    begun = message(model, "") | {"content": [], "stop_reason": None, "usage": _USAGE | {"output_tokens": 1}}
    yield _event("message_start", message=begun)
    yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield _event("ping")
    for number, piece in enumerate(pieces):
        if error and number >= len(pieces) // 2:
            yield _event("error", error={"type": "overloaded_error", "message": "Overloaded"})
            return
        yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        if number % 50 == 49:
            yield _event("ping")
    yield _event("content_block_stop", index=0)
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    yield _event("message_delta", delta=ended, usage={"output_tokens": len(pieces)})
    yield _event("message_stop")


def _event(name: str, **fields: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name} | fields)}\n\n".encode()


def models(query: str) -> dict[str, Any]:
    """A page: `limit`, `after_id`."""
    said = parse_qs(query)
    limit = int(said.get("limit", ["20"])[0])
    after = said.get("after_id", [""])[0]
    left = MODELS[MODELS.index(after) + 1 :] if after in MODELS else MODELS
    page = [model(name) for name in left[:limit]]
    return {
        "data": page,
        "has_more": len(left) > limit,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def model(name: str) -> dict[str, Any]:
    if name not in MODELS:
        raise Refused(404, "not_found_error", f"model: {name}")
    return {"type": "model", "id": name, "display_name": name.replace("-", " ").title(), "created_at": _MADE}


def batch(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msgbatch_{secrets.token_hex(12)}",
        "type": "message_batch",
        "processing_status": "in_progress",
        "request_counts": {
            "processing": len(document["requests"]),
            "succeeded": 0,
            "errored": 0,
            "canceled": 0,
            "expired": 0,
        },
        "created_at": _MADE,
        "expires_at": _ENDS,
        "ended_at": None,
        "archived_at": None,
        "cancel_initiated_at": None,
        "results_url": None,
    }


def file(size: int) -> dict[str, Any]:
    return {
        "id": f"file_{secrets.token_hex(12)}",
        "type": "file",
        "filename": "upload",
        "mime_type": "application/octet-stream",
        "size_bytes": size,
        "created_at": _MADE,
        "downloadable": False,
    }
