"""The environment: used where it fits, built once, mended after an interruption, by one at a time.

Real venvs and real pip on a checkout in miniature, whose packages are wheels made here.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def make_wheel(folder: Path, name: str, version: str, code: str = "") -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", code)
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any"
        )
        wheel.writestr(f"{info}/RECORD", "")


class Checkout:
    """A repository in miniature: the script under test, requirement files, wheels."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.wheels = folder, folder / "wheels"
        (folder / "scripts").mkdir()
        self.wheels.mkdir()
        shutil.copy(ROOT / "scripts" / "set_up.py", folder / "scripts")
        for name, version in (
            ("torch", "2.13.0"),
            ("demo", "1.0"),
            ("demo", "2.0"),
            ("lab", "1.0"),
        ):
            make_wheel(self.wheels, name, version)
        make_wheel(self.wheels, "carried", "1.0")
        self.write("constraints.txt", "demo<3")
        self.write("requirements-common.txt", "-c constraints.txt\ntorch==2.13.0")
        self.write(
            "requirements-cpu.txt", "-r requirements-common.txt\ntorch==2.13.0+cpu\ndemo==1.0"
        )
        self.write("requirements.txt", "-r requirements-common.txt\ndemo==1.0\nlab==1.0")
        self.write("requirements-dev.txt", "lab==1.0")
        self.write("requirements-embedded.txt", "carried==1.0")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text + "\n")

    @property
    def environment(self) -> dict[str, str]:
        """Ours, with pip seeing only the wheels made here."""
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "TORCH_"))}
        return {
            **plain,
            "TUTOR_RL_REQUIREMENTS": "cpu",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(self.folder / "scripts" / "set_up.py"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate()
        return process.returncode, out.strip(), err

    def has(self, package: str) -> bool:
        command = [str(self.python), "-c", f"import {package}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    @property
    def python(self) -> Path:
        return self.folder / ".venv" / "bin" / "python"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path)
    make_wheel(made.wheels, "torch", "2.13.0+cpu")
    return made


@pytest.mark.slow
def test_built_once_then_believed_until_a_file_changes(checkout: Checkout) -> None:
    make_wheel(checkout.wheels, "torchvision", "1.0", "raise RuntimeError('for another torch')")
    checkout.write(
        "requirements-cpu.txt",
        "-r requirements-common.txt\ntorch==2.13.0+cpu\ndemo==1.0\ntorchvision==1.0",
    )
    code, python, said = checkout.run()
    assert (code, python) == (0, str(checkout.python)), said
    assert "installing requirements-cpu.txt" in said
    assert checkout.has("demo")
    assert checkout.has("carried")
    assert not checkout.has("torchvision")
    assert "removing torchvision" in said
    installed = subprocess.check_output([checkout.python, "-m", "pip", "list"], text=True)
    assert "torchvision" not in installed
    assert "2.13.0+cpu" in installed

    code, python, said = checkout.run()
    assert (code, python) == (0, str(checkout.python))
    assert said.count("\n") == 1  # one line
    assert "installing" not in said

    code, _, said = checkout.run("--tests")
    assert code == 0
    assert "requirements-dev.txt" in said
    assert checkout.has("lab")
    assert "installing" not in checkout.run("--tests")[2]
    assert "installing" not in checkout.run()[2]  # what tests need holds what a run needs

    checkout.write(
        "requirements-cpu.txt", "-r requirements-common.txt\ntorch==2.13.0+cpu\ndemo==2.0"
    )
    assert "installing" in checkout.run()[2]
    shown = subprocess.check_output([checkout.python, "-m", "pip", "show", "demo"], text=True)
    assert "Version: 2.0" in shown


@pytest.mark.slow
def test_an_interrupted_set_up_is_begun_anew(checkout: Checkout) -> None:
    process = checkout.start()
    unfinished = checkout.folder / ".venv" / "set-up-unfinished"
    while not unfinished.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (checkout.folder / ".venv" / "half-written").touch()
    code, _, said = checkout.run()
    assert code == 0, said
    assert "interrupted; building .venv anew" in said
    assert checkout.has("demo")
    assert not (checkout.folder / ".venv" / "half-written").exists()
    assert not unfinished.exists()


@pytest.mark.slow
def test_two_at_once_build_once(checkout: Checkout) -> None:
    both = [checkout.start(), checkout.start()]
    ends = [(process.communicate(), process.returncode) for process in both]
    said = "".join(err for (_, err), _ in ends)
    assert [code for _, code in ends] == [0, 0], said
    assert {out.strip() for (out, _), _ in ends} == {str(checkout.python)}
    assert said.count("installing") == 1
    assert "waiting" in said


@pytest.mark.slow
def test_a_venv_made_by_hand_is_taken_as_it_is(checkout: Checkout) -> None:
    subprocess.run([sys.executable, "-m", "venv", checkout.folder / ".venv"], check=True)
    pip = [str(checkout.python), "-m", "pip", "install", "-q"]
    wanted = ["torch==2.13.0+cpu", "demo==1.0", "carried==1.0"]
    subprocess.run([*pip, *wanted], env=checkout.environment, check=True)
    mine = checkout.folder / ".venv" / "mine"
    mine.touch()
    code, python, said = checkout.run()
    assert (code, python) == (0, str(checkout.python))
    assert "installing" not in said
    assert mine.exists()


def test_an_active_environment_that_fits_is_used(checkout: Checkout) -> None:
    import packaging
    import pluggy

    pins = f"packaging=={packaging.__version__}\npluggy=={pluggy.__version__}"
    checkout.write("requirements-common.txt", pins)
    checkout.write("requirements-cpu.txt", "-r requirements-common.txt")
    code, python, said = checkout.run()
    assert (code, python) == (0, sys.executable)
    assert "the active Python" in said
    assert not (checkout.folder / ".venv").exists()


@pytest.mark.slow
def test_without_pytorchs_cpu_build_models_run_in_process(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)  # no torch+cpu wheel to be had
    code, python, said = checkout.run()
    assert (code, python) == (0, str(checkout.python)), said
    assert "TORCH_INDEX_URL" in said
    assert checkout.has("torch")
    assert not checkout.has("demo")
    assert "installing" not in checkout.run()[2]


@pytest.mark.slow
def test_a_failed_step_shows_the_end_of_its_log(checkout: Checkout) -> None:
    checkout.write("requirements-cpu.txt", "torch==2.13.0+cpu\nnowhere==1.0")
    code, python, said = checkout.run()
    assert (code, python) == (2, "")
    assert "No matching distribution found for nowhere==1.0" in said
    assert (checkout.folder / ".venv" / "set-up-unfinished").exists()


def test_requirements_must_be_exact_pins(checkout: Checkout) -> None:
    checkout.write("requirements-cpu.txt", "demo>=1.0")
    code, _, said = checkout.run()
    assert code == 2
    assert "requirements-cpu.txt: not an exact pin: demo>=1.0" in said


def test_the_projects_own_files_are_exact_pins() -> None:
    for kind in ("gpu", "cpu", "local"):
        code = (
            "import sys; sys.path.insert(0, 'scripts'); import set_up;"
            f"print(len(set_up.pins(set_up.FILES[{kind!r}] + [set_up.TESTS, set_up.EMBEDDED])))"
        )
        assert int(subprocess.check_output([sys.executable, "-c", code], cwd=ROOT)) > 20
