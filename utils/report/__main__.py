"""python -m utils.report: see utils/report/write.py."""

import sys

from utils.report.write import main

if __name__ == "__main__":
    sys.exit(main())
