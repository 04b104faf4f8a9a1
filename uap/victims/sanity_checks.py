"""Checks of a victim before an attack: one forward and backward pass on noise images."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from uap.utils.batches import device_of
from uap.utils.class_tables import LabelTable
from uap.utils.clean_logits import are_probabilities
from uap.utils.errors import InputError, first_line

TOLERANCE = 0.01
"""Largest difference of two results for one image, relative to the largest logit. Kernels round differently."""


class ChangedInPlace(InputError):
    """The backward pass to the image fails, for example because the network changes activations in place."""


def noise_images(victim: nn.Module, size: tuple[int, int]) -> Tensor:
    """Return two noise images `(2, 3, H, W)` float32, 0 to 255, with a fixed seed, on the device of the victim."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, *size), generator=generator).float().to(device_of(victim))


def probe(victim: nn.Module, size: tuple[int, int], table: LabelTable) -> int:
    """Run the forward and backward pass of a victim on noise images, and return the number of output channels.

    Args:
        victim: maps RGB images `(N, 3, H, W)` float32, 0 to 255, to logits.
        size: height and width of the images.
        table: the classes of the outputs.

    Raises:
        ChangedInPlace: the backward pass fails.
        InputError: the victim has another problem. The message names the problem and the solution.
    """
    images = noise_images(victim, size)
    image = images[:1].clone().requires_grad_()
    name = type(getattr(victim, "network", victim)).__name__
    try:
        with torch.enable_grad():
            logits: Tensor = victim(image)
        check_logits(logits.detach(), name, image.shape, table)
        with torch.no_grad():
            beside_another: Tensor = victim(images)[:1]
    except InputError:
        raise
    except Exception as error:  # a network may raise any error for a size that it does not support
        if isinstance(error, RuntimeError) and re.search(
            "in-?place", str(error)
        ):  # autograd refuses some changes in the forward pass
            raise _changed_in_place(name, error) from error
        raise InputError(
            f"The network {name} fails on images of {size[0]} x {size[1]} ({first_line(error)}). Set --data.size or "
            "victim.input_size to a supported size, or victim.size_multiple to the number that divides supported "
            "sizes.",
            setting="data.size",
            kind="not_supported",
        ) from error
    _check_gradient(logits, image, name)
    _check_same(logits.detach(), beside_another, name)
    return logits.shape[1]


def check_logits(logits: Tensor, name: str, shape: Sequence[int], table: LabelTable) -> None:
    """Check that the output of a network is logits of its classes.

    Args:
        logits: the output, expected `(N, C, H, W)` of a floating-point type.
        name: name of the network, for the message.
        shape: of the images, `(N, 3, H, W)`.
        table: the classes. A network may have more outputs than classes.

    Raises:
        InputError: the output has another shape or type, is not finite, or contains probabilities.
    """
    if not logits.is_floating_point():
        raise InputError(
            f"The network {name} gives {logits.dtype}, expected logits. Leave out the arg max at its end.",
            setting="model.victim.network",
            kind="wrong_type",
        )
    if logits.ndim != 4 or logits.shape[1] < len(table):
        raise InputError(
            f"The network {name} gives {tuple(logits.shape)} for images {tuple(shape)}, expected logits "
            f"({shape[0]}, {len(table)} or more, {shape[2]}, {shape[3]}) for its classes ({', '.join(table.names)}). "
            "Set victim.classes to the classes of its outputs, or victim.output to another of its outputs.",
            setting="model.victim.classes",
            kind="wrong_shape",
        )
    if not logits.isfinite().all():
        raise InputError(
            f"The network {name} gives numbers that are not finite. Check its weights, and the mean and std of images.",
            setting="model.victim.weights",
            kind="not_finite",
        )
    if logits.shape[1] == 1:
        raise InputError(
            f"The network {name} gives one output, expected one for each of two classes or more. If it is the score "
            "of one class against the rest, add a channel of zeros: torch.cat([torch.zeros_like(x), x], 1).",
            setting="model.victim.network",
            kind="wrong_shape",
        )
    if are_probabilities(logits):
        raise InputError(
            f"The network {name} gives probabilities, expected logits. Leave out its softmax, or set victim.output to "
            "the input of the softmax.",
            setting="model.victim.output",
            kind="not_supported",
        )


def _check_gradient(logits: Tensor, image: Tensor, name: str) -> None:
    if not logits.requires_grad:
        raise InputError(
            f"The network {name} gives no gradient with respect to the image. Remove the cause from its "
            "forward: torch.no_grad, detach, NumPy or an arg max.",
            setting="model.victim.network",
            kind="not_supported",
        )
    if _leaves(logits) != {image}:
        raise InputError(
            f"The network {name} has weights that are missing in its parameters(), so they can be neither frozen nor "
            "moved to a GPU. Put layers of a plain list or dictionary into nn.ModuleList or nn.ModuleDict.",
            setting="model.victim.network",
            kind="not_supported",
        )
    try:
        (gradient,) = torch.autograd.grad(logits.square().mean(), image)
    except RuntimeError as error:
        raise _changed_in_place(name, error) from error
    if not gradient.any():
        raise InputError(
            f"The gradient of the network {name} with respect to the image is 0 everywhere. Check its weights, and "
            "whether its forward rounds or clips the image.",
            setting="model.victim.network",
            kind="not_supported",
        )


def _changed_in_place(name: str, error: RuntimeError) -> ChangedInPlace:
    return ChangedInPlace(
        f"The backward pass of the network {name} to the image fails ({first_line(error)}). If it changes activations "
        "in place (`x[0] = y`, x.add_(y)), use operations that return a new tensor, such as torch.cat and `x = x + y`."
    )


def _check_same(alone: Tensor, beside_another: Tensor, name: str) -> None:
    if (alone - beside_another).abs().max() > TOLERANCE * alone.abs().max():
        raise InputError(
            f"The network {name} gives another result for an image if the batch contains a second image. Switch off "
            "layers that stay active in eval mode: F.dropout without training=self.training, or BatchNorm with the "
            "statistics of the batch. Export files from network.eval().",
            setting="model.victim.network",
            kind="not_supported",
        )


def _leaves(logits: Tensor) -> set[Tensor]:
    """Return the leaf tensors of the autograd graph of the logits."""
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
