"""Scale consistency: the agreement of the predictions on an image and on the blurred image."""

import torch
from torch import Tensor

from uap.defenses import Blur
from uap.detectors.base import Detector
from uap.metrics.agreement import Over, mean_iou
from uap.objectives.base import Model
from uap.utils.clean_logits import clean_logits
from uap.utils.numbers import check_number


class ScaleConsistency(Detector):
    """Mean IoU of the predictions on an image and on its Gaussian blur (Xiao et al., ECCV 2018, sec. 4).

    The paper blurs with standard deviations of 0.5, 3 and 5 pixels (arXiv 1810.05162, sec. 5.3). The kernel reaches 4
    standard deviations to each side, and the blurred image is not rounded.

    Args:
        std: standard deviation of the blur in pixels.
        over: the mIoU is over the classes that either prediction has (`union`), or over those that both have.

    Raises:
        InputError: the standard deviation is not above 0, or the blur reaches further than the size of an image.

    Example:
        >>> ScaleConsistency(1.0)(torch.nn.Conv2d(3, 2, 1), torch.full((1, 3, 16, 16), 9.0)).tolist()
        [1.0]
    """

    def __init__(self, std: float = 3.0, over: Over = "union") -> None:
        """Set the blur."""
        check_number("ScaleConsistency", "std", std, above=0, unit="pixels")
        self.blur = Blur(std)
        self.over: Over = over

    def score(self, victim: Model, image: Tensor) -> float:
        """Return the mean IoU of both predictions; see `Detector.score`."""
        plain, blurred = clean_logits(victim, torch.cat([image, self.blur.approximate(image)])).argmax(1)
        return float(mean_iou(plain[None], blurred[None], self.over))
