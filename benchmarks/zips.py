"""Images per second that one core reads from the zip files of Cityscapes, compared with the speed of a network.

    python -m benchmarks.zips [--images 12]

The images are synthetic scenes of 2048 x 1024 with noise. Their files are larger than those of Cityscapes. Labels are
read too, and both are resized to 1024 x 512. The network is ESPNet, forward and backward to the input, on one thread.
"""

import argparse
import os
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.networks import new_victim
from uap.data import Cityscapes
from uap.data.datamodule import Role
from uap.datasets import synthetic as scenes
from uap.utils.class_tables import CITYSCAPES_LABEL_IDS
from uap.utils.memory import keep_freed_memory

SIZE = (512, 1024)
NOISE = 1.0
"""Standard deviation in grey levels. With it, the PNG files are at least as large as those of Cityscapes (2.3 MB)."""


def write_zips(root: Path, count: int) -> float:
    """Write `count` training scenes and `count` validation scenes; return the mean size of an image file, in MB."""
    generator, written = np.random.default_rng(0), 0
    kinds = ("leftImg8bit", "gtFine")
    images, labels = (zipfile.ZipFile(root / f"{kind}_trainvaltest.zip", "w") for kind in kinds)
    with images, labels:
        for index in range(2 * count):
            pixels, train_ids = scenes.render_scene(0, index, (1024, 2048))
            noisy = (pixels + generator.normal(0, NOISE, pixels.shape)).clip(0, 255).round().astype(np.uint8)
            ids = np.array(CITYSCAPES_LABEL_IDS, np.uint8)[train_ids]
            name = f"{'train' if index < count else 'val'}/city/city_000000_{index:06d}"
            images.writestr(f"leftImg8bit/{name}_leftImg8bit.png", png := _png(noisy))
            labels.writestr(f"gtFine/{name}_gtFine_labelIds.png", _png(ids))
            written += len(png)
    return written / 2 / count / 1e6


def _png(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def read(root: Path, role: Role, **settings: float) -> tuple[float, float]:
    """Return the images per second of a first and of a second pass over the images."""
    data = Cityscapes(str(root), SIZE, **settings)
    data.setup("fit")
    dataset = data.datasets[role]
    rates = []
    for _ in range(2):
        start = time.perf_counter()
        for index in range(len(dataset)):
            dataset[index]
        rates.append(len(dataset) / (time.perf_counter() - start))
    return rates[0], rates[1]


def network_rate() -> float:
    """Return the images per second of ESPNet."""
    victim = new_victim("ESPNet", "cpu").network
    image = torch.randn(1, 3, *SIZE).contiguous(memory_format=torch.channels_last).requires_grad_(True)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        torch.autograd.grad(victim(image).mean(), image)
        times.append(time.perf_counter() - start)
    return 1 / sorted(times)[2]


def main() -> None:
    """Read the command line and print the rates."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.zips", description=(__doc__ or "").split("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--images", type=int, default=12, help="number of images (default: %(default)s)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as the commands do
    with tempfile.TemporaryDirectory() as folder:
        os.environ["UAP_CACHE"] = folder
        size = write_zips(Path(folder), given.images)
        from_zip, _ = read(Path(folder), "train", cache_gib=0)
        _, from_cache = read(Path(folder), "scored")
    print(f"{given.images} images of {size:.1f} MB")
    print(f"from the zip files   {from_zip:>8.1f} images per second and core")
    print(f"from the cache       {from_cache:>8.1f}")
    print(f"ESPNet               {network_rate():>8.1f}")


if __name__ == "__main__":
    main()
