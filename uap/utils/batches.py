"""Batches of images from a tensor, a data set, or a loader."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from uap.utils.errors import InputError

Images = Tensor | Dataset[Any] | DataLoader[Any]
"""A tensor `(N, 3, H, W)`, a data set, or a loader. An item or batch is an image, a pair `(image, labels)`, or a
mapping with the key `image` and optionally `labels` and `prediction` (what the network predicts on the images). Pixel
values range from 0 to 255."""

NORMALIZED = 10
"""Images with negative values, and none above it, were probably normalized. Adversarial images that are not clamped
can have negative values too, beside larger ones."""


@dataclass(frozen=True)
class ImageBatch:
    """A batch of images of a data set.

    Attributes:
        images: `(N, 3, H, W)` float32, 0 to 255.
        labels: `(N, H, W)` int64 class ids, 255 = ignored; None without labels.
        prediction: `(N, *L)` int64 class ids, the network's predictions on these images; None if they are not known.
        index: `(N,)` int64, the position of each image in the data set; None if the caller passed a loader.

    Example:
        >>> batch = next(iter(Batches(torch.full((5, 3, 2, 2), 9.0), batch_size=2)))
        >>> batch.images.shape, batch.labels, batch.index.tolist()
        (torch.Size([2, 3, 2, 2]), None, [0, 1])
    """

    images: Tensor
    labels: Tensor | None
    prediction: Tensor | None
    index: Tensor | None


class _Indexed(Dataset[Any]):
    def __init__(self, images: Tensor | Dataset[Any]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[int, Any]:
        return index, self.images[index]


class Batches:
    """An iterable of `ImageBatch` over a tensor, a data set, or a loader.

    Args:
        images: a tensor `(N, 3, H, W)`, a data set, or a loader, as in `Images`.
        batch_size: number of images per batch. A loader keeps its own batch size.
        generator: random generator that shuffles a tensor or a data set; None keeps the order.
        device: device that the batches are moved to.

    Raises:
        InputError: there are no images, their shape is not `(N, 3, H, W)`, or their values range from 0 to 1.

    Example:
        >>> import torch
        >>> [len(batch.images) for batch in Batches(torch.full((5, 3, 2, 2), 9.0), batch_size=2)]
        [2, 2, 1]
    """

    def __init__(
        self,
        images: Images,
        batch_size: int = 4,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Create the loader."""
        self.device = device
        self.is_indexed = not isinstance(images, DataLoader)
        if not len(images):  # type: ignore[arg-type]
            raise InputError("There are no images, expected one or more.", setting="images", kind="out_of_range")
        if isinstance(images, DataLoader):
            self.loader: DataLoader[Any] = images
        else:
            if isinstance(images, Tensor):
                _check_shape(images)
            self.loader = DataLoader(
                _Indexed(images), batch_size=batch_size, shuffle=generator is not None, generator=generator
            )

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.loader)

    def __iter__(self) -> Iterator[ImageBatch]:
        """Yield the batches in order."""
        for item in self.loader:
            index, content = item if self.is_indexed else (None, item)
            images, labels, prediction = _split(content)
            check_images(images)
            images = images.to(self.device).float()
            yield ImageBatch(images, _ids(labels, self.device), _ids(prediction, self.device), index)


def _split(content: Any) -> tuple[Tensor, Tensor | None, Tensor | None]:
    if isinstance(content, Tensor):
        return content, None, None
    if isinstance(content, Mapping) and "image" in content:
        return content["image"], content.get("labels"), content.get("prediction")
    if isinstance(content, Sequence) and content and isinstance(content[0], Tensor):
        return content[0], content[1] if len(content) > 1 else None, None
    raise InputError(
        f"A batch is a {type(content).__name__}, expected images, (images, labels), or a mapping with 'image'.",
        setting="images",
        kind="wrong_type",
    )


def check_images(images: Tensor) -> None:
    """Check shape and dtype of a batch of images, and that their values are grey levels.

    Args:
        images: expected `(N, 3, H, W)` of an integer or floating-point dtype, 0 to 255.

    Raises:
        InputError: they have another shape or dtype, or look as if they were on the scale from 0 to 1 or normalized.

    Example:
        >>> check_images(torch.full((1, 3, 2, 2), 9.0))
    """
    if not isinstance(images, Tensor) or images.dtype == torch.bool or images.is_complex():
        kind = images.dtype if isinstance(images, Tensor) else f"of the type {type(images).__name__}"
        raise InputError(
            f"Images are {kind}, expected a tensor of integers or floating-point numbers from 0 to 255.",
            setting="images",
            kind="wrong_type",
        )
    _check_shape(images)
    if not images.is_floating_point() or not images.numel():
        return
    least, largest = float(images.amin()), float(images.amax())
    if 0 < largest <= 1:
        raise InputError(
            f"The largest pixel value of a batch is {largest:.3g}, expected grey levels from 0 to 255. "
            "Multiply images on the scale from 0 to 1 by 255.",
            setting="images",
            kind="out_of_range",
        )
    if least < 0 and largest <= NORMALIZED:
        raise InputError(
            f"The pixel values of a batch are from {least:.3g} to {largest:.3g}, expected grey levels from 0 to 255. "
            "Leave out the normalization of images; uap.Victim normalizes them for its network.",
            setting="images",
            kind="out_of_range",
        )


def _check_shape(images: Tensor) -> None:
    if images.ndim == 4 and images.shape[1] == 3:
        return
    advice = ""
    if images.ndim == 3 and images.shape[0] == 3:
        advice = " Add the dimension of the batch: images[None]."
    elif images.ndim in (3, 4) and images.shape[-1] == 3:
        advice = " Move the channels to the front: images.movedim(-1, -3)."
    raise InputError(
        f"Images have the shape {tuple(images.shape)}, expected (N, 3, H, W).{advice}",
        setting="images",
        kind="wrong_shape",
    )


def _ids(ids: Tensor | None, device: torch.device | str) -> Tensor | None:
    return None if ids is None else ids.to(device).long()


def device_of(module: Any) -> torch.device:
    """Return the device of a module's first parameter or buffer; the CPU if it has none or is not a module.

    Example:
        >>> device_of(torch.nn.Conv2d(3, 2, 1))
        device(type='cpu')
    """
    if isinstance(module, torch.nn.Module):
        for tensor in (*module.parameters(), *module.buffers()):
            return tensor.device
    return torch.device("cpu")
