"""The Slurm script, with stand-ins for Slurm's own commands: one run over all its jobs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "slurm_example.sh"


def submit(folder: Path, job: int, code: int) -> tuple[int, str, str]:
    """(exit code, what srun was given, what scontrol was asked)."""
    commands = folder / f"bin{job}"
    commands.mkdir()
    stubs = {
        "srun": f'echo "$@" > "{folder}/srun"; exit {code}',
        # more lines than a pipe holds: whoever stops reading ends the writer
        "scontrol": f'echo "$@" >> "{folder}/scontrol"\n[ "$1" != show ] || seq -f node%g 200000',
    }
    for name, text in stubs.items():
        (commands / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (commands / name).chmod(0o755)
    (folder / "scontrol").unlink(missing_ok=True)
    environment = os.environ | {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "SLURM_SUBMIT_DIR": str(folder),
        "SLURM_JOB_ID": str(job),
        "SLURM_JOB_NAME": "mine",
        "SLURM_JOB_NODELIST": "node[1-200000]",
    }
    done = subprocess.run(["bash", str(SCRIPT), "train.mu=3"], env=environment, check=False)
    return done.returncode, (folder / "srun").read_text(), (folder / "scontrol").read_text()


@pytest.mark.parametrize(("code", "again"), [(0, False), (1, False), (130, True), (143, True)])
def test_a_job_that_was_told_to_stop_goes_back_into_the_queue(
    tmp_path: Path, code: int, again: bool
) -> None:
    ended, _, asked = submit(tmp_path, 7, code)
    assert ended == code
    assert ("requeue 7" in asked) is again


def test_every_job_of_a_name_is_one_run(tmp_path: Path) -> None:
    given = [submit(tmp_path, job, 0)[1] for job in (7, 8)]
    assert all("run_name=mine train.mu=3" in line for line in given)
    assert all("--main_process_ip node1 " in line for line in given)


def test_slurm_may_start_it_again() -> None:
    assert "#SBATCH --requeue" in SCRIPT.read_text().splitlines()
