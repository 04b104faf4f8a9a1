"""A network behind defenses."""

from typing import Any

from torch import Tensor, nn

from uap.defenses.base import Defense
from uap.utils.errors import InputError
from uap.utils.plain_settings import plain_settings
from uap.victims.victim import Victim
from uap.victims.wrapped import WrappedVictim


class Defended(WrappedVictim):
    """A victim that sees images after some defenses.

    Attacks on it go through the defenses by their gradients (`Defense`). To evaluate an attack that does not know the
    defenses, attack the victim itself and evaluate on this one.

    Example:
        >>> import torch
        >>> from uap.defenses import Jpeg
        >>> victim = Victim(nn.Conv2d(3, 2, 1), classes=["road", "sky"])
        >>> Defended(victim, [Jpeg(75)])(torch.zeros(1, 3, 8, 12)).shape
        torch.Size([1, 2, 8, 12])
    """

    def __init__(self, victim: Victim, defenses: list[Defense]) -> None:
        """Put defenses before a victim.

        Args:
            victim: the network.
            defenses: applied in their order.

        Raises:
            InputError: no defense, or something else than a defense.
        """
        super().__init__(victim)
        if not defenses:
            raise InputError(
                "Defended got no defense, expected one or more, such as [Jpeg(75)].",
                setting="defenses",
                kind="missing_setting",
            )
        other = [one for one in defenses if not isinstance(one, nn.Module)]
        if other:
            raise InputError(
                f"Defended got {other[0]!r}, expected defenses, such as Jpeg(75).",
                setting="defenses",
                kind="wrong_type",
            )
        self.defenses = nn.ModuleList(defenses)
        self.train(False)  # the defenses too

    def settings(self) -> list[Any]:
        """Return the class, the code, the attributes and the buffers of each defense."""
        return [plain_settings(one) for one in self.defenses]

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits `(N, C, H, W)` on the defended images.

        Raises:
            InputError: a defense changes the shape of the images.
        """
        for defense in self.defenses:
            defended = defense(images)
            if defended.shape != images.shape:
                raise InputError(
                    f"{type(defense).__name__} returns {tuple(defended.shape)} for images {tuple(images.shape)}, "
                    "expected the same shape. Resize them back.",
                    setting="defenses",
                    kind="wrong_shape",
                )
            images = defended
        logits: Tensor = self.victim(images)
        return logits
