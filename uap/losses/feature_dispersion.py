"""The dispersion of the features of an adversarial image."""

from torch import Tensor

from uap.losses.feature_loss import FeatureLoss
from uap.objectives.base import Goal


class FeatureDispersion(FeatureLoss):
    """The standard deviation of the features of a layer on the adversarial image, which an attack makes smaller.

    It is meant for untargeted attacks that transfer to other networks and tasks: dispersion reduction (Lu et al., CVPR
    2020, arXiv 1911.11616, eq. 2), which takes a layer in the middle of a VGG.

    Args:
        layer: name of the layer, as in `named_modules()` of the network; None for the last one of the layers with the
            most channels, which every network of an ensemble has under another name.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from uap.attacks import SignSteps
        >>> from uap.objectives import Untargeted
        >>> _ = torch.manual_seed(0)
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1)).requires_grad_(False)
        >>> images = torch.rand(1, 3, 8, 8) * 255
        >>> adversarial = SignSteps(epsilon=8, steps=5, loss=FeatureDispersion())(network, images, Untargeted())
        >>> bool(network[:2](adversarial).std() < network[:2](images).std())
        True
    """

    def __call__(self, logits: Tensor, goal: Goal, progress: float = 0.0) -> Tensor:
        """Return the share of each location in the standard deviation `(N, h, w)`: their mean is that of the image.

        Args:
            logits: the features `(N, F, h, w)`, in place of logits.
            goal: what `prepare` returned; the features of the clean image are not used.
            progress: the share of the steps that are done, which changes nothing.
        """
        squares = (logits - logits.mean((1, 2, 3), keepdim=True)).square()
        deviation = squares.mean((1, 2, 3), keepdim=True).clamp(min=1e-24).sqrt()  # equal features have a gradient of 0
        return (squares / deviation).mean(1)
