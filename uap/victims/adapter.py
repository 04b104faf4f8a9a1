"""The one adapter around every network under attack: RGB grey levels in, logits of the input's size out."""

import hashlib
import json
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap import paths
from uap.errors import InputError
from uap.labels import TABLES, LabelTable
from uap.victims.weights import load_weights


class FrozenVictim(nn.Module):
    """A segmentation network, frozen and in eval mode for good.

    Takes RGB images `(N, 3, H, W)` float32 in grey levels 0 to 255 and gives logits `(N, C, H, W)`. It owns all that
    differs from network to network: channel order, mean and std, the multiple that sizes must have (images are padded
    at the bottom and the right by their last row and column, logits are cropped), upsampling of smaller outputs, and
    the classes. No weight ever has a gradient and no BatchNorm statistic ever moves.
    """

    def __init__(
        self,
        network: nn.Module,
        weights: str | None = None,
        classes: Literal["cityscapes", "camvid"] | list[str] = "cityscapes",
        channel_order: Literal["rgb", "bgr"] = "rgb",
        mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
        std: tuple[float, float, float] = (1.0, 1.0, 1.0),
        size_multiple: int = 1,
    ) -> None:
        """Load the weights and freeze the network.

        Args:
            network: takes normalised images, gives logits; any size of output is upsampled to the input's.
            weights: a `.safetensors` or `.pth` file; the network stays as it is built without one.
            classes: a class table by name, or the names of the network's outputs in their order.
            channel_order: of the network's input.
            mean: in grey levels, in the network's channel order.
            std: in grey levels, likewise.
            size_multiple: the network takes heights and widths that are multiples of it.

        Raises:
            InputError: the weights cannot be read or are another network's.
        """
        super().__init__()
        if min(std) <= 0 or size_multiple < 1:
            raise InputError(f"victim.std is {std}, size_multiple {size_multiple}; expected all above 0.")
        if weights is not None:
            load_weights(network, paths.find(weights))
        self.network = network
        self.table = _table(classes)
        self.channel_order = channel_order
        self.size_multiple = size_multiple
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(False)
        self.train(False)
        self.to(memory_format=torch.channels_last)  # convolutions are faster so, on CPUs and on GPUs

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode, whatever is asked: BatchNorm may not move."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `(N, C, H, W)` for RGB images `(N, 3, H, W)` float32, 0 to 255."""
        height, width = images.shape[-2:]
        x = images.flip(1) if self.channel_order == "bgr" else images
        x = (x - self.mean) / self.std
        bottom, right = -height % self.size_multiple, -width % self.size_multiple
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom), mode="replicate")
        logits: Tensor = self.network(x.contiguous(memory_format=torch.channels_last))
        if logits.shape[-2:] != x.shape[-2:]:
            logits = F.interpolate(logits, x.shape[-2:], mode="bilinear", align_corners=False)
        return logits[..., :height, :width]

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Return class ids `(N, H, W)` uint8 for images `(N, 3, H, W)` of any dtype, 0 to 255."""
        logits: Tensor = self(images.float())
        return logits.argmax(1).to(torch.uint8)

    @torch.no_grad()
    def check(self, size: tuple[int, int]) -> None:
        """Try the network once at a size and complete the class table with outputs that it does not name.

        Raises:
            InputError: the network fails at that size, or gives something else than logits of its classes.
        """
        height, width = size
        try:
            logits = self(torch.full((1, 3, height, width), 128.0, device=self.mean.device))
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise InputError(
                f"The network {type(self.network).__name__} fails on images of {height} x {width} ({error}). "
                "Set --data.size to a size that it takes, or victim.size_multiple to what its sizes must divide by."
            ) from error
        if logits.ndim != 4 or logits.shape[1] < len(self.table):
            raise InputError(
                f"The network {type(self.network).__name__} gives {tuple(logits.shape)} for one image of {height} x "
                f"{width}, expected logits (1, {len(self.table)} or more, {height}, {width}) for its classes "
                f"({', '.join(self.table.names)}). Set victim.classes to what its outputs are."
            )
        self.table = self.table.first(logits.shape[1])

    def fingerprint(self) -> str:
        """Return a hash of everything that a prediction depends on: structure, weights and preprocessing."""
        digest = hashlib.sha256(repr(self.network).encode())  # dilations, strides and the like have no tensor
        settings = [self.channel_order, self.mean.flatten().tolist(), self.std.flatten().tolist(), self.size_multiple]
        digest.update(json.dumps(settings).encode())
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]


def _table(classes: str | list[str]) -> LabelTable:
    if isinstance(classes, str):
        return TABLES[classes]
    colours = torch.randint(40, 256, (len(classes), 3), generator=torch.Generator().manual_seed(0)).tolist()
    return LabelTable(tuple(classes), tuple((r, g, b) for r, g, b in colours))
