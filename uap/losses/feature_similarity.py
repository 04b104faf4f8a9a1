"""The similarity of the features of an adversarial image and of the clean one."""

import weakref

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap.losses.base import Loss
from uap.objectives.base import Goal, Model
from uap.utils.errors import InputError
from uap.utils.features import deepest_layer, features_of


class FeatureSimilarity(Loss):
    """The cosine similarity of the features of a layer on the adversarial image and on the clean one.

    Features differ less between networks than logits do, so that untargeted attacks of features transfer better to
    networks that they were not made for. It is the first term of FSPGD (arXiv 2502.01262), which takes a layer in the
    middle of a ResNet. Attacks start at random, because on the clean image the similarity is 1 and has no gradient.

    Args:
        layer: name of the layer, as in `named_modules()` of the network; None for the last one of the layers with the
            most channels, which every network of an ensemble has under another name.

    Example:
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

    def __init__(self, layer: str | None = None) -> None:
        """Set the layer."""
        self.layer = layer
        self._found: weakref.WeakKeyDictionary[nn.Module, str] = weakref.WeakKeyDictionary()

    def prepare(self, goal: Goal, victim: Model, images: Tensor) -> Goal:
        """Return the goal with the clean features; its labels are their strongest channels.

        Raises:
            InputError: the goal has a target, or the network has no such layer.
        """
        if goal.sign > 0:
            raise InputError(
                "FeatureSimilarity leads away from the clean features, to no target. Use the objective Untargeted, or "
                "another loss.",
                setting="model.loss",
                kind="conflict",
            )
        with torch.no_grad():
            features = self.output(victim, images)
        return Goal(features.argmax(1), sign=-1, features=features)

    def output(self, victim: Model, images: Tensor) -> Tensor:
        """Return the features `(N, F, h, w)` of images `(N, 3, H, W)`."""
        layer = self.layer
        if layer is None:
            layer = self._found.get(victim) if isinstance(victim, nn.Module) else None
            layer = layer or deepest_layer(victim, images)
            if isinstance(victim, nn.Module):
                self._found[victim] = layer
        return features_of(victim, layer, images).float()

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
