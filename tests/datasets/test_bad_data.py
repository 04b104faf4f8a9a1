"""Tests of the error messages for bad data and for sizes that are too large for any machine."""

import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.helpers import SIZE, fit_refusal, save
from uap.data import PascalVOC
from uap.data.image_store import open_store
from uap.datasets.pictures import read_image
from uap.datasets.sources import Item
from uap.utils.errors import InputError

pytestmark = pytest.mark.timeout(60)  # a pipe that is read would block


def labels(height: int, width: int) -> Callable[[Path], dict[str, Any]]:
    def change(root: Path) -> dict[str, Any]:
        save(root / "trainannot" / "frame_003.png", np.zeros((height, width), np.uint8))
        return {}

    return change


def jpeg_labels(root: Path) -> dict[str, Any]:
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(root / "valannot" / "frame_001.png", "JPEG")
    return {}


def grey_labels_of_4_bits(root: Path) -> dict[str, Any]:
    """Pillow reads their 1 as 17."""
    height, width = SIZE
    rows = (b"\0" + b"\1" * (width // 2)) * height
    header = struct.pack(">IIBBBBB", width, height, 4, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    packed = [struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks]
    (root / "trainannot" / "frame_003.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    return {}


def pipe(name: str, **settings: Any) -> Callable[[Path], dict[str, Any]]:
    """Return the function that replaces a file by a pipe; a setting `...` gets its path."""

    def change(root: Path) -> dict[str, Any]:
        (root / name).unlink(missing_ok=True)
        os.mkfifo(root / name)
        return {key.replace("__", "."): root / name if value is ... else value for key, value in settings.items()}

    return change


def device(root: Path) -> dict[str, Any]:
    (root / "train" / "frame_003.png").unlink()
    (root / "train" / "frame_003.png").symlink_to("/dev/zero")
    return {}


LONG = "a" * 300

CASES: dict[str, tuple[Any, str]] = {
    "labels of another shape": (
        labels(24, 64),
        r"trainannot/frame_003.png has 24 x 64 pixels, but its image \S*train/frame_003.png has 24 x 32, expected the",
    ),
    "labels of an image that was turned": (labels(32, 24), "frame_003.png has 32 x 24 pixels, but its image"),
    "labels of a larger image": (labels(48, 64), "frame_003.png has 48 x 64 pixels, but its image"),
    "labels as JPEG": (jpeg_labels, "valannot/frame_001.png is a JPEG, expected an 8-bit PNG"),
    "labels of 4 bits": (grey_labels_of_4_bits, "frame_003.png has grey levels of less than 8 bits, expected an 8-bit"),
    "a pipe for a picture": (pipe("train/frame_003.png"), "train/frame_003.png is a folder, a pipe or a device"),
    "a device for a picture": (device, "train/frame_003.png is a folder, a pipe or a device, expected a file"),
    "a pipe for labels": (pipe("trainannot/frame_003.png"), "trainannot/frame_003.png is a folder, a pipe or a device"),
    "a pipe for a scene": (pipe("a.png", model__objective__image=...), "a.png is a folder, a pipe or a device"),
    "a pipe for a scene's labels": (
        pipe(
            "a.png",
            model__objective="uap.objectives.StaticTarget",
            model__objective__image="null",
            model__objective__labels=...,
        ),
        "a.png is a folder, a pipe or a device",
    ),
    "a pipe for a list": (pipe("a.txt", data__files=...), "a.txt is a folder, a pipe or a device"),
    "a pipe for a zip file": (
        pipe("leftImg8bit_trainvaltest.zip", data="uap.data.Cityscapes"),
        "leftImg8bit_trainvaltest.zip is a folder, a pipe or a device",
    ),
    "a pipe for weights": (pipe("a.pth", model__victim__weights=...), "There is no file .*a.pth"),
    "a pipe for safetensors": (pipe("a.safetensors", model__victim__weights=...), "There is no file .*a.safetensors"),
    "a size of a million": ({"data.size": [10**6, 10**6]}, r"data.size \(1000000, 1000000\), which takes more than"),
    "a size of 200 digits": ({"data.size": [10**200, 8]}, r"data.size \(10+, 8\), which takes more than"),
    "a batch of a thousand million": ({"data.batch_size": 10**9}, "data.batch_size is 1000000000 .* of memory, but"),
    "100,000 workers": ({"data.num_workers": 100_000}, r"data.num_workers is 100000, expected \d+ or less on the"),
    "a disk of no number": ({"data.cache_gib": ".nan"}, "data.cache_gib is nan, expected 0 or more GiB"),
    "a disk without end": ({"data.cache_gib": ".inf"}, "data.cache_gib is inf, expected 0 or more GiB"),
    "no image to learn from": ({"data.limit": 0}, "data.limit is 0, expected 1 or more"),
    "more scenes than there are": (
        {"data": "uap.data.StreetScenes", "data.scenes": 10**9},
        "data.scenes is 1000000000, expected 1000000 or less",
    ),
    "a zero byte in a list's name": ({"data.files": "a\0b"}, "data.files a.b cannot be read .*null byte"),
    "a zero byte in a folder's name": ({"data.root": "a\0b"}, "No images in a.b/train"),
    "a zero byte in VOC's folder": ({"data": "uap.data.PascalVOC", "data.root": "a\0b"}, "No list of images a.b/Image"),
    "a zero byte in a scene's name": ({"model.objective.image": "a\0b"}, "a.b, does not exist"),
    "a zero byte in the name of weights": ({"model.victim.weights": "a\0b.pth"}, "There is no file a.b.pth"),
    "300 characters for a folder": ({"data.root": LONG}, "aaa/train cannot be read or written .File name too long"),
    "300 characters for a list": ({"data.files": LONG}, "aaa cannot be read or written .File name too long"),
    "300 characters for a scene": (
        {"model.objective.image": LONG},
        "aaa cannot be read or written .File name too long",
    ),
    "300 characters for weights": ({"model.victim.weights": LONG}, "aaa cannot be read or written .File name too long"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_data_prints_an_error_message(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, message = CASES[name]
    printed = fit_refusal(change, tmp_path, capsys)
    assert re.search(message, printed, re.DOTALL), printed


@pytest.mark.parametrize("name", ["train.txt", "a.mat"])
def test_voc_pipes_raise_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / "ImageSets" / "Segmentation" / name
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    data = PascalVOC(str(tmp_path))
    with pytest.raises(InputError, match=f"{re.escape(str(path))} is a folder, a pipe or a device"):
        data.dataset("train").items if name == "train.txt" else data.dataset("train").read_ids(path)


def test_huge_cache_gib_keeps_all_images(tmp_path: Path) -> None:
    items = [Item(str(i), save(tmp_path / f"{i}.png", np.zeros((*SIZE, 3), np.uint8)), None) for i in range(3)]
    store = open_store(items, [], SIZE, 1e300)
    assert store is not None
    assert store.usable == 3


def test_color_image_of_16_bits_is_read_as_8_bits(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 2**16, (*SIZE, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), deep >> 8)
