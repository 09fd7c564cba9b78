"""python -m src.measure_solve_rate: see src/evaluation/measure_solve_rate.py."""

import sys

from src.evaluation.measure_solve_rate import main

if __name__ == "__main__":
    sys.exit(main())
