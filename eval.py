"""Measure a tutor on held-out problems, or on a benchmark.

python eval.py                                         embedded models, on a CPU
python eval.py --config-name Qwen2.5-7B-Instruct.yaml  as in the paper
python eval.py --config-name mathtutorbench | reasoning
"""

from config.schema import EvalConfig
from utils.runs.process import quick_imports
from utils.settings.hydra_entry import hydra_entry


@hydra_entry("config/eval", EvalConfig, config_name="smollm2")
def main(cfg: EvalConfig) -> int:
    with quick_imports():
        from src.evaluation.run import evaluate

    return evaluate(cfg)


if __name__ == "__main__":
    main()
