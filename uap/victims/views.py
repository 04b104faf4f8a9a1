"""A network and several views of the image at once: what an attacker meets who knows a consistency detector."""

from typing import Any

import torch
from torch import Tensor

from uap.defenses import Blur
from uap.utils.patches import check_patches, covering_corners, cut, fitting_side
from uap.utils.sampling import image_generator
from uap.victims.victim import Victim
from uap.victims.wrapped import WrappedVictim


class Patched(WrappedVictim):
    """Fuses the predictions on the image with those on random patches, each seen as an image of its own.

    An attack on it changes the prediction of the patches together with that of the image, so that `SpatialConsistency`
    finds less. With `fresh=False` the patches are the same in every step, as in the adaptive attack of Xiao et al.
    (ECCV 2018, sec. 5.4, arXiv 1810.05162); with `fresh=True` each step has new ones (expectation over transformations,
    Athalye et al., arXiv 1707.07397). The logits of a pixel are the mean of the log-probabilities of all views that
    contain it.

    Example:
        >>> victim = Victim(torch.nn.Conv2d(3, 2, 1), classes=["road", "sky"])
        >>> Patched(victim, patches=3)(torch.full((1, 3, 16, 32), 9.0)).shape
        torch.Size([1, 2, 16, 32])
    """

    def __init__(
        self,
        victim: Victim,
        patches: int = 5,
        fresh: bool = True,
        size: int | None = None,
        multiple: int = 8,
        seed: int = 0,
    ) -> None:
        """Set the patches.

        Args:
            victim: the network.
            patches: number of patches of an image.
            fresh: whether the patches depend on the image, so that each step of an attack has new ones.
            size: side of a patch in pixels; None for half the shorter side of the image.
            multiple: sides of patches are multiples of this number, if `size` is None.
            seed: of the positions.

        Raises:
            InputError: no patch.
        """
        super().__init__(victim)
        check_patches("Patched", patches, size, multiple, seed)
        self.patches = patches
        self.fresh = fresh
        self.size = size
        self.multiple = multiple
        self.seed = seed

    def settings(self) -> list[Any]:
        """Return the settings of the patches."""
        return [self.patches, self.fresh, self.size, self.multiple, self.seed]

    def forward(self, images: Tensor) -> Tensor:
        """Return the fused logits `(N, C, H, W)` for images `(N, 3, H, W)`.

        Raises:
            InputError: a patch does not fit into the images.
        """
        height, width = images.shape[-2:]
        side = fitting_side(height, width, self.size, self.multiple)
        whole: Tensor = self.victim(images).log_softmax(1)
        return torch.stack([self._fused(image, own, side) for image, own in zip(images, whole, strict=True)])

    def _fused(self, image: Tensor, whole: Tensor, side: int) -> Tensor:
        """Return the mean log-probabilities `(C, H, W)` of the views of one image."""
        generator = image_generator(self.seed, image) if self.fresh else torch.Generator().manual_seed(self.seed)
        corners = covering_corners(self.patches, image.shape[-2], image.shape[-1], side, generator)
        logits = self.victim(cut(image, corners, side)).log_softmax(1)
        total, views = whole.clone(), torch.ones_like(whole[:1])
        for one, (y, x) in zip(logits, corners.tolist(), strict=True):
            total[:, y : y + side, x : x + side] += one
            views[:, y : y + side, x : x + side] += 1
        return total / views


class AlsoBlurred(WrappedVictim):
    """Fuses the predictions on the image with those on its Gaussian blur.

    An attack on it is consistent under the blur, so that `ScaleConsistency` finds less. Xiao et al. (ECCV 2018, sec.
    5.4) attack the blurred image alone: that is `Defended` with `Blur`. The logits are the mean of the
    log-probabilities of both. The blurred image is not rounded.

    Example:
        >>> victim = Victim(torch.nn.Conv2d(3, 2, 1), classes=["road", "sky"])
        >>> AlsoBlurred(victim, std=1.0)(torch.full((1, 3, 16, 32), 9.0)).shape
        torch.Size([1, 2, 16, 32])
    """

    def __init__(self, victim: Victim, std: float = 3.0) -> None:
        """Set the blur.

        Args:
            victim: the network.
            std: standard deviation of the blur in pixels.

        Raises:
            InputError: it is not above 0.
        """
        super().__init__(victim)
        self.blur = Blur(std)

    def settings(self) -> list[Any]:
        """Return the standard deviation."""
        return [self.blur.sigma]

    def forward(self, images: Tensor) -> Tensor:
        """Return the fused logits `(N, C, H, W)` for images `(N, 3, H, W)`.

        Raises:
            InputError: the blur reaches further than the size of the images.
        """
        plain: Tensor = self.victim(images).log_softmax(1)
        blurred: Tensor = self.victim(self.blur.approximate(images)).log_softmax(1)
        return (plain + blurred) / 2
