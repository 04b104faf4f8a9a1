"""Clean predictions: computed once per image, victim and size, split between processes, and cached on disk."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_info

from uap.data.image_store import GIB
from uap.data.row_file import RowFile
from uap.data.samples import Samples
from uap.datasets import SegmentationDataset
from uap.datasets.sources import Source, stamp, stamps
from uap.utils import paths
from uap.utils.distributed import run_on_all_ranks
from uap.utils.errors import InputError
from uap.utils.progress import progress
from uap.victims import Victim


def predictions_path(samples: Samples, victim: Victim) -> Path:
    """Return the path of the `.npy` file with the victim's predictions `(N, H, W)` uint8 on a data set.

    The name of the file is a hash of everything that the predictions depend on: victim, size, resampling, and the
    stamp of each image.

    Raises:
        InputError: an image does not exist.
    """
    return _path(samples.images, victim, stamps(samples.items))


def make_predictions(samples: Samples, victim: Victim, path: Path, trainer: Trainer) -> int:
    """Predict the images of a data set that have no cached prediction; the processes of a node split the images.

    Each prediction is written immediately, so that an interrupted run continues with the missing ones.

    Args:
        samples: the images.
        victim: the network.
        path: the path that `predictions_path` returns for them.
        trainer: gives the ranks of the processes.

    Returns:
        The number of images that all processes of this node have predicted in this call.

    Raises:
        InputError: an image cannot be read, or the predictions cannot be written; the same on every process.
    """
    is_first, shape = trainer.local_rank == 0, _shape(samples)  # one process of each node

    def share() -> tuple[int, int]:
        return trainer.node_rank, _predict_share(samples, victim, path, trainer)

    run_on_all_ranks(lambda: _set_aside_if_damaged(path, shape) if is_first else None, trainer)
    made = run_on_all_ranks(share, trainer)
    run_on_all_ranks(lambda: _finish(path, shape) if is_first else None, trainer)
    return sum(count for node, count in made if node == trainer.node_rank)


def one_prediction(images: SegmentationDataset, victim: Victim, image_path: Path | Source) -> NDArray[np.uint8]:
    """Return the victim's prediction `(H, W)` uint8 on one image, resized to the size of a data set; cached.

    Raises:
        InputError: the image cannot be read, or the prediction cannot be written.
    """
    path = _path(images, victim, stamp(image_path))
    with _write_errors(path):
        file = RowFile(path, (1, *images.size))
        kept = file.get(0)
    if kept is not None:
        return kept
    image = torch.from_numpy(images.read_image(image_path).transpose(2, 0, 1).copy())
    prediction: NDArray[np.uint8] = victim.predict(image[None].to(victim.mean.device))[0].cpu().numpy()
    with _write_errors(path):
        file.put(0, prediction)
    return prediction


@dataclass(frozen=True)
class KnownPredictions:
    """The clean predictions of images by index; used as the `targets` of `Samples` for an evaluation.

    Attributes:
        path: the file that `make_predictions` has written.
    """

    path: Path

    def __call__(self, index: int) -> dict[str, torch.Tensor]:
        """Return `prediction`, uint8 `(H, W)`, for the index of an image."""
        return {"prediction": torch.from_numpy(np.array(np.load(self.path, mmap_mode="r")[index]))}


def with_predictions(samples: Samples, victim: Victim, trainer: Trainer) -> Samples:
    """Return samples with the clean predictions of a victim and labels in its classes; predictions are made once.

    Args:
        samples: the images.
        victim: the network.
        trainer: gives the ranks of the processes.

    Raises:
        InputError: an image cannot be read, or the predictions cannot be written.
    """
    path = predictions_path(samples, victim)
    make_predictions(samples, victim, path, trainer)
    return replace(samples.with_classes(victim.table), targets=KnownPredictions(path))


def _path(images: SegmentationDataset, victim: Victim, stamped: Any) -> Path:
    """Return the path of the predictions on images with these stamps."""
    settings = [victim.cache_key(), images.size, images.resampling, images.upright, stamped]
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:32]
    return paths.cache_folder() / "predictions" / f"{key}.npy"


def _unfinished(path: Path) -> Path:
    """Return the path of the file of predictions until it is complete."""
    return path.with_suffix(".part.npy")


@contextlib.contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Turn errors of writing a file of predictions into a message.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(_write_error(path, error), kind="unusable_file") from error


def _write_error(path: Path, error: OSError) -> str:
    return f"Clean predictions cannot be kept in {path.parent} ({error}). Set UAP_CACHE to a folder."


def _set_aside_if_damaged(path: Path, shape: tuple[int, ...]) -> None:
    """Move a damaged file of predictions back to its unfinished path: intact rows are kept, the others predicted."""
    with _write_errors(path):
        if path.exists() and not RowFile(path, shape).is_whole():
            path.replace(_unfinished(path))


def _shape(samples: Samples) -> tuple[int, ...]:
    return (len(samples), *samples.images.size)


def _predict_share(samples: Samples, victim: Victim, path: Path, trainer: Trainer) -> int:
    """Predict this process's share of the missing images; return the number of predicted images."""
    made = 0
    try:
        for predicted in _predict_missing(samples, victim, path, trainer):
            made += predicted
    except FileNotFoundError as error:  # another run has completed the file and renamed it in the meantime
        if not path.exists():
            raise InputError(_write_error(path, error), kind="unusable_file") from error
    return made


