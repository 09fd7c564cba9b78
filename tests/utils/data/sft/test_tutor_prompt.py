"""The tutor's prompt in rows of chats."""

from __future__ import annotations

import pytest

from config.errors import ConfigError
from utils.data.sft.tutor_prompt import TutorPrompt


def test_a_tutor_whose_prompt_is_its_own_trains_no_other() -> None:
    with pytest.raises(ConfigError, match=r"^generation\.teacher_prompt_path: none: "):
        TutorPrompt.of({"teacher_prompt_path": "none"})
