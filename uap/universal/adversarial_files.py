"""The files of adversarial images of a run, which a restarted run reuses if they are of the same attack."""

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

Facts = dict[str, float]
"""Numbers of the attack on an image by name, such as its seconds; a PNG text each."""


class AdversarialFiles:
    """A folder of 8-bit PNG files, and `attack.json` with the settings of the attack."""

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        """Open the folder for an attack, and create it if it does not exist.

        Args:
            folder: folder of the adversarial images.
            identity: the settings that they depend on apart from the images, as plain values.

        Raises:
            InputError: the folder cannot be written, or contains the images of another attack.
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
                f"{card} cannot be used ({error}). Set another --trainer.default_root_dir, or remove {folder}.",
                setting="trainer.default_root_dir",
                kind="unusable_file",
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
                f"{self.folder} contains images of another attack: its {'; its '.join(differing)}. Set another "
                "--trainer.default_root_dir, or continue with the config.yaml beside it.",
                setting="trainer.default_root_dir",
                kind="conflict",
            )

    def path(self, name: str) -> Path:
        """Return the path of the adversarial image with a name; it need not exist."""
        return self.folder / f"{name}.png"

    def has(self, name: str) -> bool:
        """Return whether the adversarial image with a name exists."""
        return self.path(name).exists()

    def read(self, name: str, image: Tensor, epsilon: float) -> Tensor:
        """Return the adversarial image `(3, H, W)` uint8 of an image.

        Args:
            name: name of the image.
            image: `(3, H, W)` uint8.
            epsilon: largest change of a pixel value, in grey levels.

        Raises:
            InputError: the file cannot be read, or is not within epsilon grey levels of the image.
        """
        pixels = torch.from_numpy(read_image(self.path(name)).copy()).permute(2, 0, 1)
        if pixels.shape != image.shape or (pixels.int() - image.int()).abs().max() > epsilon:
            raise InputError(
                f"{self.path(name)} is not within {epsilon:g} grey levels of {name} of the data. Remove it to attack "
                "that image again, or set another --trainer.default_root_dir.",
                kind="conflict",
            )
        return pixels

    def fact(self, name: str, key: str) -> float | None:
        """Return a number of the attack on an image; None if its file does not contain it."""
        text = open_image(self.path(name)).info.get(key)
        return None if text is None else float(text)

    def write(self, images: dict[str, tuple[Tensor, Facts]]) -> None:
        """Write the adversarial images of a batch; no file appears before all of them are complete.

        Args:
            images: adversarial images `(3, H, W)` uint8 and numbers of the attack on each, by name.

        Raises:
            InputError: the files cannot be written.
        """
        try:
            with ExitStack() as batch:
                for name, (image, facts) in images.items():
                    pixels, text = Image.fromarray(image.permute(1, 2, 0).numpy()), PngInfo()
                    for key, value in facts.items():
                        text.add_text(key, f"{value:.3f}")
                    pixels.save(batch.enter_context(atomic_file(self.path(name))), "png", pnginfo=text)
        except OSError as error:
            raise InputError(
                f"Adversarial images cannot be written to {self.folder} ({error}). Free disk space, and start the run "
                "again to continue.",
                kind="unusable_file",
            ) from error
