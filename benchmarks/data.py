"""How long a run waits for its data, in its first epoch and in those after it.

    python -m benchmarks.data [--epochs 3] [uap.fit's arguments, such as --config FILE --data.root FOLDER]

Runs `uap.fit` with an empty cache and takes the share of the training epochs' time, without validation, in which the
step waits for a batch. Images are decoded by workers when they are first read: with a static target that is the first
epoch. Then a second run starts on the same data and network, in which no clean image is predicted.
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
    """Return the share of waiting in each epoch's waiting and steps."""
    waits, steps = profiler.recorded_durations[WAIT], profiler.recorded_durations[STEP]
    epochs = [slice(begin, begin + batches) for begin in range(0, len(steps), batches)]
    return [sum(waits[epoch]) / (sum(waits[epoch]) + sum(steps[epoch])) for epoch in epochs]


def main() -> None:
    """Read the command line and print the shares."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--epochs", type=int, default=3, help="of the run, 2 or more (default: %(default)s)")
    given, arguments = parser.parse_known_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as place:
        os.environ |= {"UAP_CACHE": place, "WANDB_MODE": "disabled"}
        settings = [*arguments, f"--trainer.max_epochs={given.epochs}", "--trainer.profiler=simple", "--quiet"]
        trainer = fit.main([*settings, f"--trainer.default_root_dir={Path(place) / 'first'}"]).trainer
        profiler: Any = trainer.profiler  # type: ignore[attr-defined]
        epochs = shares(profiler, int(trainer.num_training_batches))
        print(f"waiting for data: {epochs[0]:.2%} of the first epoch")
        print(
            f"                  {statistics.median(epochs[1:]):.2%} of an epoch after it (median of {len(epochs) - 1})"
        )
        again = [*settings, f"--trainer.default_root_dir={Path(place) / 'second'}"]
        fit.main(again)
        for name in ("first", "second"):
            figures = json.loads((Path(place) / name / "metrics.json").read_text())
            print(f"clean images predicted in the {name} run: {figures['clean_images_predicted']}")


if __name__ == "__main__":
    main()
