"""Losses of the features of a layer, in place of the logits."""

import weakref
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from uap.losses.base import Loss
from uap.objectives.base import Goal, Model
from uap.utils.errors import InputError
from uap.utils.features import deepest_layer, features_of, module_of
from uap.victims.victim import Victim
from uap.victims.wrapped import WrappedVictim


class FeatureLoss(Loss):
    """A loss of the features of a layer, which leads an untargeted attack to other networks; it needs no logits.

    Args:
        layer: name of the layer, as in `named_modules()` of the network; None for the last one of the layers with the
            most channels, which every network of an ensemble has under another name.

    Example:
        >>> class Activation(FeatureLoss):
        ...     def __call__(self, logits, goal, progress=0.0):
        ...         return logits.abs().mean(1)
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1))
        >>> Activation("0").output(network, torch.zeros(1, 3, 8, 8)).shape
        torch.Size([1, 8, 6, 6])
    """

    def __init__(self, layer: str | None = None) -> None:
        """Set the layer."""
        self.layer = layer
        self._layers: weakref.WeakKeyDictionary[nn.Module, dict[tuple[int, ...], str]] = weakref.WeakKeyDictionary()

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the setting alone."""
        return type(self), (self.layer,)

    def check(self, sign: int) -> None:
        """Refuse goals with a target.

        Raises:
            InputError: the sign is +1.
        """
        if sign > 0:
            raise InputError(
                f"{type(self).__name__} leads away from the clean features, to no target. Use the objective "
                "Untargeted, or another loss.",
                setting="model.loss",
                kind="conflict",
            )

    @torch.no_grad()
    def prepare(self, goal: Goal, victim: Model, images: Tensor) -> Goal:
        """Return the goal with the clean features; its labels are their strongest channels.

        Raises:
            InputError: the goal has a target, the network has no such layer, or several networks run.
        """
        self.check(goal.sign)
        features = self.output(victim, images)
        return Goal(features.argmax(1), sign=-1, features=features)

    def output(self, victim: Model, images: Tensor) -> Tensor:
        """Return the features `(N, F, h, w)` of images `(N, 3, H, W)`."""
        known = self._layers.setdefault(module_of(victim), {})
        size = tuple(images.shape[-2:])
        if size not in known:
            _check_single_run(type(self).__name__, module_of(victim), images)
            known[size] = self.layer or deepest_layer(victim, images)
        return features_of(victim, known[size], images).float()


@torch.no_grad()
def _check_single_run(loss: str, model: nn.Module, images: Tensor) -> None:
    """Check that a victim runs one network once: the features of the first run alone would hide the others.

    Raises:
        InputError: it runs several networks, or one network on several views.
    """
    runs: list[bool] = []
    victims = [one for one in model.modules() if isinstance(one, Victim) and not isinstance(one, WrappedVictim)]
    with ExitStack() as stack:
        for one in victims:
            if not isinstance(one.network, torch.jit.ScriptModule):
                stack.callback(one.network.register_forward_hook(lambda *_: runs.append(True)).remove)
        model(images[:1])
    if len(runs) > 1:
        raise InputError(
            f"{type(model).__name__} runs networks {len(runs)} times for an image, and {loss} would attack the "
            "first run alone. Attack the network without the wrapper, or several networks with an ensemble "
            "(uap.learn(ensemble=[...]), model.ensemble).",
            setting="model.loss",
            kind="not_supported",
        )
