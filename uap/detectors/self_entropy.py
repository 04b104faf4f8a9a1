"""Self-entropy maps: where the predictions of patches disagree."""

import torch
import torch.nn.functional as F
from torch import Tensor

from uap.detectors.base import check_detectable
from uap.objectives.base import Model
from uap.utils.errors import InputError
from uap.utils.eval_mode import in_eval_mode
from uap.utils.patches import check_patches, covering_corners, fitting_side, predictions


@torch.no_grad()
def self_entropy(
    victim: Model, image: Tensor, patches: int = 50, size: int | None = None, multiple: int = 8, seed: int = 0
) -> Tensor:
    """Return the entropy of the classes that patches give each pixel (Xiao et al., ECCV 2018, sec. 3.1).

    The network sees each patch as an image of its own. The entropy of a pixel is that of the shares of the classes that
    the patches which contain it predict there.

    Args:
        victim: images `(N, 3, H, W)` to logits `(N, C, H, W)`.
        image: `(3, H, W)`, 0 to 255.
        patches: number of random patches, spread over the image.
        size: side of a patch in pixels; None for half the shorter side of the image.
        multiple: sides of patches are multiples of this number, if `size` is None.
        seed: of the positions, which are the same for every image of a size.

    Returns:
        `(H, W)` float32 in nats; 0 where all patches agree, and where no patch lies.

    Raises:
        InputError: no patch, a patch that does not fit into the image, or no finite image of grey levels.

    Example:
        >>> self_entropy(torch.nn.Conv2d(3, 2, 1), torch.full((3, 16, 32), 9.0)).unique().tolist()
        [0.0]
    """
    check_patches("self_entropy", patches, size, multiple, seed)
    if image.ndim != 3:
        raise InputError(
            f"self_entropy got a tensor of the shape {tuple(image.shape)}, expected one image (3, H, W).",
            setting="image",
            kind="wrong_shape",
        )
    check_detectable(image[None])
    height, width = image.shape[-2:]
    side = fitting_side(height, width, size, multiple)
    corners = covering_corners(patches, height, width, side, torch.Generator().manual_seed(seed))
    with in_eval_mode(victim):
        predicted = predictions(victim, image.float(), corners, side)
    votes = torch.zeros(int(predicted.max()) + 1, height, width, device=predicted.device)
    for one, (y, x) in zip(F.one_hot(predicted, len(votes)), corners.tolist(), strict=True):
        votes[:, y : y + side, x : x + side] += one.movedim(-1, 0)
    shares = votes / votes.sum(0).clamp(min=1)
    entropy: Tensor = -torch.special.xlogy(shares, shares).sum(0)
    return entropy + 0.0  # no negative zeros
