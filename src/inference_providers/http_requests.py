"""What is sent to a chat endpoint, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from config.errors import ConfigError
from src.inference_providers.adaptations import ITS_OTHER_NAME, TOKEN_LIMIT
from src.inference_providers.base import ChatMessage, Sampling


def address(base_url: str, setting: str) -> tuple[str | None, str]:
    """(socket path or None, URL of the chat endpoint)."""
    parts = urlsplit(base_url)
    if parts.scheme == "unix" and parts.path:
        return parts.path, "http://localhost/v1/chat/completions"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{setting}: must be http(s)://... or unix:///socket")
    if parts.username or parts.password or parts.query:
        raise ConfigError(f"{setting}: must hold no key; name its variable in api_key_env")
    url = base_url.rstrip("/")
    if url.endswith("/completions"):
        raise ConfigError(f"{setting}: must end before /chat/completions, which is added to it")
    return None, url + "/chat/completions"


def most_tokens(body: dict[str, Any]) -> int:
    """The most that a request can take: no tokenizer makes more tokens than there are bytes."""
    texts = [m["content"] for m in body["messages"]]
    answer = body.get(TOKEN_LIMIT) or body[ITS_OTHER_NAME]
    return sum(len(t.encode()) + 16 for t in texts) + 16 + int(answer)


def chat_body(model: str, messages: Sequence[ChatMessage], sampling: Sampling) -> dict[str, Any]:
    """The request's JSON object.  Stop ids and logprobs have no place in it."""
    body: dict[str, Any] = {
        "model": model,
        "messages": list(messages),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
    }
    if sampling.top_k > 0:
        body["top_k"] = sampling.top_k
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.json_schema is not None:
        schema = {"name": "answer", "strict": True, "schema": sampling.json_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body
