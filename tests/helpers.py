"""What the tests share: small data sets drawn at test time, and networks whose predictions are known."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from uap import fit
from uap.cli.entry import run_command
from uap.universal.module import UniversalAttack
from uap.universal.perturbation import load_perturbation
from uap.utils.class_tables import CITYSCAPES_LABEL_IDS

SIZE = (24, 32)


class Brightness(nn.Module):
    """Two classes by the mean of the channels: class 1 where it is above `threshold`; logits grow by 1 a grey level."""

    def __init__(self, threshold: float = 128.0, classes: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, classes, 1)
        bias = torch.full((classes,), -1e4)  # classes beyond the two never win
        bias[:2] = torch.tensor([0.0, -threshold])
        self.conv.bias = nn.Parameter(bias)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[1] = 1 / 3

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.conv(x)
        return logits


def scene(rng: np.random.Generator, size: tuple[int, int] = SIZE) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A dark picture with a bright block, and its mask: 1 in the block."""
    height, width = size
    mask = np.zeros(size, np.uint8)
    top, left = int(rng.integers(2, height // 2)), int(rng.integers(2, width // 2))
    mask[top : top + height // 3, left : left + width // 3] = 1
    image = np.where(mask[..., None] == 1, 180, 70) + rng.integers(-20, 20, (*size, 3))
    return image.astype(np.uint8), mask


def save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def make_camvid(root: Path, train: int = 6, val: int = 4, size: tuple[int, int] = SIZE) -> Path:
    """CamVid's layout; the labels are ids 0 and 1 (sky and building)."""
    rng = np.random.default_rng(0)
    for split, count in {"train": train, "val": val, "test": 2}.items():
        for i in range(count):
            image, mask = scene(rng, size)
            save(root / split / f"frame_{i:03d}.png", image)
            save(root / f"{split}annot" / f"frame_{i:03d}.png", mask)
    return root


def make_cityscapes(root: Path, train: int = 6, val: int = 4, size: tuple[int, int] = SIZE) -> Path:
    """The extracted tree of Cityscapes; the labels are road and sidewalk as label ids."""
    rng = np.random.default_rng(0)
    for split, count in {"train": train, "val": val, "test": 2}.items():
        for i in range(count):
            image, mask = scene(rng, size)
            name = f"aachen_{i:06d}_000019"
            save(root / "leftImg8bit" / split / "aachen" / f"{name}_leftImg8bit.png", image)
            ids = np.array(CITYSCAPES_LABEL_IDS, np.uint8)[mask]
            save(root / "gtFine" / split / "aachen" / f"{name}_gtFine_labelIds.png", ids)
    return root


def attack_args(root: Path, out: Path, **changes: Any) -> list[str]:
    """Arguments of `uap.fit` for the brightness network on the small CamVid: a static target, no configuration file."""
    settings: dict[str, Any] = {
        "config": Path(__file__).parent / "brightness.yaml",
        "data.root": root,
        "trainer.default_root_dir": out,
        **changes,
    }
    return [f"--{name.replace('__', '.')}={value}" for name, value in settings.items()]


class Contrast(nn.Module):
    """Two classes by a linear score of the channels: the best perturbation is epsilon * sign(weights), everywhere."""

    WEIGHTS = (0.02, -0.03, 0.01)

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)
        self.norm = nn.BatchNorm2d(2)  # its statistics must not move
        self.conv.bias = nn.Parameter(torch.tensor([3.0, 0.0]))
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[1, :, 0, 0] = torch.tensor(self.WEIGHTS)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.norm(self.conv(x))
        return logits


class NotFinite(Brightness):
    """Its gradient is not a number."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (x.mean(1, keepdim=True) - 1e30).sqrt().nan_to_num()


class NotFiniteInTheDark(Brightness):
    """Its gradient is not a number on an image that is black throughout."""

    def forward(self, x: Tensor) -> Tensor:
        parts = [(image - 1e30).sqrt().nan_to_num() if image.mean() < 30 else 0 * image for image in x]
        return super().forward(x) + torch.stack(parts).mean(1, keepdim=True)


class KillAt(Callback):
    """Ends the process as `kill -9` does, after `step` optimizer steps, where the environment says KILL."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        if "KILL" in os.environ and trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


class Signal(Callback):
    """Sends its process a signal as a batch (from 1) begins, or with 0 as a validation does, where UAP_SIGNAL says so.

    `group` sends it to all of the run's processes, its workers among them.
    """

    def __init__(self, batch: int, number: int, times: int = 1, group: bool = False) -> None:
        self.batch = batch
        self.number = number
        self.times = times
        self.group = group
        self.seen = 0

    def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
        self.seen += 1
        if self.seen == self.batch:
            self._send(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.batch and not trainer.current_epoch:
            self._send(trainer)

    def _send(self, trainer: Trainer) -> None:
        if os.environ.get("UAP_SIGNAL", "none") == str(trainer.global_rank):
            for _ in range(self.times):
                os.kill(0 if self.group else os.getpid(), self.number)


class SignalAtEnd(Callback):
    """Sends SIGTERM when the last epoch is over, where UAP_SIGNAL says so."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if "UAP_SIGNAL" in os.environ:
            os.kill(os.getpid(), signal.SIGTERM)


class EndAt(Callback):
    """Ends the run after 3 optimizer steps, as a limit of time or a callback that has seen enough does."""

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        trainer.should_stop = trainer.global_step == 3


class KeepSteps(Callback):
    """Keeps a copy of the perturbation after every step, in `steps` of the class."""

    steps: ClassVar[list[Tensor]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.steps.clear()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self.steps.append(cast(UniversalAttack, pl_module).perturbation.proto.detach().clone())


class SaveRank(Callback):
    """Writes each rank's perturbation into the working folder."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        torch.save(cast(UniversalAttack, pl_module).perturbation.proto.detach(), f"rank{trainer.global_rank}.pt")


class Differ(Callback):
    """Changes the perturbation of rank 1 a little in the second epoch, as a fault of memory or of a library would."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if trainer.global_rank == 1 and trainer.current_epoch == 1:
            with torch.no_grad():
                cast(UniversalAttack, pl_module).perturbation.proto[0, 0, 0] *= 0.999


def learned(folder: Path) -> Tensor:
    """The perturbation of a run folder."""
    return load_perturbation(folder / "perturbation.safetensors")[0].proto.detach()


def one_thread() -> dict[str, str]:
    """The environment of a process of several."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def record_syncs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """What is synced and renamed from now on, in order: the call, and the number and length of the file that it is of.

    What is renamed before it is synced may be an empty file under the new name once the power is gone.
    """
    seen: list[tuple[str, int, int]] = []

    def record(name: str, function: Callable[..., None], stat: Callable[[Any], os.stat_result]) -> None:
        def call(first: Any, *args: Any, **kwargs: Any) -> None:
            found = stat(first)
            seen.append((name, found.st_ino, found.st_size))
            function(first, *args, **kwargs)

        monkeypatch.setattr(os, function.__name__, call)

    record("sync", os.fsync, os.fstat)
    record("rename", os.replace, os.stat)
    record("rename", os.rename, os.stat)
    return seen


def refusal(main: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command prints of bad input: with exit code 2, and no traceback."""
    with pytest.raises(SystemExit) as ended:
        run_command(main)
    printed = capsys.readouterr().err
    assert ended.value.code == 2
    assert "Traceback" not in printed
    return printed


def fit_refusal(change: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `uap.fit` prints of bad settings, given as they are or made of the data's root."""
    root = make_camvid(folder / "camvid")
    changes = change(root) if callable(change) else change
    return refusal(lambda: fit.main(attack_args(root, folder / "out", **changes)), capsys)


def trainer_between_steps(ranks: int, strategy: Any) -> Any:
    """What `Interruption` asks of a trainer within an epoch, of a step that sums up batches."""
    return SimpleNamespace(
        is_last_batch=False,
        global_step=0,
        world_size=ranks,
        default_root_dir="",
        save_checkpoint=lambda path: None,
        strategy=strategy,
    )
