"""Trying a network once, so that what is wrong with it is a sentence at the start and not a wrong result at the end."""

import re

import torch
from torch import Tensor, nn

from uap.utils.class_tables import LabelTable
from uap.utils.errors import InputError, first_line

NOISE = 0.01
"""How far two results for one image may differ, in parts of the largest logit: other kernels round otherwise."""


class ChangedInPlace(InputError):
    """The network cannot be run backwards to the image, as it is when it changes activations in place."""


def noise(victim: nn.Module, size: tuple[int, int]) -> Tensor:
    """Return two images of noise `(2, 3, H, W)` float32, 0 to 255, the same each time, on the device of an adapter."""
    device = next((buffer.device for buffer in victim.buffers()), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, *size), generator=generator).float().to(device)


def probe(victim: nn.Module, size: tuple[int, int], table: LabelTable) -> int:
    """Run an adapter on images of noise and back to one of them; return the number of its outputs.

    Args:
        victim: RGB images `(N, 3, H, W)` float32, 0 to 255, to logits.
        size: H and W.
        table: the classes that its outputs are said to be.

    Raises:
        ChangedInPlace: the backward pass fails.
        InputError: something else would spoil an attack; the message names it and the cure.
    """
    images = noise(victim, size)
    image = images[:1].clone().requires_grad_()
    name = type(getattr(victim, "network", victim)).__name__
    try:
        with torch.enable_grad():
            logits: Tensor = victim(image)
        _check_logits(logits, name, size, table)
        with torch.no_grad():
            beside_another: Tensor = victim(images)[:1]
    except InputError:
        raise
    except Exception as error:  # a network may raise anything on a size that it does not take
        if isinstance(error, RuntimeError) and re.search("in-?place", str(error)):  # what autograd forbids at once
            raise _changed_in_place(name, error) from error
        raise InputError(
            f"The network {name} fails on images of {size[0]} x {size[1]} ({first_line(error)}). Set --data.size or "
            "victim.input_size to a size that it takes, or victim.size_multiple to what its sizes must divide by."
        ) from error
    _check_gradient(logits, image, name)
    _check_same(logits.detach(), beside_another, name)
    return logits.shape[1]


def _check_logits(logits: Tensor, name: str, size: tuple[int, int], table: LabelTable) -> None:
    if not logits.is_floating_point():
        raise InputError(f"The network {name} gives {logits.dtype}, expected logits. Leave out the arg max at its end.")
    if logits.ndim != 4 or logits.shape[1] < len(table):
        raise InputError(
            f"The network {name} gives {tuple(logits.shape)} for one image of {size[0]} x {size[1]}, expected logits "
            f"(1, {len(table)} or more, {size[0]}, {size[1]}) for its classes ({', '.join(table.names)}). "
            "Set victim.classes to what its outputs are, or victim.output to another of its outputs."
        )
    if not logits.isfinite().all():
        raise InputError(
            f"The network {name} gives numbers that are not finite. Check its weights, and the mean and std of images."
        )
    if logits.shape[1] == 1:
        raise InputError(
            f"The network {name} gives one output, expected one for each of two classes or more. Where it is the score "
            "of a class against the rest, give 0 beside it: torch.cat([torch.zeros_like(x), x], 1)."
        )
    if bool((logits >= 0).all()) and torch.allclose(logits.sum(1), logits.new_ones(()), atol=1e-3):
        raise InputError(
            f"The network {name} gives probabilities, expected logits. Leave out its softmax, or set victim.output to "
            "what goes into it."
        )


def _check_gradient(logits: Tensor, image: Tensor, name: str) -> None:
    if not logits.requires_grad:
        raise InputError(
            f"The network {name} gives no gradient with respect to the image. Leave out what cuts it: torch.no_grad, "
            "detach, NumPy or an arg max in its forward."
        )
    if _leaves(logits) != {image}:
        raise InputError(
            f"The network {name} has weights that its parameters() do not list, so they can be neither frozen nor "
            "moved to a GPU. Put layers that stand in a plain list or dictionary into nn.ModuleList or nn.ModuleDict."
        )
    try:
        (gradient,) = torch.autograd.grad(logits.square().mean(), image)
    except RuntimeError as error:
        raise _changed_in_place(name, error) from error
    if not gradient.any():
        raise InputError(
            f"The gradient of the network {name} with respect to the image is 0 everywhere. Check its weights, and "
            "whether its forward rounds or clips the image."
        )


def _changed_in_place(name: str, error: RuntimeError) -> ChangedInPlace:
    return ChangedInPlace(
        f"The network {name} cannot be run backwards to the image ({first_line(error)}). If it changes activations "
        "in place (`x[0] = y`, x.add_(y)), replace them by what gives a new tensor, such as torch.cat and `x = x + y`."
    )


def _check_same(alone: Tensor, beside_another: Tensor, name: str) -> None:
    if (alone - beside_another).abs().max() > NOISE * alone.abs().max():
        raise InputError(
            f"The network {name} gives an image another result when it runs again, beside a second image. Switch off "
            "what stays active in eval mode: F.dropout without training=self.training, BatchNorm on the batch's own "
            "statistics; a file is to be exported from network.eval()."
        )


def _leaves(logits: Tensor) -> set[Tensor]:
    """Return the tensors that a result's gradient would be collected in."""
    leaves, seen, waiting = set(), set(), [logits.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(node.variable)
        waiting += [following for following, _ in node.next_functions]
    return leaves
