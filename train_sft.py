"""Supervised fine-tuning of a tutor on conversations, or MDPO on pairs of them.

    python train_sft.py                                     SmolLM2-135M, on any machine
    accelerate launch --config_file config/deepspeed/zero2_4GPU.yaml \\
        train_sft.py --config-name 7b.yaml                  the paper's baseline
    python train_sft.py --config-name mdpo_smollm2          the other baseline
"""

from __future__ import annotations

from config.schema import TrainSFTConfig
from utils.runs.process import quick_imports
from utils.settings.hydra_entry import hydra_entry


@hydra_entry("config/train_sft", TrainSFTConfig, config_name="smollm2")
def main(cfg: TrainSFTConfig) -> int:
    with quick_imports():
        from src.sft.run import train  # after the settings are checked: torch takes seconds

    return train(cfg)


if __name__ == "__main__":
    main()
