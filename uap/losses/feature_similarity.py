"""The similarity of the features of an adversarial image and of the clean one."""

import torch.nn.functional as F
from torch import Tensor

from uap.losses.feature_loss import FeatureLoss
from uap.objectives.base import Goal


class FeatureSimilarity(FeatureLoss):
    """The cosine similarity of the features of a layer on the adversarial image and on the clean one.

    It is meant for untargeted attacks that transfer to other networks: the first term of FSPGD (arXiv 2502.01262),
    which takes a layer in the middle of a ResNet. Attacks start at random, because on the clean image the similarity is
    1 and has no gradient.

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
        >>> adversarial = SignSteps(epsilon=8, steps=5, loss=FeatureSimilarity())(network, images, Untargeted())
        >>> bool(F.cosine_similarity(network[:2](images), network[:2](adversarial)).mean() < 0.99)
        True
    """

    has_gradient_at_clean_image = False

    def __call__(self, logits: Tensor, goal: Goal, progress: float = 0.0) -> Tensor:
        """Return the similarities `(N, h, w)`, from -1 to 1; the progress changes nothing.

        Args:
            logits: the features `(N, F, h, w)`, in place of logits.
            goal: what `prepare` returned.
            progress: the share of the steps that are done.
        """
        if goal.features is None:
            raise RuntimeError("FeatureSimilarity was called with a goal that has no features")
        return F.cosine_similarity(logits, goal.features, dim=1)
