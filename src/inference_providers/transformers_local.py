"""Models in this process, for machines without vLLM: transformers, batched as requests come.

One worker thread samples a model; requests that arrive while a batch runs, of this model or of
another one in this process, form the next one.  The model may be the trainer's own module: it is
sampled in eval mode without gradients and given back as it was.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from config.schema import ModelSettings
from src.inference_providers.base import ChatMessage, Completion, GaveUp, ProviderError, Sampling
from src.inference_providers.local_weights import load_in_place, load_model
from src.inference_providers.sampling_loop import Row, Sampled, sample_rows

log = logging.getLogger(__name__)

SMALL = 5_000_000  # parameters; below, a second thread waits more than it works
# Models of one process share its cores: one samples at a time, and what the others are asked
# meanwhile is one full batch when their turn comes.
_TURN = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Job:
    row: Row
    future: Future[Completion] = field(default_factory=Future)


class TransformersProvider:
    """A loaded causal language model, asked with token ids.

    At most `max_batch_rows` rows a batch, and rows x (longest prompt + longest answer) at most
    `max_batch_tokens`, which bounds the KV cache.  `max_length`: tokens of prompt and answer
    together (none: the model's own).  A request's wait is bounded by the tokens asked for.
    """

    gives_tokens = True

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str | None = None,
        max_length: int | None = None,
        max_batch_rows: int = 64,
        max_batch_tokens: int = 131_072,
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.name = name or str(model.config._name_or_path or type(model).__name__)
        own = getattr(model.config, "max_position_embeddings", None)
        self.max_length = min(n for n in (max_length, own, 2**31) if n)
        self.notes: list[str] = []  # what is not possible here, each said once
        self._max_rows, self._max_tokens = max_batch_rows, max_batch_tokens
        parameters = sum(p.numel() for p in model.parameters())
        self._threads_outside = torch.get_num_threads()
        self._threads = 1 if parameters < SMALL else self._threads_outside
        self._arrived: list[_Job] = []  # in this turn of the event loop
        self._queue: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._busy = threading.Lock()  # held while the model samples or takes new weights
        self._thread: threading.Thread | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        """Continue these ids.

        Raises GaveUp where the prompt leaves no room, ProviderError where the model fails.
        """
        if self._closed:
            raise ProviderError(f"{self.name}: closed")
        room = self.max_length - len(prompt_ids)
        if room < 1 or not prompt_ids:
            raise GaveUp(f"{self.name}: a prompt of {len(prompt_ids)} of {self.max_length} tokens")
        if sampling.json_schema is not None:
            self._note("answers are not constrained to a JSON schema in this process")
        limit = min(sampling.max_tokens, room)
        job = _Job(Row(tuple(prompt_ids), sampling, limit, self._ends(sampling.stop)))
        self._submit(job)
        return await asyncio.wrap_future(job.future)

    async def complete_messages(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> Completion:
        raise ProviderError(f"{self.name}: a model in this process takes token ids, not messages")

    async def close(self) -> None:
        """End the worker after its current token; requests still waiting fail."""
        self._closed = True
        if self._thread is not None and self._thread.is_alive():
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

    def load_state(self, path: str | Path) -> None:
        """Take new weights in place, between two batches: see `local_weights.load_in_place`."""
        with self._busy:
            load_in_place(self.model, Path(path))

    def _ends(self, stop: Sequence[str]) -> Callable[[Sequence[int]], bool] | None:
        """Whether sampled ids say one of these texts; only their end is read, it is new."""
        if not stop:
            return None
        tail = max(len(text.encode()) for text in stop)  # no token is shorter than a byte

        def ends(ids: Sequence[int]) -> bool:
            said = self.tokenizer.decode(ids[-tail:], skip_special_tokens=True)
            return any(text in said for text in stop)

        return ends

    def _note(self, text: str) -> None:
        note = f"{self.name}: {text}"
        if note not in self.notes:
            self.notes.append(note)
            log.warning(note)

    def _submit(self, job: _Job) -> None:
        """Requests made in one turn of the event loop go to the worker together."""
        if not self._arrived:
            asyncio.get_running_loop().call_soon(self._flush)
        self._arrived.append(job)

    def _flush(self) -> None:
        jobs, self._arrived = self._arrived, []
        if self._closed:
            return _fail(jobs, ProviderError(f"{self.name}: closed"))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="sampler", daemon=True)
            self._thread.start()
        self._queue.put(jobs)

    def _work(self) -> None:
        """The worker: batches until `close`."""
        waiting: list[_Job] = []
        while not self._closed:
            if not waiting:
                waiting += self._queue.get() or []
            if not _TURN.acquire(timeout=0.1):
                continue
            try:
                while not self._queue.empty():
                    waiting += self._queue.get() or []
                waiting = [job for job in waiting if not job.future.cancelled()]
                batch = waiting[: self._rows_that_fit(waiting)]
                del waiting[: len(batch)]
                if batch and not self._closed:
                    self._run(batch)
                else:
                    _fail(batch, ProviderError(f"{self.name}: closed"))
            finally:
                _TURN.release()
        while not self._queue.empty():
            waiting += self._queue.get() or []
        _fail(waiting, ProviderError(f"{self.name}: closed"))

    def _rows_that_fit(self, jobs: Sequence[_Job]) -> int:
        """How many of the first jobs make one batch; at least one, if there is any."""
        prompt = answer = 0
        for count, job in enumerate(jobs[: self._max_rows]):
            prompt, answer = max(prompt, len(job.row.prompt_ids)), max(answer, job.row.limit)
            if count and (count + 1) * (prompt + answer) > self._max_tokens:
                return count
        return min(len(jobs), self._max_rows)

    def _run(self, batch: Sequence[_Job]) -> None:
        """Sample one batch; rows are answered as they finish.

        The last one is held until the model is given back: whoever has all answers may train.
        """
        unfinished = len(batch)
        last: list[tuple[_Job, Completion]] = []

        def deliver(i: int, sampled: Sampled) -> None:
            nonlocal unfinished
            unfinished -= 1
            completion = self._completion(batch[i].row, sampled)
            if unfinished:
                _succeed(batch[i], completion)
            else:
                last.append((batch[i], completion))

        def abandoned() -> bool:
            return self._closed or all(job.future.done() for job in batch)

        error: ProviderError | None = None
        torch.set_num_threads(self._threads)
        try:
            with self._busy, _evaluating(self.model):
                sample_rows(self.model, [job.row for job in batch], deliver, abandoned=abandoned)
        except Exception as reason:  # whatever it is, those who wait must hear of it
            log.exception("%s: sampling failed", self.name)
            line = " ".join(f"{type(reason).__name__}: {reason}".split())
            error = ProviderError(f"{self.name}: sampling failed: {line}")
        torch.set_num_threads(self._threads_outside)
        for job, completion in last:
            _succeed(job, completion)
        _fail(batch, error or ProviderError(f"{self.name}: closed"))

    def _completion(self, row: Row, sampled: Sampled) -> Completion:
        # As written, but for the end of the turn: special tokens can be the marks of thinking.
        said = sampled.token_ids[:-1] if sampled.stopped else sampled.token_ids
        return Completion(
            text=self.tokenizer.decode(list(said), skip_special_tokens=False),
            stop_reason="stop" if sampled.stopped else "length",
            token_ids=sampled.token_ids,
            logprobs=sampled.logprobs if row.sampling.logprobs else None,
            prompt_tokens=len(row.prompt_ids),
            completion_tokens=len(sampled.token_ids),
        )


def load_transformers(
    settings: ModelSettings,
    *,
    role: str = "model",
    path: str | None = None,
    device: str | None = None,
) -> TransformersProvider:
    """The provider for a role's settings; `path` is a resolved folder or hub id.

    Raises ConfigError naming the role's setting.
    """
    model, tokenizer = load_model(settings, role, path or settings.model_name_or_path, device)
    return TransformersProvider(
        model,
        tokenizer,
        name=settings.model_name_or_path,
        max_length=settings.vllm.max_length,
        max_batch_rows=settings.vllm.max_num_seqs,
    )


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Eval mode (no dropout, no gradient checkpointing), and each module's own mode afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _succeed(job: _Job, completion: Completion) -> None:
    if job.future.set_running_or_notify_cancel():
        job.future.set_result(completion)


def _fail(jobs: Sequence[_Job], error: Exception) -> None:
    for job in jobs:
        if not job.future.done() and job.future.set_running_or_notify_cancel():
            job.future.set_exception(error)
