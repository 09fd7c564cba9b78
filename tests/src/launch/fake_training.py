"""A training that behaves as its environment says, for tests of the launcher.

FAKE_CODE: exit at once with this code.  FAKE_STUBBORN: ignore SIGTERM.  Otherwise wait; on SIGTERM
write `checkpoint-<rank>` and exit with 0.  FAKE_FOLDER: where to write `pid-<rank>` files.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

folder = Path(os.environ["FAKE_FOLDER"])
rank = os.environ.get("RANK", "none")


def on_sigterm(*_: object) -> None:
    if "FAKE_STUBBORN" not in os.environ:
        time.sleep(1.0)  # a checkpoint takes its time
        (folder / f"checkpoint-{rank}").touch()
        sys.exit(0)


signal.signal(signal.SIGTERM, on_sigterm)
# a grandchild in a session of its own, as elastic workers are: no process group finds it
sleeper = subprocess.Popen(["sleep", "300"], start_new_session=True)
(folder / f"arguments-{rank}").write_text(json.dumps(sys.argv[1:]))
draft = folder / f"draft-{rank}"
draft.write_text(f"{os.getpid()} {sleeper.pid}")
draft.rename(folder / f"pid-{rank}")
if "FAKE_CODE" in os.environ and rank in ("none", "1"):
    while rank == "1" and not (folder / "pid-0").exists():  # the other must be there to be ended
        time.sleep(0.05)
    sys.exit(int(os.environ["FAKE_CODE"]))
while True:
    time.sleep(0.1)
