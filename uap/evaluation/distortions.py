"""What `uap distortions` does to a perturbation before it is added; distortions of images are `uap.defenses`."""

from torch import Tensor, nn

from uap.universal.perturbation import Perturbation


class EightBit(nn.Module):
    """The 8-bit adversarial images of a perturbation."""

    def __init__(self, perturbation: Perturbation) -> None:
        """Set the perturbation."""
        super().__init__()
        self.perturbation = perturbation

    def forward(self, images: Tensor) -> Tensor:
        """Return the adversarial images `(N, 3, H, W)` float32, whole grey levels."""
        return self.perturbation.eight_bit(images).float()


def shifted(perturbation: Perturbation, pixels: int) -> Perturbation:
    """Return a perturbation whose proto-tile is shifted cyclically, down and to the right.

    Example:
        >>> import torch
        >>> perturbation = Perturbation((1, 3), epsilon=10)
        >>> with torch.no_grad():
        ...     _ = perturbation.proto.copy_(torch.tensor([1.0, 2.0, 3.0]).expand(3, 1, 3))
        >>> shifted(perturbation, 1).proto[0].tolist()
        [[3.0, 1.0, 2.0]]
    """
    moved = Perturbation((perturbation.proto.shape[-2], perturbation.proto.shape[-1]), perturbation.epsilon)
    moved.load_state_dict({"proto": perturbation.proto.detach().roll((pixels, pixels), (-2, -1))})
    moved.image_size = perturbation.image_size
    return moved.to(perturbation.proto.device)
