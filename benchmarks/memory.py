"""Growth of the memory of a long run: of its process and of its workers, over thousands of steps.

    python -m benchmarks.memory [--steps 2000]

Runs `uap.fit` on small synthetic scenes with workers, validation and checkpoints, and samples the resident memory
(Linux). Prints the growth from the third sample to the last. Before the third sample, memory is still allocated for the
first time.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer

from uap import fit
from uap.utils.memory import keep_freed_memory

SAMPLES = 20


def resident(process: str = "self") -> float:
    """Return the anonymous memory of a process, in MiB. Memory shared with workers counts for each of them."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous")) / 1024


def children() -> list[str]:
    """Return the ids of the child processes."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


class Sample(Callback):
    """A callback that samples the memory at regular intervals."""

    def __init__(self, steps: int) -> None:
        """Set the number of steps of the run."""
        self.every = steps // SAMPLES
        self.sizes: list[tuple[int, float, float]] = []

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Sample the memory."""
        if trainer.global_step % self.every == 0:
            workers = sum(resident(child) for child in children())
            self.sizes.append((trainer.global_step, resident(), workers))
            print(f"step {trainer.global_step}: {resident():.1f} MiB, workers {workers:.1f} MiB", flush=True)


def main() -> None:
    """Read the command line and print the growth."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description=(__doc__ or "").split("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--steps", type=int, default=2000, help="steps of the run (default: %(default)s)")
    steps = parser.parse_args().steps
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"UAP_CACHE": folder, "WANDB_MODE": "disabled"}
        settings = {
            "data.root": Path(folder) / "scenes",
            "data.scenes": 40,
            "data.scored_scenes": 4,
            "data.size": [64, 128],
            "trainer.max_epochs": -(-steps // 10),
            "trainer.check_val_every_n_epoch": 10,
            "trainer.default_root_dir": Path(folder) / "run",
        }
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        sampling = ["--trainer.callbacks+=benchmarks.memory.Sample", f"--trainer.callbacks.steps={steps}"]
        trainer: Any = fit.main([*arguments, *sampling, "--quiet"]).trainer
    sample = next(callback for callback in trainer.callbacks if type(callback).__name__ == "Sample")
    begin, end = sample.sizes[2], sample.sizes[-1]
    print(f"from step {begin[0]} to {end[0]}: {end[1] - begin[1]:+.1f} MiB, workers {end[2] - begin[2]:+.1f} MiB")


if __name__ == "__main__":
    main()
