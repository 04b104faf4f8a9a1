"""The logits of a network on clean images, checked."""

from collections.abc import Callable

import torch
from torch import Tensor

from uap.utils.errors import InputError
from uap.utils.eval_mode import in_eval_mode

ADVICE = "uap.Victim(network, ...) wraps networks with several outputs, other sizes and their own normalization."


@torch.no_grad()
def clean_logits(model: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return the logits of a network on images, without a gradient and in eval mode.

    Args:
        model: images `(N, 3, H, W)` to logits `(N, C, *L)`.
        images: `(N, 3, H, W)` float32, 0 to 255.

    Returns:
        `(N, C, *L)` float32.

    Raises:
        InputError: the output is no tensor of logits, is not finite, or contains probabilities.

    Example:
        >>> clean_logits(torch.nn.Conv2d(3, 2, 1), torch.full((1, 3, 4, 4), 9.0)).shape
        torch.Size([1, 2, 4, 4])
    """
    with in_eval_mode(model):
        output: object = model(images)
    if not isinstance(output, Tensor) or not output.is_floating_point():
        kind = output.dtype if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise InputError(
            f"The network gives {kind}, expected a tensor of logits. {ADVICE}", setting="victim", kind="wrong_type"
        )
    if output.ndim < 3 or len(output) != len(images) or output.shape[1] < 2:
        raise InputError(
            f"The network gives {tuple(output.shape)} for images {tuple(images.shape)}, expected logits (N, C, H, W) "
            f"of two classes or more. {ADVICE}",
            setting="victim",
            kind="wrong_shape",
        )
    if not output.isfinite().all():
        raise InputError(
            "The network's logits are not finite. Check its weights and its normalization.",
            setting="victim",
            kind="not_finite",
        )
    if are_probabilities(output):
        raise InputError(
            "The network gives probabilities, expected logits. Leave out its softmax: losses and gradients would be "
            "wrong, and attacks would look weak.",
            setting="victim",
            kind="not_supported",
        )
    return output.float()


def are_probabilities(output: Tensor) -> bool:
    """Return whether an output `(N, C, *L)` has no negative value and sums to 1 over the classes.

    Example:
        >>> logits = torch.tensor([[[0.0], [3.0]]])
        >>> are_probabilities(logits), are_probabilities(logits.softmax(1))
        (False, True)
    """
    return bool((output >= 0).all()) and torch.allclose(output.sum(1), output.new_ones(()), atol=1e-3)
