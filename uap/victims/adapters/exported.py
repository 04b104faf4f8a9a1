"""Networks as files: TorchScript (`.pt`) and torch.export (`.pt2`), for which no Python class is needed."""

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
    """A network that was saved as a program: TorchScript (`.pt`), or a `.pt2` file of torch.export.save.

    Neither is loaded by Python's pickle. Of a `.pt2` file only raw tensors and torch's own operators are loaded;
    TorchScript is read by torch's C++ reader, which runs no Python either, but its operators can read and write files:
    take it from people that you trust. Export `network.eval()`: a program cannot leave its training mode.

    A program that was exported for batches of one size is given images in such batches, the last one filled up. One
    that was exported for images of one size needs `input_size`, unless `--data.size` is that size.
    """

    def __init__(self, file: str, **settings: Any) -> None:
        """Load the program.

        Args:
            file: a `.pt2` file of torch.export.save, or one of TorchScript.
            settings: as of Victim; the file knows nothing of its preprocessing.

        Raises:
            InputError: the file cannot be loaded, or not without running code of its own.
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
        return torch.cat([forward(part) for part in torch.split(filled, self.batch)])[:count]


class Program(nn.Module):
    """A program whose code no `repr` shows, so that the hash of its file stands for it."""

    def __init__(self, program: nn.Module, path: Path) -> None:
        """Wrap what was loaded from a file."""
        super().__init__()
        self.program = program
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()

    def extra_repr(self) -> str:
        """Return the hash of the file."""
        return self.digest

    def train(self, mode: bool = True) -> Self:
        """Leave the program as it is: one of torch.export knows no modes."""
        return self

    def forward(self, x: Tensor) -> Any:
        """Return what the program gives for normalized images `(N, 3, H, W)`."""
        return self.program(x)


def _load_script(path: Path) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch advises torch.export to those who save
            program = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{path} cannot be loaded as TorchScript ({str(error).strip().splitlines()[-1]}). Weights alone belong "
            "to victim.weights of a Victim with its network; the name of one of torch.export ends in .pt2."
        ) from error
    return cast(nn.Module, program.eval())


def _load_export(path: Path) -> tuple[nn.Module, int | None]:
    """Return the program and the only size of batches that it takes, if there is one."""
    try:
        exported = torch.export.load(checked_copy(path))
        program = exported.module()
    except (RuntimeError, ValueError, KeyError, AssertionError, NotImplementedError) as error:
        raise InputError(f"{path} cannot be loaded ({error}). Export the network again, with this torch.") from error
    images = [node for node in program.graph.nodes if node.op == "placeholder"]
    if len(images) != 1:
        raise InputError(f"{path} takes {len(images)} inputs, expected the image alone. Export it without the others.")
    _free_of_device(program, images[0])
    batch = images[0].meta["val"].shape[0]
    return program, batch if isinstance(batch, int) else None


def _free_of_device(program: fx.GraphModule, image: fx.Node) -> None:
    """Make all tensors of a program follow its image to any device; they would stay where it was exported."""
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
