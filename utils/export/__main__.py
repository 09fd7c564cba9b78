"""python -m utils.export: see utils/export/command.py."""

import sys

from utils.export.command import main

if __name__ == "__main__":
    sys.exit(main())
