"""python -m utils.sft_data: see utils/data/sft/sft_data.py."""

import sys

from utils.data.sft.sft_data import main

if __name__ == "__main__":
    sys.exit(main())
