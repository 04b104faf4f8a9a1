"""The contract of detectors."""

import abc

import torch
from torch import Tensor

from uap.objectives.base import Model
from uap.utils.batches import check_images
from uap.utils.errors import InputError
from uap.utils.eval_mode import in_eval_mode


def check_detectable(images: Tensor) -> None:
    """Check that a batch of images `(N, 3, H, W)` can be scored: finite grey levels from 0 to 255.

    Raises:
        InputError: they have another shape or dtype, are on the scale from 0 to 1, normalized, or not finite.

    Example:
        >>> check_detectable(torch.full((1, 3, 2, 2), 9.0))
    """
    check_images(images)
    if not images.isfinite().all():
        raise InputError("Images are not finite. Check the attack that made them.", setting="images", kind="not_finite")


class Detector(abc.ABC):
    """A detector of adversarial images: a score for each image, low if it is suspicious.

    A threshold is fitted on benign images, such as their lowest score.

    Example:
        >>> class Confidence(Detector):
        ...     def score(self, victim, image):
        ...         return float(victim(image).softmax(1).amax(1).mean())
        >>> Confidence()(torch.nn.Conv2d(3, 2, 1), torch.full((4, 3, 8, 8), 9.0)).shape
        torch.Size([4])
    """

    def __call__(self, victim: Model, images: Tensor) -> Tensor:
        """Return the score of each image.

        Args:
            victim: images `(N, 3, H, W)` to logits `(N, C, H, W)`: a `Victim` or any module like it, in eval mode.
            images: `(N, 3, H, W)` of any dtype, 0 to 255.

        Returns:
            `(N,)` float64; higher is more consistent, and so more likely benign.

        Raises:
            InputError: the images are on the scale from 0 to 1 or not finite, or the detector does not fit their size
                or the output of the network.
        """
        check_detectable(images)
        with torch.no_grad(), in_eval_mode(victim):
            scores = [self.score(victim, image[None].float()) for image in images]
        return torch.tensor(scores, dtype=torch.float64)

    @abc.abstractmethod
    def score(self, victim: Model, image: Tensor) -> float:
        """Return the score of an image `(1, 3, H, W)` float32; called without gradients."""
