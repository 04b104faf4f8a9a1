"""Tests of bad input of `uap.fit`: an error message, exit code 2, and no traceback."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import Brightness, attack_args, fit_refusal, save
from uap import fit
from uap.cli.entry import run_command
from uap.networks.espnet import ESPNet


class Hostile:
    """An object whose pickle creates a folder when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


def half_a_picture(root: Path) -> dict[str, Any]:
    path = root / "train" / "frame_003.png"
    path.write_bytes(path.read_bytes()[:200])
    return {}


def missing_labels(root: Path) -> dict[str, Any]:
    (root / "trainannot" / "frame_002.png").unlink()
    return {}


def foreign_ids(root: Path) -> dict[str, Any]:
    save(root / "valannot" / "frame_001.png", np.full((24, 32), 77, np.uint8))
    return {}


def hostile_weights(root: Path) -> dict[str, Any]:
    torch.save({"conv.weight": Hostile()}, root / "hostile.pth")
    return {"model.victim.weights": root / "hostile.pth"}


def foreign_weights(root: Path) -> dict[str, Any]:
    torch.save(ESPNet(5, q=1).state_dict(), root / "espnet.pth")
    return {"model.victim.weights": root / "espnet.pth"}


def odd_size(root: Path) -> dict[str, Any]:
    return {"model.victim.network": "uap.networks.ESPNet", "model.victim.network.classes": 11, "data.size": [20, 20]}


def sixteen_bits(root: Path) -> dict[str, Any]:
    Image.fromarray(np.full((24, 32), 999, np.uint16)).save(root / "train" / "frame_003.png")
    return {}


def colored_labels(root: Path) -> dict[str, Any]:
    save(root / "trainannot" / "frame_003.png", np.full((24, 32, 3), 7, np.uint8))
    return {}


def written(name: str, content: bytes, setting: str) -> Any:
    """Return the function that writes a file with a content and sets a setting to it."""

    def give(root: Path) -> dict[str, Any]:
        (root / name).write_bytes(content)
        return {setting: root / name}

    return give


def checkpoint(change: Any) -> Any:
    """Return the function that changes a checkpoint file and resumes from it."""

    def give(root: Path) -> dict[str, Any]:
        folder = root / "run"
        fit.main(attack_args(root, folder))
        last = folder / "checkpoints" / "last.ckpt"
        return {"trainer.default_root_dir": folder, "ckpt_path": change(last) or last}

    return give


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def hostile_checkpoint(path: Path) -> None:
    torch.save({"state_dict": {"perturbation.proto": Hostile()}}, path)


def of_a_network(path: Path) -> None:
    torch.save({"state_dict": {"network.weight": torch.ones(1)}}, path)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = content.index(bytes(torch.load(path, weights_only=True)["state_dict"]["perturbation.proto"].numpy().data))
    content[place : place + 400] = bytes(255 - byte for byte in content[place : place + 400])
    path.write_bytes(content)


def without_numbers(path: Path) -> Path:
    content = torch.load(path, weights_only=True)
    content["state_dict"]["perturbation.proto"][0, 0, 0] = torch.nan
    torch.save(content, path.parents[1] / "nan.ckpt")  # elsewhere: every test's checkpoints are held to epsilon
    return path.parents[1] / "nan.ckpt"


