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
import yaml
from PIL import Image

from tests.helpers import Brightness, attack_args, fit_error, fit_refusal, refuses, save
from uap import fit
from uap.cli.entry import run_command
from uap.configuration.parser_messages import YAML
from uap.networks.espnet import ESPNet
from uap.utils.errors import Kind


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


SETTINGS: dict[str, tuple[Any, str | None, Kind, str]] = {
    "weights that are no numbers": (weights_without_numbers, "model.victim.weights", "not_finite", "Brightness"),
    "a checkpoint without numbers": (checkpoint(without_numbers), "ckpt_path", "not_finite", "nan.ckpt"),
    "a checkpoint without a place": (checkpoint(without_loops), "ckpt_path", "unusable_file", "epoch, loops"),
    "a checkpoint without a name": ({"ckpt_path": ""}, "ckpt_path", "missing_file", "There is no file"),
    "a step without end": ({"model.optimizer.lr": ".inf"}, "model.optimizer.lr", "out_of_range", "inf"),
    "a step that leaves no numbers": (
        {"model.optimizer": "torch.optim.SGD", "model.optimizer.lr": ".inf"},
        "model.optimizer",
        "not_finite",
        "Step 1",
    ),
    "an optimizer that torch refuses": (
        {"model.optimizer": "torch.optim.Adam", "model.optimizer.lr": -1},
        "model.optimizer",
        "not_supported",
        "Invalid learning rate",
    ),
    "a validation every 0 epochs": (
        {"trainer.check_val_every_n_epoch": 0},
        "trainer.check_val_every_n_epoch",
        "out_of_range",
        "0",
    ),
    "a merge of aliases": (
        written("x.yaml", b"a: &a {b: 1}\nc: {<<: [*a]}", "config"),
        "config",
        "unusable_file",
        "YAML aliases",
    ),
    "a tag without its value": (written("x.yaml", b"a: !!int ''", "config"), "config", "unusable_file", "x.yaml"),
    "a tag in a setting": ({"data.limit": "!!int ''"}, "data.limit", "wrong_type", "!!int"),
    "aliases in a configuration": (
        written("x.yaml", b"a: &a {b: *a}", "config"),
        "config",
        "unusable_file",
        "YAML aliases",
    ),
    "a trainer of nothing": (written("x.yaml", b"trainer: null", "config"), "trainer", "wrong_type", "None"),
    "a file for a folder": (written("file", b"x", "data.root"), "data.root", "missing_file", "file/train"),
    "a list of no images": (written("list.txt", b"", "data.files"), "data.files", "unusable_file", "list.txt"),
    "a list of other images": (written("list.txt", b"a.png", "data.files"), "data.files", "unknown_name", "a.png"),
    "a list that is not there": ({"data.files": "none.txt"}, "data.files", "missing_file", "none.txt"),
    "one number for a size": ({"data.size": [100]}, "data.size", "wrong_type", "[100]"),
    "a word for a size": ({"data.size": "big"}, "data.size", "wrong_type", "big"),
    "a size below 0": ({"data.size": [-8, 8]}, "data.size", "out_of_range", "(-8, 8)"),
    "a word for a batch": ({"data.batch_size": "four"}, "data.batch_size", "wrong_type", "four"),
    "workers below 0": ({"data.num_workers": -1}, "data.num_workers", "out_of_range", "-1"),
    "a disk below 0": ({"data.cache_gib": -1}, "data.cache_gib", "out_of_range", "-1.0"),
    "no such split": ({"data.split": "foo"}, "data.split", "unknown_name", "foo"),
    "no such data": ({"data": "uap.data.Nope"}, "data", "unknown_name", "uap.data.Nope"),
    "data that are none": ({"data": "torch.nn.Linear"}, "data", "wrong_type", "torch.nn.Linear"),
    "an empty configuration": (written("x.yaml", b"", "config"), "config", "unusable_file", "holds nothing"),
    "a list for a configuration": (written("x.yaml", b"- 1", "config"), "config", "unusable_file", "holds a list"),
    "a configuration with half a bracket": (written("x.yaml", b"{a: [", "config"), "config", "unusable_file", "YAML"),
    "a configuration of bytes": (written("x.yaml", bytes(range(256)), "config"), "config", "unusable_file", "YAML"),
    "a configuration that is code": (
        written("x.yaml", b"data: !!python/object/apply:os.mkdir [executed]", "config"),
        "config",
        "unusable_file",
        "could not determine a constructor",
    ),
    "a folder for a configuration": (lambda root: {"config": root}, "config", "missing_file", "camvid"),
    "no such loss": ({"model.loss": "uap.losses.Nope"}, "model.loss", "unknown_name", "uap.losses.Nope"),
    "no such network": ({"model.victim.network": "nowhere.Net"}, "model.victim.network", "unknown_name", "nowhere.Net"),
    "a function for a network": (
        {"model.victim.network": "os.system"},
        "model.victim.network",
        "unknown_name",
        "os.system",
    ),
    "an argument that a network has not": (
        {"model.victim.network": "uap.networks.ESPNet", "model.victim.network.clases": 11},
        "model.victim.network",
        "unknown_name",
        "clases",
    ),
    "no such class table": (
        {"model.victim.classes": "mars"},
        "model.victim.classes",
        "unknown_name",
        "bdd100k, camvid, cityscapes, voc",
    ),
    "no such output": ({"model.victim.output": "x"}, "model.victim.output", "unknown_name", "'x'"),
    "a std of 0": ({"model.victim.std": [0, 1, 1]}, "model.victim.std", "out_of_range", "(0.0, 1.0, 1.0)"),
    "weights that are text": (
        written("a.pth", b"hi", "model.victim.weights"),
        "model.victim.weights",
        "unusable_file",
        "a.pth",
    ),
    "empty safetensors": (
        written("a.safetensors", b"", "model.victim.weights"),
        "model.victim.weights",
        "unusable_file",
        "a.safetensors",
    ),
    "a folder for weights": (
        lambda root: {"model.victim.weights": root},
        "model.victim.weights",
        "missing_file",
        "camvid",
    ),
    "a checkpoint that is code": (checkpoint(hostile_checkpoint), "ckpt_path", "unusable_file", "run code"),
    "a network's checkpoint": (checkpoint(of_a_network), "ckpt_path", "unusable_file", "no perturbation"),
    "an epsilon that is no number": ({"model.epsilon": ".nan"}, "model.epsilon", "out_of_range", "nan"),
    "an epsilon above 255": ({"model.epsilon": 256}, "model.epsilon", "out_of_range", "256"),
    "a tile of nothing": ({"model.tile": [0, 4]}, "model.tile", "out_of_range", "(0, 4)"),
    "nothing to hide": (
        {"model.objective": "uap.objectives.HideClasses", "model.objective.hide": []},
        "model.objective.hide",
        "missing_setting",
        "HideClasses",
    ),
    "no objective": ({"model.objective": "null"}, "model.objective", "missing_setting", "uap.objectives.HideClasses"),
    "an objective without a class": (
        written("x.yaml", b"model: {objective: {hide: [person]}}", "config"),
        "model.objective",
        "missing_setting",
        "class_path",
    ),
    "an objective that is a base class": (
        {"model.objective": "uap.objectives.PredictionObjective"},
        "model.objective",
        "missing_setting",
        "uap.objectives.HideClasses, uap.objectives.StaticTarget",
    ),
    "an objective without its argument": (
        {"model.objective": "uap.objectives.HideClasses"},
        "model.objective.hide",
        "missing_setting",
        "hide",
    ),
    "no class of data": ({"data": "uap.data.SegmentationData"}, "data", "missing_setting", "uap.data.CamVid"),
    "an abbreviated setting": ({"trainer.max_epo": 1}, None, "unknown_name", "--trainer.max_epo=1"),
    "an abbreviated argument": ({"quie": "true"}, None, "unknown_name", "--quie=true"),
    "an abbreviated component": ({"model.vict.weights": "x"}, None, "unknown_name", "--model.vict.weights=x"),
    "an abbreviated setting of data": ({"data.limi": 3}, "data", "unknown_name", "limi"),
    "an abbreviated setting of a network": ({"model.victim.weigh": "x"}, "model.victim", "unknown_name", "weigh"),
    "no such optimizer": (
        {"model.optimizer": "torch.optim.Adamm"},
        "model.optimizer",
        "unknown_name",
        "torch.optim.Adamm",
    ),
    "a momentum of 2": ({"model.optimizer.momentum": 2}, "model.optimizer.momentum", "out_of_range", "2.0"),
    "no batch to a step": (
        {"trainer.accumulate_grad_batches": 0},
        "trainer.accumulate_grad_batches",
        "out_of_range",
        "0",
    ),
    "a run without an end": ({"trainer.max_epochs": -1}, "trainer.max_epochs", "out_of_range", "-1"),
    "devices in words": ({"trainer.devices": "many"}, "trainer", "not_supported", "devices"),
    "no such precision": ({"trainer.precision": "17"}, "trainer.precision", "unknown_name", "17"),
    "no such callback": (
        {"trainer.callbacks+": "uap.universal.callbacks.Nope"},
        "trainer.callbacks",
        "unknown_name",
        "uap.universal.callbacks.Nope",
    ),
    "no data": ({"data.root": "nowhere"}, "data.root", "missing_file", "nowhere"),
    "a size that the network cannot take": (odd_size, "data.size", "not_supported", "20 x 20"),
    "weights of another network": (foreign_weights, "model.victim.weights", "not_supported", "Brightness"),
    "weights that are code": (hostile_weights, "model.victim.weights", "unusable_file", "run code"),
    "no weights": ({"model.victim.weights": "none.pth"}, "model.victim.weights", "missing_file", "none.pth"),
    "an epsilon below 0": ({"model.epsilon": -1}, "model.epsilon", "out_of_range", "-1.0"),
    "a word for a number": ({"model.epsilon": "much"}, "model.epsilon", "wrong_type", "much"),
    "a step of 0": ({"model.optimizer.lr": 0}, "model.optimizer.lr", "out_of_range", "0"),
    "a class that does not exist": (
        {"model.objective": "uap.objectives.HideClasses", "model.objective.hide": ["unicorn"]},
        "model.objective.hide",
        "unknown_name",
        "unicorn",
    ),
    "a class that is never predicted": (
        {
            "model.objective": "uap.objectives.HideClasses",
            "model.objective.hide": ["building"],
            "model.victim.mean": [200] * 3,
        },
        "model.objective.hide",
        "not_supported",
        "building",
    ),
    "no such frame for the target": (
        {"model.objective.image": "train/none.png"},
        "model.objective.image",
        "missing_file",
        "train/none.png",
    ),
    "a checkpoint that is not there": ({"ckpt_path": "none.ckpt"}, "ckpt_path", "missing_file", "none.ckpt"),
    "a configuration that is not there": ({"config": "none.yaml"}, "config", "missing_file", "none.yaml"),
    "more images than there are": ({"data.limit": 99}, "data.limit", "out_of_range", "99"),
    "no image in a batch": ({"data.batch_size": 0}, "data.batch_size", "out_of_range", "0"),
    "an accelerator that does not exist": ({"trainer.accelerator": "foo"}, "trainer", "not_supported", "accelerator"),
    "an omega above 1": (
        {"model.reduction": "uap.losses.Omega", "model.reduction.omega": 2},
        "model.reduction.omega",
        "out_of_range",
        "2.0",
    ),
}
"""Changes of a valid run, the setting at fault, the kind of the fault, and a part of the message."""

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


@pytest.mark.parametrize("name", SETTINGS)
def test_bad_setting_is_named_in_the_error(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, setting, kind, part = SETTINGS[name]
    error = fit_error(change, tmp_path, capsys)
    assert (error.setting, error.kind) == (setting, kind), error
    assert part in str(error)
    assert not Path("executed").exists()


def test_forgotten_objective_is_named_with_its_classes_and_a_line_of_yaml(tmp_path: Path) -> None:
    settings = yaml.safe_load((Path(__file__).parent / "brightness.yaml").read_text())
    del settings["model"]["objective"]
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(settings))
    with refuses("model.objective", "missing_setting", YAML["model.objective"]):
        fit.main([f"--config={tmp_path / 'x.yaml'}", f"--data.root={tmp_path}"])


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
