"""TRL's trainer comes without vLLM."""

from __future__ import annotations

import subprocess
import sys

import pytest
from trl import import_utils

from src.grpo.trl_trainer import without_vllm


def test_vllm_is_hidden_while_it_is_imported_and_no_longer() -> None:
    own = import_utils.is_vllm_available
    with pytest.raises(KeyError), without_vllm():
        assert not import_utils.is_vllm_available(min_version="0.1")
        raise KeyError
    assert import_utils.is_vllm_available is own


@pytest.mark.slow
def test_a_rank_loads_no_vllm() -> None:
    code = "import sys, src.grpo.run; sys.exit('vllm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
