"""The adapter around a network under attack: it maps RGB images in grey levels to logits of the size of the images."""

import hashlib
import json
import warnings
from contextlib import nullcontext
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from uap.utils import paths
from uap.utils.errors import InputError, in_setting
from uap.victims.class_table import Classes, table_of
from uap.victims.cpu_kernels import freeze_layers, zero_subnormals
from uap.victims.fingerprints import code_of, structure_of
from uap.victims.out_of_place import OutOfPlace, out_of_place_errors
from uap.victims.outputs import ambiguity, padded_logits, resize
from uap.victims.sanity_checks import ChangedInPlace, check_logits, noise_images, probe
from uap.victims.setup_warnings import check_scale
from uap.victims.untrained import looks_untrained
from uap.victims.weights import load_weights


class Victim(nn.Module):
    """A frozen segmentation network in eval mode, with its preprocessing and its classes.

    A victim maps RGB images `(N, 3, H, W)` float32 in grey levels 0 to 255 to logits `(N, C, H, W)`. It contains
    everything that is specific to a network: channel order, mean and std, resizing of images to a fixed size or padding
    to multiples of a size (logits are cropped), selection of the logits among several outputs, upsampling of smaller
    outputs, and the classes. Weights have no gradient, and the statistics of BatchNorm never change. Activations are
    not changed in place, because that would prevent the backward pass to the image.

    Example:
        >>> victim = Victim(nn.Conv2d(3, 2, 1), classes=["road", "sky"], mean=(128.0,) * 3, std=(64.0,) * 3)
        >>> victim(torch.zeros(1, 3, 4, 6)).shape
        torch.Size([1, 2, 4, 6])
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
            network: maps normalized images to logits, or to a tuple or dictionary that contains logits. Logits of
                another size are resized to the size of the images.
            weights: a `.safetensors` or `.pth` file; None keeps the weights of `network`.
            classes: name of a class table, or the class names of the output channels in order.
            channel_order: channel order of the input of the network.
            mean: mean of each channel in grey levels, in the channel order of the network.
            std: standard deviation of each channel in grey levels, in the channel order of the network.
            size_multiple: height and width of the input of the network must be multiples of this number.
            input_size: height and width to which images are resized, for a network with a fixed input size. Gradients
                flow through the resizing.
            output: key or index of the logits among several outputs if they are not the default of `logits_of`; for
                nested outputs joined by dots (`out.1`).
            compile: whether to use `torch.compile`. The first step then takes about a minute; the speed of later steps
                depends on network and machine (`python -m benchmarks.passes`).

        Raises:
            InputError: a setting is out of range, mean or std are on the scale from 0 to 1, or the weights cannot be
                read or do not fit the network.
        """
        super().__init__()
        for setting, value, least in (
            ("std", std, min(std)), ("size_multiple", size_multiple, size_multiple),
            ("input_size", input_size, min(input_size or (1,))),
        ):  # fmt: skip
            if not least > 0:
                raise InputError(
                    f"victim.{setting} is {value}, expected numbers above 0.",
                    setting=f"model.victim.{setting}",
                    kind="out_of_range",
                )
        check_scale(mean, std, "victim", "model.victim")
        if weights is not None:
            with in_setting("model.victim.weights"):
                load_weights(network, paths.find(weights))
        self.network = network
        self.table = table_of(classes)
        if channel_order not in ("rgb", "bgr"):
            raise InputError(
                f"channel_order is {channel_order!r}, expected rgb or bgr.",
                setting="channel_order",
                kind="unknown_name",
            )
        self.channel_order = channel_order
        self.size_multiple = size_multiple
        self.input_size = input_size
        self.output = output
        self.ambiguity: str | None = None
        """A message if the output of the logits is ambiguous and was not selected."""
        self.is_checked = False
        """Whether the shape and the values of the logits were checked; the first forward pass does it."""
        self.out_of_place = False
        """Whether in-place changes of activations are replaced by new tensors."""
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(False)
        self.train(False)
        self.to(torch.float32)  # the dtype of the images
        zero_subnormals(network)
        self._set_layout(torch.channels_last)  # convolutions are faster with it, on CPUs and GPUs
        # not `modules()`: some networks have an attribute of that name
        for _, module in self.named_modules():
            if getattr(module, "inplace", False) and not isinstance(module, torch.jit.ScriptModule):
                module.inplace = False
        self.is_untrained = weights is None and looks_untrained(network)
        self.structure = structure_of(network)
        freeze_layers(self)
        if compile:
            network.compile()

    def _set_layout(self, layout: torch.memory_format) -> None:
        self.layout = layout
        self.to(memory_format=layout)

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode for any `mode`, so that the statistics of BatchNorm do not change."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `(N, C, H, W)` for RGB images `(N, 3, H, W)`, 0 to 255, float32 or integers.

        The first call adds outputs without a class to the table as `void`.

        Raises:
            InputError: at the first call, the network has fewer outputs than classes, or its output is not logits.
        """
        size = (images.shape[-2], images.shape[-1])
        images = images if images.is_floating_point() else images.float()
        x = images.flip(1) if self.channel_order == "bgr" else images
        x = resize((x - self.mean).div_(self.std), self.input_size or size, antialias=True)
        logits = resize(padded_logits(self._run, x, self.size_multiple, self.output, self.layout), size)
        if not (self.is_checked or logits.is_meta):
            check_logits(logits.detach(), type(self.network).__name__, images.shape, self.table)
            self.table = self.table.first(logits.shape[1])
            self.is_checked = True
        return logits

    def _run(self, x: Tensor) -> Any:
        with OutOfPlace() if self.out_of_place else nullcontext():
            output = self.network(x)
        if self.output is None:
            self.ambiguity = ambiguity(output)
        return output

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Return class ids `(N, H, W)` uint8 for images `(N, 3, H, W)` of any dtype, 0 to 255."""
        with torch.autocast(images.device.type, enabled=False):  # its rounding would count as success of an attack
            logits: Tensor = self(images.float())
        return logits.argmax(1).to(torch.uint8)

    def check(self, size: tuple[int, int]) -> None:
        """Check the network with a forward and a backward pass, and add outputs without a class to the table as `void`.

        Args:
            size: height and width of the images.

        Raises:
            InputError: the network fails for this size, or returns no logits of its classes, or has no gradient.
        """
        before = self.out_of_place
        self.table = self.table.first(self._probe(size))
        name = type(self.network).__name__
        if self.out_of_place and not before:
            warnings.warn(
                f"The network {name} changes activations in place, which prevents the backward pass to the image. "
                "New tensors are used instead. The prediction is the same bit for bit.",
                stacklevel=2,
            )
        if self.ambiguity is not None:
            warnings.warn(f"The network {name} {self.ambiguity}", stacklevel=2)
        if self.is_untrained:
            warnings.warn(
                f"THE NETWORK {name} HAS NO WEIGHTS: its parameters are random, and an attack on it has no meaning. "
                "Name its weight file: --model.victim.weights of uap fit and evaluate, --weights of other commands.",
                stacklevel=2,
            )

    def _probe(self, size: tuple[int, int]) -> int:
        """Return the number of output channels; change the memory layout or execute out of place if needed."""
        try:
            return probe(self, size, self.table)
        except ChangedInPlace as error:
            image = noise_images(self, size)[:1].requires_grad_()
            if self.out_of_place or not self._is_same_out_of_place(image):
                self.out_of_place = False
                locations = out_of_place_errors(lambda: self(image))
                raise ChangedInPlace(
                    f"{error} The change cannot be replaced in {locations}." if locations else str(error)
                ) from error
        except InputError:
            if self.layout is torch.contiguous_format:
                raise
            self._set_layout(torch.contiguous_format)  # `view` in some networks needs it
        return self._probe(size)

    @torch.enable_grad()
    def _is_same_out_of_place(self, image: Tensor) -> bool:
        """Switch to out-of-place execution; return whether the logits stay the same bit for bit."""
        try:
            own = self(image)
        except RuntimeError:  # autograd refuses some in-place changes in the forward pass
            with torch.no_grad():
                own = self(image)
        self.out_of_place = True
        return torch.equal(own, self(image))

    def fingerprint(self) -> str:
        """Return a hash of structure, weights and preprocessing: 16 hexadecimal digits."""
        digest = hashlib.sha256(self.structure.encode())
        settings: list[Any] = [self.channel_order, self.mean.flatten().tolist(), self.std.flatten().tolist()]
        settings += [self.size_multiple, self.input_size, self.output]
        digest.update(json.dumps(settings).encode())
        # the state dictionary lacks some buffers
        tensors = self.network.state_dict() | dict(self.network.named_buffers())
        for name, value in sorted(tensors.items()):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    def cache_key(self) -> str:
        """Return a hash of the fingerprint and of the code of the network's modules: 16 hexadecimal digits.

        Results that are kept between runs depend on it, so that a network whose `forward` was edited is computed again.
        """
        content = [self.fingerprint(), *code_of(self.network)]
        return hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]
