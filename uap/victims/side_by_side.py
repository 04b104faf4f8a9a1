"""Several networks as one, whose predictions lie below each other."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap.utils.errors import InputError

NEVER = -1e4
"""The logit of the classes that a network lacks."""


class SideBySide(nn.Module):
    """Several networks whose logits `(N, C, H, W)` are joined to `(N, C, V * H, W)`.

    One attack on it makes one perturbation for all networks, each with its own target: the objective is
    `uap.objectives.SideBySideTargets` (Xie et al., ICCV 2017, arXiv 1703.08603, fig. 6).

    Args:
        victims: the networks; they may have different classes.

    Raises:
        InputError: fewer than two networks.

    Example:
        >>> from uap.victims import Victim
        >>> victims = [Victim(nn.Conv2d(3, 2, 1), classes=["road", "sky"]) for _ in range(2)]
        >>> SideBySide(victims)(torch.full((1, 3, 4, 6), 9.0)).shape
        torch.Size([1, 2, 8, 6])
    """

    def __init__(self, victims: Sequence[nn.Module]) -> None:
        """Keep the networks."""
        super().__init__()
        if len(victims) < 2:
            raise InputError(
                f"SideBySide got {len(victims)} networks, expected 2 or more.", setting="victims", kind="out_of_range"
            )
        self.victims = nn.ModuleList(victims)

    def forward(self, images: Tensor) -> Tensor:
        """Return the joined logits."""
        parts: list[Tensor] = [victim(images) for victim in self.victims]
        most = max(part.shape[1] for part in parts)
        return torch.cat([F.pad(part, (0, 0, 0, 0, 0, most - part.shape[1]), value=NEVER) for part in parts], 2)
