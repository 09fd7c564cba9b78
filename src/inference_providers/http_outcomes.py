"""What an answer over HTTP means: a completion, a fault worth another try, or the end."""

from __future__ import annotations

import email.utils
import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from src.inference_providers.adaptations import about_this_prompt, can_do_without, refused_fields
from src.inference_providers.api_key import ApiKey
from src.inference_providers.base import Completion, GaveUp, ProviderError
from utils.whole_text import whole_text

LONGEST_WAIT_S = 300.0
_CUT_SHORT = {"length", "max_tokens", "max_output_tokens", "max_completion_tokens", "model_length"}
_STATUS_WORDS = {  # in place of a number, as OpenAI and Google say it
    "insufficient_quota": 402,
    "rate_limit": 429,
    "resource_exhausted": 429,
    "too_many_requests": 429,
    "authentication": 401,
    "unauthenticated": 401,
    "invalid_api_key": 401,
    "permission_denied": 403,
    "not_found": 404,
    "invalid_argument": 400,
    "invalid_request": 400,
    "context_length": 400,
}
_PASSING = (408, 409, 425, 498, 499)
_NO_CREDIT = re.compile(r"credit balance|(?:insufficient|no) (?:credit|funds|balance)", re.I)
_NO_MODEL = re.compile(r"not a valid model|\bmodel\b.{0,80}(?:does not exist|not found)", re.I)
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
    """The endpoint takes the request without these fields, or with what stands in for them."""

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

    who: str  # the role, and the model that plays it
    base_url: str
    key: ApiKey

    def fault(self, status: int, body: Any, headers: Mapping[str, str], sent: Any) -> Exception:
        """The error for an HTTP status that is not 2xx; `sent` is the request's JSON object."""
        message = self.excerpt(_message(body))
        bad_key = status == 400 and _BAD_KEY.search(message)  # as Gemini says it
        key_name = self.key.variable or "no key is set: name its variable in api_key_env"
        if status == 401 or bad_key:
            return ProviderError(f"{self.who}: {status}, the key was refused ({key_name})")
        no_credit = status == 400 and _NO_CREDIT.search(message)  # as Anthropic says it
        if status == 402 or no_credit or _field(body, "code") == "insufficient_quota":
            return ProviderError(f"{self.who}: {status}, no credit is left on the key ({key_name})")
        if status == 403 and _flagged(body):
            return GaveUp(f"{self.who}: the endpoint's moderation refused the prompt: {message}")
        if status == 403:
            return ProviderError(f"{self.who}: 403, the key ({key_name}) has no access: {message}")
        if status == 404:
            where = f"no such model at {self.base_url}: {message}{self.hint}"
            return ProviderError(f"{self.who}: 404, {where}")
        if status == 429:
            wait = _retry_after(headers, body)
            return Transient(f"429 {message}", throttled=True, retry_after_s=wait)
        if status in _PASSING or status >= 500:
            wait = _retry_after(headers, body)
            return Transient(f"{status} {message}", retry_after_s=wait, lost=status in (408, 504))
        if status in (400, 422):
            return self._refusal(status, message, str(_field(body, "param") or ""), sent)
        if status == 413:
            return GaveUp(f"{self.who}: 413, the prompt is too large: {message}")
        place = headers.get("Location")
        moved = f"; it moved: set base_url to where {place} is" if place else self.hint
        return ProviderError(
            f"{self.who}: unexpected status {status} from {self.base_url}: {message}{moved}"
        )

    def _refusal(self, status: int, message: str, param: str, sent: Any) -> Exception:
        """Of the prompt: the conversation is lost; of a field: without it, or the run's end."""
        if not about_this_prompt(message):
            fields = refused_fields(message, param, sent)
            stuck = [field for field in sorted(fields) if not can_do_without(field, message)]
            if stuck:
                what = f"the endpoint refuses {', '.join(stuck)}={_shown(sent, stuck)}"
                return ProviderError(f"{self.who}: {status}, {what}: {message}")
            if fields:
                return FieldRefused(fields, message)
            if _NO_MODEL.search(message):
                return ProviderError(f"{self.who}: {status}, no such model: {message}")
        return GaveUp(f"{self.who}: {status}, the request was refused: {message}")

    @property
    def hint(self) -> str:
        """What may be wrong with an address under which no such thing is."""
        if re.search(r"/v\d", urlsplit(self.base_url).path) or self.base_url.startswith("unix:"):
            return ""
        return f"; most endpoints are at .../v1: try base_url={self.base_url.rstrip('/')}/v1"

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
        reason = str(choice.get("finish_reason") or "").lower()
        text = _text(message.get("content"))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise Transient("the answer is no chat completion", lost=True) from None
    if reason == "error":
        raise Transient("the answer broke off (finish_reason error)", lost=True)
    if text is None or (not text and reason == "content_filter"):
        return Answer(None, prompt + written, cost, f"null content (finish_reason {reason})")
    completion = Completion(
        text=whole_text(text),
        stop_reason="length" if reason in _CUT_SHORT else "stop",
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
    fields = error if isinstance(error, dict) else {}
    for said in (fields.get(name) for name in ("code", "status", "type")):
        word = str(said).lower()
        code = (
            int(word)
            if word.isdigit()
            else next((status for name, status in _STATUS_WORDS.items() if name in word), 0)
        )
        if 400 <= code < 600:
            return code
    return 502


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
        metadata = error.get("metadata")
        inner = metadata.get("raw") if isinstance(metadata, dict) else None  # a gateway's upstream
        said = str(error.get("message") or json.dumps(error))
        return f"{said}: {inner}" if inner else said
    return str(error or "")


def _field(body: Any, name: str) -> Any:
    error = _error(body)
    return error.get(name) if isinstance(error, dict) else None


def _shown(sent: Mapping[str, Any], fields: Sequence[str]) -> str:
    return ", ".join(repr(sent[f]) if f not in ("messages",) else "…" for f in fields if f in sent)


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
