"""Tests that a resumed run equals an uninterrupted run bit for bit."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers import attack_args, learned, make_camvid
from uap.fit import main
from uap.utils.errors import InputError

CONSTANT = {"model.lr_scheduler": "torch.optim.lr_scheduler.ConstantLR", "model.lr_scheduler.factor": 1}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_camvid(tmp_path / "camvid")


def resume(folder: Path, **changes: Any) -> None:
    arguments = {"config": folder / "config.yaml", "ckpt_path": folder / "checkpoints" / "last.ckpt", **changes}
    main([f"--{name}={value}" for name, value in arguments.items()])


FEATURES = {
    "model.victim.network": "tests.test_resume.TwoLayers",
    "model.objective": "uap.objectives.Untargeted",
    "model.loss": "uap.losses.FeatureSimilarity",
}
"""A loss whose perturbation starts at random."""


class TwoLayers(nn.Sequential):
    """A network with features of eight channels."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 2, 1))
        for i, parameter in enumerate(self.parameters()):
            nn.init.normal_(parameter, std=0.01, generator=torch.Generator().manual_seed(i))


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, FEATURES], ids=["default", "features"])
def test_resumed_run_equals_uninterrupted_run(root: Path, tmp_path: Path, settings: dict[str, str]) -> None:
    main(attack_args(root, tmp_path / "four", **CONSTANT, **settings, **{"trainer.max_epochs": 4}))
    main(attack_args(root, tmp_path / "two", **CONSTANT, **settings))
    after_two = learned(tmp_path / "two")
    resume(tmp_path / "two", **{"trainer.max_epochs": 4})

    assert torch.equal(learned(tmp_path / "two"), learned(tmp_path / "four"))
    assert not torch.equal(after_two, learned(tmp_path / "four"))


@pytest.mark.slow
def test_killed_and_resumed_run_equals_uninterrupted_run(root: Path, tmp_path: Path) -> None:
    changes = {"trainer.max_epochs": 3, "trainer.callbacks+": "tests.helpers.KillAt", "trainer.callbacks.step": 5}
    main(attack_args(root, tmp_path / "whole", **changes))
    command = [sys.executable, "-m", "uap.fit", *attack_args(root, tmp_path / "killed", **changes)]
    environment = os.environ | {
        "KILL": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),  # sums over other numbers of threads round differently
    }
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    assert not (tmp_path / "killed" / "perturbation.safetensors").exists()
    resume(tmp_path / "killed")

    assert torch.equal(learned(tmp_path / "killed"), learned(tmp_path / "whole"))
    csv = [(tmp_path / name / "metrics.csv").read_text() for name in ("killed", "whole")]
    assert csv[0] == csv[1]


@pytest.mark.slow
def test_cost_of_a_resumed_run_includes_both_parts(root: Path, tmp_path: Path) -> None:
    main(attack_args(root, tmp_path / "out"))
    resume(tmp_path / "out", **{"trainer.max_epochs": 4})

    assert '"gradient_evaluations": 24' in (tmp_path / "out" / "metrics.json").read_text()


