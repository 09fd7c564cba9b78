"""`accelerate launch` with the training's own exit code and without its page of traceback.

python -m src.launch.ranks [accelerate's flags] SCRIPT [ARGUMENTS]
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run the ranks; the first failed one's exit code (128 + n where signal n ended it)."""
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        launch_command(launch_command_parser().parse_args(list(arguments)))
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return shell_code(failure.exitcode)
    except subprocess.CalledProcessError as error:
        return shell_code(error.returncode)
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def shell_code(code: int) -> int:
    """Python's -n for signal n, in the shell's manner."""
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
