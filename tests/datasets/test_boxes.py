"""Boxes of objects: exact, and from files of instance ids."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from uap.datasets import CamVid, Cityscapes, StreetScenes
from uap.datasets.boxes import SMALLEST_AREA, Boxes, box_table, boxes_of_instances
from uap.datasets.synthetic import render_instances, render_scene
from uap.datasets.synthetic.ids import BICYCLE, BUS, CAR, PERSON, RIDER
from uap.utils.errors import InputError

MOVING = (PERSON, RIDER, CAR, BUS, BICYCLE)
TABLE = box_table(["person", "rider", "car", "bus", "bicycle"])


def test_numbering_changes_no_pixel_and_covers_every_object() -> None:
    for index in range(3):
        image, labels, numbers = render_instances(2, index)
        plain, plain_labels = render_scene(2, index)
        np.testing.assert_array_equal(image, plain)
        np.testing.assert_array_equal(labels, plain_labels)
        assert (numbers[np.isin(labels, MOVING)] > 0).all()
        assert (numbers[labels == 0] == 0).all()  # the road


def test_boxes_of_instances_enclose_their_pixels() -> None:
    ids = np.zeros((40, 40), np.int32)
    ids[2:12, 3:20] = 26_001  # label id 26 is a car
    ids[20:32, 5:15] = 24_002  # a person
    ids[33:36, 0:3] = 24_003  # too small
    ids[0:2, 0:30] = 26  # a group without instances
    ids[15:18, 20:40] = 17_004  # a pole has no box
    boxes, classes = boxes_of_instances(ids, {26: 3, 24: 1})
    assert boxes.tolist() == [[5, 20, 15, 32], [3, 2, 20, 12]]
    assert classes.tolist() == [1, 3]
    assert SMALLEST_AREA > 9


def test_scenes_have_boxes_that_are_written_once(tmp_path: Path) -> None:
    scenes = StreetScenes(str(tmp_path), split="val", scored_scenes=1)
    sample = Boxes(scenes, TABLE)[0]
    assert sample["boxes"].shape == (len(sample["classes"]), 4)
    assert len(sample["classes"]) > 0
    file = scenes.instance_file(scenes.items[0])
    before = file.stat().st_mtime_ns
    half = Boxes(StreetScenes(str(tmp_path), split="val", scored_scenes=1, size=(128, 256)), TABLE)[0]
    torch.testing.assert_close(half["boxes"] * 2, sample["boxes"])
    assert file.stat().st_mtime_ns == before


def test_data_without_boxes_and_other_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        Boxes(CamVid(str(tmp_path)), TABLE)
    assert error.value.setting == "data"
    with pytest.raises(InputError) as error:
        Boxes(Cityscapes(str(tmp_path)), box_table(["cat"], type(TABLE)(("cat",), ((0, 0, 0),))))
    assert error.value.setting == "classes"
    with pytest.raises(InputError):
        box_table(["giraffe"])


@pytest.mark.parametrize("content", ["missing", "text", "colors"])
def test_unreadable_boxes_are_refused(tmp_path: Path, content: str) -> None:
    folders = [tmp_path / kind / "val" / "aachen" for kind in ("leftImg8bit", "gtFine")]
    for folder, ending in zip(folders, ("_leftImg8bit.png", "_gtFine_labelIds.png"), strict=True):
        folder.mkdir(parents=True)
        mode = "RGB" if folder is folders[0] else "L"
        Image.new(mode, (16, 8)).save(folder / f"aachen_0{ending}")
    instances = folders[1] / "aachen_0_gtFine_instanceIds.png"
    if content == "text":
        instances.write_text("no picture")
    elif content == "colors":
        Image.new("RGB", (16, 8)).save(instances)
    boxes = Boxes(Cityscapes(str(tmp_path), size=(8, 16)), TABLE)
    with pytest.raises(InputError) as error:
        boxes[0]
    assert "instanceIds" in str(error.value)
