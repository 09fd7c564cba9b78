"""`accelerate launch` with the training's own exit code and without its page of traceback.

python -m src.launch.ranks [accelerate's flags] SCRIPT [ARGUMENTS]
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run the ranks; the exit code of the one that failed, 128 + n where signal n ended it.

    A killed rank takes the others with it, which then fail too: it goes before them, and since it
    could not say anything itself, it is named.
    """
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        launch_command(launch_command_parser().parse_args(list(arguments)))
    except ChildFailedError as error:
        killed = [(rank, f.exitcode) for rank, f in error.failures.items() if f.exitcode < 0]
        if killed:
            rank, code = killed[0]
            name = signal.Signals(-code).name
            print(f"error: rank {rank} was killed by {name}{_hint(name)}", file=sys.stderr)
            return shell_code(code)
        return shell_code(error.get_first_failure()[1].exitcode)
    except subprocess.CalledProcessError as error:
        return shell_code(error.returncode)
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def _hint(name: str) -> str:
    return " (by the kernel, if the memory was full)" if name == "SIGKILL" else ""


def shell_code(code: int) -> int:
    """Python's -n for signal n, in the shell's manner."""
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
