"""python -m src.make_variants: see src/variants/command.py."""

import sys

from src.variants.command import main

if __name__ == "__main__":
    sys.exit(main())
