"""`accelerate launch` with the training's own exit code and without its page of traceback.

python -m src.launch.ranks [accelerate's flags] SCRIPT [ARGUMENTS]
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure


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
        rank, failure = culprit(error.failures)
        if failure.exitcode < 0:
            name = signal.Signals(-failure.exitcode).name
            print(f"error: rank {rank} was killed by {name}{_hint(name)}", file=sys.stderr)
        return shell_code(failure.exitcode)
    except subprocess.CalledProcessError as error:
        return shell_code(error.returncode)
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def culprit(failures: Mapping[int, ProcessFailure]) -> tuple[int, ProcessFailure]:
    """The rank that brought the others down: one that was killed, else the first that failed.

    SIGTERM is how elastic ends the others, so whoever died of it did not begin.
    """
    own = {rank: f for rank, f in failures.items() if f.exitcode != -signal.SIGTERM} or failures
    return min(own.items(), key=lambda entry: (entry[1].exitcode >= 0, entry[1].timestamp))


def _hint(name: str) -> str:
    return " (by the kernel, if the memory was full)" if name == "SIGKILL" else ""


def shell_code(code: int) -> int:
    """Python's -n for signal n, in the shell's manner."""
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
