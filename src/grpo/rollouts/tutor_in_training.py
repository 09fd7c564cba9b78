"""The tutor in training, as the sampler of the same process asks it.

The trainer makes the module, and the classroom is there before it: the module is named here, and
looked up when the tutor is first asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from config.schema import ModelSettings
from src.inference_providers.base import ChatMessage, Completion, Sampling
from src.inference_providers.transformers_local import TransformersProvider


class TrainedModule:
    """The module that the trainer trains: named once, when the trainer exists."""

    def __init__(self) -> None:
        self._module: Any = None

    def set(self, module: Any) -> None:
        self._module = module

    def __call__(self) -> Any:
        if self._module is None:
            raise RuntimeError("the trainer has not made its module yet")
        return self._module


class TutorInTraining:
    """A provider that samples the trained module itself (engines.backend=transformers)."""

    gives_tokens = True

    def __init__(self, module: TrainedModule, tokenizer: Any, settings: ModelSettings) -> None:
        self.name = settings.model_name_or_path
        self._module, self._tokenizer, self._settings = module, tokenizer, settings
        self._inner: TransformersProvider | None = None

    def _provider(self) -> TransformersProvider:
        if self._inner is None:
            self._inner = TransformersProvider(
                self._module(),
                self._tokenizer,
                name=self.name,
                max_length=self._settings.vllm.max_length,
                max_batch_rows=self._settings.vllm.max_num_seqs,
            )
        return self._inner

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        return await self._provider().complete_tokens(prompt_ids, sampling)

    async def complete_messages(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> Completion:
        return await self._provider().complete_messages(messages, sampling)

    async def close(self) -> None:
        if self._inner is not None:
            await self._inner.close()
