"""FGSM and iterative FGSM as Arnab et al. evaluate them."""

import math

from uap.attacks.sign_steps import SignSteps
from uap.losses import CrossEntropy
from uap.utils.numbers import check_number


class FGSM(SignSteps):
    """One step of epsilon along the sign of the gradient of the cross entropy (Goodfellow et al., arXiv 1412.6572).

    With the objective `Untargeted` it is FGSM, with `LeastLikely` it is FGSM II of Arnab et al. (CVPR 2018, sec. 2,
    arXiv 1711.09856). Like the authors' code, it does not clamp images to 0 to 255 by default.

    Args:
        epsilon: the size of the step, in grey levels.
        clamp: keep images within 0 to 255.

    Raises:
        InputError: epsilon is not above 0 and up to 255.

    Example:
        >>> import torch
        >>> from uap.objectives import Untargeted
        >>> _ = torch.manual_seed(0)
        >>> victim = torch.nn.Conv2d(3, 2, 1)
        >>> images = torch.full((1, 3, 4, 4), 9.0)
        >>> (FGSM(epsilon=0.5)(victim, images, Untargeted()) - images).abs().unique().tolist()
        [0.5]
    """

    def __init__(self, epsilon: float = 8.0, clamp: bool = False) -> None:
        """Set the size of the step."""
        super().__init__(epsilon, alpha=epsilon, steps=1, loss=CrossEntropy(None), clamp=clamp)


class IterativeFGSM(SignSteps):
    """Iterated steps of alpha along the sign of the gradient of the cross entropy, within epsilon of the image.

    With the objective `Untargeted` it is iterative FGSM, with `LeastLikely` iterative FGSM II, of Kurakin et al. (arXiv
    1607.02533) and Arnab et al. (CVPR 2018, sec. 2 and 4, arXiv 1711.09856). Like the authors' code, it does not clamp
    images to 0 to 255 by default.

    Args:
        epsilon: the largest change of a pixel value, in grey levels.
        alpha: the step size, in grey levels.
        steps: the number of steps; None for min(epsilon + 4, ceil(1.25 epsilon)), and at least 1.
        clamp: keep images within 0 to 255.

    Raises:
        InputError: a value out of range.

    Example:
        >>> [IterativeFGSM(epsilon).steps for epsilon in (0.25, 0.5, 1, 2, 4, 8, 16, 32)]
        [1, 1, 2, 3, 5, 10, 20, 36]
    """

    def __init__(self, epsilon: float = 8.0, alpha: float = 1.0, steps: int | None = None, clamp: bool = False) -> None:
        """Set the steps."""
        check_number("IterativeFGSM", "epsilon", epsilon, high=255, above=0, unit="grey levels")  # the steps need it
        super().__init__(
            epsilon, alpha, arnab_steps(epsilon) if steps is None else steps, loss=CrossEntropy(None), clamp=clamp
        )


def arnab_steps(epsilon: float) -> int:
    """Return the number of steps of Arnab et al., min(epsilon + 4, ceil(1.25 epsilon)), at least 1 and rounded up.

    Example:
        >>> arnab_steps(8), arnab_steps(32)
        (10, 36)
    """
    return max(1, math.ceil(min(epsilon + 4, 1.25 * epsilon)))
