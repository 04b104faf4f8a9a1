"""Tests of the published layouts of labels, and of the message about missing labels."""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import SIZE, make_camvid, make_cityscapes, save, scene
from uap.data import BDD100K, CamVid, Cityscapes, PascalVOC, SegmentationData
from uap.datasets.camvid_colors import COLORS, MEMBERS
from uap.utils.class_tables import CAMVID, IGNORE
from uap.utils.errors import InputError

ROW = [*COLORS]
"""The classes of the pixels in each row of the label images."""

IDS = [next((CAMVID.names.index(group) for group, names in MEMBERS.items() if name in names), IGNORE) for name in ROW]


def make_colored(root: Path, colors: Any = COLORS) -> CamVid:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for number in range(2):
            save(root / split / f"{number}.png", rng.integers(0, 255, (2, 32, 3), dtype=np.uint8))
            labels = np.array([[colors[name] for name in ROW]] * 2, np.uint8)
            save(root / f"{split}_labels" / f"{number}_L.png", labels)
    return CamVid(str(root), (2, 32), num_workers=0)


def write_colors(root: Path, colors: dict[str, Any]) -> None:
    lines = ["name,r,g,b", *(f"{name},{','.join(map(str, color))}" for name, color in colors.items())]
    (root / "class_dict.csv").write_text("\n".join(lines))


def test_32_classes_are_the_members_and_void() -> None:
    assert len(COLORS) == len(set(COLORS.values())) == 32
    assert tuple(MEMBERS) == CAMVID.names
    assert sorted([name for names in MEMBERS.values() for name in names] + ["Void"]) == sorted(COLORS)
    assert (IDS[ROW.index("LaneMkgsDriv")], IDS[ROW.index("Child")], IDS[ROW.index("Void")]) == (3, 9, IGNORE)


@pytest.mark.parametrize("with_list", [False, True])
def test_colored_labels_are_translated_to_11_classes(tmp_path: Path, with_list: bool) -> None:
    data = make_colored(tmp_path)
    if with_list:
        write_colors(tmp_path, COLORS)
    data.setup("fit")
    for dataset in data.datasets.values():
        assert dataset[0]["labels"].tolist() == [IDS, IDS]
    labels = data.dataset("val").items[1].labels
    assert labels is not None
    assert data.dataset("train").read_labels(labels).tolist() == [IDS, IDS]


def test_class_dict_defines_the_colors(tmp_path: Path) -> None:
    changed = {name: (number, 7, 255) for number, name in enumerate(ROW)}
    data = make_colored(tmp_path, changed)
    with pytest.raises(InputError, match=r"_L.png has 32 colors of no class, \(0, 7, 255\)"):
        data.setup("fit") or data.datasets["train"][0]
    write_colors(tmp_path, changed)
    data.setup("fit")  # no label that was read with other colors is cached
    assert data.datasets["train"][0]["labels"].tolist() == [IDS, IDS]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,r,g,b\nUnicorn,1,2,3", "class_dict.csv lists Unicorn, expected CamVid's 32 classes"),
        ("name,r,g,b\n", "class_dict.csv lists no class"),
        ("Sky 1 2 3", "class_dict.csv lists no class"),
        ("name,r,g,b\nSky,1,2", "class_dict.csv cannot be read"),
        ("name,r,g,b\nSky,1,2,x", "class_dict.csv cannot be read"),
    ],
)
def test_invalid_class_dict_raises_error(tmp_path: Path, text: str, message: str) -> None:
    data = make_colored(tmp_path)
    (tmp_path / "class_dict.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        data.dataset("train").read_ids(tmp_path / "val_labels/0_L.png")


def test_missing_colored_labels_raise_error(tmp_path: Path) -> None:
    data = make_colored(tmp_path)
    (tmp_path / "train_labels/1_L.png").unlink()
    with pytest.raises(InputError, match=r"1 of 2 images of the split have no labels in .*train_labels, 1.png first"):
        len(data.dataset("train"))


def test_cityscapes_train_ids_are_read_without_label_ids(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    expected = Cityscapes(str(tmp_path), SIZE)
    expected.setup("fit")
    before = [expected.datasets["train"][i]["labels"].tolist() for i in range(6)]
    for path in sorted((tmp_path / "gtFine").rglob("*000001*_labelIds.png")):  # one of each split
        ids = expected.dataset("train").read_labels(path)
        save(path.with_name(path.name.replace("labelIds", "labelTrainIds")), ids)
        path.unlink()
    data = Cityscapes(str(tmp_path), SIZE)
    data.setup("fit")
    assert [data.datasets["train"][i]["labels"].tolist() for i in range(6)] == before
    path = tmp_path / "a_gtFine_labelTrainIds.png"
    with pytest.raises(InputError, match="holds the id 33, expected train ids 0 to 18"):
        data.dataset("train").read_labels(save(path, np.full(SIZE, 33, np.uint8)))


def test_bdd100k_layouts_of_images_and_labels_can_differ(tmp_path: Path) -> None:
    image, mask = scene(np.random.default_rng(0))
    save(tmp_path / "images/10k/train/a.jpg", image)
    labels = save(tmp_path / "seg/labels/train/a_train_id.png", mask)
    assert [item.labels for item in BDD100K(str(tmp_path)).dataset("train").items] == [labels]


def unlabeled_voc(root: Path) -> PascalVOC:
    save(root / "JPEGImages/a.png", scene(np.random.default_rng(0))[0])
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/train.txt").write_text("a")
    return PascalVOC(str(root))


def unlabeled_bdd(root: Path) -> BDD100K:
    save(root / "seg/images/train/a.jpg", scene(np.random.default_rng(0))[0])
    return BDD100K(str(root))


def unlabeled_camvid(root: Path) -> CamVid:
    make_camvid(root)
    shutil.rmtree(root / "trainannot")
    return CamVid(str(root))


def unlabeled_cityscapes(root: Path) -> Cityscapes:
    make_cityscapes(root)
    shutil.rmtree(root / "gtFine")
    return Cityscapes(str(root))


@pytest.mark.parametrize(
    ("make", "paths"),
    [
        (unlabeled_camvid, ["trainannot", "train_labels"]),
        (unlabeled_cityscapes, ["_gtFine_labelIds.png", "_gtFine_labelTrainIds.png", "gtFine_trainvaltest.zip"]),
        (unlabeled_bdd, ["labels/sem_seg/masks/train", "seg/labels/train"]),
        (unlabeled_voc, ["SegmentationClass/*.png"]),
    ],
)
def test_searched_label_paths_are_reported_once(
    make: Any, paths: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data: SegmentationData = make(tmp_path)
    with caplog.at_level(logging.INFO, "pytorch_lightning.utilities.rank_zero"):
        assert all(item.labels is None for item in [*data.dataset("train").items, *data.dataset("train").items])
    said = [record.getMessage() for record in caplog.records if "No labels" in record.getMessage()]
    assert len(said) == 1
    assert all(path in said[0] for path in paths)
