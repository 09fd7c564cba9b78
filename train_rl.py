"""Train a tutor by multi-turn GRPO in a simulated classroom.

./start_rl_training.sh                      engines, accelerate, DeepSpeed: the ordinary way
python train_rl.py --config-name toy        one process; starts its own engines
"""

from config.schema import TrainRLConfig
from utils.runs.process import quick_imports
from utils.settings.hydra_entry import hydra_entry


@hydra_entry("config/train_rl", TrainRLConfig, config_name="toy")
def main(cfg: TrainRLConfig) -> int:
    with quick_imports():
        from src.grpo.run import train

    return train(cfg)


if __name__ == "__main__":
    main()
