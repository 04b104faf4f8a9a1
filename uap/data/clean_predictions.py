"""Clean predictions: made once per image, victim and size, shared out between processes, and kept on disk."""

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


def place_of(samples: Samples, victim: Victim) -> Path:
    """Return where the victim's predictions (N, H, W) uint8 on a data set are kept, an `.npy`.

    The name is a key of everything that they depend on: victim, size, resampling, and each image's stamp.

    Raises:
        InputError: an image is not there.
    """
    return _place(samples.images, victim, stamps(samples.items))


def make_predictions(samples: Samples, victim: Victim, path: Path, trainer: Trainer) -> int:
    """Predict the images of a data set, unless that was done; the processes of a node share them out.

    Each image's prediction is kept as soon as it is made: who was interrupted goes on from there.

    Args:
        samples: the images.
        victim: the network.
        path: what `place_of` said of them.
        trainer: tells the processes apart.

    Returns:
        How many were predicted now, by all processes of this node.

    Raises:
        InputError: an image cannot be read, or the predictions cannot be kept; the same on every process.
    """
    is_first, shape = trainer.local_rank == 0, _shape(samples)  # one process of each node

    def share() -> tuple[int, int]:
        return trainer.node_rank, _predict_share(samples, victim, path, trainer)

    run_on_all_ranks(lambda: _set_aside_if_damaged(path, shape) if is_first else None, trainer)
    made = run_on_all_ranks(share, trainer)
    run_on_all_ranks(lambda: _finish(path, shape) if is_first else None, trainer)
    return sum(count for node, count in made if node == trainer.node_rank)


def one_prediction(images: SegmentationDataset, victim: Victim, place: Path | Source) -> NDArray[np.uint8]:
    """Return the victim's prediction (H, W) uint8 on a picture at the size of a data set; made once.

    Raises:
        InputError: the picture cannot be read, or the prediction cannot be kept.
    """
    path = _place(images, victim, stamp(place))
    with _keeping(path):
        file = RowFile(path, (1, *images.size))
        kept = file.get(0)
    if kept is not None:
        return kept
    image = torch.from_numpy(images.read_image(place).transpose(2, 0, 1).copy())
    prediction: NDArray[np.uint8] = victim.predict(image[None].to(victim.mean.device))[0].cpu().numpy()
    with _keeping(path):
        file.put(0, prediction)
    return prediction


@dataclass(frozen=True)
class KnownPredictions:
    """Looks up clean predictions; the `targets` of `Samples` that are evaluated.

    Attributes:
        path: the file of the predictions, which `make_predictions` has written.
    """

    path: Path

    def __call__(self, index: int) -> dict[str, torch.Tensor]:
        """Return the prediction `(H, W)` uint8 on an image."""
        return {"prediction": torch.from_numpy(np.array(np.load(self.path, mmap_mode="r")[index]))}


def _place(images: SegmentationDataset, victim: Victim, stamped: Any) -> Path:
    """Return where predictions on images with these stamps are kept."""
    settings = [victim.fingerprint(), images.size, images.resampling, images.upright, stamped]
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:32]
    return paths.cache_folder() / "predictions" / f"{key}.npy"


def _unfinished(path: Path) -> Path:
    """Return the file that predictions are written to until all are there."""
    return path.with_suffix(".part.npy")


@contextlib.contextmanager
def _keeping(path: Path) -> Iterator[None]:
    """Say what is wrong if a file of predictions cannot be written.

    Raises:
        InputError: it cannot be.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(_refusal(path, error)) from error


def _refusal(path: Path, error: OSError) -> str:
    return f"Clean predictions cannot be kept in {path.parent} ({error}). Set UAP_CACHE to a folder."


def _set_aside_if_damaged(path: Path, shape: tuple[int, ...]) -> None:
    """Let predictions that were changed since they were made count as begun: the rows that are whole stay."""
    with _keeping(path):
        if path.exists() and not RowFile(path, shape).is_whole():
            path.replace(_unfinished(path))


def _shape(samples: Samples) -> tuple[int, ...]:
    return (len(samples), *samples.images.size)


def _predict_share(samples: Samples, victim: Victim, path: Path, trainer: Trainer) -> int:
    """Predict those of this process's share of the images that are not there; return how many were predicted."""
    made = 0
    try:
        for predicted in _predict_missing(samples, victim, path, trainer):
            made += predicted
    except FileNotFoundError as error:  # another run has made them all meanwhile, and given the file its name
        if not path.exists():
            raise InputError(_refusal(path, error)) from error
    return made


def _predict_missing(samples: Samples, victim: Victim, path: Path, trainer: Trainer) -> Iterator[int]:
    """Predict batch by batch, and give the number of images in each."""
    if path.exists():
        return
    with _keeping(path):
        _check_room(path, _shape(samples))
        file = RowFile(_unfinished(path), _shape(samples))
        share = range(trainer.local_rank, len(samples), trainer.num_devices)
        missing = [place for place in share if file.get(place) is None]
    images = replace(samples, targets=None)  # without targets, which may be made of what is predicted now
    for batch in progress(images.loader(missing), "Predicting clean images", "batch"):
        predictions = victim.predict(batch["image"].to(victim.mean.device)).cpu().numpy()
        with _keeping(path):
            for place, prediction in zip(batch["index"].tolist(), predictions, strict=True):
                file.put(place, prediction)
        yield len(predictions)


def _check_room(path: Path, shape: tuple[int, ...]) -> None:
    """Say how large a file of predictions becomes, if that is much.

    Raises:
        InputError: there is no room for it.
        OSError: its folder cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    whole, free = int(np.prod(shape)), shutil.disk_usage(path.parent).free
    there = _unfinished(path).stat().st_blocks * 512 if _unfinished(path).exists() else 0
    if whole - there > free:
        raise InputError(
            f"Clean predictions take {whole / GIB:.2f} GiB in {path.parent}, where {free / GIB:.2f} GiB are free. Set "
            "UAP_CACHE to a folder with more."
        )
    if whole > GIB / 10:
        rank_zero_info(f"Keeping clean predictions in {path.parent}: {whole / GIB:.2f} GiB.")


def _finish(path: Path, shape: tuple[int, ...]) -> None:
    """Give predictions that are all there their name, unless another run has done so.

    Raises:
        InputError: they are not all there, which only a change of the folder from outside can bring about.
    """
    unfinished = _unfinished(path)
    with contextlib.suppress(FileNotFoundError), _keeping(path):
        if not path.exists() and RowFile(unfinished, shape).is_whole():
            with unfinished.open("rb") as made:
                os.fsync(made.fileno())
            unfinished.replace(path)
        if path.exists():
            unfinished.unlink(missing_ok=True)
    if not path.exists():
        raise InputError(f"Clean predictions in {path.parent} were changed while they were made. Start again.")
