"""python -m src.calibrate: see src/evaluation/calibrate.py."""

import sys

from src.evaluation.calibrate import main

if __name__ == "__main__":
    sys.exit(main())
