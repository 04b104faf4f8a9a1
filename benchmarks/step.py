"""Time and memory of the training step, compared with the forward and backward pass of the network.

    python -m benchmarks.step [--network CGNet|FCN-8s] [--device cuda] [--batch 4] [--size 384 512] [--steps 20]

Both alternate in one process, so a change of the speed of the machine does not affect their ratio. The step is
everything that `uap.fit` does from the end of one batch to the end of the next: it fetches and moves the batch, tiles,
clips, computes the default loss, takes the sign step, projects, logs the curves of the perturbation to metrics.csv, and
checks for signals. It excludes the reading of files, which workers do at the same time, the progress bar and W&B. The
bare pass is the forward pass and the gradient of the mean of the logits with respect to the normalized image, with
frozen weights in the same memory layout. Peak memory is measured in a separate process for each. On the CPU, it is the
growth of the resident memory (Linux). On the GPU, it is the peak of the allocator.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningDataModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.networks import NETWORKS, new_victim, with_torch_layers
from uap.objectives import HideClasses
from uap.universal.callbacks.curves import PerturbationCurves
from uap.universal.callbacks.interruption import Interruption
from uap.universal.callbacks.metrics_file import MetricsFile
from uap.universal.module import UniversalAttack
from uap.utils.memory import keep_freed_memory
from uap.victims.cpu_kernels import FrozenBatchNorm2d, FrozenPReLU


class Images(Dataset[dict[str, Tensor]]):
    """A data set of one image of noise with a target, repeated."""

    def __init__(self, size: tuple[int, int], count: int) -> None:
        """Create the image of size (height, width), repeated `count` times."""
        self.count = count
        generator = torch.Generator().manual_seed(0)
        self.item = {
            "image": torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8),
            "target": torch.randint(0, 19, size, generator=generator, dtype=torch.uint8),
            "hidden": torch.zeros(size, dtype=torch.bool),
            "index": torch.tensor(0),
            "weight": torch.tensor(1.0),
        }

    def __len__(self) -> int:
        """Return the number of images."""
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return the image."""
        return self.item


class Data(LightningDataModule):
    """A data module with the attributes that the attack uses."""

    def __init__(self, size: tuple[int, int], batch_size: int, steps: int) -> None:
        """Prepare `steps` batches."""
        super().__init__()
        self.batch_size = batch_size
        self.seed = 0
        self.images = Images(size, batch_size * steps)

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return the batches."""
        return DataLoader(self.images, self.batch_size)


class PreparedAttack(UniversalAttack):
    """An attack on data that already has targets."""

    def setup(self, stage: str) -> None:
        """Prepare nothing."""


class Interleave(Callback):
    """A callback that measures each step, then the bare pass."""

    def __init__(self, bare: Callable[[], None]) -> None:
        """Store the bare pass."""
        self.bare = bare
        self.steps: list[float] = []
        self.bares: list[float] = []
        self.start = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the clock."""
        self.start = now()

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Store the time of the step, then that of the bare pass."""
        end = now()
        self.steps.append(end - self.start)
        self.bare()
        self.start = now()
        self.bares.append(self.start - end)


def now() -> float:
    """Return the time after all work of the device is done, in seconds."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def bare_pass(attack: UniversalAttack, device: str, size: tuple[int, int], batch: int) -> Callable[[], None]:
    """Return the forward pass and the backward pass to the input."""
    network = attack.victim.network
    image = torch.randn(batch, 3, *size, device=device).contiguous(memory_format=torch.channels_last)

    def run() -> None:
        image.requires_grad_(True)
        torch.autograd.grad(network(image).mean(), image)

    return run


def new_attack(network: str, device: str, size: tuple[int, int]) -> UniversalAttack:
    """Return an attack that hides people from a network."""
    return PreparedAttack(new_victim(network, device), HideClasses(["person"]), size)


def train(attack: UniversalAttack, data: Data, device: str, callbacks: list[Callback]) -> None:
    """Train as `uap.fit` does."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            max_epochs=1,
            logger=MetricsFile(Path(folder) / "metrics.csv"),
            log_every_n_steps=1,
            callbacks=[PerturbationCurves(), *callbacks, Interruption()],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(attack, datamodule=data)


def peak_memory(variant: str, network: str, device: str, size: tuple[int, int], batch: int) -> float:
    """Return the peak memory of a few steps or bare passes, in MiB, beyond that of the process before them."""
    attack, data = new_attack(network, device, size), Data(size, batch, 3)
    if variant == "torch":
        attack.victim.network = with_torch_layers(attack.victim.network, FrozenPReLU, FrozenBatchNorm2d)
    bare = bare_pass(attack, device, size, batch)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak, because imports need much memory
    before = highest_resident_size()
    if variant == "step":
        train(attack, data, device, [])
    else:
        for _ in range(3):
            bare()
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return highest_resident_size() - before


def highest_resident_size() -> float:
    """Return the largest resident size of this process, in MiB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def report(network: str, device: str, size: tuple[int, int], batch: int, steps: int) -> None:
    """Print the ratios."""
    attack = new_attack(network, device, size)
    clock = Interleave(bare_pass(attack, device, size, batch))
    train(attack, Data(size, batch, steps + 2), device, [clock])
    pairs = list(zip(clock.steps, clock.bares, strict=True))[2:]  # the first two are warm-up
    ratios = [step / bare for step, bare in pairs]
    arguments = ["--network", network, "--device", device, "--batch", str(batch), "--size", *map(str, size)]
    command = [sys.executable, "-m", "benchmarks.step", *arguments, "--memory"]
    memory = {
        variant: float(
            subprocess.run([*command, variant], check=True, capture_output=True, text=True).stdout.split()[-1]
        )
        for variant in ("step", "bare", "torch")
    }
    where = f"{device}, {torch.get_num_threads()} threads"
    print(f"{network}, {batch} images of {size[0]} x {size[1]}, {where}, {steps} steps")
    print(f"{'':<14}{'step':>10}{'bare':>10}{'ratio':>10}   (time: median and range of the ratios of all steps)")
    medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
    print(f"{'seconds':<14}{medians[0]:>10.4f}{medians[1]:>10.4f}{statistics.median(ratios):>10.3f}   ({spread})")
    print(f"{'peak MiB':<14}{memory['step']:>10.0f}{memory['bare']:>10.0f}{memory['step'] / memory['bare']:>10.3f}")
    print(f"bare with PyTorch's PReLU and BatchNorm: {memory['torch']:.0f} MiB")


def main() -> None:
    """Read the command line and print the comparison."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.step", description=(__doc__ or "").split("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--network", choices=list(NETWORKS), default="ESPNet", help="(default: %(default)s)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where to run (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="images per step (default: %(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=[384, 512], help="height and width (default: 384 512)")
    parser.add_argument("--steps", type=int, default=20, help="measured steps (default: %(default)s)")
    parser.add_argument(
        "--memory", choices=["step", "bare", "torch"], help="print only the peak memory of one variant, in MiB"
    )
    given = parser.parse_args()
    keep_freed_memory()  # as the commands do
    size = (given.size[0], given.size[1])
    if given.memory:
        print(peak_memory(given.memory, given.network, given.device, size, given.batch))
    else:
        report(given.network, given.device, size, given.batch, given.steps)


if __name__ == "__main__":
    main()
