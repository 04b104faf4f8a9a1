"""A linear victim, for which attacks have a closed form."""

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """A network with logits that are linear in the channels of a pixel; with `flat`, locations are `(P,)`."""

    def __init__(self, classes: int = 4, seed: int = 0, flat: bool = False) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(classes, 3, generator=generator), requires_grad=False)
        self.flat = flat

    def forward(self, images: Tensor) -> Tensor:
        logits = torch.einsum("kc,nchw->nkhw", self.weight, (images - 128) / 16)
        return logits.flatten(2) if self.flat else logits


def images(count: int = 2, size: tuple[int, int] = (4, 5), seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(20, 236, (count, 3, *size), generator=generator).float()
