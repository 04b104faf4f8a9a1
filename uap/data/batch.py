"""The types of batches."""

from collections.abc import Callable
from typing import Any, NotRequired, TypedDict

from torch import Tensor


class Prepared(TypedDict):
    """The tensors that an attack adds to a batch for a network.

    Attributes:
        prediction: `(N, H, W)` uint8, the prediction of the network on the clean images.
        target: `(N, H, W)` uint8, the target of the attack.
        hidden: `(N, H, W)` bool, the pixels of the classes that the attack hides.
    """

    prediction: NotRequired[Tensor]
    target: NotRequired[Tensor]
    hidden: NotRequired[Tensor]


class Batch(Prepared):
    """A batch of N images of one size, as a DataLoader returns it.

    Attributes:
        image: `(N, 3, H, W)` uint8 RGB, 0 to 255.
        labels: `(N, H, W)` uint8, ids of the data set's table, 255 = ignored or without labels.
        index: `(N,)` int64, the row of each image in its data set.
        weight: `(N,)` float32, 0 for padding images, which do not count, and 1 for all others.
        ensemble: the tensors that an attack on several networks adds for the second and later networks.
    """

    image: Tensor
    labels: Tensor
    index: Tensor
    weight: Tensor
    ensemble: NotRequired[list[Prepared]]


Prepare = Callable[[int], dict[str, Any]]
"""A function that maps the index of an image to the tensors that an attack adds; called in the workers."""
