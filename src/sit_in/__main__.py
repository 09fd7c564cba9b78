"""python -m src.sit_in: see src/sit_in/command.py."""

import sys

from src.sit_in.command import main

if __name__ == "__main__":
    sys.exit(main())
