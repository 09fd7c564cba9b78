"""GRPO on classroom conversations: TRL's trainer, with our rollouts and weight hand-off."""
