"""The one adapter around every network under attack: RGB grey levels in, logits of the input's size out."""

import hashlib
import json
import warnings
from contextlib import nullcontext
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from uap.utils import paths
from uap.utils.class_tables import TABLES, LabelTable
from uap.utils.errors import InputError
from uap.victims.cpu_kernels import freeze_layers
from uap.victims.doubts import doubtful_scale
from uap.victims.out_of_place import OutOfPlace, places
from uap.victims.outputs import choice_made, padded_logits, resize
from uap.victims.sanity_checks import ChangedInPlace, noise, probe
from uap.victims.untrained import looks_untrained
from uap.victims.weights import load_weights

Classes = Literal["bdd100k", "camvid", "cityscapes", "voc"] | list[str]
"""A class table by name, or the names of the outputs in their order."""


NO_STRUCTURE = ("training", "name_or_path")
"""Plain settings of modules that no prediction depends on: the mode, and where Hugging Face found a network."""


class Victim(nn.Module):
    """A segmentation network, frozen and in eval mode for good.

    Takes RGB images `(N, 3, H, W)` float32 in grey levels 0 to 255 and gives logits `(N, C, H, W)`. It owns all that
    differs from network to network: channel order, mean and std, the size that images are resized to or whose multiple
    they are padded to (at the bottom and the right, by their last row and column; logits are cropped), which of several
    outputs holds the logits, upsampling of smaller ones, and the classes. No weight ever has a gradient, no BatchNorm
    statistic ever moves, and no activation is changed in place, which the backward pass to the image would not bear.

    Example:
        >>> network = nn.Conv2d(3, 2, kernel_size=1)
        >>> victim = Victim(network, classes=["road", "sky"], mean=(128, 128, 128), std=(64, 64, 64))
        >>> images = torch.full((1, 3, 8, 8), 90.0)
        >>> victim(images).shape, victim.predict(images).dtype
        (torch.Size([1, 2, 8, 8]), torch.uint8)
    """

    def __init__(
        self,
        network: nn.Module,
        weights: str | None = None,
        classes: Classes = "cityscapes",
        channel_order: Literal["rgb", "bgr"] = "rgb",
        mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
        std: tuple[float, float, float] = (1.0, 1.0, 1.0),
        size_multiple: int = 1,
        input_size: tuple[int, int] | None = None,
        output: str | int | None = None,
        compile: bool = False,
    ) -> None:
        """Load the weights and freeze the network.

        Args:
            network: takes normalized images, gives logits, or a tuple or dictionary with them; any size of output is
                resized to the input's.
            weights: a `.safetensors` or `.pth` file; the network stays as it is built without one.
            classes: a class table by name, or the names of the network's outputs in their order.
            channel_order: of the network's input.
            mean: in grey levels, in the network's channel order.
            std: in grey levels, likewise.
            size_multiple: the network takes heights and widths that are multiples of it.
            input_size: height and width that images are resized to for the network, for one that takes no other;
                the attack's gradient goes through the resizing.
            output: the key or the index of the logits among several outputs, if they are not the first; of nested
                outputs joined by dots (`out.1`).
            compile: let `torch.compile` write the network's kernels; the first step then takes a minute, and where
                later ones are faster depends on network and machine (`python -m benchmarks.passes`).

        Raises:
            InputError: the weights cannot be read or are another network's.
        """
        super().__init__()
        if min(std) <= 0 or size_multiple < 1 or min(input_size or (1,)) < 1:
            raise InputError(
                f"victim.std is {std}, size_multiple {size_multiple}, input_size {input_size}; expected all above 0."
            )
        if weights is not None:
            load_weights(network, paths.find(weights))
        self.network = network
        self.table = table_of(classes)
        self.channel_order = channel_order
        self.size_multiple = size_multiple
        self.input_size = input_size
        self.output = output
        self.choice: str | None = None
        """Which of several outputs of as many classes is taken, in words, where no choice was made."""
        self.out_of_place = False
        """Whether the network is run as if it changed no activation in place."""
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(False)
        self.train(False)
        self.to(torch.float32)  # as the images are
        self._lay_out(torch.channels_last)  # convolutions are faster so, on CPUs and on GPUs
        # not `modules()`: some publish networks with an attribute of that name
        for _, module in self.named_modules():
            if getattr(module, "inplace", False) and not isinstance(module, torch.jit.ScriptModule):
                module.inplace = False
        self.is_untrained = weights is None and looks_untrained(network)
        self.structure = _structure(network)
        freeze_layers(self)
        if compile:
            network.compile()

    def _lay_out(self, layout: torch.memory_format) -> None:
        self.layout = layout
        self.to(memory_format=layout)

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode, whatever is asked: BatchNorm may not move."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `(N, C, H, W)` for RGB images `(N, 3, H, W)` float32, 0 to 255."""
        size = (images.shape[-2], images.shape[-1])
        x = images.flip(1) if self.channel_order == "bgr" else images
        x = resize((x - self.mean).div_(self.std), self.input_size or size, antialias=True)
        return resize(padded_logits(self._run, x, self.size_multiple, self.output, self.layout), size)

    def _run(self, x: Tensor) -> Any:
        with OutOfPlace() if self.out_of_place else nullcontext():
            output = self.network(x)
        if self.output is None:
            self.choice = choice_made(output)
        return output

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Return class ids `(N, H, W)` uint8 for images `(N, 3, H, W)` of any dtype, 0 to 255."""
        logits: Tensor = self(images.float())
        return logits.argmax(1).to(torch.uint8)

    def check(self, size: tuple[int, int]) -> None:
        """Try the network once at a size, forward and backward, and name the outputs that the class table does not.

        Raises:
            InputError: the network fails at that size, gives something else than logits of its classes, or no gradient.
        """
        was = self.out_of_place
        self.table = self.table.first(self._probe(size))
        name = type(self.network).__name__
        if self.out_of_place and not was:
            warnings.warn(
                f"The network {name} changes activations in place, which its backward pass to the image does not bear. "
                "It is run with new tensors in their stead; its prediction is the same bit for bit.",
                stacklevel=2,
            )
        if self.choice is not None:
            warnings.warn(f"The network {name} {self.choice}", stacklevel=2)
        if self.is_untrained:
            warnings.warn(
                f"THE NETWORK {name} HAS NO WEIGHTS: what it holds is random, and results of an attack on it say "
                "nothing. Set --model.victim.weights to its file.",
                stacklevel=2,
            )
        for doubt in doubtful_scale(self.mean.flatten().tolist(), self.std.flatten().tolist(), "model.victim"):
            warnings.warn(doubt, stacklevel=2)

    def _probe(self, size: tuple[int, int]) -> int:
        """Return the number of outputs, found with what the network turns out to need."""
        try:
            return probe(self, size, self.table)
        except ChangedInPlace as error:
            image = noise(self, size)[:1].requires_grad_()
            if self.out_of_place or not self._is_same_out_of_place(image):
                self.out_of_place = False
                where = places(lambda: self(image))
                raise ChangedInPlace(
                    f"{error} It is {where} that cannot be run otherwise." if where else str(error)
                ) from error
        except InputError:
            if self.layout is torch.contiguous_format:
                raise
            self._lay_out(torch.contiguous_format)  # what some networks' `view` needs
        return self._probe(size)

    @torch.enable_grad()
    def _is_same_out_of_place(self, image: Tensor) -> bool:
        """Run the network out of place from now on; return whether it predicts the same, bit for bit."""
        try:
            own = self(image)
        except RuntimeError:  # what autograd forbids in the forward pass
            with torch.no_grad():
                own = self(image)
        self.out_of_place = True
        return torch.equal(own, self(image))

    def fingerprint(self) -> str:
        """Return a hash of everything that a prediction depends on: structure, weights and preprocessing."""
        digest = hashlib.sha256(self.structure.encode())
        settings: list[Any] = [self.channel_order, self.mean.flatten().tolist(), self.std.flatten().tolist()]
        settings += [self.size_multiple, self.input_size, self.output]
        digest.update(json.dumps(settings).encode())
        # some buffers are kept out of the state dictionary
        tensors = self.network.state_dict() | dict(self.network.named_buffers())
        for name, value in sorted(tensors.items()):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]


def _structure(network: nn.Module) -> str:
    """Return what makes a network beside its tensors: layers, dilations, and the plain settings of each module.

    Taken when the network is built: what a module remembers of its last image is not part of it.
    """
    plain = (bool, int, float, str, tuple, type(None))
    settings = [
        (name, module._get_name(), key, value)
        for name, module in network.named_modules()
        if not isinstance(module, torch.jit.ScriptModule)
        for key, value in sorted(vars(module).items())
        if isinstance(value, plain) and key not in NO_STRUCTURE and not key.startswith("_")
    ]
    return f"{network!r}{settings!r}"


def table_of(classes: Classes) -> LabelTable:
    """Return the class table of a name, or of names: the known one that has them, or with colors of its own."""
    if isinstance(classes, str):
        return TABLES[classes]
    known = [table for table in TABLES.values() if table.names == tuple(classes)]
    if known:
        return known[0]
    colors = torch.randint(40, 256, (len(classes), 3), generator=torch.Generator().manual_seed(0)).tolist()
    return LabelTable(tuple(classes), tuple((r, g, b) for r, g, b in colors))