def without_loops(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    del content["loops"], content["epoch"]
    torch.save(content, path)


def both_damaged(path: Path) -> None:
    for name in ("last.ckpt", "best.ckpt"):
        half(path.with_name(name))
    torch.save({}, path.with_name("other.ckpt"))


def postscript(root: Path) -> dict[str, Any]:
    """Write PostScript, for which Pillow starts a program, independent of the file name."""
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 24\n%%EndComments\n(executed) (w) file\n"
    (root / "train" / "frame_003.png").write_bytes(content)
    return {}


def weights_without_numbers(root: Path) -> dict[str, Any]:
    network = Brightness()
    torch.save(network.state_dict() | {"conv.bias": torch.tensor([0.0, torch.nan])}, root / "nan.pth")
    return {"model.victim.weights": root / "nan.pth"}


CASES: dict[str, tuple[Any, str]] = {
    "a picture that is a program": (postscript, "frame_003.png is not a picture"),
    "a checkpoint of other bits": (checkpoint(flipped), r"last.ckpt is damaged \(.*\)\. .*best.ckpt is valid"),
    "no whole checkpoint": (checkpoint(both_damaged), r"last.ckpt cannot be read[^:]*: [^:]*again\.$"),
    "a folder for a result": (
        lambda root: (root / "run" / "metrics.csv").mkdir(parents=True) or {"trainer.default_root_dir": root / "run"},
        "metrics.csv cannot be read or written",
    ),
    "a picture of 16 bits": (sixteen_bits, "frame_003.png has mode I;16, expected 8 bits per channel"),
    "labels in color": (colored_labels, r"frame_003.png has 1 colors of no class, \(7, 7, 7\)"),
    "a loss without its path": (
        {"model.loss": "Entropi"},
        "model.loss: there is no class Entropi. .*losses.CrossEntropy.*--print_config",
    ),
    "a network that cannot be built": (
        {"model.victim.network": "uap.networks.ESPNet", "model.victim.network.classes": 3},
        "ESPNet got classes=3, expected 5 or more",
    ),
    "half a checkpoint": (checkpoint(half), "last.ckpt cannot be read .* .*best.ckpt is valid: resume from that file"),
    "a network whose gradient is no number": (
        {"model.victim.network": "tests.helpers.NotFinite"},
        "The gradient is not finite at step 0: .* from frame_00",
    ),
    "half-extracted labels": (missing_labels, "1 of 6 images .* have no labels .*frame_002.png"),
    "a truncated picture": (half_a_picture, "frame_003.png is truncated or damaged"),
    "a truncated picture, in a worker": (
        lambda root: half_a_picture(root) | {"data.num_workers": 1},
        "error: .*frame_003.png is truncated or damaged",
    ),
    "ids outside the table": (foreign_ids, "frame_001.png holds the id 77, expected 0 to 11"),
    "an unknown key": ({"model.epsilonn": 3}, "epsilonn"),
}
"""Changes of a valid run whose fault is in no single setting, or whose message has more to say, and the message."""


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_bad_input_prints_an_error_message(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, message = CASES[name]
    printed = fit_refusal(change, tmp_path, capsys)
    assert re.search(message, printed, re.DOTALL), printed
    assert not Path("executed").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_signal_before_or_after_training_prints_a_message(
    number: signal.Signals,
    has_checkpoint: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("UAP_RUN_FOLDER", str(tmp_path))
    if has_checkpoint:
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints/last.ckpt").touch()
    handler = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: os.kill(os.getpid(), number))
    assert ended.value.code == 128 + number
    printed = capsys.readouterr().out
    assert printed.startswith(f"\n{number.name}: ended at once.")
    arguments = f"--config {tmp_path}/config.yaml --ckpt_path {tmp_path}/checkpoints/last.ckpt"
    assert (arguments in printed) == has_checkpoint
    assert signal.getsignal(number) is handler


REFUSED_WITH_A_WORKER = """
import multiprocessing, time
from uap.data.workers import start_worker
from uap.cli.entry import run_command
from uap.utils.errors import InputError

def work(ready):
    start_worker(0)
    ready.set()
    time.sleep(600)

def main():
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    context.Process(target=work, args=(ready,), daemon=True).start()
    ready.wait()
    raise InputError("A picture is damaged.")

run_command(main)
"""


@pytest.mark.slow
def test_invalid_run_does_not_wait_for_its_workers() -> None:
    """They outlive the SIGTERM of its exit."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", REFUSED_WITH_A_WORKER]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "error: A picture is damaged.\n"


def test_worker_ends_without_output(capfd: pytest.CaptureFixture[str]) -> None:
    worker = multiprocessing.get_context("fork").Process(target=lambda: os.kill(os.getpid(), signal.SIGTERM))

    def work() -> None:
        worker.start()
        worker.join()

    run_command(work)
    assert worker.exitcode == 143
    assert "ended at once" not in capfd.readouterr().out


def test_ignored_signal_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run_command(lambda: os.kill(os.getpid(), signal.SIGINT))
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "a.npy"), "a.npy cannot be read or written .Permission denied."),
        (OSError(28, "No space left on device", "a.npy"), "a.npy cannot be written .*Make room on the disk"),
        (MemoryError("Unable to allocate 9 TiB"), "The memory is full .Unable to allocate 9 TiB.. Use smaller"),
        (torch.OutOfMemoryError("CUDA out of memory."), "The memory is full .CUDA out of memory... Use smaller"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "The memory is full .Default"),
        (
            RuntimeError("Caught by a worker\n_ArrayMemoryError: Unable to allocate"),
            "._ArrayMemoryError: Unable",
        ),
    ],
)
def test_system_errors_print_a_message(error: Exception, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    def refused() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        run_command(refused)
    assert ended.value.code == 2
    assert re.search(message, capsys.readouterr().err)
