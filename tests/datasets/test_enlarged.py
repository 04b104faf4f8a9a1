"""Tests of the message about stored images that are smaller than the configured size."""

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.datasets.test_video import draw
from tests.datasets.zips import make_zips
from tests.helpers import SIZE, make_camvid, save, scene
from uap.data import CamVid, Cityscapes, ImageFolder, SegmentationData, VideoFrames
from uap.datasets.pictures import stored_size

TWICE = (2 * SIZE[0], 2 * SIZE[1])


def folder(root: Path) -> ImageFolder:
    rng = np.random.default_rng(0)
    for number in range(30):
        save(root / "own" / f"{number:02d}.png", scene(rng, SIZE if number % 2 else TWICE)[0])
    return ImageFolder(str(root / "own"), TWICE)


MAKE: dict[str, Any] = {
    "camvid": lambda root: CamVid(str(make_camvid(root)), (SIZE[0], TWICE[1])),
    "zips": lambda root: Cityscapes(str(make_zips(root)), TWICE),
    "video": lambda root: VideoFrames(str(draw(root / "v.mp4", size=SIZE)), TWICE),
    "some": folder,
}


def said(data: SegmentationData, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.INFO, "pytorch_lightning.utilities.rank_zero"):
        data.setup("fit")
        data.setup("fit")
    return [record.getMessage() for record in caplog.records if "enlarged" in record.getMessage()]


@pytest.mark.parametrize("kind", MAKE)
def test_enlarged_images_are_reported_once(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = MAKE[kind](tmp_path)
    found = said(data, caplog)
    assert len(found) == 1
    assert re.search(rf"data.size is {data.size[0]} x {data.size[1]}, but .* stored with 24 x 32", found[0])


def test_images_that_are_not_enlarged_are_not_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not said(CamVid(str(make_camvid(tmp_path)), SIZE), caplog)
    assert not said(CamVid(str(tmp_path), (12, 32)), caplog)


def test_enlarged_target_image_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = CamVid(str(tmp_path), SIZE)
    with caplog.at_level(logging.INFO, "pytorch_lightning.utilities.rank_zero"):
        data.dataset("train").read_image(save(tmp_path / "small.png", np.zeros((8, 8, 3), np.uint8)))
    assert "small.png is stored with 8 x 8" in caplog.text


def test_stored_size_follows_exif_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert stored_size(tmp_path / "a.jpg") == (20, 30)
    assert stored_size(tmp_path / "a.jpg", upright=True) == (30, 20)