def test_resuming_a_finished_run_prints_a_message(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(attack_args(root, tmp_path / "out"))
    resume(tmp_path / "out")
    assert "has already finished its 2 epochs" in capsys.readouterr().out


@pytest.mark.slow
def test_resumed_run_removes_only_unfinished_files(root: Path, tmp_path: Path) -> None:
    main(attack_args(root, tmp_path / "out"))
    folder = tmp_path / "out/checkpoints"
    shutil.copy(folder / "best.ckpt", folder / "mine.ckpt")
    (folder / "last.0123abcd.tmp.ckpt").write_bytes((folder / "last.ckpt").read_bytes()[:1000])
    resume(tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt", "mine.ckpt"]


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)  # as a disk with no more room than that
from uap.cli.entry import run_command
from uap.fit import main
run_command(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize("room", ["almost a checkpoint", "nothing"])
def test_full_disk_prints_a_message_and_keeps_the_checkpoint(root: Path, tmp_path: Path, room: str) -> None:
    arguments = attack_args(root, tmp_path / "out", **CONSTANT)
    main(arguments)
    folder = tmp_path / "out/checkpoints"
    checkpoints = {path.name: path.read_bytes() for path in folder.iterdir()}
    before = checkpoints["last.ckpt"]
    resumed = [f"--config={tmp_path}/out/config.yaml", f"--ckpt_path={tmp_path}/out/checkpoints/last.ckpt"]
    largest = len(before) - 1000 if room == "almost a checkpoint" else 100
    command = [sys.executable, "-c", FULL, str(largest), *resumed, "--trainer.max_epochs=4"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert re.search(
        r"error: .* cannot be written \(.*\). Make room on the disk.*: resume with "
        rf"--config {tmp_path}/out/config.yaml --ckpt_path {tmp_path}/out/checkpoints/last.ckpt",
        ended.stderr,
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == checkpoints


@pytest.mark.slow
def test_run_interrupted_before_its_metrics_writes_them_later(root: Path, tmp_path: Path) -> None:
    main(attack_args(root, tmp_path / "out"))
    kept, files = json.loads((tmp_path / "out/metrics.json").read_text()), sorted((tmp_path / "out").rglob("*"))
    for name in ("metrics.json", "per_image.csv", "perturbation.safetensors", "perturbation.png"):
        (tmp_path / "out" / name).unlink()
    shutil.rmtree(tmp_path / "out/pictures")
    resume(tmp_path / "out")

    found = json.loads((tmp_path / "out/metrics.json").read_text())
    timed = ("seconds", "images_per_second", "clean_images_predicted")
    assert {k: v for k, v in found.items() if k not in timed} == {k: v for k, v in kept.items() if k not in timed}
    assert sorted((tmp_path / "out").rglob("*")) == files


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model.epsilon": 20}, "its epsilon is 60.0, here it is 20.0"),
        ({"model.tile": [8, 8]}, r"its tile is \[24, 32\], here it is \[8, 8\]"),
        ({"data.size": [12, 16]}, r"size is \[24, 32\], here it is \[12, 16\]"),
        ({"model.victim.network.threshold": 90}, "its victim is .*, here it is"),
        ({"model.optimizer.lr": 3}, r"its optimizer is .*'lr': 10.0.*, here it is .*'lr': 3.0"),
        ({"model.optimizer": "torch.optim.Adam"}, r"its optimizer is .*SignSGD.*, here it is .*Adam"),
        ({"model.objective.image": "train/frame_001.png"}, "its objective is .*frame_000.*, here it is .*frame_001"),
        ({"data.batch_size": 1}, "its data is .*'batch_size': 2.*, here it is .*'batch_size': 1"),
        ({"data.limit": 1}, "its data is .*, here it is .*'limit': 1"),
        ({"model.loss": "uap.losses.Margin"}, "its loss is .*, here it is .*Margin"),
        ({"trainer.accumulate_grad_batches": 2}, r"its batches per step .*_batches\) is 1, here it is 2"),
        (
            {"trainer.callbacks": "uap.universal.callbacks.full_batch.FullBatchGradient"},
            "its batches per step .* here it is all",
        ),
        ({"trainer.limit_train_batches": 1}, r"its batches per epoch .*\) is 1.0, here it is 1\."),
        ({"trainer.precision": "bf16-mixed"}, "its precision is 32-true, here it is bf16-mixed"),
    ],
)
def test_checkpoint_of_another_attack_raises_error(
    root: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    main(attack_args(root, tmp_path / "out"))
    config = (tmp_path / "out" / "config.yaml").read_text()
    with pytest.raises(InputError, match=message):
        resume(tmp_path / "out", **change)
    assert (tmp_path / "out" / "config.yaml").read_text() == config
    assert learned(tmp_path / "out").abs().max() > 0


def test_checkpoint_without_a_perturbation_raises_error(root: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.zeros(3)}}, tmp_path / "other.ckpt")
    (tmp_path / "half.ckpt").write_bytes((tmp_path / "other.ckpt").read_bytes()[:100])
    for name, message in {
        "other": "contains no perturbation",
        "half": "is damaged",
        "none": "There is no file",
    }.items():
        with pytest.raises(InputError, match=message):
            main(attack_args(root, tmp_path / "out", ckpt_path=tmp_path / f"{name}.ckpt"))


class Hostile:
    """An object whose pickle creates a folder when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


def test_checkpoint_with_code_raises_error_and_is_not_executed(root: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {"perturbation.proto": Hostile()}}, tmp_path / "hostile.ckpt")
    with pytest.raises(InputError, match="asks to run code"):
        main(attack_args(root, tmp_path / "out", ckpt_path=tmp_path / "hostile.ckpt"))
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (lambda text: text[: len(text) - 20], 5),  # the last row, which a full disk cut off
        (lambda text: text + "6", 6),
        (lambda text: text + "6,1,2,3,4,5,6,7,8,9,10,11,12\n", 6),
        (lambda text: "a,b\n1,2\n", 0),
        (lambda text: "\0\x80", 0),
        (lambda text: "", 0),
    ],
)
def test_damaged_rows_of_metrics_csv_are_removed(
    root: Path, tmp_path: Path, damage: Callable[[str], str], kept: int
) -> None:
    main(attack_args(root, tmp_path / "out", **CONSTANT, **{"trainer.check_val_every_n_epoch": 9}))
    file = tmp_path / "out" / "metrics.csv"
    text = "".join(file.read_text().splitlines(keepends=True)[:7])  # the header and six steps
    file.write_text(damage(text), encoding="latin1")
    resume(tmp_path / "out", **{"trainer.max_epochs": 3})
    with file.open() as opened:
        steps = [int(row["step"]) for row in csv.DictReader(opened)]
    assert steps == [*range(kept), 6, 7, 8, 9]  # the last row has the final metrics
