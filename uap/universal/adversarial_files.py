"""The adversarial images of a run as files: what is there is not made again, nor taken for that of another attack."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from uap.datasets.pictures import open_image, read_image
from uap.utils.atomic_file import atomic_file
from uap.utils.errors import InputError

SECONDS = "seconds"
"""The text of a PNG that says how long its attack took."""


class AdversarialFiles:
    """A folder of 8-bit PNGs, and `attack.json`, which says what they depend on."""

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        """Open the folder for an attack; it is made where it is missing.

        Args:
            folder: of the adversarial images.
            identity: everything that they depend on beside the images; plain values.

        Raises:
            InputError: the folder cannot be written, or holds the images of another attack.
        """
        self.folder = folder
        card = folder / "attack.json"
        expected = json.loads(json.dumps(identity))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if card.exists() or any(folder.glob("*.png")):
                self._check(json.loads(card.read_text()), expected)
            with atomic_file(card) as file:
                file.write_text(json.dumps(expected, indent=2) + "\n")
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(
                f"{card} cannot be used ({error}). Set another --trainer.default_root_dir, or remove {folder}."
            ) from error

    def _check(self, found: Any, expected: dict[str, Any]) -> None:
        found = found if isinstance(found, dict) else {}
        differing = [
            f"{name} is {found.get(name)}, here it is {expected.get(name)}"
            for name in {**expected, **found}
            if found.get(name) != expected.get(name)
        ]
        if differing:
            raise InputError(
                f"{self.folder} holds images of another attack: its {'; its '.join(differing)}. Set another "
                "--trainer.default_root_dir, or continue with the config.yaml beside it."
            )

    def path(self, name: str) -> Path:
        """Return where the adversarial image of a name lies, or will."""
        return self.folder / f"{name}.png"

    def has(self, name: str) -> bool:
        """Return whether the adversarial image of a name is there."""
        return self.path(name).exists()

    def read(self, name: str, image: Tensor, epsilon: float) -> Tensor:
        """Return the adversarial image (3, H, W) uint8 of an image (3, H, W) uint8.

        Raises:
            InputError: the file cannot be read, or is not within epsilon grey levels of the image.
        """
        pixels = torch.from_numpy(read_image(self.path(name)).copy()).permute(2, 0, 1)
        if pixels.shape != image.shape or (pixels.int() - image.int()).abs().max() > epsilon:
            raise InputError(
                f"{self.path(name)} is not within {epsilon:g} grey levels of {name} of the data. Remove it to attack "
                "that image again, or set another --trainer.default_root_dir."
            )
        return pixels

    def seconds(self, name: str) -> float:
        """Return how long the attack on an image took, 0 where its file does not say."""
        return float(open_image(self.path(name)).info.get(SECONDS, 0))

    def write(self, images: dict[str, Tensor], seconds: float) -> None:
        """Write the adversarial images (3, H, W) uint8 of a batch by name: none of them appears before all are whole.

        Args:
            images: by name.
            seconds: that the attack on each of them took.

        Raises:
            InputError: they cannot be written.
        """
        text = PngInfo()
        text.add_text(SECONDS, f"{seconds:.3f}")
        try:
            with ExitStack() as batch:
                for name, image in images.items():
                    pixels = Image.fromarray(image.permute(1, 2, 0).numpy())
                    pixels.save(batch.enter_context(atomic_file(self.path(name))), "png", pnginfo=text)
        except OSError as error:
            raise InputError(
                f"Adversarial images cannot be written to {self.folder} ({error}). Make room, and start again to go on."
            ) from error
