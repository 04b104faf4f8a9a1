"""Victims from exported programs, TorchScript (`.pt`) and torch.export (`.pt2`), without a Python class."""

import hashlib
import warnings
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, fx, nn

from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims.adapters.export_archive import checked_copy
from uap.victims.victim import Victim


class Exported(Victim):
    """A victim from a program file: TorchScript (`.pt`), or a `.pt2` file of torch.export.save.

    Loading executes no Python code. From a `.pt2` file, only raw tensors and operators of torch are loaded. TorchScript
    is read by the C++ reader of torch, but its operators can read and write files: only use files that you trust.
    Export `network.eval()`, because a program cannot leave the training mode.

    If a program was exported for a fixed batch size, images are passed in batches of that size, and the last batch is
    filled by repetition. If it was exported for a fixed image size, set `input_size` or `--data.size` to that size.
    """

    def __init__(self, file: str, **settings: Any) -> None:
        """Load the program.

        Args:
            file: a `.pt2` file of torch.export.save, or a file of TorchScript.
            settings: settings of `Victim`; the file does not contain the preprocessing.

        Raises:
            InputError: the file cannot be loaded, or could run code.
        """
        path = paths.find(file)
        paths.check_file(path)
        program, self.batch = _load_export(path) if path.suffix == ".pt2" else (_load_script(path), None)
        super().__init__(Program(program, path), None, **settings)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `(N, C, H, W)` for RGB images `(N, 3, H, W)` float32, 0 to 255."""
        if self.batch is None:
            return super().forward(images)
        forward = super().forward
        count = len(images)
        filled = torch.cat([images, images[-1:].expand(-count % self.batch, -1, -1, -1)])
        return torch.cat([forward(batch) for batch in torch.split(filled, self.batch)])[:count]


class Program(nn.Module):
    """A module around a program, whose `repr` contains the hash of the file, because it cannot show the code."""

    def __init__(self, program: nn.Module, path: Path) -> None:
        """Wrap a program that was loaded from a file."""
        super().__init__()
        self.program = program
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()

    def extra_repr(self) -> str:
        """Return the hash of the file."""
        return self.digest

    def train(self, mode: bool = True) -> Self:
        """Do nothing: a program of torch.export has no modes."""
        return self

    def forward(self, x: Tensor) -> Any:
        """Return the output of the program for normalized images `(N, 3, H, W)`."""
        return self.program(x)


def _load_script(path: Path) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", FutureWarning
            )  # the deprecation of TorchScript concerns the author of the file
            program = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{path} cannot be loaded as TorchScript ({str(error).strip().splitlines()[-1]}). Pass a file of "
            "weights as victim.weights of a Victim with its network. The name of a file of torch.export ends in .pt2.",
            kind="unusable_file",
        ) from error
    return cast(nn.Module, program.eval())


def _load_export(path: Path) -> tuple[nn.Module, int | None]:
    """Return the program and its fixed batch size, or None if it accepts any batch size."""
    try:
        exported = torch.export.load(checked_copy(path))
        program = exported.module()
    except (RuntimeError, ValueError, KeyError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"{path} cannot be loaded ({error}). Export the network again with the installed version of torch.",
            kind="unusable_file",
        ) from error
    images = [node for node in program.graph.nodes if node.op == "placeholder"]
    if len(images) != 1:
        raise InputError(
            f"{path} takes {len(images)} inputs, expected only the image. Export it without the other inputs.",
            kind="not_supported",
        )
    _follow_device(program, images[0])
    batch = images[0].meta["val"].shape[0]
    return program, batch if isinstance(batch, int) else None


def _follow_device(program: fx.GraphModule, image: fx.Node) -> None:
    """Make a program create its tensors on the device of its input instead of the device of the export."""
    for module in program.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, Tensor):
                delattr(module, name)
                module.register_buffer(name, value, persistent=False)
    with program.graph.inserting_after(image):
        device = program.graph.call_function(getattr, (image, "device"))
    for node in program.graph.nodes:
        if "device" in node.kwargs:
            node.update_kwarg("device", device)
    program.recompile()
