"""What an answer over HTTP means: a completion, a fault worth another try, or the end."""

from __future__ import annotations

import email.utils
import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from src.inference_providers.api_key import ApiKey
from src.inference_providers.base import Completion, GaveUp, ProviderError
from utils.whole_text import whole_text

# Fields that an endpoint may refuse without the request losing its sense, and how it names them.
OPTIONAL_FIELDS = {
    "response_format": re.compile(
        r"response_?format|json_?schema|structured.?outputs?|guided|grammar", re.IGNORECASE
    ),
    "top_k": re.compile(r"\btop_?k\b", re.IGNORECASE),
    "seed": re.compile(r"\bseed\b", re.IGNORECASE),
}

LONGEST_WAIT_S = 300.0
_BAD_KEY = re.compile(r"api.?key.{0,40}(valid|expired|missing)", re.IGNORECASE)


class Transient(Exception):
    """A fault that may pass.  `lost`: the answer may have been generated, and billed."""

    def __init__(
        self,
        reason: str,
        *,
        throttled: bool = False,
        retry_after_s: float = 0.0,
        lost: bool = False,
        unreachable: bool = False,
    ) -> None:
        super().__init__(reason)
        self.throttled, self.retry_after_s = throttled, retry_after_s
        self.lost, self.unreachable = lost, unreachable

    @property
    def bearable(self) -> bool:
        """Whether the endpoint asks for no longer a wait than a run can stand."""
        return self.retry_after_s <= LONGEST_WAIT_S

    @property
    def bearable_wait_s(self) -> float:
        return self.retry_after_s if self.bearable else 0.0


class FieldRefused(Exception):
    """The endpoint takes the request without these optional fields."""

    def __init__(self, fields: frozenset[str], reason: str) -> None:
        super().__init__(reason)
        self.fields = fields


@dataclass(frozen=True, slots=True)
class Answer:
    """A body that arrived whole, and what it cost; `completion` None where it had no content."""

    completion: Completion | None
    tokens: int
    cost_usd: float | None
    why_empty: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Whom errors talk about."""

    model: str
    base_url: str
    key: ApiKey

    def fault(self, status: int, body: Any, headers: Mapping[str, str], sent: Any) -> Exception:
        """The error for an HTTP status that is not 2xx; `sent` is the request's JSON object."""
        message = self.excerpt(_message(body))
        bad_key = status == 400 and _BAD_KEY.search(message)  # as Gemini says it
        key_name = self.key.variable or "no key is set: name its variable in api_key_env"
        if status == 401 or bad_key:
            return ProviderError(f"{self.model}: {status}, the key was refused ({key_name})")
        if status == 402 or _field(body, "code") == "insufficient_quota":
            return ProviderError(
                f"{self.model}: {status}, no credit is left on the key ({key_name})"
            )
        if status == 403 and _flagged(body):
            return GaveUp(f"{self.model}: the endpoint's moderation refused the prompt: {message}")
        if status == 403:
            return ProviderError(
                f"{self.model}: 403, the key ({key_name}) has no access: {message}"
            )
        if status == 404:
            return ProviderError(f"{self.model}: 404, no such model at {self.base_url}: {message}")
        if status == 429:
            wait = _retry_after(headers, body)
            return Transient(f"429 {message}", throttled=True, retry_after_s=wait)
        if status == 408 or status >= 500:
            wait = _retry_after(headers, body)
            return Transient(f"{status} {message}", retry_after_s=wait, lost=status in (408, 504))
        if status in (400, 422):
            refused = {
                f for f, names in OPTIONAL_FIELDS.items() if f in sent and names.search(message)
            }
            if refused:
                return FieldRefused(frozenset(refused), message)
            return GaveUp(f"{self.model}: {status}, the request was refused: {message}")
        return ProviderError(
            f"{self.model}: unexpected status {status} from {self.base_url}: {message}"
        )

    def excerpt(self, text: str) -> str:
        """One short line without the key."""
        line = " ".join(self.key.redact(text).split())
        return line if len(line) <= 300 else line[:297] + "..."


def read_answer(body: Any) -> Answer:
    """The completion in a chat answer.  Raises Transient where the body is no chat answer."""
    try:
        choice = body["choices"][0]
        message = choice["message"]
        usage = body.get("usage") or {}
        prompt = int(usage.get("prompt_tokens") or 0)
        written = int(usage.get("completion_tokens") or 0)
        cost = _price(usage.get("cost"))
        reason = choice.get("finish_reason")
        text = _text(message.get("content"))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise Transient("the answer is no chat completion", lost=True) from None
    if text is None:
        return Answer(None, prompt + written, cost, f"null content (finish_reason {reason})")
    completion = Completion(
        text=whole_text(text),
        stop_reason="length" if reason == "length" else "stop",
        prompt_tokens=prompt,
        completion_tokens=written,
        cost_usd=cost or 0.0,
    )
    return Answer(completion, prompt + written, cost)


def status_inside(body: Any) -> int | None:
    """The status of an error that came in a 200: some gateways answer before the model does."""
    error = _error(body)
    if error is body or error is None:
        return None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 502


def _price(cost: Any) -> float | None:
    """Dollars, or None where the endpoint names none that could be paid."""
    dollars = math.nan if cost is None else float(cost)
    return dollars if math.isfinite(dollars) and dollars >= 0 else None


def _text(content: Any) -> str | None:
    if isinstance(content, list):  # parts, as some endpoints send them
        parts = [p["text"] for p in content if p.get("type") == "text"]
        return "".join(parts) if parts else None
    return content if isinstance(content, str) else None


def _error(body: Any) -> Any:
    """The error object of a body; Gemini wraps it in a list."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return body
    choices = body.get("choices")
    inner = choices[0] if isinstance(choices, list) and choices else None
    inside = inner.get("error") if isinstance(inner, dict) else None
    return body.get("error") or inside or body


def _message(body: Any) -> str:
    error = _error(body)
    if isinstance(error, dict):
        return str(error.get("message") or json.dumps(error))
    return str(error or "")


def _field(body: Any, name: str) -> Any:
    error = _error(body)
    return error.get(name) if isinstance(error, dict) else None


def _flagged(body: Any) -> bool:
    metadata = _field(body, "metadata")
    return isinstance(metadata, dict) and bool({"reasons", "flagged_input"} & metadata.keys())


def _retry_after(headers: Mapping[str, str], body: Any) -> float:
    """Seconds that the endpoint asks to wait, in the header or as Google's RetryInfo; or 0."""
    value = headers.get("Retry-After", "")
    if not value:
        found = re.search(r'"retryDelay": "(\d+(?:\.\d+)?)s"', json.dumps(body))
        return float(found[1]) if found else 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        moment = email.utils.parsedate_tz(value)
        return max(0.0, email.utils.mktime_tz(moment) - time.time()) if moment else 0.0
