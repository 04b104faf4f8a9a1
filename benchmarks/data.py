"""Share of the training time that a run waits for data.

    python -m benchmarks.data [--epochs 3] [uap.fit's arguments, such as --config FILE --data.root FOLDER]

Runs `uap.fit` with an empty cache, and measures the share of the training time (without validation) in which the step
waits for a batch. Workers decode an image when it is first read. With a static target, that is in the first epoch. A
second run uses the same data and network, and predicts no clean image.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from pytorch_lightning.profilers import SimpleProfiler

from uap import fit
from uap.utils.memory import keep_freed_memory

WAIT = "[_TrainingEpochLoop].train_dataloader_next"
STEP = "run_training_batch"


def shares(profiler: SimpleProfiler, batches: int) -> list[float]:
    """Return the share of the waiting time in each epoch."""
    waits, steps = profiler.recorded_durations[WAIT], profiler.recorded_durations[STEP]
    epochs = [slice(begin, begin + batches) for begin in range(0, len(steps), batches)]
    return [sum(waits[epoch]) / (sum(waits[epoch]) + sum(steps[epoch])) for epoch in epochs]


def main() -> None:
    """Read the command line and print the shares."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.data", description=(__doc__ or "").split("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--epochs", type=int, default=3, help="epochs of the run, 2 or more (default: %(default)s)")
    given, arguments = parser.parse_known_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"UAP_CACHE": folder, "WANDB_MODE": "disabled"}
        settings = [*arguments, f"--trainer.max_epochs={given.epochs}", "--trainer.profiler=simple", "--quiet"]
        trainer = fit.main([*settings, f"--trainer.default_root_dir={Path(folder) / 'first'}"]).trainer
        profiler: Any = trainer.profiler  # type: ignore[attr-defined]
        epochs = shares(profiler, int(trainer.num_training_batches))
        print(f"waiting for data: {epochs[0]:.2%} of the first epoch")
        print(f"                  {statistics.median(epochs[1:]):.2%} of a later epoch (median of {len(epochs) - 1})")
        fit.main([*settings, f"--trainer.default_root_dir={Path(folder) / 'second'}"])
        for name in ("first", "second"):
            metrics = json.loads((Path(folder) / name / "metrics.json").read_text())
            print(f"clean images predicted in the {name} run: {metrics['clean_images_predicted']}")


if __name__ == "__main__":
    main()
