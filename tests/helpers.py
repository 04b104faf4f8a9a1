"""Helpers of the tests: small synthetic data sets, and networks with known predictions."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
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
from uap.universal.perturbation_files import load_perturbation
from uap.utils.class_tables import CITYSCAPES_LABEL_IDS
from uap.utils.errors import InputError, Kind

SIZE = (24, 32)


class Brightness(nn.Module):
    """A network that predicts class 1 if the mean of the channels is above `threshold`; logits grow by 1 per level."""

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
    """Return a dark image with a bright block, and its mask, which is 1 in the block."""
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
    """Write a data set in the layout of CamVid; the labels are the ids 0 and 1 (sky and building)."""
    rng = np.random.default_rng(0)
    for split, count in {"train": train, "val": val, "test": 2}.items():
        for i in range(count):
            image, mask = scene(rng, size)
            save(root / split / f"frame_{i:03d}.png", image)
            save(root / f"{split}annot" / f"frame_{i:03d}.png", mask)
    return root


def make_cityscapes(root: Path, train: int = 6, val: int = 4, size: tuple[int, int] = SIZE) -> Path:
    """Write a data set in the layout of Cityscapes; the labels are the label ids of road and sidewalk."""
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
    """Return arguments of `uap.fit` for the brightness network on the small CamVid with a static target."""
    settings: dict[str, Any] = {
        "config": Path(__file__).parent / "brightness.yaml",
        "data.root": root,
        "trainer.default_root_dir": out,
        **changes,
    }
    return [f"--{name.replace('__', '.')}={value}" for name, value in settings.items()]


class Contrast(nn.Module):
    """A network with a linear score of the channels; its best perturbation is epsilon * sign(weights) everywhere."""

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
    """A network whose gradient is NaN."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (x.mean(1, keepdim=True) - 1e30).sqrt().nan_to_num()


class NotFiniteInTheDark(Brightness):
    """A network whose gradient is NaN on black images."""

    def forward(self, x: Tensor) -> Tensor:
        parts = [(image - 1e30).sqrt().nan_to_num() if image.mean() < 30 else 0 * image for image in x]
        return super().forward(x) + torch.stack(parts).mean(1, keepdim=True)


class KillAt(Callback):
    """Kills the process with SIGKILL after `step` optimizer steps if the environment variable KILL is set."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        if "KILL" in os.environ and trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


class Signal(Callback):
    """Sends a signal to its process at the start of a batch (from 1), or with 0 of a validation, if UAP_SIGNAL is set.

    `group` sends it to all processes of the run, including its workers.
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
    """Sends SIGTERM after the last epoch if UAP_SIGNAL is set."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if "UAP_SIGNAL" in os.environ:
            os.kill(os.getpid(), signal.SIGTERM)


class EndAt(Callback):
    """Ends the run after 3 optimizer steps, as a time limit or early stopping does."""

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        trainer.should_stop = trainer.global_step == 3


class KeepSteps(Callback):
    """Stores a copy of the perturbation after every step in the class attribute `steps`."""

    steps: ClassVar[list[Tensor]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.steps.clear()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self.steps.append(cast(UniversalAttack, pl_module).perturbation.proto.detach().clone())


class SaveRank(Callback):
    """Writes the perturbation of each rank to the working folder."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        torch.save(cast(UniversalAttack, pl_module).perturbation.proto.detach(), f"rank{trainer.global_rank}.pt")


class Differ(Callback):
    """Changes the perturbation of rank 1 in the second epoch, to simulate a hardware or library error."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if trainer.global_rank == 1 and trainer.current_epoch == 1:
            with torch.no_grad():
                cast(UniversalAttack, pl_module).perturbation.proto[0, 0, 0] *= 0.999


def learned(folder: Path) -> Tensor:
    """Return the perturbation of a run folder."""
    return load_perturbation(folder / "perturbation.safetensors")[0].proto.detach()


def one_thread() -> dict[str, str]:
    """Return the environment of one of several processes."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def record_syncs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Return the list of later syncs and renames, in order: the call, and the inode and length of the file.

    A file that is renamed before it is synced can be empty after a power failure.
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
    """Return the error message of a command, and check its exit code 2 and that there is no traceback."""
    with pytest.raises(SystemExit) as ended:
        run_command(main)
    printed = capsys.readouterr().err
    assert ended.value.code == 2
    assert "Traceback" not in printed
    return printed


def input_error(main: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> InputError:
    """Return the error of a command for bad input, and check its exit code 2 and that its message is printed."""
    raised: list[InputError] = []

    def recorded() -> None:
        try:
            main()
        except InputError as error:
            raised.append(error)
            raise

    printed = refusal(recorded, capsys)
    (error,) = raised
    assert str(error).strip() in printed
    return error


@contextlib.contextmanager
def refuses(setting: str | None, kind: Kind | None, part: str = "") -> Iterator[None]:
    """Check that an `InputError` is raised inside, with its setting, its kind and a part of its message."""
    with pytest.raises(InputError) as raised:
        yield
    assert (raised.value.setting, raised.value.kind) == (setting, kind), raised.value
    assert part in str(raised.value)


def fit_error(change: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> InputError:
    """Return the error of `uap.fit` for bad settings, which may depend on the root of the data."""
    return input_error(lambda: _fit(change, folder), capsys)


def _fit(change: Any, folder: Path) -> None:
    root = make_camvid(folder / "camvid")
    fit.main(attack_args(root, folder / "out", **(change(root) if callable(change) else change)))


def fit_refusal(change: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error message of `uap.fit` for bad settings, which may depend on the root of the data."""
    return refusal(lambda: _fit(change, folder), capsys)


def trainer_between_steps(ranks: int, strategy: Any) -> Any:
    """Return a trainer for `Interruption` within an epoch, between batches that accumulate gradients."""
    return SimpleNamespace(
        is_last_batch=False,
        global_step=0,
        world_size=ranks,
        default_root_dir="",
        save_checkpoint=lambda path: None,
        strategy=strategy,
    )


def assert_same_weights(own: dict[str, Tensor], published: dict[str, Tensor]) -> None:
    """Check that a network has the weights of a file, in which a victim sets subnormal numbers to 0."""
    for name, value in own.items():
        torch.testing.assert_close(value, published[name], rtol=0, atol=1.2e-38)
