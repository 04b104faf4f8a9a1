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
    "weights that are no numbers": (weights_without_numbers, "Brightness gives numbers that are not finite"),
    "a checkpoint of other bits": (checkpoint(flipped), r"last.ckpt is damaged \(.*\)\. .*best.ckpt is valid"),
    "a checkpoint without numbers": (
        checkpoint(without_numbers),
        "nan.ckpt contains a perturbation with entries that are not finite",
    ),
    "a checkpoint without a place": (checkpoint(without_loops), "last.ckpt has no epoch, loops. Expected a checkpoint"),
    "no whole checkpoint": (checkpoint(both_damaged), r"last.ckpt cannot be read[^:]*: [^:]*again\.$"),
    "a checkpoint without a name": ({"ckpt_path": ""}, "There is no file"),
    "a step without end": ({"model.optimizer.lr": ".inf"}, "optimizer.lr is inf"),
    "a step that leaves no numbers": (
        {"model.optimizer": "torch.optim.SGD", "model.optimizer.lr": ".inf"},
        "Step 1 left .* entries of the perturbation that are not finite",
    ),
    "an optimizer that torch refuses": (
        {"model.optimizer": "torch.optim.Adam", "model.optimizer.lr": -1},
        "model.optimizer: .*Adam cannot be built: Invalid learning rate",
    ),
    "a validation every 0 epochs": ({"trainer.check_val_every_n_epoch": 0}, "check_val_every_n_epoch is 0, expected 1"),
    "a merge of aliases": (written("x.yaml", b"a: &a {b: 1}\nc: {<<: [*a]}", "config"), "x.yaml .* YAML aliases"),
    "a tag without its value": (written("x.yaml", b"a: !!int ''", "config"), "x.yaml cannot be read as YAML"),
    "a tag in a setting": ({"data.limit": "!!int ''"}, "data.limit"),
    "aliases in a configuration": (written("x.yaml", b"a: &a {b: *a}", "config"), "x.yaml .* it has YAML aliases"),
    "a trainer of nothing": (written("x.yaml", b"trainer: null", "config"), "x.yaml has trainer: None, expected its"),
    "a folder for a result": (
        lambda root: (root / "run" / "metrics.csv").mkdir(parents=True) or {"trainer.default_root_dir": root / "run"},
        "metrics.csv cannot be read or written",
    ),
    "a picture of 16 bits": (sixteen_bits, "frame_003.png has mode I;16, expected 8 bits per channel"),
    "labels in color": (colored_labels, r"frame_003.png has 1 colors of no class, \(7, 7, 7\)"),
    "a file for a folder": (written("file", b"x", "data.root"), "No images in .*file/train. Set --data.root"),
    "a list of no images": (written("list.txt", b"", "data.files"), "list.txt is empty, expected the name of a"),
    "a list of other images": (written("list.txt", b"a.png", "data.files"), "1 of the 1 names .* a.png first"),
    "a list that is not there": ({"data.files": "none.txt"}, "none.txt cannot be read"),
    "one number for a size": ({"data.size": [100]}, r"data.size: Expected \[...\] with 2 values, got \[100\]"),
    "a word for a size": ({"data.size": "big"}, r"data.size: Expected \[...\], got big"),
    "a size below 0": ({"data.size": [-8, 8]}, r"data.size is \(-8, 8\), expected 1 or more"),
    "a word for a batch": ({"data.batch_size": "four"}, "data.batch_size: Expected a whole number, got four"),
    "workers below 0": ({"data.num_workers": -1}, "data.num_workers is -1, expected 0 or more"),
    "a disk below 0": ({"data.cache_gib": -1}, "data.cache_gib is -1.0, expected 0 or more GiB"),
    "no such split": ({"data.split": "foo"}, "data.split: Expected one of train, val, test, got foo"),
    "no such data": ({"data": "uap.data.Nope"}, "data: there is no class uap.data.Nope"),
    "data that are none": ({"data": "torch.nn.Linear"}, "data: Import path does not correspond to a subclass of"),
    "an empty configuration": (written("x.yaml", b"", "config"), "x.yaml holds nothing, expected settings by name"),
    "a list for a configuration": (written("x.yaml", b"- 1", "config"), "x.yaml holds a list, expected settings"),
    "a configuration with half a bracket": (written("x.yaml", b"{a: [", "config"), "x.yaml cannot be read as YAML"),
    "a configuration of bytes": (written("x.yaml", bytes(range(256)), "config"), "x.yaml cannot be read as YAML"),
    "a configuration that is code": (
        written("x.yaml", b"data: !!python/object/apply:os.mkdir [executed]", "config"),
        "x.yaml cannot be read as YAML: could not determine a constructor",
    ),
    "a folder for a configuration": (lambda root: {"config": root}, "There is no configuration .*camvid: .* folder"),
    "a loss without its path": (
        {"model.loss": "Entropi"},
        "model.loss: there is no class Entropi. .*losses.CrossEntropy.*--print_config",
    ),
    "no such loss": ({"model.loss": "uap.losses.Nope"}, "model.loss: there is no class uap.losses.Nope"),
    "no such network": ({"model.victim.network": "nowhere.Net"}, "model.victim.network: there is no class nowhere.Net"),
    "a function for a network": (
        {"model.victim.network": "os.system"},
        "model.victim.network: Importing 'os.system' is not allowed",
    ),
    "an argument that a network has not": (
        {"model.victim.network": "uap.networks.ESPNet", "model.victim.network.clases": 11},
        "model.victim.network: Option 'clases' is not accepted",
    ),
    "a network that cannot be built": (
        {"model.victim.network": "uap.networks.ESPNet", "model.victim.network.classes": 3},
        "ESPNet got classes=3, expected 5 or more",
    ),
    "no such class table": ({"model.victim.classes": "mars"}, "Expected one of bdd100k, camvid, cityscapes, voc"),
    "no such output": ({"model.victim.output": "x"}, r"victim.output is 'x', but the network gives a tensor"),
    "a std of 0": ({"model.victim.std": [0, 1, 1]}, "expected all above 0"),
    "weights that are text": (written("a.pth", b"hi", "model.victim.weights"), "a.pth cannot be read. It is damaged"),
    "empty safetensors": (written("a.safetensors", b"", "model.victim.weights"), "a.safetensors cannot be read"),
    "a folder for weights": (lambda root: {"model.victim.weights": root}, "There is no file .*camvid"),
    "half a checkpoint": (checkpoint(half), "last.ckpt cannot be read .* .*best.ckpt is valid: resume from that file"),
    "a checkpoint that is code": (checkpoint(hostile_checkpoint), "last.ckpt is damaged or asks to run code"),
    "a network's checkpoint": (checkpoint(of_a_network), "last.ckpt contains no perturbation. Expected a checkpoint"),
    "an epsilon that is no number": ({"model.epsilon": ".nan"}, "epsilon is nan, expected grey levels from 1"),
    "an epsilon above 255": ({"model.epsilon": 256}, "epsilon is 256.0, expected grey levels from 1 to 255"),
    "a tile of nothing": ({"model.tile": [0, 4]}, r"size is \(0, 4\), expected height and width of 1 or more"),
    "nothing to hide": (
        {"model.objective": "uap.objectives.HideClasses", "model.objective.hide": []},
        "got no class to hide",
    ),
    "no such optimizer": (
        {"model.optimizer": "torch.optim.Adamm"},
        "no class torch.optim.Adamm",
    ),
    "a momentum of 2": ({"model.optimizer.momentum": 2}, "optimizer.lr is 10.0 and momentum 2.0, expected a step"),
    "no batch to a step": ({"trainer.accumulate_grad_batches": 0}, "accumulate_grad_batches is 0, expected 1 or more"),
    "a run without an end": ({"trainer.max_epochs": -1}, "max_epochs is -1, but the schedule needs the length"),
    "devices in words": ({"trainer.devices": "many"}, "The trainer cannot be built: .* should be an int > 0"),
    "no such precision": ({"trainer.precision": "17"}, "trainer.precision: Expected one of .* got 17"),
    "no such callback": (
        {"trainer.callbacks+": "uap.universal.callbacks.Nope"},
        "trainer.callbacks: there is no class uap.universal.callbacks.Nope",
    ),
    "a network whose gradient is no number": (
        {"model.victim.network": "tests.helpers.NotFinite"},
        "The gradient is not finite at step 0: .* from frame_00",
    ),
    "no data": ({"data.root": "nowhere"}, "No images in nowhere/train. Set --data.root"),
    "half-extracted labels": (missing_labels, "1 of 6 images .* have no labels .*frame_002.png"),
    "a truncated picture": (half_a_picture, "frame_003.png is truncated or damaged"),
    "a truncated picture, in a worker": (
        lambda root: half_a_picture(root) | {"data.num_workers": 1},
        "error: .*frame_003.png is truncated or damaged",
    ),
    "ids outside the table": (foreign_ids, "frame_001.png holds the id 77, expected 0 to 11"),
    "a size that the network cannot take": (odd_size, "ESPNet fails on images of 20 x 20 .* victim.size_multiple"),
    "weights of another network": (foreign_weights, "another network than Brightness .* tensors are missing"),
    "weights that are code": (hostile_weights, "asks to run code .* was not loaded"),
    "no weights": ({"model.victim.weights": "none.pth"}, "There is no file none.pth"),
    "an unknown key": ({"model.epsilonn": 3}, "epsilonn"),
    "an epsilon below 0": ({"model.epsilon": -1}, "epsilon is -1.0, expected grey levels from 1"),
    "a word for a number": ({"model.epsilon": "much"}, "model.epsilon: Expected a number, got much"),
    "a step of 0": ({"model.optimizer.lr": 0}, "optimizer.lr is 0"),
    "a class that does not exist": (
        {"model.objective": "uap.objectives.HideClasses", "model.objective.hide": ["unicorn"]},
        "no class 'unicorn': the classes are sky, building",
    ),
    "a class that is never predicted": (
        {
            "model.objective": "uap.objectives.HideClasses",
            "model.objective.hide": ["building"],
            "model.victim.mean": [200] * 3,
        },
        "predicts building on none of the 6 training images",
    ),
    "no such frame for the target": ({"model.objective.image": "train/none.png"}, "train/none.png, does not exist"),
    "a checkpoint that is not there": ({"ckpt_path": "none.ckpt"}, "There is no file none.ckpt"),
    "a configuration that is not there": ({"config": "none.yaml"}, "none.yaml"),
    "more images than there are": ({"data.limit": 99}, "data.limit is 99, but .* has 6 training images"),
    "no image in a batch": ({"data.batch_size": 0}, "data.batch_size is 0, expected 1 or more"),
    "an accelerator that does not exist": ({"trainer.accelerator": "foo"}, "trainer cannot be built"),
    "an omega above 1": (
        {"model.reduction": "uap.losses.Omega", "model.reduction.omega": 2},
        "reduction.omega is 2.0, expected a weight from 0 to 1",
    ),
}


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
