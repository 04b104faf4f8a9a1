"""Several networks as one, which predict the same classes at the same pixels."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from uap.utils.class_tables import IGNORE, LabelTable
from uap.utils.errors import InputError
from uap.victims.victim import Victim


class Ensemble(nn.Module):
    """Several networks whose logits `(N, C, H, W)` are joined to `(N, C, V, H, W)`, for V networks.

    An attack on it makes one adversarial image for all networks, and its loss is the mean of their losses (Kang et al.,
    IEEE Access 2020, eq. 11). With `uap.objectives.JointTargets` they have one target. Classes are matched by name or
    synonym (`uap.utils.class_tables`); those that a network lacks are left out.

    Args:
        victims: the networks.

    Raises:
        InputError: fewer than two networks, or fewer than two classes that all of them have.

    Example:
        >>> layers = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 2, 1)
        >>> tables = ["road", "sky", "person"], ["pedestrian", "road"]
        >>> both = Ensemble([Victim(one, classes=names) for one, names in zip(layers, tables)])
        >>> both.table.names, both(torch.full((1, 3, 4, 6), 9.0)).shape
        (('road', 'person'), torch.Size([1, 2, 2, 4, 6]))
    """

    def __init__(self, victims: Sequence[Victim]) -> None:
        """Keep the networks, and find the classes that all of them have."""
        super().__init__()
        if len(victims) < 2:
            raise InputError(
                f"Ensemble got {len(victims)} networks, expected 2 or more.", setting="victims", kind="out_of_range"
            )
        self.victims = nn.ModuleList(victims)
        first = victims[0].table
        every = np.stack([first.translation(victim.table)[: len(first)] for victim in victims])  # (V, C)
        named = np.array([not name.startswith("void") for name in first.names])
        common = np.flatnonzero((every != IGNORE).all(0) & named)
        if len(common) < 2:
            raise InputError(
                f"The networks have {len(common)} classes in common, expected 2 or more: "
                f"{'; '.join(', '.join(victim.table.names) for victim in victims)}.",
                setting="victims",
                kind="conflict",
            )
        self.table = LabelTable(tuple(first.names[c] for c in common), tuple(first.colors[c] for c in common))
        """The classes that all networks have, in the order and with the names of the first one."""
        self.register_buffer("ids", torch.from_numpy(every[:, common].astype(np.int64)), persistent=False)
        self.ids: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Return the joined logits `(N, C, V, H, W)` for images `(N, 3, H, W)`, 0 to 255."""
        logits = [victim(images)[:, ids] for victim, ids in zip(self.victims, self.ids, strict=True)]
        return torch.stack(logits, 2)

    def cache_key(self) -> str:
        """Return the keys of the networks, joined by `+`; see `Victim.cache_key`."""
        return "+".join(victim.cache_key() for victim in self.victims)  # type: ignore[operator]