def _predict_missing(samples: Samples, victim: Victim, path: Path, trainer: Trainer) -> Iterator[int]:
    """Predict the missing images batch by batch; yield the number of images in each batch."""
    if path.exists():
        return
    with _write_errors(path):
        _check_disk_space(path, _shape(samples))
        file = RowFile(_unfinished(path), _shape(samples))
        share = range(trainer.local_rank, len(samples), trainer.num_devices)
        missing = [row for row in share if file.get(row) is None]
    images = replace(samples, targets=None)  # targets may need the predictions that are computed here
    for batch in progress(images.loader(missing), "Predicting clean images", "batch"):
        predictions = victim.predict(batch["image"].to(victim.mean.device)).cpu().numpy()
        with _write_errors(path):
            for row, prediction in zip(batch["index"].tolist(), predictions, strict=True):
                file.put(row, prediction)
        yield len(predictions)


def _check_disk_space(path: Path, shape: tuple[int, ...]) -> None:
    """Check the free disk space for a file of predictions, and print the size of a large file.

    Raises:
        InputError: the disk has not enough free space.
        OSError: the folder cannot be created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    needed, free = int(np.prod(shape)), shutil.disk_usage(path.parent).free
    written = _unfinished(path).stat().st_blocks * 512 if _unfinished(path).exists() else 0
    if needed - written > free:
        raise InputError(
            f"Clean predictions take {needed / GIB:.2f} GiB in {path.parent}, but only {free / GIB:.2f} GiB are free. "
            "Set UAP_CACHE to a folder with more.",
            kind="unusable_file",
        )
    if needed > GIB / 10:
        rank_zero_info(f"Keeping clean predictions in {path.parent}: {needed / GIB:.2f} GiB.")


def _finish(path: Path, shape: tuple[int, ...]) -> None:
    """Rename the complete file of predictions to its final path, unless another run has done so.

    Raises:
        InputError: predictions are missing, because another program changed the folder.
    """
    unfinished = _unfinished(path)
    with contextlib.suppress(FileNotFoundError), _write_errors(path):
        if not path.exists() and RowFile(unfinished, shape).is_whole():
            with unfinished.open("rb") as written:
                os.fsync(written.fileno())
            unfinished.replace(path)
        if path.exists():
            unfinished.unlink(missing_ok=True)
    if not path.exists():
        raise InputError(
            f"Clean predictions in {path.parent} were changed while they were computed. Start again.",
            kind="unusable_file",
        )
