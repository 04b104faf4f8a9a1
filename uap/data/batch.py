"""What a batch holds."""

from collections.abc import Callable
from typing import Any, NotRequired, TypedDict

from torch import Tensor


class Prepared(TypedDict):
    """What an attack adds for a network.

    `prediction`, its clean prediction (N, H, W) uint8; `target` (N, H, W) uint8; `hidden` (N, H, W) bool, the pixels
    whose class is to vanish.
    """

    prediction: NotRequired[Tensor]
    target: NotRequired[Tensor]
    hidden: NotRequired[Tensor]


class Batch(Prepared):
    """What a DataLoader gives; N images of one size.

    `image` (N, 3, H, W) uint8 RGB; `labels` (N, H, W) uint8 ids of the data set's table, 255 = ignored or not there;
    `index` (N,) the image's place in its data set; `weight` (N,) float32, 0 for an image that counts nowhere.
    `ensemble` is what an attack on several networks adds for the others.
    """

    image: Tensor
    labels: Tensor
    index: Tensor
    weight: Tensor
    ensemble: NotRequired[list[Prepared]]


Prepare = Callable[[int], dict[str, Any]]
"""What an attack adds to the item of an index; called in the workers."""
