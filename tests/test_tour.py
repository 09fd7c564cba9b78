"""The notebook: its cells run in order in a fresh Python, and it is kept without outputs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "tour.ipynb"


def cells(kind: str) -> list[str]:
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


def test_it_is_kept_without_outputs_and_its_links_are_there() -> None:
    whole = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in whole)
    links = re.findall(r"\]\(([^)]+)\)", "\n".join(cells("markdown")).replace("\n", " "))
    assert len(links) > 4
    assert not [link for link in links if not (NOTEBOOK.parent / link).exists()]


@pytest.mark.slow  # two updates of the toy
@pytest.mark.timeout(900)
def test_its_cells_run_in_order(tmp_path: Path) -> None:
    script = tmp_path / "tour.py"
    script.write_text("\n\n".join(cells("code")), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=ROOT / "docs", capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "of turns ask, 95 % interval" in done.stdout
    page = Path(done.stdout.split()[-1])
    assert page.name == "report.html" and page.stat().st_size > 100_000
